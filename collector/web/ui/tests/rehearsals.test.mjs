// The pages of rehearsals in a real browser, against a server that has the fixture province with two rehearsals that have
// ended (see fixture_test.go). BASE_URL: 136 sites. What a test starts, it ends.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readFile } from "node:fs/promises";
import { assertAccessible, open as openAt } from "./browser.mjs";

const base = process.env.BASE_URL;
assert.ok(base, "set BASE_URL; `go test ./collector/web` does");
const code = "ma-van-hanh"; // the fixture's operator
const sizes = { desk: { width: 1366, height: 768 }, phone: { width: 390, height: 844 } };

const open = (t, path, { size = "desk", ...options } = {}) => openAt(t, base + path, { ...sizes[size], ...options });
const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const advance = (page, bad = "") => page.request.post(`${base}/fixture/advance`, { form: { bad } });

/** Starts a rehearsal without its page and returns its address. */
async function start(page) {
  const answer = await page.request.post(`${base}/rehearsals`, { form: { meeting: "Họp thử", profile: "low", sites: "all", code }, maxRedirects: 0 });
  assert.equal(answer.status(), 303, await answer.text());
  return answer.headers()["location"];
}

const stop = (page, path) => page.request.post(`${base}${path}/stop`, { form: { code }, maxRedirects: 0 });

const pages = ["/rehearsals", "/rehearsals/new?meeting=Giao+ban&profile=1080p", "/rehearsals/r2?mark=no_go&q=vinh+yen", "/rehearsals/r2/sites/s08707", "/rehearsals/compare?a=r1&b=r2"];

test("every page is accessible and fits the screen, light and dark, desk and phone", async (t) => {
  for (const path of pages) {
    for (const [size, colorScheme, lang] of [["desk", "light", "vi"], ["phone", "dark", "en"]]) {
      await t.test(`${path} ${size} ${colorScheme} ${lang}`, async (t) => {
        const page = await open(t, `${path}${path.includes("?") ? "&" : "?"}lang=${lang}`, { size, colorScheme });
        assert.equal(await page.getAttribute("html", "lang"), lang);
        assert.ok((await sideways(page)) <= 0, "nothing sticks out sideways");
        assert.equal(await page.getAttribute(".place[aria-current]", "href"), "/rehearsals");
        await assertAccessible(page, path);
      });
    }
  }
});

test("the worst sites are first, told by colour, shape and words, and a level is never a colour", async (t) => {
  const page = await open(t, "/rehearsals/r2");
  const marks = await page.locator(".matrix tbody tr").evaluateAll((rows) => rows.map((r) => r.dataset.state));
  assert.equal(marks.length, 136);
  const rank = ["no_go", "unknown", "risk", "go"];
  assert.deepEqual(marks, [...marks].sort((a, b) => rank.indexOf(a) - rank.indexOf(b)));
  const looks = await page.evaluate(() =>
    ["no_go", "risk", "go"].map((m) => {
      const e = document.querySelector(`.matrix .overall .state[data-state="${m}"]`);
      return { colour: getComputedStyle(e).color, shape: e.querySelector("path").getAttribute("d"), words: e.textContent };
    }),
  );
  for (const what of ["colour", "shape", "words"]) assert.equal(new Set(looks.map((l) => l[what])).size, 3, `${what} differ`);
  const ladder = (level) => page.locator(`.matrix .level[data-level="${level}"]`).first().evaluate((e) => [...e.children].map((i) => getComputedStyle(i).backgroundColor).join());
  assert.notEqual(await ladder(0), await ladder(4), "L0 does not look like L4");
  assert.match(await page.innerText(".tested"), /122\skbit\/s, không phải 2\sMbit\/s/);
  assert.ok((await page.locator(".do-first li").count()) <= 3);
});

test("a site is found without accents, while typing and without script", async (t) => {
  const page = await open(t, "/rehearsals/r2");
  await page.fill("#q", "tich son");
  await page.waitForFunction(() => document.querySelectorAll(".matrix tbody tr:not([hidden])").length < 10);
  assert.ok((await page.locator(".matrix tbody tr:not([hidden]) th").allInnerTexts()).every((s) => s.includes("Tích Sơn")));
  assert.match(await page.innerText("#found"), /^\d\/136 điểm$/);
  const plain = await open(t, "/rehearsals/r2", { javaScriptEnabled: false });
  await plain.fill("#q", "tich son");
  await plain.press("#q", "Enter");
  assert.ok((await plain.locator(".matrix tbody th").allInnerTexts()).every((s) => s.includes("Tích Sơn")));
  await plain.click('.number[data-state="go"]');
  assert.match(plain.url(), /mark=go/);
  assert.match(plain.url(), /q=tich/, "the search stays");
});

