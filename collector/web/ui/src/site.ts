// The site page: keeps the server's words fresh, and adds the history of states and the charts.
import type uPlot from "uplot";
import { type History, type SeriesAnswer, type Site, type Span, get, layers } from "./api";
import { announce, failure, prepareChrome, showLive, watchDatabase } from "./chrome";
import { type Check, Data, draw, fieldsOf, panelsOf, sentence, table } from "./charts";
import { byId, el, set, soon } from "./dom";
import { glyph } from "./glyph";
import { dateTime, dayTime, duration, type Key, lang, stateName, t } from "./i18n";
import { listen } from "./live";

const site = document.body.dataset["site"] ?? "";
const ranges = { "1h": 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400, "1y": 365 * 86400, "5y": 1826 * 86400 } as const;
type Range = keyof typeof ranges;

/** What the charts show: a range up to now, or a stretch that was zoomed into. */
let shown: { range: Range; zoom: [number, number] | null } = readShown();
let plots: uPlot[] = [];
let drawn = ""; // the answers that the charts were drawn from
let loading: AbortController | null = null;

function readShown(): typeof shown {
  const q = new URLSearchParams(location.search);
  const range = (Object.keys(ranges) as Range[]).find((r) => r === q.get("range")) ?? "1h";
  const [from, to] = [Number(q.get("from")), Number(q.get("to"))];
  return { range, zoom: from > 0 && to > from ? [from, to] : null };
}

function choose(range: Range, zoom: [number, number] | null): void {
  shown = { range, zoom };
  const q = new URLSearchParams(location.search);
  for (const name of ["range", "from", "to"]) q.delete(name);
  q.set("range", range);
  if (zoom) {
    q.set("from", String(Math.round(zoom[0])));
    q.set("to", String(Math.round(zoom[1])));
  }
  history.replaceState(null, "", `${location.pathname}?${q}`);
  showRanges();
  void load();
}

function showRanges(): void {
  const host = byId("ranges");
  const buttons = (Object.keys(ranges) as Range[]).map((r) => {
    const b = el("button", { type: "button", class: "seg", "data-range": r, "aria-pressed": r === shown.range && !shown.zoom ? "true" : "false" }, t(`site.range_${r}` as Key));
    b.addEventListener("click", () => choose(r, null));
    return b;
  });
  const reset = el("button", { type: "button", class: "link", id: "reset" }, t("site.range_reset"));
  reset.hidden = !shown.zoom;
  reset.addEventListener("click", () => choose(shown.range, null));
  const words = el("span", { class: shown.zoom ? "sub" : "sub hint" }, shown.zoom ? `${dateTime(shown.zoom[0] * 1000)} – ${dateTime(shown.zoom[1] * 1000)}` : t("site.range_hint"));
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["range"] : undefined;
  host.replaceChildren(el("span", { class: "segs" }, ...buttons), reset, words);
  if (focused) host.querySelector<HTMLElement>(`[data-range="${focused}"]`)?.focus();
}

/** The checks of the site, as the server's table has them. */
function checks(): (Check & { interval: number })[] {
  return [...document.querySelectorAll<HTMLElement>("#checks tr[data-target]")].map((tr) => {
    const d = tr.dataset;
    return { kind: d["kind"] ?? "", target: d["target"] ?? "", path: d["path"] ?? "", layer: d["layer"] ?? "", agent: d["agent"] ?? "", interval: Number(d["interval"]) || 60 };
  });
}

const steps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000];

/** States are judged anew for each question, so they are asked for a month at most. Figures are kept for years. */
const longestHistory = 31 * 86400;

/**
 * The length of a window: about 300 of them, but each at least two of the check's intervals long. A window shorter
 * than that would now and then hold no run although none was missed, and the chart would show gaps that are none.
 */
function stepFor(seconds: number, interval: number): number {
  const want = Math.max(seconds / 300, Math.min(interval * 2, seconds / 10));
  return steps.find((s) => s >= want) ?? 2592000;
}

function bounds(): [number, number] {
  if (shown.zoom) return shown.zoom;
  const now = Date.now() / 1000;
  return [now - ranges[shown.range], now];
}

