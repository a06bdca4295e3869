// What every page has around its own matter: the sign that says whether it is live, language, theme, announcements.
import { Refusal } from "./api";
import { byId } from "./dom";
import { clock, dateTime, t } from "./i18n";

type Sign = "connecting" | "live" | "lost";

/** When what is on screen was last known to hold; 0 while it is live. */
let stale = 0;

/** What was last shown, for when the database comes or goes. */
let shown: { sign: Sign; since: number } = { sign: "connecting", since: 0 };

/** Since when the database is away, in ms; 0 where that is not known, null while it answers. */
export function awaySince(): number | null {
  const notice = document.getElementById("notice");
  return notice?.dataset["away"] === "true" ? Number(notice.dataset["since"]) || 0 : null;
}

/** Calls what depends on it whenever the database comes or goes; the sign is shown anew by itself. */
export function watchDatabase(changed: () => void): void {
  const notice = document.getElementById("notice");
  if (!notice) return;
  let before = awaySince();
  new MutationObserver(() => {
    const now = awaySince();
    if (now === before) return;
    before = now;
    showLive(shown.sign, shown.since);
    changed();
  }).observe(notice, { attributeFilter: ["data-away", "data-since"] });
}

/** Says in the reader's words why something was not loaded. */
export function failure(error: unknown): string {
  if (!(error instanceof Refusal)) return t("error.offline");
  if (error.code === "unavailable") return t(awaySince() === null ? "error.unavailable" : "error.database");
  return t(error.code === "too many" ? "error.too_many" : "error.server", { code: error.status });
}

/** Shows whether what is on screen is live. `since` is when it last was. A stream that is open brings nothing new while the database is away. */
export function showLive(sign: Sign, since = 0): void {
  shown = { sign, since };
  const away = sign === "live" ? awaySince() : null;
  stale = sign === "lost" ? since : (away ?? 0);
  const live = byId("live");
  const was = live.dataset["state"];
  live.dataset["state"] = away === null ? sign : "stale";
  document.documentElement.dataset["live"] = live.dataset["state"]; // stale pages look stale: see app.css
  const liveWords = away === null ? t("live.live") : away ? t("live.stale", { time: clock(away).slice(0, 5) }) : t("live.stale_unknown");
  const words = sign === "live" ? liveWords : sign === "lost" ? t("live.lost", { time: clock(since) }) : t("live.connecting");
  const text = live.querySelector(".live-text");
  if (text && text.textContent !== words) text.textContent = words;
  const banner = byId("lost");
  banner.hidden = sign !== "lost";
  banner.textContent = sign === "lost" ? t("live.lost_long", { time: clock(since) }) : "";
  if (was === "lost" && sign === "live") announce(t("live.restored"));
}

/** Says something to those who listen instead of looking. */
export function announce(words: string): void {
  byId("announce").textContent = words;
}

/** Makes the switches of language and theme keep what the page shows. */
export function prepareChrome(themeChanged: () => void): void {
  const langLink = byId("lang") as HTMLAnchorElement;
  langLink.addEventListener("click", () => {
    const to = new URLSearchParams(location.search);
    to.delete("theme");
    to.set("lang", langLink.hreflang);
    langLink.href = `${location.pathname}?${to}${location.hash}`;
  });
  const root = document.documentElement;
  for (const link of document.querySelectorAll<HTMLAnchorElement>("#themes a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const choice = link.dataset["themeChoice"] ?? "auto";
      document.cookie = `theme=${choice}; path=/; max-age=31536000; samesite=lax`;
      root.dataset["theme"] = choice;
      for (const other of document.querySelectorAll("#themes a")) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      themeChanged();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);
  addEventListener("beforeprint", () => {
    byId("printed").textContent = t("app.as_of", { time: dateTime(stale || Date.now()) }); // paper is never live
  });
  // The address bar should not fix a choice that a cookie now remembers.
  const here = new URLSearchParams(location.search);
  if (here.has("lang") || here.has("theme")) {
    here.delete("lang");
    here.delete("theme");
    const rest = here.toString();
    history.replaceState(null, "", location.pathname + (rest && `?${rest}`) + location.hash);
  }
}
