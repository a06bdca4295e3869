// The equipment's pages in a real browser, against a server that has the fixture province and equipment at all its
// sites (see fixture_test.go). BASE_URL: 136 sites, some 1,200 devices.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readFile } from "node:fs/promises";
import { assertAccessible, open as openAt } from "./browser.mjs";

const base = process.env.BASE_URL;
assert.ok(base, "set BASE_URL; `go test ./collector/web` does");

const pages = ["/inventory", "/inventory/summary", "/inventory/replace", "/inventory/unsupported", "/inventory/verify", "/inventory/purchases", "/inventory/catalogue"];
const sizes = { desk: { width: 1366, height: 768 }, phone: { width: 390, height: 844 } };

const open = (t, path, { size = "desk", ...options } = {}) => openAt(t, base + path, { ...sizes[size], ...options });
const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
/** The page of the first outdated device. */
const device = async (page) => (await page.locator(".devices tbody th a").first().getAttribute("href")) ?? "";

// Rows of one site and a few of the catalogue hold all that a page can show; a hundred of them only keep axe busy.
test("every page is accessible and fits the screen, light and dark, desk and phone", async (t) => {
  const first = await open(t, "/inventory?standing=outdated");
  for (const path of [...pages.map((p) => `${p}?${p.endsWith("catalogue") ? "q=vigor" : "site=s08707"}`), `${await device(first)}?`]) {
    for (const [size, colorScheme, lang] of [["desk", "light", "vi"], ["phone", "dark", "en"]]) {
      await t.test(`${path} ${size} ${colorScheme} ${lang}`, async (t) => {
        const page = await open(t, `${path}&lang=${lang}`, { size, colorScheme });
        assert.equal(await page.getAttribute("html", "lang"), lang);
        assert.ok((await sideways(page)) <= 0, "nothing sticks out sideways");
        assert.equal(await page.getAttribute('.place[aria-current]', "href"), "/inventory");
        await assertAccessible(page, path);
      });
    }
  }
});

test("states are told by colour, shape and words, and legal answers look otherwise", async (t) => {
  const page = await open(t, "/inventory/devices/d1");
  await page.goto(base + (await device(await open(t, "/inventory?standing=outdated"))));
  const technical = page.locator(".verdict-card").nth(0).locator(".verdict-big .state");
  const legal = page.locator(".verdict-card").nth(1).locator(".verdict-big .state");
  assert.match(await technical.innerText(), /lỗi thời/);
  const shape = (l) => l.locator("path").getAttribute("d");
  const colour = (l) => l.evaluate((e) => getComputedStyle(e).color);
  assert.notEqual(await shape(technical), await shape(legal));
  assert.notEqual(await colour(technical), await colour(legal));
});

test("three numbers add up and lead to their devices", async (t) => {
  const page = await open(t, "/inventory");
  const number = async (s) => Number((await page.locator(s).first().innerText()).replace(/\D/g, ""));
  const [outdated, fine, unknown, all] = [await number('.number[data-state="outdated"] b'), await number('.number[data-state="fine"] b'), await number('.number[data-state="unknown"] b'), await number(".all-number b")];
  assert.ok(outdated > 0 && fine > 0 && unknown > 0);
  assert.equal(outdated + fine + unknown, all);
  const bars = await page.locator(".three .bar3 rect").evaluateAll((rects) => rects.map((r) => r.getBoundingClientRect().width));
  assert.equal(bars.length, 3);
  assert.ok(Math.abs(bars[0] / (bars[0] + bars[1] + bars[2]) - outdated / all) < 0.03, "the bar is in proportion");
  await page.click('.number[data-state="fine"]');
  assert.match(page.url(), /standing=fine/);
  assert.ok((await page.locator('.devices tbody tr:not([data-state="fine"])').count()) === 0);
  await page.click('.number[data-state="fine"]');
  assert.doesNotMatch(page.url(), /standing/, "a second click takes it back");
});

test("filter, search and sort work without script", async (t) => {
  const page = await open(t, "/inventory", { javaScriptEnabled: false });
  await page.fill("#q", "tich son");
  await page.press("#q", "Enter");
  const sites = await page.locator(".devices .col-site").allInnerTexts();
  assert.ok(sites.length > 3 && sites.every((s) => s.includes("Tích Sơn")), `${sites.slice(0, 3)}`);
  await page.click(".fields summary");
  await page.selectOption('select[name="class"]', "switch");
  await page.click(".field-grid button");
  assert.match(page.url(), /q=tich\+son/);
  assert.ok((await page.locator(".devices tbody tr").count()) < sites.length);
  await page.click(".chip-all");
  await page.click('.devices thead a:has-text("Hết hỗ trợ")');
  assert.equal(await page.locator('th[aria-sort="ascending"]').count(), 1);
});

test("columns are chosen once and remembered", async (t) => {
  const page = await open(t, "/inventory");
  await page.click(".columns summary");
  await page.check('.columns input[value="mac"]');
  await page.uncheck('.columns input[value="reason"]');
  await page.click(".columns button");
  await page.goto(base + "/inventory");
  assert.ok((await page.locator("td.col-mac").count()) > 0);
  assert.equal(await page.locator("td.col-reason").count(), 0);
  await page.click(".columns summary");
  await page.click(".columns form a");
  assert.ok((await page.locator("td.col-reason").count()) > 0);
});

test("files come down with the filter", async (t) => {
  const page = await open(t, "/inventory?class=router");
  for (const [nth, name] of [[0, /^danh-muc-thiet-bi-\d{4}-\d\d-\d\d\.xlsx$/], [1, /^danh-muc-thiet-bi-\d{4}-\d\d-\d\d\.csv$/]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".file").nth(nth).click()]);
    assert.match(download.suggestedFilename(), name);
    assert.ok((await readFile(await download.path())).length > 500);
  }
});

test("a date of choice changes what is unsupported", async (t) => {
  const page = await open(t, "/inventory/unsupported");
  await page.fill('input[name="date"]', "2019-12-31");
  await page.click(".date-form button");
  assert.match(await page.innerText("h1"), /31\/12\/2019/);
  const early = await page.locator("tbody tr").count();
  await page.click(".quick a:last-child");
  assert.ok((await page.locator("tbody tr").count()) > early);
});

test("the replacement list prints as a document", async (t) => {
  const page = await open(t, "/inventory/replace");
  assert.ok(await page.isHidden(".official"));
  await page.emulateMedia({ media: "print" });
  assert.ok(await page.isVisible(".official"));
  assert.ok(await page.isVisible(".signatures"));
  for (const s of [".bar", ".tabs", ".filter", ".files"]) assert.ok(await page.locator(s).first().isHidden(), s);
  const pdf = await page.pdf({ preferCSSPageSize: true });
  assert.ok(pdf.length > 20_000);
  const box = /\/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)/.exec(pdf.toString("latin1"));
  assert.ok(box && Number(box[1]) > Number(box[2]), "landscape");
});

test("from a site to its equipment, to a device, and back", async (t) => {
  const page = await open(t, "/sites/s08707");
  await page.waitForSelector("#equipment .number");
  await page.click("#equipment .all-number a");
  assert.match(page.url(), /site=s08707/);
  await page.click(".devices tbody th a");
  await page.click('.head-line a[href="/sites/s08707"]');
  await page.waitForSelector("#equipment");
});

test("what is not there is a page that says so", async (t) => {
  const page = await open(t, "/inventory");
  page.expected = ["404"];
  const answer = await page.goto(base + "/inventory/devices/d999999");
  assert.equal(answer.status(), 404);
  assert.match(await page.innerText("main"), /d999999/);
});