/** Asks for what is shown; with its history unless charts alone are to be looked at again. */
async function load(whole = true): Promise<void> {
  loading?.abort();
  const mine = (loading = new AbortController());
  const [from, to] = bounds();
  await Promise.all([whole && loadHistory(from, to, mine.signal), loadCharts(from, to, mine.signal)]);
  if (loading === mine) loading = null;
}

async function loadHistory(from: number, to: number, signal: AbortSignal): Promise<void> {
  const host = byId("history");
  if (to - from > longestHistory + 60) {
    host.replaceChildren(el("p", { class: "empty" }, t("site.history_long")));
    return;
  }
  try {
    const h = await get<History>(`/api/v1/sites/${encodeURIComponent(site)}/history?from=${Math.floor(from)}&to=${Math.ceil(to)}&lang=${lang}`, signal);
    const rows: [string, Span[]][] = [[t("layer.overall"), h.site ?? []], ...layers.map((l): [string, Span[]] => [t(`layer.${l}`), h.layers[l] ?? []])];
    if (rows.every(([, spans]) => !spans.length)) {
      host.replaceChildren(el("p", { class: "empty" }, t("site.history_none")));
      return;
    }
    host.replaceChildren(...rows.map(([name, spans]) => strip(name, spans, from, to)), scale(from, to), outages(h.site ?? [], from, to), historyTable(rows));
  } catch (error) {
    if (!signal.aborted) host.replaceChildren(el("p", { class: "empty" }, t("chart.failed", { error: failure(error) })));
  }
}

const sec = (time: string): number => Date.parse(time) / 1000;

function strip(name: string, spans: Span[], from: number, to: number): HTMLElement {
  const bar = el("div", { class: "strip" });
  for (const s of spans) {
    const [a, b] = [Math.max(from, sec(s.from)), Math.min(to, sec(s.to))];
    if (b <= a) continue;
    const part = el("span", { "data-state": s.state, title: `${stateName(s.state)}\n${dateTime(a * 1000)} – ${dateTime(b * 1000)} (${duration(b - a)})${s.reason ? `\n${s.reason}` : ""}` });
    part.style.left = `min(${((a - from) / (to - from)) * 100}%, 100% - 3px)`; // of the last minute, too, there is something to see
    part.style.width = `${((b - a) / (to - from)) * 100}%`;
    bar.append(part);
  }
  return el("div", { class: "strip-row", "aria-hidden": "true" }, el("span", { class: "strip-name" }, name), bar);
}

function scale(from: number, to: number): HTMLElement {
  const marks = el("div", { class: "strip-scale" });
  const n = window.innerWidth < 600 ? 2 : 6;
  for (let i = 0; i <= n; i++) {
    const mark = el("span", {}, dayTime((from + ((to - from) * i) / n) * 1000));
    mark.style.left = `${(i / n) * 100}%`;
    marks.append(mark);
  }
  return el("div", { class: "strip-row", "aria-hidden": "true" }, el("span", { class: "strip-name" }), marks);
}

const bad: readonly string[] = ["down", "degraded", "no_data"];

/** The outages in words, newest first: a strip of a month gives a minute less than a pixel. */
function outages(spans: Span[], from: number, to: number): HTMLElement {
  const most = 20;
  const found = spans.filter((s) => bad.includes(s.state) && sec(s.to) > from && sec(s.from) < to).sort((a, b) => sec(b.from) - sec(a.from));
  const items = found.slice(0, most).map((s) => {
    const before = sec(s.from) <= from; // what was before the range was not asked for
    const lasting = !shown.zoom && s === spans[spans.length - 1];
    const [begin, end] = [dateTime(sec(s.from) * 1000), lasting ? t("site.ongoing") : dateTime(sec(s.to) * 1000)];
    return el("li", {},
      el("span", { class: "state", "data-state": s.state }, glyph(s.state), stateName(s.state)),
      el("span", { class: "num" }, `${before ? t("site.before", { time: begin }) : begin} – ${end}`),
      el("span", { class: "num" }, `${before ? "≥ " : ""}${duration(sec(s.to) - sec(s.from))}`),
      el("span", {}, s.reason ?? ""));
  });
  return el("div", { class: "outages" },
    el("h3", {}, t("site.outages")),
    items.length ? el("ol", {}, ...items) : null,
    unmeasured(spans, from, to, items.length > 0),
    found.length > most && el("p", { class: "sub" }, t("site.outages_more", { n: found.length - most })));
}

