// The list beside the map: worst first, by district, found by search; and the counts above it.
import { type Layer, type Site, type State, explains, namedState, severity, sinceOf, stateIn, states } from "./api";
import { el, set } from "./dom";
import { awaySince } from "./chrome";
import { glyph } from "./glyph";
import { dateTime, duration, fold, number, stateName, t } from "./i18n";

/** Rows shown before "show all"; and how many more come each time the end scrolls into sight. */
const firstRows = 100;
const moreRows = 300;

export interface Choice {
  layer: Layer | "";
  states: Set<State>; // empty: all
  query: string; // what is searched for; empty: nothing
  found: Map<string, number> | null; // the sites found; null: no search
  grouped: boolean;
}

/** Whether a site is let through by the choice of states and the search. */
export function passes(choice: Choice, site: Site, state: State): boolean {
  return (choice.states.size === 0 || choice.states.has(state)) && (choice.found === null || choice.found.has(site.id));
}

const names = new Map<string, string>(); // folded names, which sorting asks for again and again

function nameOf(site: Site): string {
  let name = names.get(site.name);
  if (name === undefined) names.set(site.name, (name = fold(site.name)));
  return name;
}

export function order(sites: Site[], choice: Choice): Site[] {
  const key = (s: Site) => {
    const state = stateIn(s, choice.layer);
    return { s, found: choice.found?.get(s.id) ?? 0, bad: severity(state), since: state === "ok" ? 0 : sinceOf(s) || 0, name: nameOf(s) };
  };
  return sites
    .map(key)
    .sort((a, b) => a.found - b.found || a.bad - b.bad || b.since - a.since || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) || (a.s.id < b.s.id ? -1 : 1))
    .map((k) => k.s);
}

/** One site as a line that leads to its page. */
export function row(site: Site, layer: Layer | ""): HTMLElement {
  const state = stateIn(site, layer);
  const known = explains(site, layer);
  const since = known ? sinceOf(site) : NaN;
  const old = Number.isNaN(since) || state === "ok" ? null : el("small", { class: "row-for", title: dateTime(since), "data-since": since }, duration((Date.now() - since) / 1000));
  return el(
    "li",
    { class: "row", "data-state": state, "data-id": site.id },
    el(
      "a",
      { href: `/sites/${encodeURIComponent(site.id)}` },
      glyph(state),
      el("span", { class: "row-name" }, el("b", {}, site.name), " ", el("small", {}, [site.type, site.parent, site.code].filter(Boolean).join(" · "))),
      el("span", { class: "row-words" }, stateName(namedState(site, layer))),
      el("span", { class: "row-reason" }, known && state !== "ok" ? site.reason : ""),
      old,
    ),
  );
}

/** Says that nothing is wrong; of a time past where that is all that is known. */
export function allGood(): HTMLElement {
  const away = awaySince();
  if (away === null) return el("p", { class: "empty good" }, t("sites.all_good"));
  return el("p", { class: "empty" }, away ? t("sites.all_good_at", { time: dateTime(away).slice(0, -3) }) : t("sites.state_unknown"));
}

/** The counts per state, which are also the filter. */
export class Counts {
  constructor(
    private readonly host: HTMLElement,
    private readonly toggle: (state: State) => void,
  ) {
    host.replaceChildren(
      ...states.map((state) => {
        const b = el("button", { type: "button", class: "count", "data-state": state, "aria-pressed": "false" }, glyph(state), el("b"), el("span", { class: "count-name" }, stateName(state)));
        b.addEventListener("click", () => this.toggle(state));
        return b;
      }),
    );
  }

  show(sites: Iterable<Site>, choice: Choice): Record<State, number> {
    const n = Object.fromEntries(states.map((s) => [s, 0])) as Record<State, number>;
    for (const s of sites) n[stateIn(s, choice.layer)]++;
    for (const b of this.host.querySelectorAll<HTMLElement>(".count")) {
      const state = b.dataset["state"] as State;
      const text = number(n[state]);
      set(b, { "aria-pressed": choice.states.has(state) ? "true" : "false", "data-n": n[state] });
      const shown = b.querySelector("b");
      if (shown && shown.textContent !== text) shown.textContent = text;
    }
    return n;
  }
}

export class List {
  private all = false;
  private openGroups = new Set<string>();
  private more = new IntersectionObserver((entries) => {
    if (entries.some((e) => e.isIntersecting)) this.extend();
  });
  private pending: Site[] = [];
  private rows: HTMLElement | null = null;
  private sentinel = el("div", { class: "sentinel" });

  constructor(
    private readonly host: HTMLElement,
    private readonly act: { group: (grouped: boolean) => void; clear: () => void },
  ) {}

