// What the tests of the fleet's screens share: the town's people, who stay signed in, and its machines.
import assert from "node:assert/strict";
import { open as openAt } from "../browser.mjs";

export const base = process.env.TOWN_URL;
const machines = process.env.TOWN_MACHINES;
export const first = process.env.TOWN_FIRST;
assert.ok(base && machines && first, "set TOWN_URL, TOWN_MACHINES and TOWN_FIRST; `go test ./collector/web/fleet` does");

/** The names of sites, machines and devices that hope to be a page, as collector/web/fleet/town_test.go has them. */
export const evil = {
  site: '<script>alert("site")</script>',
  elsewhere: `<img src=x onerror="alert('site')">`,
  machine: `<img src=x onerror="alert('machine')">`,
  device: `<script>alert("device")</script>`,
};

/** One account of each role, and an operator who sees one district alone. */
export const people = {
  lan: { role: "admin", display: "Nguyễn Thị Lan" },
  xem: { role: "viewer", display: "Trần Văn Xem" },
  minh: { role: "operator", display: "Lê Quang Minh" },
  hoa: { role: "procurement", display: "Phạm Thị Hoa" },
  yen: { role: "operator", display: "Vũ Thị Yên", district: "Vĩnh Yên" },
};
export const everybody = Object.keys(people);
export const passwordOf = (name) => `mat khau cua ${name}`;

const sessions = new Map();
export const sizes = { desk: { width: 1366, height: 768 }, phone: { width: 390, height: 844 } };

/** Opens a page of the town as somebody who has signed in; as nobody without a name. */
export function open(t, path, { as, size = "desk", ...options } = {}) {
  if (as) assert.ok(sessions.has(as), `${as} has not signed in`);
  return openAt(t, base + path, { ignoreHTTPSErrors: true, ...sizes[size], cookies: sessions.get(as), ...options });
}

/** Remembers who has signed in on a page, for pages to come. */
export async function remember(page, name) {
  const cookies = await page.context().cookies();
  assert.deepEqual(
    cookies.filter((c) => c.httpOnly && c.secure && c.sameSite === "Lax").map((c) => c.name),
    ["__Host-communewatch"],
    "the session's cookie is out of reach of scripts, other sites and plain HTTP",
  );
  sessions.set(name, cookies);
}

export async function choosePassword(page, secret) {
  await page.fill('[name="new"]', secret);
  await page.fill('[name="again"]', secret);
  await page.click(".sign-form button");
}

export async function signIn(page, name, secret) {
  await page.fill('[name="name"]', name);
  await page.fill('[name="password"]', secret);
  await page.click(".sign-form button");
}

/** Lets a machine do something: join, again, measure. Returns what came of it, and what was said where it failed. */
export async function machine(what, form) {
  const answer = await fetch(`${machines}/${what}`, { method: "POST", body: new URLSearchParams(form) });
  return `${answer.ok ? "" : "refused: "}${(await answer.text()).trim()}`;
}

export const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
export const alertOf = (page) => page.innerText('main [role="alert"]');
export const done = (page) => page.innerText('main .notice[role="status"]');

/** What forms of a page would have done: the addresses that they post to, with the field that says what. */
export const acts = (page) =>
  page.$$eval('form[method="post"]', (forms) => [
    ...new Set(
      forms.flatMap((f) => {
        const path = new URL(f.action).pathname;
        const what = [...f.querySelectorAll('[name="do"]')].map((e) => `${path} ${e.value}`);
        return what.length ? what : [path];
      }),
    ),
  ].filter((path) => path !== "/sign-out").sort());

/** Asks for something from a page's own script, with its session's proof, as somebody would who knows the address. */
export const ask = (page, method, path, form = {}) =>
  page.evaluate(
    async ([method, path, form]) => {
      const proof = document.querySelector('form[action="/sign-out"] [name="proof"]').value;
      const body = method === "GET" ? undefined : new URLSearchParams({ proof, ...form });
      return (await fetch(path, { method, body, redirect: "manual" })).status; // 0: it leads elsewhere
    },
    [method, path, form],
  );
