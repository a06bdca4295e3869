// Making elements without markup in strings: what comes from data is only ever text.

type Child = Node | string | null | undefined | false;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | null | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  set(e, attributes);
  for (const child of children) if (child) e.append(child);
  return e;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | null | undefined> = {},
): SVGElementTagNameMap[K] {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(e, attributes);
  return e;
}

/** Sets attributes; null, undefined and false remove, true sets an empty one. */
export function set(e: Element, attributes: Record<string, string | number | boolean | null | undefined>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) e.removeAttribute(name);
    else e.setAttribute(name, value === true ? "" : String(value));
  }
}

export function byId(id: string): HTMLElement {
  const e = document.getElementById(id);
  if (!e) throw new Error(`page lacks #${id}`);
  return e;
}

/** Runs f once soon, however often it is asked for in between. */
export function soon(f: () => void, ms = 0): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    const run = () => {
      waiting = false;
      f();
    };
    if (ms) setTimeout(run, ms);
    else requestAnimationFrame(run);
  };
}
