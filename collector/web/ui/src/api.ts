// The JSON API as the pages use it.

export const states = ["down", "degraded", "no_data", "ok", "muted", "none"] as const; // worst first
export type State = (typeof states)[number];
export const layers = ["lan", "broadband", "dedicated", "conference"] as const;
export type Layer = (typeof layers)[number];

export interface Site {
  id: string;
  code: string;
  name: string;
  type: string;
  parent: string;
  lat: number | null;
  lon: number | null;
  state: State;
  since: string | null;
  reason: string;
  reason_code: string;
  layers: Partial<Record<Layer, State>>;
  last_seen: string | null;
  agent_trouble: string;
  version: number;
}

export interface Span {
  state: State;
  from: string;
  to: string;
  reason?: string;
}

export interface History {
  from: string;
  to: string;
  site: Span[] | null;
  layers: Partial<Record<Layer, Span[]>>;
}

export interface Series {
  measurement: string;
  field: string;
  tags: Record<string, string>;
  t: number[];
  mean?: (number | null)[];
  min?: (number | null)[];
  max?: (number | null)[];
}

export interface SeriesAnswer {
  step_seconds: number;
  resolution: "raw" | "5m" | "1h" | "1d" | "1mo";
  series: Series[] | null;
}

export function severity(state: State): number {
  const i = states.indexOf(state);
  return i < 0 ? states.length : i;
}

export function stateIn(site: Site, layer: Layer | ""): State {
  return layer === "" ? site.state : (site.layers[layer] ?? "none");
}

/** Since when, in ms; NaN where that is not known, as of a site that nothing came from yet (site.go has the same). */
export function sinceOf(site: Site): number {
  return site.since && site.reason_code !== "never_seen" ? Date.parse(site.since) : NaN;
}

/** Whether the overall reason and since hold for a layer: they do where it alone is in the overall state. */
export function explains(site: Site, layer: Layer | ""): boolean {
  if (layer === "") return true;
  return layers.every((l) => (l === layer) === (stateIn(site, l) === site.state));
}

/** The state by which a site is named: who said that they stop are switched off, not lost (frame.go has the same). */
export function namedState(site: Site, layer: Layer | ""): State | "off" {
  const state = stateIn(site, layer);
  return state === "no_data" && site.reason_code === "stopped" && explains(site, layer) ? "off" : state;
}

/** What the API answers where it has no answer. Its message is for programs; pages have words of their own. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Fetches JSON; an answer that is none becomes a Refusal. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, ...(signal ? { signal } : {}) });
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => null)) as { code?: string; message?: string } | null;
    throw new Refusal(answer.status, problem?.code ?? "", problem?.message ?? `HTTP ${answer.status}`);
  }
  return (await answer.json()) as T;
}