/** Says that there was no outage, as far as that is known: of a time that nothing was measured in nobody can tell. */
function unmeasured(spans: Span[], from: number, to: number, any: boolean): HTMLElement | null {
  const known = spans.filter((s) => s.state !== "none").reduce((sum, s) => sum + Math.max(0, Math.min(to, sec(s.to)) - Math.max(from, sec(s.from))), 0);
  const missing = to - from - known;
  if (known < 1) return el("p", { class: "sub" }, t("site.outages_unknown"));
  const words = any ? "" : t("site.outages_none");
  // What is less than a hundredth is the edge of a range that ends now.
  if (missing < Math.max(60, (to - from) / 100)) return words ? el("p", { class: "sub" }, words) : null;
  return el("p", { class: "sub" }, any ? t("site.outages_part", { time: duration(missing) }) : t("site.outages_none_known", { time: duration(missing) }));
}

function historyTable(rows: [string, Span[]][]): HTMLElement {
  const newest = rows.flatMap(([name, spans]) => spans.map((s) => ({ name, s }))).sort((a, b) => sec(b.s.from) - sec(a.s.from));
  const most = 60;
  const body = newest.slice(0, most).map(({ name, s }) =>
    el("tr", {}, el("td", { class: "num" }, dateTime(Date.parse(s.from))), el("td", { class: "num" }, dateTime(Date.parse(s.to))), el("td", {}, name), el("td", {}, stateName(s.state)), el("td", {}, s.reason ?? "")),
  );
  const heads = ["col.from", "col.to", "col.layer", "col.state", "col.reason"] as const;
  return el(
    "details",
    { class: "figures" },
    el("summary", {}, t("site.history_table")),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("site.history_table") },
      el("table", { class: "grid" }, el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col" }, t(h))))), el("tbody", {}, ...body))),
  );
}

