// From sites (and a file of boundaries, if there is one) to shapes on a plane.
//
// The plane is 1000 units wide or high, y down. A degree of longitude is cos(latitude) as wide as one of latitude is
// high; over a province that is all the projection there is to do.
import { Delaunay } from "d3-delaunay";
import type { Site } from "./api";

export type Point = [number, number];

export interface Shape {
  id: string; // the site; "" for an area that belongs to none
  parent: string;
  rings: Point[][];
  at: Point; // where its mark goes
  box: [number, number, number, number]; // x0 y0 x1 y1
}

/** A line between areas: around the province, between districts, or between sites of one district. */
export interface Border {
  kind: "outline" | "district" | "site";
  lines: Point[][];
}

export interface Geometry {
  shapes: Shape[];
  borders: Border[];
  districts: { name: string; at: Point }[];
  /** Whether shapes are real boundaries or computed from positions. */
  real: boolean;
  width: number;
  height: number;
}

export interface Boundaries {
  features: { properties: { site: string }; geometry: { coordinates: [number, number][][][] } }[];
}

const planeSize = 1000;

export function build(sites: Site[], boundaries: Boundaries | null): Geometry {
  const placed = sites.filter((s) => s.lat !== null && s.lon !== null);
  const lonLats: Point[] = placed.map((s) => [s.lon as number, s.lat as number]);
  if (boundaries) for (const f of boundaries.features) for (const p of f.geometry.coordinates) for (const r of p) for (const c of r) lonLats.push(c);
  const project = projection(lonLats);

  let shapes: Shape[];
  const real = boundaries !== null;
  if (boundaries) {
    shapes = fromBoundaries(sites, boundaries, project);
    const drawn = new Set(shapes.map((s) => s.id));
    const rest = placed.filter((s) => !drawn.has(s.id));
    for (const s of rest) shapes.push(mark(s, project([s.lon as number, s.lat as number])));
  } else {
    shapes = fromPositions(placed, placed.map((s) => project([s.lon as number, s.lat as number])));
  }
  const { borders, fits } = bordersOf(shapes);
  let width = 0;
  let height = 0;
  let left = Infinity;
  let top = Infinity;
  for (const s of shapes) {
    left = Math.min(left, s.box[0]);
    top = Math.min(top, s.box[1]);
    width = Math.max(width, s.box[2]);
    height = Math.max(height, s.box[3]);
  }
  if (shapes.length) shift(shapes, fits ? borders : [], left, top);
  return {
    shapes,
    borders: fits ? borders : [],
    districts: districtsOf(shapes),
    real,
    width: shapes.length ? width - left : 1,
    height: shapes.length ? height - top : 1,
  };
}

function projection(lonLats: Point[]): (p: Point) => Point {
  let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [lon, lat] of lonLats) {
    west = Math.min(west, lon);
    east = Math.max(east, lon);
    south = Math.min(south, lat);
    north = Math.max(north, lat);
  }
  const shrink = Math.cos((((south + north) / 2) * Math.PI) / 180);
  // A single site has no extent: a hundredth of a degree, a kilometre, stands in for it.
  const scale = planeSize / Math.max((east - west) * shrink, north - south, 0.01);
  return ([lon, lat]) => [(lon - west) * shrink * scale, (north - lat) * scale];
}

function shift(shapes: Shape[], borders: Border[], dx: number, dy: number): void {
  const seen = new Set<Point>(); // shapes and borders share their points
  const move = (p: Point) => {
    if (seen.has(p)) return;
    seen.add(p);
    p[0] -= dx;
    p[1] -= dy;
  };
  for (const s of shapes) {
    for (const r of s.rings) r.forEach(move);
    move(s.at);
    s.box = [s.box[0] - dx, s.box[1] - dy, s.box[2] - dx, s.box[3] - dy];
  }
  for (const b of borders) for (const l of b.lines) l.forEach(move);
}

function boxOf(rings: Point[][]): Shape["box"] {
  const box: Shape["box"] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const r of rings)
    for (const [x, y] of r) {
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    }
  return box;
}

function fromBoundaries(sites: Site[], boundaries: Boundaries, project: (p: Point) => Point): Shape[] {
  const byId = new Map(sites.map((s) => [s.id, s]));
  const shapes = new Map<string, Shape>();
  boundaries.features.forEach((f, i) => {
    const site = byId.get(f.properties.site);
    const rings = f.geometry.coordinates.flat().map((r) => r.map(project));
    const key = site?.id ?? `\u0000${i}`;
    const known = shapes.get(key);
    if (known) known.rings.push(...rings);
    else shapes.set(key, { id: site?.id ?? "", parent: site?.parent ?? "", rings, at: [0, 0], box: [0, 0, 0, 0] });
  });
  for (const s of shapes.values()) {
    s.box = boxOf(s.rings);
    const site = byId.get(s.id);
    // The office is where it is; but a mark outside its own area would only confuse.
    const office: Point | null = site && site.lat !== null && site.lon !== null ? project([site.lon, site.lat]) : null;
    s.at = office && inside(s, office) ? office : middle(s.rings);
  }
  return [...shapes.values()];
}

