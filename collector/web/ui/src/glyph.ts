// The shapes of the states: ● ▲ ✕ ◇ ◌ – (pages.go has the same). One outline serves SVG and canvas; it fits a circle of radius 1 around 0,0.
import type { State } from "./api";
import { svg } from "./dom";

export const outlines: Record<State, string> = {
  ok: "M.62 0A.62 .62 0 1 1-.62 0A.62 .62 0 1 1 .62 0Z",
  degraded: "M0-.95L.98 .78L-.98 .78Z",
  down: "M-.85-.5L-.5-.85L0-.35L.5-.85L.85-.5L.35 0L.85 .5L.5 .85L0 .35L-.5 .85L-.85 .5L-.35 0Z",
  no_data: "M0-1L1 0L0 1L-1 0ZM0-.5L-.5 0L0 .5L.5 0Z",
  muted: "M.8 0A.8 .8 0 1 1-.8 0A.8 .8 0 1 1 .8 0ZM.45 0A.45 .45 0 1 0-.45 0A.45 .45 0 1 0 .45 0Z",
  none: "M-.6-.16H.6V.16H-.6Z",
};

/** How large a state's shape is drawn on the map, in pixels of radius: what needs a person is larger. */
export const sizes: Record<State, number> = { down: 8, degraded: 7.5, no_data: 7, ok: 3.6, muted: 5.5, none: 4 };

/** A state's shape as an image beside words; it takes its colour from the state around it. */
export function glyph(state: State): SVGSVGElement {
  const image = svg("svg", { class: "glyph", viewBox: "-1.1 -1.1 2.2 2.2", "aria-hidden": "true", "data-state": state });
  image.append(svg("path", { d: outlines[state] }));
  return image;
}
