// The map as people handle it: wheel, pinch, drag, buttons, keys; what is under the pointer; names.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomBehavior } from "d3-zoom";
import { type Layer, type Site, type State, explains, namedState, sinceOf, stateIn, states } from "./api";
import { newestCalls } from "./calls";
import { announce } from "./chrome";
import { el, set, soon, svg } from "./dom";
import { type Geometry, inside, type Point } from "./geometry";
import { glyph } from "./glyph";
import { dateTime, duration, stateName, t } from "./i18n";
import { CanvasRenderer, markScale, type Renderer, SVGRenderer, svgLimit, type View } from "./render";

/** Room around the province, in pixels. */
const padding = 18;
/** How far one may zoom in: until neighbouring sites are about this many pixels apart. */
const deepestPx = 500;

export class MapView {
  private renderer: Renderer | null = null;
  private geometry: Geometry | null = null;
  private sites = new Map<string, Site>();
  private indexOf = new Map<string, number>();
  private layer: Layer | "" = "";
  private filter: (site: Site, state: State) => boolean = () => true;

  private view: View = { x: 0, y: 0, k: 1, width: 0, height: 0 };
  private fitK = 1;
  private moved = false; // the reader has chosen a view: do not fit again on resize
  private current = -1; // the shape under the pointer or the keyboard's cursor
  private zoomer: ZoomBehavior<HTMLDivElement, unknown>;

  private surface = el("div", { class: "surface" });
  private labels = svg("svg", { class: "labels", "aria-hidden": "true" });
  private cursor = el("a", { class: "cursor", href: "#", tabindex: 0 });
  private tip = el("div", { class: "tip", hidden: true });
  private note = el("p", { class: "map-note" });
  private redraw = soon(() => this.draw());

  constructor(private readonly host: HTMLElement) {
    const button = (label: string, text: string, act: () => void) => {
      const b = el("button", { type: "button", "aria-label": label, title: label }, text);
      b.addEventListener("click", act);
      return b;
    };
    const buttons = el(
      "div",
      { class: "zoom-buttons" },
      button(t("map.zoom_in"), "+", () => this.zoomBy(1.6)),
      button(t("map.zoom_out"), "−", () => this.zoomBy(1 / 1.6)),
      button(t("map.fit"), "⤢", () => this.fit()),
    );
    const keys = el("div", { class: "keys", role: "application", "aria-label": t("map.label") }, this.cursor);
    host.append(this.surface, this.labels, keys, this.tip, buttons, this.legend(), this.note);

    this.zoomer = zoom<HTMLDivElement, unknown>()
      .clickDistance(5)
      // While the whole province is in view there is nothing to pan to: one finger then scrolls the page.
      .filter((e: Event) => {
        if (e instanceof WheelEvent) return true;
        if (e instanceof MouseEvent) return !e.ctrlKey && e.button === 0;
        return this.zoomedIn() || !("touches" in e) || (e as TouchEvent).touches.length > 1;
      })
      .on("zoom", (event: D3ZoomEvent<HTMLDivElement, unknown>) => {
        const { x, y, k } = event.transform;
        this.view = { ...this.view, x, y, k };
        if (event.sourceEvent) this.moved = true;
        this.redraw();
      });
    select(this.surface).call(this.zoomer).on("dblclick.zoom", null);
    this.surface.addEventListener("pointermove", (e) => {
      if (e.pointerType !== "touch" && !e.buttons) this.point(this.hit(e));
    });
    this.surface.addEventListener("pointerleave", (e) => {
      if (e.pointerType !== "touch") this.point(-1);
    });
    let pointer = "mouse";
    this.surface.addEventListener("pointerdown", (e) => (pointer = e.pointerType));
    this.surface.addEventListener("click", (e) => {
      const i = this.hit(e);
      // A finger has no hover: its first tap tells what the place is, its second opens it.
      if (pointer === "touch" && i !== this.current) this.point(i);
      else if (i >= 0) this.open(i, e.ctrlKey || e.metaKey);
      else this.point(-1);
    });
    this.cursor.addEventListener("keydown", (e) => this.key(e));
    this.cursor.addEventListener("focus", () => this.point(this.current >= 0 ? this.current : this.worst(), true));
    this.cursor.addEventListener("blur", () => this.point(-1));
    new ResizeObserver(() => this.resize()).observe(host);
  }

