// The map page: ties the sites, as the API tells them and events change them, to the map, the counts and the list.
import { type Layer, type Site, type State, get, layers, namedState, severity, stateIn, states } from "./api";
import { announce, prepareChrome, showLive, watchDatabase } from "./chrome";
import { byId, el, soon } from "./dom";
import { type Boundaries, build } from "./geometry";
import { clock, lang, stateName, t } from "./i18n";
import { type Choice, Counts, List, allGood, order, passes, row } from "./list";
import { listen } from "./live";
import { MapView } from "./mapview";
import { Index } from "./search";

const sites = new Map<string, Site>();
const index = new Index();
const wall = document.body.classList.contains("wall");
const title = document.title;

const choice: Choice = readChoice();
const map = new MapView(byId("map"));
const counts = new Counts(byId("counts"), (state) => {
  if (!choice.states.delete(state)) choice.states.add(state);
  changed();
});
const list = new List(byId("list"), {
  group: (grouped) => {
    choice.grouped = grouped;
    changed();
  },
  clear: () => {
    choice.states.clear();
    search.value = "";
    find();
  },
});
const search = byId("q") as HTMLInputElement;
let boundaries: Boundaries | null = null;
let placement = ""; // which sites are where, as drawn

function readChoice(): Choice {
  const q = new URLSearchParams(location.search);
  const layer = layers.find((l) => l === q.get("layer")) ?? "";
  return {
    layer,
    states: new Set(states.filter((s) => q.getAll("state").includes(s))),
    query: "",
    found: null,
    grouped: q.get("group") === "1",
  };
}

/** Keeps the address such that sending it to a colleague shows the same. */
function writeChoice(): void {
  const q = new URLSearchParams(location.search);
  for (const name of ["layer", "state", "group", "q", "all"]) q.delete(name);
  if (choice.layer) q.set("layer", choice.layer);
  for (const s of choice.states) q.append("state", s);
  if (choice.grouped) q.set("group", "1");
  if (search.value.trim()) q.set("q", search.value.trim());
  const text = q.toString();
  history.replaceState(null, "", location.pathname + (text && `?${text}`));
}

