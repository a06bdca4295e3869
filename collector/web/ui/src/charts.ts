// Charts of what the checks measured, one card per check. All cards share the range of time and the cursor.
//
// Round-trip times are drawn as a band from the smallest to the 95th percentile with the median in it: a mean alone
// hides what spoils a conference. Where nothing was measured there is a gap, never a line across it.
import uPlot from "uplot";
import type { Series } from "./api";
import { el } from "./dom";
import { clock, dateTime, day, dayTime, duration, type Key, number, short, t, zone } from "./i18n";

type Values = (number | null)[];

export interface Check {
  kind: string;
  target: string;
  path: string;
  layer: string;
  agent: string;
}

interface Line {
  name: Key;
  values: Values;
  colour: string; // a custom property of the style sheet
}

/** One chart of a card. */
interface Panel {
  title: Key;
  unit: string;
  kind: "lines" | "smoke" | "bars";
  lines: Line[]; // of a smoke band: p95, min, median
  height: number;
  least: number; // the scale reaches at least this far, so that noise does not look like a mountain
}

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The fields that a kind's charts need, by how windows are summed up; of the measurement of that name where none is given. */
export const fieldsOf: Record<string, { agg: "mean" | "min" | "max"; fields: string[]; measurement?: string }[]> = {
  webrtc: [
    { agg: "mean", fields: ["loss_ratio"], measurement: "webrtc_flow" },
    { agg: "mean", fields: ["rtt_median_seconds", "mos_audio", "usable_video_bps"] },
    { agg: "max", fields: ["rtt_p95_seconds"] },
  ],
  icmp: [
    { agg: "mean", fields: ["loss_ratio", "rtt_median_seconds", "jitter_seconds"] },
    { agg: "min", fields: ["rtt_min_seconds"] },
    { agg: "max", fields: ["rtt_p95_seconds"] },
  ],
  tcp: [{ agg: "mean", fields: ["connect_seconds"] }],
  dns: [{ agg: "mean", fields: ["query_seconds"] }],
  sip: [{ agg: "mean", fields: ["response_seconds"] }],
  stun: [{ agg: "mean", fields: ["response_seconds"] }],
  h323: [{ agg: "mean", fields: ["connect_seconds"] }],
  http: [{ agg: "mean", fields: ["connect_seconds", "tls_seconds", "first_byte_seconds", "total_seconds"] }],
};

const lineNames: Record<string, Key> = {
  connect_seconds: "chart.connect",
  query_seconds: "chart.query",
  tls_seconds: "chart.tls",
  first_byte_seconds: "chart.first_byte",
  total_seconds: "chart.total",
  response_seconds: "chart.answer",
};

/** What was fetched for one check: times and, by field, values. */
export class Data {
  times: number[] = [];
  readonly fields = new Map<string, Values>();

  add(s: Series, agg: "mean" | "min" | "max"): void {
    if (!this.times.length) this.times = s.t;
    const at = new Map(s.t.map((time, i) => [time, i]));
    const given = s[agg];
    const way = s.tags["direction"];
    const field = way ? `${s.field} ${way}` : s.field; // the ways of a call are told apart, its media are not
    const values = given && this.times.map((time) => given[at.get(time) ?? -1] ?? null);
    // Several series of one field (a name asked of several resolvers): the worst counts.
    const before = this.fields.get(field);
    if (!values) return;
    this.fields.set(field, before ? values.map((v, i) => (v === null ? (before[i] ?? null) : Math.max(v, before[i] ?? v))) : values);
  }

  get(field: string, factor: number): Values {
    const values = this.fields.get(field);
    return this.times.map((_, i) => {
      const v = values?.[i];
      return v === null || v === undefined ? null : v * factor;
    });
  }

  get empty(): boolean {
    return ![...this.fields.values()].some((values) => values.some((v) => v !== null));
  }
}

/** A call's charts: loss of each way, delay, and where they were worked out the quality of audio and the usable rate. */
function callPanels(data: Data): Panel[] {
  const ways = (["up", "down", "round"] as const).filter((way) => data.fields.has(`loss_ratio ${way}`));
  const colours = { up: "line-2", down: "line-4", round: "loss" };
  const panels: Panel[] = [
    { title: "chart.flow_loss", unit: "%", kind: "lines", height: 120, least: 2, lines: ways.map((way) => ({ name: `chart.loss_${way}` as Key, values: data.get(`loss_ratio ${way}`, 100), colour: colours[way] })) },
    {
      title: "chart.rtt",
      unit: "ms",
      kind: "lines",
      height: 100,
      least: 2,
      lines: [
        { name: "chart.median", values: data.get("rtt_median_seconds", 1000), colour: "line-1" },
        { name: "chart.p95", values: data.get("rtt_p95_seconds", 1000), colour: "line-3" },
      ],
    },
  ];
  if (data.fields.has("mos_audio")) panels.push({ title: "chart.mos", unit: "", kind: "lines", height: 84, least: 5, lines: [{ name: "chart.mos", values: data.get("mos_audio", 1), colour: "line-1" }] });
  if (data.fields.has("usable_video_bps")) panels.push({ title: "chart.usable", unit: "Mbit/s", kind: "lines", height: 84, least: 1, lines: [{ name: "chart.usable", values: data.get("usable_video_bps", 1e-6), colour: "line-3" }] });
  return panels;
}