  /** Takes new shapes. */
  load(geometry: Geometry, unplaced: number): void {
    const wantCanvas = geometry.shapes.length > svgLimit;
    if (!this.renderer || wantCanvas !== this.renderer instanceof CanvasRenderer) {
      this.renderer?.element.remove();
      this.renderer = wantCanvas ? new CanvasRenderer() : new SVGRenderer();
      this.surface.append(this.renderer.element);
    }
    this.geometry = geometry;
    this.indexOf = new Map(geometry.shapes.map((s, i) => [s.id, i]));
    this.renderer.load(geometry);
    this.host.dataset["shapes"] = String(geometry.shapes.length);
    this.note.textContent = geometry.shapes.length ? (unplaced ? t("map.unplaced", { n: unplaced }) : "") : t("map.empty");
    this.current = -1;
    this.moved = false;
    this.resize();
  }

  /** Takes all sites, the layer and what the filter lets through, and paints. */
  show(sites: Map<string, Site>, layer: Layer | "", filter: (site: Site, state: State) => boolean): void {
    this.sites = sites;
    this.layer = layer;
    this.filter = filter;
    this.geometry?.shapes.forEach((_, i) => this.paint(i));
    this.redraw();
    if (this.current >= 0) this.describe();
    else this.aim(this.worst());
  }

  /** Makes the keyboard's cursor a link to a site. */
  private aim(i: number): void {
    const site = this.site(i);
    this.cursor.hidden = !site;
    if (site) set(this.cursor, { href: `/sites/${encodeURIComponent(site.id)}`, "aria-label": this.words(site) });
  }

  /** Paints one site anew. */
  update(site: Site): void {
    const i = this.indexOf.get(site.id);
    if (i === undefined) return;
    this.paint(i);
    this.redraw();
    if (i === this.current) this.describe();
  }

  recolour(): void {
    this.renderer?.recolour();
  }

  /** Points at a site from elsewhere, such as the list; "" for none. */
  highlight(id: string): void {
    this.point(this.indexOf.get(id) ?? -1);
  }

  private site(i: number): Site | undefined {
    const id = this.geometry?.shapes[i]?.id;
    return id ? this.sites.get(id) : undefined;
  }

