// The browser that all tests of screens share. To start one takes a second and a page that was never open before takes
// another, most of what a test would take, so that pages are lent to one test after the other: without cookies, without
// listeners, on an empty document.
import assert from "node:assert/strict";
import { after } from "node:test";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  timeout: 120_000,
});
after(() => browser.close());

/** Pages that no test has, by the options of their contexts. */
const idle = new Map();

/**
 * Opens an address as in a browser of its own, with the cookies given; fails on errors in the console, on dialogs and on
 * requests to any other host.
 */
export async function open(t, address, { width = 1366, height = 768, cookies = [], ...options } = {}) {
  const key = JSON.stringify({ width, height, ...options });
  let page = idle.get(key)?.pop();
  if (!page) {
    const context = await browser.newContext({ viewport: { width, height }, reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(60_000); // of a machine that is busy with everybody's tests
    page = await context.newPage();
  }
  const faults = [];
  page.expected = [];
  page.on("console", (m) => m.type() === "error" && faults.push(m.text()));
  page.on("pageerror", (e) => faults.push(e.message));
  page.on("dialog", (d) => {
    faults.push(`dialog: ${d.message()}`); // a name that became script
    return d.dismiss();
  });
  const home = new URL(address).host;
  page.on("request", (r) => {
    const url = new URL(r.url());
    if (url.protocol.startsWith("http") && url.host !== home) faults.push(`request to ${r.url()}`);
  });
  t.after(async () => {
    page.removeAllListeners();
    await page.emulateMedia({ media: null });
    await page.setViewportSize({ width, height });
    await page.goto("about:blank");
    await page.mouse.move(0, 0);
    await page.context().clearCookies();
    idle.set(key, [...(idle.get(key) ?? []), page]);
    assert.deepEqual(faults.filter((f) => !page.expected.some((e) => f.includes(e))), []);
  });
  await page.context().addCookies(cookies);
  await page.goto(address);
  return page;
}

export async function assertAccessible(page, what) {
  await page.evaluate(axe); // not as a script tag, which the page's own policy forbids
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], preload: false }));
  const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  assert.deepEqual(bad.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " " + (n.any[0]?.message ?? "")).join(" | ")}`), [], what);
}