export function panelsOf(kind: string, data: Data): Panel[] {
  if (kind === "webrtc") return callPanels(data);
  if (kind === "icmp") {
    return [
      {
        title: "chart.rtt",
        unit: "ms",
        kind: "smoke",
        height: 150,
        least: 2,
        lines: [
          { name: "chart.p95", values: data.get("rtt_p95_seconds", 1000), colour: "line-4" },
          { name: "chart.min", values: data.get("rtt_min_seconds", 1000), colour: "line-3" },
          { name: "chart.median", values: data.get("rtt_median_seconds", 1000), colour: "line-1" },
        ],
      },
      { title: "chart.loss", unit: "%", kind: "bars", height: 84, least: 5, lines: [{ name: "chart.loss", values: data.get("loss_ratio", 100), colour: "loss" }] },
      { title: "chart.jitter", unit: "ms", kind: "lines", height: 84, least: 1, lines: [{ name: "chart.jitter", values: data.get("jitter_seconds", 1000), colour: "line-2" }] },
    ];
  }
  const fields = (fieldsOf[kind] ?? []).flatMap((f) => f.fields).filter((f) => data.fields.has(f));
  const colours = ["line-2", "line-3", "line-4", "line-1"];
  return [
    {
      title: "chart.time",
      unit: "ms",
      kind: "lines",
      height: 150,
      least: 2,
      lines: fields.map((f, i) => ({ name: lineNames[f] ?? "chart.time", values: data.get(f, 1000), colour: fields.length === 1 ? "line-1" : (colours[i] ?? "line-1") })),
    },
  ];
}

/** How times are written along a range of so many seconds: a year is not read by the minute. */
function marksOf(seconds: number): (ms: number) => string {
  if (seconds > 62 * 86400) return day;
  return seconds > 36 * 3600 ? dayTime : (ms) => clock(ms).slice(0, 5);
}