/** A small hexagon, for a site without an area where others have one. */
function mark(site: Site, at: Point): Shape {
  const radius = planeSize / 120;
  const ring: Point[] = [];
  for (let i = 0; i <= 6; i++) ring.push([at[0] + radius * Math.cos((i * Math.PI) / 3), at[1] + radius * Math.sin((i * Math.PI) / 3)]);
  return { id: site.id, parent: site.parent, rings: [ring], at, box: boxOf([ring]) };
}

/**
 * Areas from positions alone: the Voronoi cell of each site. Cells at the rim would run to infinity, so the province
 * gets an outline first: around each site a ring of ghosts is tried, at a distance taken from how far its neighbours
 * are, and those that no other site lies near stay. They bound the outer cells half-way.
 */
function fromPositions(sites: Site[], at: Point[]): Shape[] {
  if (!sites.length) return [];
  const points = at.map((p, i): Point => [p[0], p[1] + i * 1e-7]); // two sites at one address still get a cell each
  apart(points);
  const flat = Delaunay.from(points);
  const typical = planeSize / Math.sqrt(Math.max(sites.length, 1)) / 1.4;
  const reach = points.map(([x, y], i) => {
    const near = [...flat.neighbors(i)]
      .map((j) => Math.hypot((points[j] as Point)[0] - x, (points[j] as Point)[1] - y))
      .sort((a, b) => a - b);
    // The nearer half: at the rim the far neighbours lie across the whole province.
    const half = near.slice(0, Math.max(1, Math.ceil(near.length / 2)));
    const mean = half.length ? half.reduce((a, b) => a + b, 0) / half.length : typical;
    return Math.min(Math.max(mean, typical * 0.5), typical * 2.2);
  });
  const ghosts: Point[] = [];
  const around = 14;
  points.forEach(([x, y], i) => {
    const r = (reach[i] as number) * 1.45;
    for (let k = 0; k < around; k++) {
      const angle = ((k + (i % 7) / 7) * 2 * Math.PI) / around;
      const g: Point = [x + r * Math.cos(angle), y + r * Math.sin(angle)];
      const j = flat.find(g[0], g[1], i);
      const [nx, ny] = points[j] as Point;
      if (Math.hypot(g[0] - nx, g[1] - ny) >= Math.min(r, (reach[j] as number) * 1.45) * 0.98) ghosts.push(g);
    }
  });
  const margin = planeSize;
  const cells = Delaunay.from([...points, ...outer(points, ghosts)]).voronoi([-margin, -margin, 2 * margin, 2 * margin]);
  return sites.map((s, i) => {
    const ring = (cells.cellPolygon(i) ?? []).map(([x, y]): Point => [x, y]);
    const p = points[i] as Point;
    return ring.length ? { id: s.id, parent: s.parent, rings: [ring], at: p, box: boxOf([ring]) } : mark(s, p);
  });
}

/** Those ghosts that lie outside: the others would leave a hole where sites are merely far from each other. */
function outer(points: Point[], ghosts: Point[]): Point[] {
  const n = points.length;
  const mesh = Delaunay.from([...points, ...ghosts]);
  const reached = new Set<number>(mesh.hull);
  for (const i of reached) {
    if (i < n) continue; // a set is walked in the order of entry, so this visits all that can be reached by ghosts alone
    for (const j of mesh.neighbors(i)) if (j >= n) reached.add(j);
  }
  return ghosts.filter((_, i) => reached.has(n + i));
}

/** Moves points that coincide a little apart, in a spiral. */
function apart(points: Point[]): void {
  const taken = new Map<string, number>();
  for (const p of points) {
    const key = `${p[0].toFixed(1)} ${p[1].toFixed(1)}`;
    const n = taken.get(key) ?? 0;
    taken.set(key, n + 1);
    if (!n) continue;
    p[0] += 1.5 * Math.sqrt(n) * Math.cos(n * 2.4);
    p[1] += 1.5 * Math.sqrt(n) * Math.sin(n * 2.4);
  }
}