  private paint(i: number): void {
    const site = this.site(i);
    const state = site ? stateIn(site, this.layer) : "none";
    this.renderer?.paint(i, { state, dim: !!site && !this.filter(site, state) });
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height || !this.geometry) return;
    this.view.width = width;
    this.view.height = height;
    set(this.labels, { viewBox: `0 0 ${width} ${height}` });
    const g = this.geometry;
    this.fitK = Math.min((width - 2 * padding) / g.width, (height - 2 * padding) / g.height);
    if (!Number.isFinite(this.fitK) || this.fitK <= 0) this.fitK = 1;
    const deepest = Math.max(this.fitK * 4, (deepestPx * Math.sqrt(Math.max(g.shapes.length, 1))) / 1000);
    this.zoomer
      .scaleExtent([this.fitK * 0.7, deepest])
      .extent([[0, 0], [width, height]])
      .translateExtent([[-g.width * 0.4, -g.height * 0.4], [g.width * 1.4, g.height * 1.4]]);
    if (this.moved) this.redraw();
    else this.fit();
  }

  private fit(): void {
    const g = this.geometry;
    if (!g) return;
    const { width, height } = this.view;
    const to = zoomIdentity.translate((width - g.width * this.fitK) / 2, (height - g.height * this.fitK) / 2).scale(this.fitK);
    select(this.surface).call(this.zoomer.transform, to);
    this.moved = false;
  }

  private zoomBy(factor: number): void {
    const { width, height } = this.view;
    const at = this.current >= 0 && document.activeElement === this.cursor ? this.onScreen(this.current) : ([width / 2, height / 2] as Point);
    select(this.surface).call(this.zoomer.scaleBy, factor, at);
    this.moved = true;
  }

  private zoomedIn(): boolean {
    return this.view.k > this.fitK * 1.05;
  }

  private onScreen(i: number): Point {
    const at = this.geometry?.shapes[i]?.at ?? [0, 0];
    return [at[0] * this.view.k + this.view.x, at[1] * this.view.k + this.view.y];
  }

  private hit(e: MouseEvent): number {
    const box = this.surface.getBoundingClientRect();
    const p: Point = [(e.clientX - box.left - this.view.x) / this.view.k, (e.clientY - box.top - this.view.y) / this.view.k];
    return this.geometry?.shapes.findIndex((s) => s.id !== "" && inside(s, p)) ?? -1;
  }

  private open(i: number, aside: boolean): void {
    const site = this.site(i);
    if (!site) return;
    const to = `/sites/${encodeURIComponent(site.id)}`;
    if (aside) window.open(to, "_blank", "noopener");
    else location.href = to;
  }

  /** Where the keyboard starts: at what is worst. */
  private worst(): number {
    let best = -1;
    let rank = Infinity;
    this.geometry?.shapes.forEach((_, i) => {
      const site = this.site(i);
      const r = site ? states.indexOf(stateIn(site, this.layer)) : Infinity;
      if (r < rank) [best, rank] = [i, r];
    });
    return best;
  }

  private key(e: KeyboardEvent): void {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const steps: Record<string, Point> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[e.key];
    if (step) {
      const next = this.neighbour(step);
      if (next >= 0) this.point(next, true);
    } else if (e.key === "+" || e.key === "=") this.zoomBy(1.6);
    else if (e.key === "-") this.zoomBy(1 / 1.6);
    else if (e.key === "0") this.fit();
    else return;
    e.preventDefault();
  }

  /** The nearest site in a direction: near and straight ahead beats far or aside. */
  private neighbour([dx, dy]: Point): number {
    const from = this.geometry?.shapes[this.current]?.at;
    if (!from) return this.worst();
    let best = -1;
    let least = Infinity;
    this.geometry?.shapes.forEach((s, i) => {
      if (i === this.current || !s.id) return;
      const [x, y] = [s.at[0] - from[0], s.at[1] - from[1]];
      const ahead = x * dx + y * dy;
      const aside = Math.abs(x * dy - y * dx);
      if (ahead <= 0 || aside > ahead * 1.5) return;
      const cost = ahead + aside * 2;
      if (cost < least) [best, least] = [i, cost];
    });
    return best;
  }

  /** Makes a shape the current one: outlined, described, and (by keyboard) brought into view and spoken. */
  private point(i: number, byKey = false): void {
    if (i === this.current && !byKey) {
      if (i >= 0) this.place();
      return;
    }
    this.current = i;
    this.renderer?.mark(i);
    if (byKey && i >= 0) {
      const [x, y] = this.onScreen(i);
      const { width, height } = this.view;
      if (x < 30 || y < 30 || x > width - 30 || y > height - 30) {
        select(this.surface).call(this.zoomer.translateBy, (width / 2 - x) / this.view.k, (height / 2 - y) / this.view.k);
        this.moved = true;
      }
      const site = this.site(i);
      if (site) {
        this.aim(i);
        announce(this.words(site));
      }
    }
    this.surface.style.cursor = i >= 0 ? "pointer" : "";
    this.describe();
  }

  private words(site: Site): string {
    const reason = explains(site, this.layer) ? site.reason : "";
    return [site.name, site.type, site.parent, stateName(namedState(site, this.layer)), reason].filter(Boolean).join(", ");
  }

  private describe(): void {
    const site = this.site(this.current);
    this.tip.hidden = !site;
    if (!site) return;
    const state = stateIn(site, this.layer);
    const known = explains(site, this.layer);
    const since = known ? sinceOf(site) : NaN;
    this.tip.dataset["state"] = state;
    this.tip.replaceChildren(
      el("b", {}, site.name),
      el("span", { class: "tip-sub" }, [site.type, site.parent, site.code].filter(Boolean).join(" · ")),
      el("span", { class: "state", "data-state": state }, glyph(state), stateName(namedState(site, this.layer))),
    );
    if (!Number.isNaN(since)) this.tip.append(el("span", { class: "tip-sub" }, `${dateTime(since)} (${duration((Date.now() - since) / 1000)})`));
    if (known && site.reason) this.tip.append(el("span", { class: "tip-reason" }, site.reason));
    if (this.layer === "conference" && state !== "none") this.tellCall(site);
    this.place();
  }

  /** Adds the newest test call of a site to what the tip says, when it is known; who points elsewhere meanwhile is not told. */
  private tellCall(site: Site): void {
    const lines = el("span", { class: "tip-calls" });
    this.tip.append(lines);
    void newestCalls(site.id).then((words) => {
      if (!lines.isConnected) return;
      lines.replaceChildren(...words.map((line) => el("span", {}, line)));
      this.place();
    });
  }

  private place(): void {
    if (this.current < 0) return;
    const [x, y] = this.onScreen(this.current);
    const { offsetWidth: w, offsetHeight: h } = this.tip;
    const left = x + 16 + w < this.view.width ? x + 16 : Math.max(4, x - w - 16);
    const top = Math.min(Math.max(4, y - h / 2), Math.max(4, this.view.height - h - 4));
    this.tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    this.cursor.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  private draw(): void {
    if (!this.geometry || !this.view.width) return;
    this.surface.style.touchAction = this.zoomedIn() ? "none" : "pan-y";
    this.renderer?.draw(this.view);
    this.label();
    this.place();
  }

  /** Writes names where there is room: districts from afar, sites when close; the worst first. */
  private label(): void {
    const g = this.geometry;
    if (!g) return;
    const { width, height, k, x, y } = this.view;
    const taken: [number, number, number, number][] = [];
    const out: SVGTextElement[] = [];
    // Marks of what is wrong must not be written over. A name that finds no room nearby is left out.
    const mark = 8 * markScale(this.view, g.shapes.length) + 1;
    g.shapes.forEach((_, i) => {
      const site = this.site(i);
      if (!site || !["down", "degraded", "no_data"].includes(stateIn(site, this.layer)) || g.shapes.length > svgLimit) return;
      const [px, py] = this.onScreen(i);
      taken.push([px - mark, py - mark, px + mark, py + mark]);
    });
    const put = (name: string, kind: string, at: Point, size: number, places: number[]): void => {
      const half = (name.length * size * 0.56) / 2 + 3;
      for (const below of places) {
        const [px, py] = [at[0] * k + x, at[1] * k + y + below];
        if (px < 0 || py < 0 || px > width || py > height) continue;
        const box: [number, number, number, number] = [px - half, py - size * 0.7, px + half, py + size * 0.7];
        if (taken.some((b) => box[0] < b[2] && box[2] > b[0] && box[1] < b[3] && box[3] > b[1])) continue;
        taken.push(box);
        const text = svg("text", { class: `label ${kind}`, x: px.toFixed(1), y: py.toFixed(1) });
        text.textContent = name;
        out.push(text);
        return;
      }
    };
    const districtPlaces = [0, -14, 14, -26, 26, -40, 40];
    const spacing = (k * 1000) / Math.sqrt(Math.max(g.shapes.length, 1)); // pixels between neighbours, about
    const near = spacing > 105;
    const large = document.body.classList.contains("wall");
    if (!near || g.districts.length === 0) for (const d of g.districts) put(d.name, "district", d.at, large ? 18 : 13, districtPlaces);
    if (near || (g.districts.length === 0 && spacing > 60)) {
      const order = g.shapes
        .map((s, i) => ({ s, site: this.site(i) }))
        .filter(({ s }) => s.id && s.at[0] * k + x > 0 && s.at[0] * k + x < width && s.at[1] * k + y > 0 && s.at[1] * k + y < height);
      order.sort((a, b) => states.indexOf(a.site ? stateIn(a.site, this.layer) : "none") - states.indexOf(b.site ? stateIn(b.site, this.layer) : "none"));
      for (const { s, site } of order.slice(0, 300)) if (site) put(site.name, "site", s.at, large ? 15 : 12, [18, -18]);
      if (near) for (const d of g.districts) put(d.name, "district", d.at, 13, districtPlaces);
    }
    this.labels.replaceChildren(...out);
  }

  private legend(): HTMLElement {
    const rows = states.map((state) =>
      el("li", { class: "state", "data-state": state }, el("span", { class: "swatch", "data-state": state }, glyph(state)), stateName(state)),
    );
    const box = el("details", { class: "legend" }, el("summary", {}, t("map.legend")), el("ul", {}, ...rows));
    box.open = matchMedia("(min-width: 900px) and (min-height: 600px)").matches;
    return box;
  }
}
