// Words, numbers and times in the reader's language. The catalogues are the ones that the server's templates use.
import en from "../../i18n/en.json";
import vi from "../../i18n/vi.json";

export type Key = keyof typeof vi;

export const lang: "vi" | "en" = document.documentElement.lang === "en" ? "en" : "vi";
const words: Record<string, string> = lang === "en" ? en : vi;
const locale = lang === "en" ? "en-US" : "vi-VN";

/** The words for key, with {name} replaced; where n is 1 and there is a text for one, that. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  let text = (values["n"] === 1 || values["n"] === "1" ? words[key + "_one"] : undefined) ?? words[key] ?? key;
  for (const [name, value] of Object.entries(values)) text = text.replaceAll(`{${name}}`, String(value));
  return text;
}

export const stateName = (state: string): string => t(`state.${state}` as Key);

// A locale's data may be missing in a trimmed-down browser, which then falls back to its own: so the two marks that
// matter, decimal and group, are set here.
const [group, decimal] = lang === "en" ? [",", "."] : [".", ","];

export function number(v: number, decimals = 0): string {
  const [whole = "0", fraction] = Math.abs(v).toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, group);
  const text = grouped + (fraction ? decimal + fraction : "");
  return v < 0 && /[1-9]/.test(text) ? "-" + text : text; // what rounds to zero has no sign
}

/** A number with about three digits that matter. */
export function short(v: number): string {
  const size = Math.abs(v);
  return number(v, size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2);
}

/** The zone that times are shown in, which the server says. */
export const zone: string = document.body.dataset["zone"] ?? "Asia/Ho_Chi_Minh";

function formatter(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat(locale, { timeZone: zone, hourCycle: "h23", ...options });
  } catch {
    return new Intl.DateTimeFormat(locale, { hourCycle: "h23", ...options }); // a zone that this browser does not know
  }
}

const parts = formatter({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });

function split(ms: number): Record<string, string> {
  const out: Record<string, string> = {};
  for (const p of parts.formatToParts(ms)) out[p.type] = p.value;
  return out;
}

/** dd/mm/yyyy HH:mm:ss */
export function dateTime(ms: number): string {
  const p = split(ms);
  return `${p["day"]}/${p["month"]}/${p["year"]} ${p["hour"]}:${p["minute"]}:${p["second"]}`;
}

/** HH:mm:ss */
export function clock(ms: number): string {
  const p = split(ms);
  return `${p["hour"]}:${p["minute"]}:${p["second"]}`;
}

/** dd/mm HH:mm */
export function dayTime(ms: number): string {
  const p = split(ms);
  return `${p["day"]}/${p["month"]} ${p["hour"]}:${p["minute"]}`;
}

/** dd/mm/yyyy */
export function day(ms: number): string {
  const p = split(ms);
  return `${p["day"]}/${p["month"]}/${p["year"]}`;
}

/** A length of time in at most two units: "3 giờ 12 phút". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const unit = (key: "seconds" | "minutes" | "hours" | "days", n: number) => t(`time.${key}`, { n });
  if (s < 60) return unit("seconds", s);
  if (s < 3600) return unit("minutes", Math.floor(s / 60));
  const two = (big: string, key: "minutes" | "hours", n: number) => (n ? `${big} ${unit(key, n)}` : big);
  if (s < 86400) return two(unit("hours", Math.floor(s / 3600)), "minutes", Math.floor((s % 3600) / 60));
  return two(unit("days", Math.floor(s / 86400)), "hours", Math.floor((s % 86400) / 3600));
}

/** Text as people type it without accents: "Tam Sơn" and "tam son" fold to the same. The server's is inventory.Fold. */
export function fold(text: string): string {
  return plain(text.normalize("NFD").replace(/\p{Mn}/gu, "")).replaceAll("đ", "d");
}

/** Text with its accents, but for case, spaces and how its letters are encoded: Ð (U+00D0) stands for Đ. */
export function plain(text: string): string {
  return text.normalize("NFC").toLowerCase().replaceAll("\u00f0", "đ").replace(/\s+/g, " ").trim();
}
