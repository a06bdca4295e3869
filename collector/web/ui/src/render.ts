// Drawing shapes: as SVG, which is crisp on paper and open to style sheets, and as canvas for fleets of thousands,
// where so many elements would make an old PC stutter. Both draw the same things from the same shapes.
import type { State } from "./api";
import { svg, set } from "./dom";
import type { Geometry, Point } from "./geometry";
import { outlines, sizes } from "./glyph";

export interface View {
  x: number;
  y: number;
  k: number; // pixels per unit of the plane
  width: number;
  height: number;
}

export interface Look {
  state: State;
  dim: boolean; // filtered out
}

export interface Renderer {
  readonly element: HTMLElement | SVGElement;
  load(geometry: Geometry): void;
  paint(i: number, look: Look): void;
  /** Draws: after loads, paints or a change of view. */
  draw(view: View): void;
  mark(i: number): void; // outlines one shape; -1 for none
  recolour(): void; // the theme has changed
}

/** Above this many shapes canvas is used. */
export const svgLimit = 2000;

const pathOf = (lines: Point[][], close: boolean): string =>
  lines.map((l) => "M" + l.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L") + (close ? "Z" : "")).join("");

/** Marks shrink when the whole province is on a small screen, and grow a little when zoomed in. */
export function markScale(view: View, count: number): number {
  const room = (view.k * 1000) / Math.sqrt(Math.max(count, 1)); // pixels from mark to mark, about
  return Math.max(0.28, Math.min(1.6, room / 46));
}

export class SVGRenderer implements Renderer {
  readonly element = svg("svg", { class: "map-svg", "aria-hidden": "true" });
  private world = svg("g", { class: "world" });
  private marks = svg("g", { class: "marks" });
  private patterns: SVGPatternElement[] = [];
  private areas: SVGPathElement[] = [];
  private glyphs: SVGPathElement[] = [];
  private ring = svg("path", { class: "mark-ring" });
  private geometry: Geometry | null = null;
  private looks: Look[] = [];

  constructor() {
    const defs = svg("defs");
    for (const [state, step, angle] of [["no_data", 7, 45], ["muted", 6, -45]] as const) {
      const p = svg("pattern", { id: `hatch-${state}`, width: step, height: step, patternUnits: "userSpaceOnUse" });
      p.dataset["angle"] = String(angle);
      p.append(svg("rect", { class: `hatch-ground ${state}`, width: step, height: step }));
      p.append(svg("rect", { class: `hatch-line ${state}`, width: state === "muted" ? 1 : 2, height: step }));
      this.patterns.push(p);
      defs.append(p);
    }
    this.element.append(defs, this.world, this.marks);
  }

  load(geometry: Geometry): void {
    this.geometry = geometry;
    this.looks = [];
    this.areas = geometry.shapes.map((s, i) => svg("path", { class: "area", d: pathOf(s.rings, true), "data-site": s.id, "data-i": i, "data-state": "none", "fill-rule": "evenodd" }));
    this.glyphs = geometry.shapes.map((s) => svg("path", { class: "mark", "data-state": "none", visibility: s.id ? null : "hidden" }));
    const lines = geometry.borders.map((b) => svg("path", { class: `border ${b.kind}`, d: pathOf(b.lines, false) }));
    this.world.replaceChildren(...this.areas, ...lines, this.ring);
    this.marks.replaceChildren(...this.glyphs);
    this.mark(-1);
  }

  paint(i: number, look: Look): void {
    this.looks[i] = look;
    for (const e of [this.areas[i], this.glyphs[i]]) if (e) set(e, { "data-state": look.state, "data-dim": look.dim });
    if (this.glyphs[i]) set(this.glyphs[i], { d: outlines[look.state] });
  }

  draw(view: View): void {
    set(this.element, { viewBox: `0 0 ${view.width} ${view.height}` }); // on paper, which is of another size, all of it is shown
    this.world.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.k})`);
    for (const p of this.patterns) p.setAttribute("patternTransform", `rotate(${p.dataset["angle"]}) scale(${1 / view.k})`);
    const scale = markScale(view, this.glyphs.length);
    this.geometry?.shapes.forEach((s, i) => {
      const size = sizes[this.looks[i]?.state ?? "none"] * scale;
      this.glyphs[i]?.setAttribute("transform", `translate(${(s.at[0] * view.k + view.x).toFixed(1)} ${(s.at[1] * view.k + view.y).toFixed(1)}) scale(${size.toFixed(2)})`);
    });
  }

  mark(i: number): void {
    const s = this.geometry?.shapes[i];
    set(this.ring, { d: s ? pathOf(s.rings, true) : null });
  }

  recolour(): void {} // style sheets do it
}

export class CanvasRenderer implements Renderer {
  readonly element = document.createElement("canvas");
  private geometry: Geometry | null = null;
  private paths: Path2D[] = [];
  private lines: { kind: string; path: Path2D }[] = [];
  private looks: Look[] = [];
  private joined: Map<string, { look: Look; path: Path2D }> | null = null; // of all shapes, until one is painted
  private marked = -1;
  private last: View | null = null;
  private colours: CSSStyleDeclaration | null = null;
  private hatches = new Map<State, CanvasPattern | null>();
  private glyphs = new Map<State, Path2D>();

  constructor() {
    this.element.className = "map-canvas";
    this.element.setAttribute("aria-hidden", "true");
  }

  load(geometry: Geometry): void {
    this.geometry = geometry;
    this.looks = [];
    this.joined = null;
    this.paths = geometry.shapes.map((s) => new Path2D(pathOf(s.rings, true)));
    this.lines = geometry.borders.map((b) => ({ kind: b.kind, path: new Path2D(pathOf(b.lines, false)) }));
    this.element.dataset["shapes"] = String(geometry.shapes.length);
  }

  paint(i: number, look: Look): void {
    this.looks[i] = look;
    this.joined = null;
  }

  mark(i: number): void {
    this.marked = i;
    if (this.last) this.draw(this.last);
  }

  recolour(): void {
    this.colours = null;
    this.hatches.clear();
    if (this.last) this.draw(this.last);
  }

  private colour(name: string): string {
    this.colours ??= getComputedStyle(document.documentElement);
    return this.colours.getPropertyValue(`--${name}`).trim();
  }

  private fill(state: State, g: CanvasRenderingContext2D): string | CanvasPattern {
    if (state !== "no_data" && state !== "muted") return this.colour(`${state}-fill`);
    let pattern = this.hatches.get(state);
    if (pattern === undefined) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 8;
      const c = tile.getContext("2d");
      if (c) {
        c.fillStyle = this.colour(`${state}-fill`);
        c.fillRect(0, 0, 8, 8);
        c.strokeStyle = this.colour(`${state}-hatch`);
        c.lineWidth = state === "muted" ? 1 : 2;
        c.beginPath();
        for (const [x0, y0, x1, y1] of [[-2, 2, 2, -2], [0, 8, 8, 0], [6, 10, 10, 6]] as const) {
          c.moveTo(x0, y0);
          c.lineTo(x1, y1);
        }
        c.stroke();
      }
      pattern = g.createPattern(tile, "repeat");
      this.hatches.set(state, pattern);
    }
    return pattern ?? this.colour(`${state}-fill`);
  }

  private join(shapes: Iterable<number>): Map<string, { look: Look; path: Path2D }> {
    const groups = new Map<string, { look: Look; path: Path2D }>();
    for (const i of shapes) {
      const look = this.looks[i] ?? { state: "none", dim: false };
      const key = look.state + look.dim;
      const group = groups.get(key) ?? { look, path: new Path2D() };
      groups.set(key, group);
      group.path.addPath(this.paths[i] as Path2D);
    }
    return groups;
  }

  draw(view: View): void {
    this.last = view;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    if (this.element.width !== w || this.element.height !== h) [this.element.width, this.element.height] = [w, h];
    const g = this.element.getContext("2d");
    if (!g || !this.geometry) return;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, w, h);
    const toWorld = () => g.setTransform(view.k * ratio, 0, 0, view.k * ratio, view.x * ratio, view.y * ratio);
    const seen: number[] = [];
    const [left, top, right, bottom] = [-view.x / view.k, -view.y / view.k, (view.width - view.x) / view.k, (view.height - view.y) / view.k];
    this.geometry.shapes.forEach((s, i) => {
      if (s.box[2] >= left && s.box[0] <= right && s.box[3] >= top && s.box[1] <= bottom) seen.push(i);
    });
    // One fill per look instead of one per shape: a tenth of the time. With most shapes in view, joined paths are kept.
    const most = seen.length * 2 > this.paths.length;
    const groups = most ? (this.joined ??= this.join(this.paths.keys())) : this.join(seen);
    toWorld();
    for (const { look, path } of groups.values()) {
      g.globalAlpha = look.dim ? 0.18 : 1;
      const fill = this.fill(look.state, g);
      if (typeof fill !== "string") fill.setTransform(new DOMMatrix().scale(1 / view.k));
      g.fillStyle = fill;
      g.fill(path, "evenodd");
    }
    g.globalAlpha = 1;
    const fine = seen.length < 4000;
    for (const { kind, path } of this.lines) {
      if (kind === "site" && !fine) continue;
      g.strokeStyle = this.colour(`border-${kind}`);
      g.lineWidth = (kind === "site" ? 0.6 : kind === "district" ? 1.4 : 1.8) / view.k;
      g.stroke(path);
    }
    const marked = this.paths[this.marked];
    if (marked) {
      g.strokeStyle = this.colour("ink");
      g.lineWidth = 2.5 / view.k;
      g.stroke(marked);
    }
    const scale = markScale(view, this.geometry.shapes.length);
    for (const i of seen) {
      const { state, dim } = this.looks[i] ?? { state: "none", dim: false };
      const shape = this.geometry.shapes[i];
      const size = sizes[state] * scale;
      if (!shape?.id || dim || (size < 3 && state !== "down" && state !== "degraded")) continue;
      let glyph = this.glyphs.get(state);
      if (!glyph) this.glyphs.set(state, (glyph = new Path2D(outlines[state])));
      g.setTransform(size * ratio, 0, 0, size * ratio, (shape.at[0] * view.k + view.x) * ratio, (shape.at[1] * view.k + view.y) * ratio);
      g.strokeStyle = this.colour("halo");
      g.lineWidth = 3 / size;
      if (size >= 4) g.stroke(glyph);
      g.fillStyle = this.colour(`${state}-mark`);
      g.fill(glyph, "evenodd");
    }
  }
}