async function loadCharts(from: number, to: number, signal: AbortSignal): Promise<void> {
  const host = byId("charts");
  const all = checks();
  const kindOrder = Object.keys(fieldsOf);
  const wanted = all.filter((c) => fieldsOf[c.kind]).sort((a, b) => kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind));
  host.setAttribute("aria-busy", "true");
  if (!host.childElementCount) host.replaceChildren(el("p", { class: "empty" }, t("chart.loading")));
  const data = new Map<string, Data>();
  const stepOf = new Map<string, number>();
  const resolutionOf = new Map<string, SeriesAnswer["resolution"]>();
  const answers: Record<string, SeriesAnswer> = {};
  const key = (kind: string, agent = "", target = "", path = "") => [kind, agent, target, path].join("\u0000");
  try {
    const kinds = [...new Set(wanted.map((c) => c.kind))];
    await Promise.all(
      kinds.flatMap((kind) => {
        const step = stepFor(to - from, Math.max(...wanted.filter((c) => c.kind === kind).map((c) => c.interval)));
        return (fieldsOf[kind] ?? []).map(async ({ agg, fields, measurement = kind }) => {
          const q = new URLSearchParams({ measurement, site, agg, step: `${step}s`, from: String(Math.floor(from / step) * step), to: String(Math.ceil(to)) });
          for (const f of fields) q.append("field", f);
          const answer = await get<SeriesAnswer>(`/api/v1/series?${q}`, signal);
          answers[`${kind} ${measurement} ${agg}`] = answer;
          stepOf.set(kind, answer.step_seconds); // what is old is not kept in shorter ones
          if (answer.resolution !== "raw") resolutionOf.set(kind, answer.resolution);
          for (const s of answer.series ?? []) {
            const k = key(kind, s.tags["agent"], s.tags["target"], s.tags["path"]);
            let d = data.get(k);
            if (!d) data.set(k, (d = new Data()));
            d.add(s, agg);
          }
        });
      }),
    );
  } catch (error) {
    if (signal.aborted) return;
    host.removeAttribute("aria-busy");
    host.replaceChildren(el("p", { class: "empty" }, t("chart.failed", { error: failure(error) })));
    return;
  }
  host.removeAttribute("aria-busy");
  // Late results change old figures, so charts are looked at again and again; whoever reads them is not disturbed
  // while they are the same.
  const same = JSON.stringify([lang, wanted, Object.keys(answers).sort().map((k) => answers[k])]);
  if (same === drawn && host.dataset["ready"]) return;
  drawn = same;
  for (const p of plots) p.destroy();
  plots = [];
  const open = new Set([...host.querySelectorAll(".figures[open]")].map((e) => e.closest<HTMLElement>(".chart-card")?.dataset["key"]));
  // Pings have three charts each, calls more, the others one: apart, all fill their rows.
  const grids = { webrtc: el("div", { class: "chart-grid calls-grid" }), icmp: el("div", { class: "chart-grid" }), rest: el("div", { class: "chart-grid" }) };
  host.replaceChildren(grids.webrtc, grids.icmp, grids.rest);
  if (!wanted.length) host.append(el("p", { class: "empty" }, t("chart.no_data")));
  const agents = new Set(wanted.map((c) => c.agent)).size;
  for (const c of wanted) {
    const k = key(c.kind, c.agent, c.target, c.path);
    const d = data.get(k);
    const step = stepOf.get(c.kind) ?? 60;
    const title = `${c.target} · ${c.kind.toUpperCase()}`;
    const card = el("article", { class: "chart-card", "data-key": k, "data-kind": c.kind }, el("h3", {}, c.target, " ", el("small", {}, [c.kind.toUpperCase(), t(`layer.${c.layer}` as Key), c.path === c.layer ? "" : t(`path.${c.path}` as Key), agents > 1 ? c.agent : ""].filter(Boolean).join(" · "))));
    grids[c.kind === "icmp" || c.kind === "webrtc" ? c.kind : "rest"].append(card);
    if (!d || d.empty) {
      card.append(el("p", { class: "empty" }, t("chart.no_data")));
      continue;
    }
    const panels = panelsOf(c.kind, d);
    card.append(el("p", { class: "hidden" }, sentence(title, panels)));
    for (const panel of panels) {
      const frame = el("div", { class: "panel" }, el("h4", {}, t(panel.title)));
      const place = el("div", { class: "plot", "aria-hidden": "true" });
      frame.append(place);
      card.append(frame);
      plots.push(draw(place, panel, d.times, [from, to], (a, b) => choose(shown.range, [a, Math.max(b, a + 60)])));
    }
    const resolution = resolutionOf.get(c.kind);
    card.append(el("p", { class: "sub" }, t(c.kind === "icmp" ? "chart.windows_band" : "chart.windows", { step: duration(step) }),
      resolution ? ` ${t(`chart.made_of_${resolution}` as Key)}` : ""));
    const figures = table(title, panels, d.times, step);
    if (open.has(k)) set(figures, { open: true });
    card.append(figures);
  }
  host.dataset["ready"] = String(plots.length);
}

/** Fetches the page anew and takes over the parts that the server words, so that there is one wording only. */
const refresh = soon(() => {
  void (async () => {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = byId("head").dataset["state"];
    for (const part of document.querySelectorAll<HTMLElement>("[data-live]")) {
      const fresh = page.getElementById(part.id);
      if (fresh && !part.contains(document.activeElement) && fresh.textContent !== part.textContent) part.replaceWith(document.adoptNode(fresh));
    }
    const after = byId("head").dataset["state"];
    if (before !== after && after) announce(`${document.querySelector("h1")?.textContent ?? ""}: ${stateName(after)}`);
  })().catch(() => {}); // the live sign tells when the server is away
}, 1_000);

prepareChrome(() => {
  drawn = ""; // in other colours
  void load();
});
document.addEventListener("dblclick", (event) => {
  if (shown.zoom && (event.target as Element).closest(".plot")) choose(shown.range, null);
});
showRanges();
showLive("connecting");
watchDatabase(() => void load());
listen({
  opened: () => {
    showLive("live");
    refresh();
  },
  event: (name, data) => {
    if (name === "reset" || (name === "site" && (data as Site).id === site)) refresh();
  },
  lost: (since) => showLive("lost", since),
});
void load();
// Charts of the last hours move on by themselves. Older figures change when late results come in, and are looked at again
// too; states of a long range take the server a second, so they are asked for less often.
let minutes = 0;
setInterval(() => {
  refresh();
  if (document.visibilityState !== "visible") return;
  void load(!shown.zoom && (shown.range === "1h" || shown.range === "24h") ? true : ++minutes % 10 === 0);
}, 60_000);