/** Draws a panel into host, which must be on the page. zoomed is told when a stretch was dragged out. */
export function draw(host: HTMLElement, panel: Panel, times: number[], range: [number, number], zoomed: (from: number, to: number) => void): uPlot {
  const [ink, grid] = [css("ink-2"), css("grid")];
  const font = `11px ${css("font")}`;
  const mark = marksOf(range[1] - range[0]);
  const axis: uPlot.Axis = { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
  const bars = uPlot.paths.bars?.({ size: [1, 40], align: 1 });
  const width = () => Math.max(220, host.clientWidth);
  const series: uPlot.Series[] = panel.lines.map((line, i) => {
    const colour = css(line.colour);
    const out: uPlot.Series = {
      label: t(line.name).replace(/ \(.*\)$/, ""), // the unit is beside each value
      stroke: colour,
      width: panel.kind === "smoke" && i < 2 ? 0.75 : 1.5,
      points: { show: false },
      value: (_, v) => (v === null || v === undefined ? "–" : `${short(v)} ${panel.unit}`),
    };
    if (panel.kind === "bars") Object.assign(out, { fill: colour, width: 0, ...(bars ? { paths: bars } : {}) });
    else out.points = { show: (_u: uPlot, seriesIndex: number) => alone(panel.lines[seriesIndex - 1]?.values ?? []), size: 4, fill: colour, filter: (_u: uPlot, seriesIndex: number) => lonely(panel.lines[seriesIndex - 1]?.values ?? []) };
    return out;
  });
  const options: uPlot.Options = {
    width: width(),
    height: panel.height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    cursor: { sync: { key: "site" }, drag: { x: true, y: false, setScale: false }, points: { size: 6 }, y: false },
    legend: { show: true, live: true, markers: { width: 0, fill: (_, i) => css(panel.lines[i - 1]?.colour ?? "ink") } },
    scales: {
      x: { time: true, range: () => range },
      y: { range: (_, __, max) => [0, Math.max(panel.least, (max ?? 0) * 1.12)] },
    },
    axes: [
      { ...axis, size: 26, space: 74, values: (_, marks) => marks.map((s) => mark(s * 1000)) },
      { ...axis, size: 46, space: 26, values: (_, marks) => marks.map((v) => number(v, Number.isInteger(v) ? 0 : v < 0.1 ? 2 : 1)) },
    ],
    series: [{ label: t("col.time"), value: (_, v) => (v ? dateTime(v * 1000) : "–") }, ...series],
    hooks: {
      drawClear: [(u) => shadeGaps(u, times, panel.lines, css("gap"))],
      setSelect: [
        (u) => {
          if (u.select.width < 4) return;
          const [from, to] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          zoomed(from, to);
        },
      ],
    },
  };
  if (panel.kind === "smoke") options.bands = [{ series: [1, 2], fill: css("smoke-band") }];
  const plot = new uPlot(options, [times, ...panel.lines.map((l) => l.values)] as uPlot.AlignedData, host);
  const watch = new ResizeObserver(() => {
    if (!host.isConnected) return watch.disconnect();
    if (Math.abs(plot.width - width()) > 1) plot.setSize({ width: width(), height: panel.height });
  });
  watch.observe(host);
  return plot;
}

/** Indices of values with nothing on either side: a line cannot show them, a dot can. */
function lonely(values: Values): number[] {
  const out: number[] = [];
  values.forEach((v, i) => {
    if (v !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) out.push(i);
  });
  return out;
}

const alone = (values: Values): boolean => lonely(values).length > 0;

/** Shades the stretches in which nothing was measured, so that a gap is seen to be one. */
function shadeGaps(u: uPlot, times: number[], lines: Line[], colour: string): void {
  const step = times.length > 1 ? (times[1] as number) - (times[0] as number) : 0;
  const { left, top, width, height } = u.bbox;
  const g = u.ctx;
  g.save();
  g.fillStyle = colour;
  let from = -1;
  for (let i = 0; i <= times.length; i++) {
    const missing = i < times.length && lines.every((l) => l.values[i] === null);
    if (missing && from < 0) from = i;
    if (!missing && from >= 0) {
      const x0 = Math.max(left, u.valToPos(times[from] as number, "x", true));
      const x1 = Math.min(left + width, u.valToPos((times[i - 1] as number) + step, "x", true));
      if (x1 > x0) g.fillRect(x0, top, x1 - x0, height);
      from = -1;
    }
  }
  g.restore();
}

/** The same numbers as a small table: for screen readers, for paper, for those who want figures. */
export function table(title: string, panels: Panel[], times: number[], step: number): HTMLElement {
  const lines = panels.flatMap((p) => p.lines.map((line) => ({ ...line, unit: p.unit, kind: p.kind })));
  const most = 12;
  const stride = Math.max(1, Math.ceil(times.length / most));
  const rows: HTMLElement[] = [];
  const when = times.length * step > 62 * 86400 ? day : dayTime;
  for (let i = 0; i < times.length; i += stride) {
    const cells = lines.map((line) => {
      const values = line.values.slice(i, i + stride).filter((v): v is number => v !== null);
      if (!values.length) return "–";
      const v = line.name === "chart.min" ? Math.min(...values) : line.name === "chart.p95" ? Math.max(...values) : values.reduce((a, b) => a + b, 0) / values.length;
      return `${short(v)} ${line.unit}`;
    });
    rows.push(el("tr", {}, el("th", { scope: "row" }, when((times[i] as number) * 1000)), ...cells.map((c) => el("td", { class: "num" }, c))));
  }
  return el(
    "details",
    { class: "figures" },
    el("summary", {}, t("chart.table")),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${t("chart.table")}: ${title}` },
      el(
        "table",
        { class: "grid" },
        el("caption", { class: "hidden" }, `${title}, ${duration(step * stride)}`),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("col.time")), ...lines.map((l) => el("th", { scope: "col" }, t(l.name))))),
        el("tbody", {}, ...rows),
      )),
  );
}

/** One sentence that says what the charts of a check show. */
export function sentence(title: string, panels: Panel[]): string {
  const all = (name: Key) => panels.flatMap((p) => p.lines).find((l) => l.name === name)?.values.filter((v): v is number => v !== null) ?? [];
  const [loss, median, p95] = [all("chart.loss"), all("chart.median"), all("chart.p95")];
  if (!median.length && !loss.length) return title;
  const mean = (v: number[], unit: string) => (v.length ? `${short(v.reduce((a, b) => a + b, 0) / v.length)} ${unit}` : "–");
  return t("chart.described", { title, loss: mean(loss, "%"), median: mean(median, "ms"), p95: p95.length ? `${short(Math.max(...p95))} ms` : "–" });
}