  show(sites: Site[], choice: Choice): void {
    const focused = this.focusedId();
    const scrolled = this.host.scrollTop;
    this.more.disconnect();
    this.pending = [];
    const shown = order(sites.filter((s) => passes(choice, s, stateIn(s, choice.layer))), choice);
    const narrowed = choice.states.size > 0 || choice.found !== null;
    const head = el("div", { class: "list-head" }, el("p", { class: "total", role: "status" }, narrowed ? t("sites.found", { n: number(shown.length) }) : t("sites.total", { n: number(sites.length) })));
    if (narrowed) head.append(this.button("link", t("sites.clear"), () => this.act.clear()));
    if (sites.some((s) => s.parent)) head.append(this.switcher(choice.grouped));
    const body: Node[] = [head];
    if (!sites.length) body.push(el("p", { class: "empty" }, t("sites.empty")));
    else if (!shown.length) body.push(el("p", { class: "empty" }, t("sites.none_found")));
    else if (choice.grouped) body.push(...this.groups(shown, choice));
    else {
      if (!narrowed && shown.every((s) => ["ok", "muted", "none"].includes(stateIn(s, choice.layer)))) body.push(allGood());
      body.push(...this.flat(shown, choice));
    }
    this.host.replaceChildren(...body);
    this.host.dataset["query"] = choice.query;
    this.host.scrollTop = scrolled;
    if (focused) this.host.querySelector<HTMLElement>(focused)?.focus({ preventScroll: true });
  }

  /** Words the lengths of time anew. */
  tick(): void {
    for (const e of this.host.querySelectorAll<HTMLElement>("[data-since]")) e.textContent = duration((Date.now() - Number(e.dataset["since"])) / 1000);
  }

  private focusedId(): string {
    const e = document.activeElement;
    if (!e || !this.host.contains(e)) return "";
    const row = e.closest<HTMLElement>("[data-id]");
    if (row) return `[data-id="${CSS.escape(row.dataset["id"] ?? "")}"] a`;
    const key = e.closest<HTMLElement>("[data-key]");
    return key ? `[data-key="${CSS.escape(key.dataset["key"] ?? "")}"]` : "";
  }

  private button(kind: string, text: string, act: () => void): HTMLButtonElement {
    const b = el("button", { type: "button", class: kind, "data-key": text }, text);
    b.addEventListener("click", act);
    return b;
  }

  private switcher(grouped: boolean): HTMLElement {
    const choice = (text: string, value: boolean) => {
      const b = this.button("seg", text, () => this.act.group(value));
      set(b, { "aria-pressed": value === grouped ? "true" : "false" });
      return b;
    };
    return el("span", { class: "segs", role: "group" }, choice(t("sites.worst_first"), false), choice(t("sites.by_group"), true));
  }

  private flat(shown: Site[], choice: Choice): Node[] {
    const first = this.all ? moreRows : firstRows;
    const rows = el("ol", { class: "rows-list" }, ...shown.slice(0, first).map((s) => row(s, choice.layer)));
    if (shown.length <= first) return [rows];
    if (!this.all) {
      return [
        rows,
        this.button("all", t("sites.show_all", { n: number(shown.length) }), () => {
          this.all = true;
          this.show(this.last.sites, this.last.choice);
        }),
      ];
    }
    this.pending = shown.slice(first);
    this.rows = rows;
    this.more.observe(this.sentinel);
    return [rows, this.sentinel];
  }

  private last: { sites: Site[]; choice: Choice } = { sites: [], choice: { layer: "", states: new Set(), query: "", found: null, grouped: false } };

  /** Remembers what is shown, so that "show all" can show it again. */
  remember(sites: Site[], choice: Choice): void {
    this.last = { sites, choice };
  }

  private extend(): void {
    this.rows?.append(...this.pending.splice(0, moreRows).map((s) => row(s, this.last.choice.layer)));
    this.more.unobserve(this.sentinel);
    if (this.pending.length) this.more.observe(this.sentinel);
  }

  private groups(shown: Site[], choice: Choice): Node[] {
    const by = new Map<string, Site[]>();
    for (const s of shown) {
      const list = by.get(s.parent);
      if (list) list.push(s);
      else by.set(s.parent, [s]);
    }
    const named = [...by].sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : fold(a) < fold(b) ? -1 : 1));
    return named.map(([name, sites]) => {
      const n = new Map<State, number>();
      for (const s of sites) n.set(stateIn(s, choice.layer), (n.get(stateIn(s, choice.layer)) ?? 0) + 1);
      const present = states.filter((s) => n.get(s));
      const counts = present.map((s) => el("span", { class: "mini", "data-state": s, title: stateName(s) }, glyph(s), number(n.get(s) ?? 0), el("span", { class: "hidden" }, ` ${stateName(s)}`)));
      const bar = el("span", { class: "stack", "aria-hidden": "true" });
      for (const s of present) {
        const part = el("span", { "data-state": s });
        part.style.flexGrow = String(n.get(s));
        bar.append(part);
      }
      const rows = el("ol", { class: "rows-list" });
      const box = el("details", { class: "group" }, el("summary", { "data-key": `g:${name}` }, el("b", {}, name || t("sites.no_group")), el("span", { class: "minis" }, ...counts), bar), rows);
      const fill = () => rows.childElementCount || rows.append(...sites.map((s) => row(s, choice.layer)));
      box.open = this.openGroups.has(name);
      if (box.open) fill();
      box.addEventListener("toggle", () => {
        if (box.open) {
          this.openGroups.add(name);
          fill();
        } else this.openGroups.delete(name);
      });
      return box;
    });
  }
}