/** Shows everything anew after a change of the choice or of many sites. */
function changed(): void {
  writeChoice();
  for (const link of byId("layers").querySelectorAll<HTMLElement>("[data-layer]")) {
    if (link.dataset["layer"] === choice.layer) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  map.show(sites, choice.layer, (site, state) => passes(choice, site, state));
  showLists();
}

const showLists = soon(() => {
  const n = counts.show(sites.values(), choice);
  document.title = n.down ? `(${n.down} ✕) ${title}` : title;
  const all = [...sites.values()];
  if (wall) return showWall(all);
  list.remember(all, choice);
  list.show(all, choice);
}, 150);

/** Searches for what stands in the box. */
function seek(): void {
  choice.query = search.value.trim();
  choice.found = choice.query ? index.find(choice.query) : null;
}

function find(): void {
  seek();
  changed();
}

function take(answer: Site[]): void {
  sites.clear();
  for (const s of answer) sites.set(s.id, s);
  index.fill(answer);
  seek();
  const now = answer.map((s) => `${s.id} ${s.lat} ${s.lon} ${s.parent}`).join("|");
  if (now !== placement) {
    placement = now;
    const geometry = build(answer, boundaries);
    const drawn = new Set(geometry.shapes.map((s) => s.id));
    map.load(geometry, answer.filter((s) => !drawn.has(s.id)).length);
  }
  changed();
}

let fetching: AbortController | null = null;
let streaming = false; // whether the stream of events is open
let again = false; // asked for while one was under way
const held: Site[] = []; // events that came while the whole list was being fetched
const fetchMs = 30_000; // after which a fetch is given up
const pauseMs = 3_000; // between one fetch and the next: in a storm of changes the server says "reset" twice a second

/** Fetches the whole list. While one fetch is under way further wishes are kept for after it. */
async function refetch(): Promise<void> {
  if (fetching) {
    again = true;
    return;
  }
  const mine = (fetching = new AbortController());
  const limit = setTimeout(() => mine.abort(), fetchMs);
  try {
    const [answer] = await Promise.all([get<Site[]>(`/api/v1/sites?lang=${lang}`, mine.signal), boundariesLoaded]);
    take(answer);
    fetching = null;
    for (const s of held.splice(0)) update(s);
    if (streaming) showLive("live");
  } catch {
    announce(t("error.load"));
    again = streaming; // the stream is open, so the server is there: it will answer
  } finally {
    clearTimeout(limit);
    fetching = null;
  }
  if (again) {
    again = false;
    setTimeout(() => void refetch(), pauseMs);
  }
}

function update(site: Site): void {
  const before = sites.get(site.id);
  if (before && before.version > site.version) return;
  if (!before || before.lat !== site.lat || before.lon !== site.lon || before.parent !== site.parent || before.name !== site.name) {
    void refetch(); // a site came or moved: everything may look different
    return;
  }
  sites.set(site.id, site);
  map.update(site);
  showLists();
  if (stateIn(before, choice.layer) !== stateIn(site, choice.layer)) tell(site);
}

// Changes of state are spoken, but at most every 10 s: a province that loses its centre would otherwise talk for ever.
const told = new Map<string, Site>();
const speak = soon(() => {
  const worst = [...told.values()].sort((a, b) => severity(stateIn(a, choice.layer)) - severity(stateIn(b, choice.layer)));
  told.clear();
  const few = worst.slice(0, 3).map((s) => `${s.name}: ${stateName(namedState(s, choice.layer))}`);
  announce(`${t("live.changes", { n: worst.length })}. ${few.join("; ")}`);
}, 10_000);

function tell(site: Site): void {
  told.set(site.id, site);
  speak();
}

// The wallboard turns the pages of what is wrong, since nobody is there to scroll.
let page = 0;
let rowsPerPage = 6;

function showWall(all: Site[]): void {
  const bad: State[] = ["down", "degraded", "no_data"];
  const worst = order(all.filter((s) => bad.includes(stateIn(s, choice.layer))), choice);
  const host = byId("list");
  rowsPerPage = Math.max(3, Math.floor((host.clientHeight - 90) / 92));
  const pages = Math.max(1, Math.ceil(worst.length / rowsPerPage));
  page %= pages;
  host.replaceChildren(
    el("div", { class: "list-head" }, el("p", { class: "total" }, `${t("sites.worst")} · ${worst.length}`), pages > 1 ? el("p", { class: "total" }, t("sites.page", { page: page + 1, pages })) : null),
    worst.length ? el("ol", { class: "rows-list" }, ...worst.slice(page * rowsPerPage, (page + 1) * rowsPerPage).map((s) => row(s, choice.layer))) : allGood(),
  );
}

/** How long after the pointer moved the way out of the wallboard stays in sight. */
const wayOutMs = 4_000;

function startWall(): void {
  const wayOut = document.querySelector<HTMLAnchorElement>(".tool-wall");
  let hide = 0;
  document.addEventListener("pointermove", () => {
    document.body.classList.add("moved");
    clearTimeout(hide);
    hide = setTimeout(() => document.body.classList.remove("moved"), wayOutMs);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !wayOut) return;
    const to = new URLSearchParams(location.search); // with the layer that is shown now
    to.delete("wall");
    const rest = to.toString();
    location.href = location.pathname + (rest && `?${rest}`);
  });
  const time = el("p", { class: "wall-clock" });
  document.querySelector(".bar")?.append(time);
  setInterval(() => (time.textContent = clock(Date.now())), 1_000);
  setInterval(() => {
    page++;
    showLists();
  }, 12_000);
}

async function loadBoundaries(): Promise<void> {
  const address = document.body.dataset["boundaries"];
  if (!address) return;
  try {
    boundaries = await get<Boundaries>(address);
  } catch {
    announce(t("map.boundaries_failed"));
  }
}

prepareChrome(() => map.recolour());
byId("layers").addEventListener("click", (event) => {
  const link = (event.target as Element).closest<HTMLElement>("[data-layer]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  choice.layer = (link.dataset["layer"] ?? "") as Layer | "";
  changed();
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  find();
  byId("list").querySelector<HTMLElement>(".row a")?.focus();
});
search.addEventListener("input", soon(find, 80));
byId("list").addEventListener("pointerover", (event) => {
  map.highlight((event.target as Element).closest<HTMLElement>("[data-id]")?.dataset["id"] ?? "");
});
byId("list").addEventListener("pointerleave", () => map.highlight(""));
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  search.focus();
});
setInterval(() => list.tick(), 30_000);
if (wall) startWall();

showLive("connecting");
watchDatabase(showLists);
const boundariesLoaded = loadBoundaries();
listen({
  opened: () => {
    streaming = true;
    void refetch();
  },
  event: (name, data) => {
    if (name === "site") {
      if (fetching) held.push(data as Site);
      else update(data as Site);
    } else if (name === "reset") void refetch();
  },
  lost: (since) => {
    streaming = false;
    fetching?.abort();
    showLive("lost", since);
  },
});