test("from estimate to start to stop, without script", async (t) => {
  const page = await open(t, "/rehearsals/new", { javaScriptEnabled: false });
  page.expected = ["401"];
  await page.fill('[name="meeting"]', "Giao ban tháng 12");
  await page.check('[name="profile"][value="low"]');
  await page.click('form[action="/rehearsals/new"] button');
  assert.equal(await page.locator(".estimates tbody tr").count(), 4);
  assert.match(await page.innerText("#plan"), /khả năng 300\sMbit\/s/);
  await page.fill('[name="code"]', "sai");
  await page.click('form[action="/rehearsals"] button');
  assert.match(await page.innerText('[role="alert"]'), /Mã vận hành không đúng/);
  assert.equal(await page.inputValue('[name="meeting"]'), "Giao ban tháng 12", "what was filled in stays");
  assert.equal(await page.inputValue('[name="code"]'), "");
  await page.fill('[name="code"]', code);
  await page.click('form[action="/rehearsals"] button');
  assert.match(page.url(), /\/rehearsals\/r\d+$/);
  assert.match(await page.innerText("#progress-title"), /Bước 1\/4: 10 điểm/);
  await advance(page);
  await page.reload();
  assert.match(await page.innerText("#progress-title"), /Bước 2\/4: 34 điểm/);
  await page.fill('[name="code"]', code);
  await page.click(".stop-button");
  assert.match(await page.innerText("#reh-head"), /Đã dừng[^]*Nguyễn Văn Trực/);
  assert.ok(await page.isVisible(".matrix"));
});

test("a plan above the hub's capacity says so before anything starts", async (t) => {
  const page = await open(t, "/rehearsals/new?meeting=Giao+ban&profile=1080p&sites=all");
  assert.match(await page.innerText(".notice.bad"), /Bước 4 cần 577\sMbit\/s mỗi chiều, vượt khả năng 300\sMbit\/s/);
  assert.equal(await page.locator('.estimates [data-state="no_go"]').count(), 1);
  assert.ok(await page.isVisible('[name="force"]'));
});

test("one under way keeps itself fresh, to its end", async (t) => {
  const page = await open(t, "/rehearsals");
  const path = await start(page);
  t.after(() => stop(page, path).catch(() => {}));
  await page.goto(base + path);
  await page.waitForSelector('#live[data-state="live"]');
  const mark = await page.evaluate(() => (window.same = Math.random()));
  assert.match(await page.innerText("#progress-title"), /Bước 1\/4/);
  const bad = await page.evaluate(() => document.querySelector(".live-sites b").textContent);
  const site = (await (await page.request.get(`${base}/api/v1/sites?lang=vi`)).json()).find((s) => s.name === bad).id;
  await page.fill('.stop [name="code"]', "dang-go"); // what somebody is typing is left alone
  await advance(page, site);
  await page.waitForFunction(() => document.getElementById("progress-title")?.textContent.includes("2/4"));
  assert.equal(await page.inputValue('.stop [name="code"]'), "dang-go");
  assert.equal(await page.evaluate(() => window.same), mark, "the page was not loaded anew");
  await page.waitForFunction(() => /2\/4/.test(document.getElementById("announce").textContent));
  page.expected = ["401"];
  await page.click(".stop-button"); // with what is no code
  assert.match(await page.innerText('[role="alert"]'), /Mã vận hành không đúng/);
  await page.waitForURL(`**${path}`); // to be loaded again, and to stay fresh
  for (let i = 0; i < 3; i++) await advance(page, site);
  await page.waitForSelector(".matrix");
  assert.match(await page.innerText(".matrix tbody tr:has(.step-cell[data-state='no_go']) th"), new RegExp(bad));
});

test("the matrix prints as a document, and comes down as a spreadsheet", async (t) => {
  const page = await open(t, "/rehearsals/r2");
  assert.ok(await page.isHidden(".paper-head"));
  await page.emulateMedia({ media: "print" });
  assert.match(await page.innerText(".paper-head"), /KẾT QUẢ DIỄN TẬP[^]*Giao ban trực tuyến tháng 11/);
  assert.ok((await page.isVisible(".reh-legend")) && (await page.isVisible(".signatures")));
  for (const s of [".bar .tools", ".places", ".filter", ".files"]) assert.ok(await page.locator(s).first().isHidden(), s);
  const pdf = await page.pdf({ preferCSSPageSize: true });
  const box = /\/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)/.exec(pdf.toString("latin1"));
  assert.ok(box && Number(box[1]) > Number(box[2]), "landscape");
  await page.emulateMedia({ media: "screen" });
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(".file")]);
  assert.match(download.suggestedFilename(), /^dien-tap-r2-\d{4}-\d\d-\d\d\.xlsx$/);
  assert.ok((await readFile(await download.path())).length > 5000);
});

test("two rehearsals are compared, the earlier one first", async (t) => {
  const page = await open(t, "/rehearsals");
  await page.check('input[name="a"][value="r2"]');
  await page.check('input[name="b"][value="r1"]');
  await page.click(".list-foot button");
  assert.match(await page.innerText(".compare-counts tbody tr:first-child"), /tháng 10/);
  assert.equal(await page.locator("section:has(#worse-title) tbody tr").count(), 1);
  assert.equal(await page.locator("section:has(#better-title) tbody tr").count(), 1);
  await page.click("section:has(#worse-title) tbody a");
  assert.match(page.url(), /\/rehearsals\/r2\/sites\//);
  assert.ok((await page.locator(".site-steps tbody tr").count()) > 0);
});