/**
 * Finds which edges of the shapes are the province's outline, which part districts and which part sites: an edge that
 * two shapes share lies between them, one that only one has is outside. Needs neighbours to share their points, as
 * computed cells and well-made files do; where most edges are unshared, fits is false and no line can be trusted.
 */
function bordersOf(shapes: Shape[]): { borders: Border[]; fits: boolean } {
  interface Edge {
    a: Point;
    b: Point;
    one: number;
    two: number;
  }
  const edges = new Map<string, Edge>();
  const name = (p: Point) => `${Math.round(p[0] * 200)},${Math.round(p[1] * 200)}`;
  shapes.forEach((s, i) => {
    for (const ring of s.rings)
      for (let k = 0; k + 1 < ring.length; k++) {
        const a = ring[k] as Point;
        const b = ring[k + 1] as Point;
        const [na, nb] = [name(a), name(b)];
        if (na === nb) continue;
        const key = na < nb ? `${na} ${nb}` : `${nb} ${na}`;
        const known = edges.get(key);
        if (known) known.two = i;
        else edges.set(key, { a, b, one: i, two: -1 });
      }
  });
  const lines: Record<Border["kind"], [Point, Point][]> = { outline: [], district: [], site: [] };
  let lonely = 0;
  for (const e of edges.values()) {
    if (e.two < 0) {
      lonely++;
      lines.outline.push([e.a, e.b]);
    } else {
      lines[shapes[e.one]?.parent === shapes[e.two]?.parent ? "site" : "district"].push([e.a, e.b]);
    }
  }
  const borders = (["site", "district", "outline"] as const).map((kind) => ({ kind, lines: join(lines[kind]) }));
  return { borders, fits: lonely < edges.size * 0.6 || shapes.length < 5 };
}

/** Joins edges that meet into longer lines, so that strokes have proper corners and there are fewer of them. */
function join(edges: [Point, Point][]): Point[][] {
  const name = (p: Point) => `${Math.round(p[0] * 200)},${Math.round(p[1] * 200)}`;
  const at = new Map<string, number[]>();
  const put = (p: Point, i: number) => {
    const key = name(p);
    const list = at.get(key);
    if (list) list.push(i);
    else at.set(key, [i]);
  };
  edges.forEach(([a, b], i) => {
    put(a, i);
    put(b, i);
  });
  const used = new Uint8Array(edges.length);
  const walk = (line: Point[]) => {
    for (;;) {
      const end = line[line.length - 1] as Point;
      const next = at.get(name(end))?.find((i) => !used[i]);
      if (next === undefined) return;
      used[next] = 1;
      const [a, b] = edges[next] as [Point, Point];
      line.push(name(a) === name(end) ? b : a);
    }
  };
  const lines: Point[][] = [];
  edges.forEach(([a, b], i) => {
    if (used[i]) return;
    used[i] = 1;
    const line = [a, b];
    walk(line);
    line.reverse();
    walk(line);
    lines.push(line);
  });
  return lines;
}

function districtsOf(shapes: Shape[]): Geometry["districts"] {
  const sums = new Map<string, [number, number, number]>();
  for (const s of shapes) {
    if (!s.parent) continue;
    const sum = sums.get(s.parent) ?? [0, 0, 0];
    sums.set(s.parent, [sum[0] + s.at[0], sum[1] + s.at[1], sum[2] + 1]);
  }
  return [...sums].map(([name, [x, y, n]]) => ({ name, at: [x / n, y / n] }));
}

/** Whether p lies within the shape (even-odd over all its rings, so that holes are out). */
export function inside(s: Shape, p: Point): boolean {
  const [x, y] = p;
  if (x < s.box[0] || x > s.box[2] || y < s.box[1] || y > s.box[3]) return false;
  let odd = false;
  for (const ring of s.rings)
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi] = ring[i] as Point;
      const [xj, yj] = ring[j] as Point;
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
    }
  return odd;
}

/** The centroid of the largest ring, or the middle of its box where that falls outside. */
function middle(rings: Point[][]): Point {
  let best: Point = [0, 0];
  let largest = -1;
  for (const ring of rings) {
    let [area, x, y] = [0, 0, 0];
    for (let i = 0; i + 1 < ring.length; i++) {
      const [x0, y0] = ring[i] as Point;
      const [x1, y1] = ring[i + 1] as Point;
      const cross = x0 * y1 - x1 * y0;
      area += cross;
      x += (x0 + x1) * cross;
      y += (y0 + y1) * cross;
    }
    if (Math.abs(area) > largest) {
      largest = Math.abs(area);
      const box = boxOf([ring]);
      best = area ? [x / (3 * area), y / (3 * area)] : [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    }
  }
  return best;
}
