// The pages of reports and the notice of a database that is away, in a real browser, against a server that has the fixture
// province with reports of its lines (see fixture_reports_test.go). BASE_URL: 136 sites.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readFile } from "node:fs/promises";
import { inflateRawSync } from "node:zlib";
import { assertAccessible, open as openAt } from "./browser.mjs";

const base = process.env.BASE_URL;
assert.ok(base, "set BASE_URL; `go test ./collector/web` does");
const sizes = { desk: { width: 1366, height: 768 }, phone: { width: 390, height: 844 } };

const open = (t, path, { size = "desk", ...options } = {}) => openAt(t, base + path, { ...sizes[size], ...options });
const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Says how the fixture's database fares: { away: "14:05", warning, lag: "30h", failed }; nothing: it is well. */
const database = (page, form = {}) => page.request.post(`${base}/fixture/database`, { form });

/** The files of a ZIP archive by name: enough of the format for the workbooks that the server writes. */
function unzip(archive) {
  const files = {};
  let at = archive.readUInt32LE(archive.lastIndexOf(Buffer.from("PK\x05\x06", "latin1")) + 16);
  while (archive.readUInt32LE(at) === 0x02014b50) {
    const [method, size, nameLength, extra, comment, local] = [archive.readUInt16LE(at + 10), archive.readUInt32LE(at + 20), archive.readUInt16LE(at + 28),
      archive.readUInt16LE(at + 30), archive.readUInt16LE(at + 32), archive.readUInt32LE(at + 42)];
    const name = archive.toString("utf8", at + 46, at + 46 + nameLength);
    const begin = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const body = archive.subarray(begin, begin + size);
    files[name] = (method === 8 ? inflateRawSync(body) : body).toString("utf8");
    at += 46 + nameLength + extra + comment;
  }
  return files;
}

const texts = (xml) => xml.replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">");

/** The rows of a workbook's sheet, as arrays of what cells hold. */
function rowsOf(files, n) {
  const shared = [...(files["xl/sharedStrings.xml"] ?? "").matchAll(/<si>([^]*?)<\/si>/g)].map((m) => texts([...m[1].matchAll(/<t[^>]*>([^<]*)</g)].map((t) => t[1]).join("")));
  return [...files[`xl/worksheets/sheet${n}.xml`].matchAll(/<row [^>]*>([^]*?)<\/row>/g)].map((row) =>
    [...row[1].matchAll(/<c ([^>]*?)(?:\/>|>([^]*?)<\/c>)/g)].map(([, attributes, body = ""]) => {
      const value = /<v>([^<]*)<\/v>/.exec(body)?.[1];
      if (/t="s"/.test(attributes)) return shared[Number(value)];
      if (value !== undefined) return /t="str"/.test(attributes) ? texts(value) : Number(value);
      return texts(/<t[^>]*>([^<]*)</.exec(body)?.[1] ?? "");
    }),
  );
}

test("every page is accessible and fits the screen, light and dark, desk and phone", async (t) => {
  for (const path of ["/reports?district=V%C4%A9nh+Y%C3%AAn", "/reports/sites/s08707", "/reports/nothing"]) {
    for (const [size, colorScheme, lang] of [["desk", "light", "vi"], ["phone", "dark", "en"]]) {
      await t.test(`${path} ${size} ${colorScheme} ${lang}`, async (t) => {
        const page = await open(t, `${path}${path.includes("?") ? "&" : "?"}lang=${lang}`, { size, colorScheme });
        page.expected = ["404"];
        assert.equal(await page.getAttribute("html", "lang"), lang);
        assert.ok((await sideways(page)) <= 0, "nothing sticks out sideways");
        assert.equal(await page.getAttribute(".place[aria-current]", "href"), "/reports");
        await assertAccessible(page, path);
      });
    }
  }
});

test("a report is narrowed down and sorted, without script", async (t) => {
  const page = await open(t, "/reports", { javaScriptEnabled: false });
  assert.match(await page.innerText("h1"), /Báo cáo chất lượng đường truyền tháng \d+\/\d{4}/);
  const all = await page.locator(".lines tbody tr").count();
  assert.ok(all > 400);
  await page.selectOption('[name="layer"]', "broadband");
  await page.selectOption('[name="provider"]', "Nhà mạng B");
  await page.selectOption('[name="hours"]', "all");
  await page.click(".report-filter button");
  const rows = page.locator(".lines tbody tr");
  assert.ok((await rows.count()) > 10 && (await rows.count()) < 60);
  assert.ok((await page.locator(".lines td[data-label='Nhà cung cấp']").allInnerTexts()).every((s) => s.startsWith("Nhà mạng B")));
  assert.match(await page.innerText(".as-of"), /24\/24 giờ · Loại đường truyền: Băng rộng cố định · Nhà cung cấp: Nhà mạng B/);
  await page.click(".choice-line a[href*='sort=availability']");
  const shown = (await page.locator(".lines td[data-label='Tỷ lệ khả dụng']").allInnerTexts()).map((s) => parseFloat(s.replace(",", ".")));
  const measured = shown.filter((v) => !Number.isNaN(v));
  assert.deepEqual(measured, [...measured].sort((a, b) => a - b));
  assert.ok(shown.slice(measured.length).every(Number.isNaN), "what was not measured comes last");
  const first = await page.inputValue('[name="from"]'); // of the month that is shown
  const [year, month] = first.split("-");
  await page.selectOption('[name="period"]', "days");
  await page.fill('[name="to"]', `${year}-${month}-07`);
  await page.click(".report-filter button");
  assert.ok((await page.innerText("h1")).endsWith(`từ ngày 01/${month}/${year} đến ngày 07/${month}/${year}`));
});

test("the parts of a bar differ by more than colour, and what was not measured is never zero", async (t) => {
  const page = await open(t, "/reports?hours=all");
  const looks = await page.locator(".share-legend").first().locator("rect").evaluateAll((rects) => rects.map((r) => getComputedStyle(r).fill));
  assert.equal(looks.length, 7);
  assert.ok(looks.filter((l) => l.startsWith("url")).length >= 4, `patterns: ${looks}`);
  assert.equal(new Set(looks).size, 7);
  const row = page.locator(".lines tbody tr", { has: page.locator("td:text-is('chưa đo')") }).first();
  assert.deepEqual(await row.locator(".num").allInnerTexts(), ["chưa đo", "—", "0\u00a0%", "0\u00a0%", "100\u00a0%", "—", "—", "—", "—"]);
  const agreed = page.locator("details.agreed", { hasText: "Không đạt" }).first();
  await agreed.locator("summary").click();
  const link = agreed.locator("li a").first();
  assert.match(await link.getAttribute("title"), /Hợp đồng số/);
  assert.match(await page.innerText(await link.getAttribute("href")), /Hợp đồng số 12\/2026[^]*Tỷ lệ khả dụng ≥/);
});

test("days are asked for only where days were chosen", async (t) => {
  const page = await open(t, "/reports");
  assert.ok(await page.isHidden('[name="from"]'));
  await page.selectOption("#period", "days");
  assert.ok(await page.isVisible('[name="from"]'));
});

test("a workbook holds the numbers of the page", async (t) => {
  const page = await open(t, "/reports?district=V%C4%A9nh+Y%C3%AAn");
  const card = page.locator(".report-card", { hasText: "Băng rộng cố định" });
  const onPage = parseFloat((await card.locator(".big b").innerText()).replace(",", "."));
  const lines = await page.locator(".lines tbody tr").count();
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(".file >> text=Excel")]);
  assert.match(download.suggestedFilename(), /^bao-cao-duong-truyen-\d{4}-\d\d\.xlsx$/);
  const files = unzip(await readFile(await download.path()));
  const names = [...files["xl/workbook.xml"].matchAll(/<sheet name="([^"]*)"/g)].map((m) => m[1]);
  assert.deepEqual(names, ["Tổng hợp", "Nhà mạng", "Hai đường truyền", "Huyện, khu vực", "Đường truyền", "Chú thích"]);
  const summary = rowsOf(files, 1);
  const column = summary[2].indexOf("Tỷ lệ khả dụng");
  const value = summary.find((row) => row[0] === "Băng rộng cố định")[column];
  assert.equal((100 * value).toFixed(2), onPage.toFixed(2));
  assert.equal(rowsOf(files, 5).length, 3 + lines);
});

test("a report prints as a document", async (t) => {
  const page = await open(t, "/reports?district=V%C4%A9nh+Y%C3%AAn", { colorScheme: "dark" });
  assert.ok(await page.isHidden(".official"));
  assert.ok(await page.isVisible("#print"));
  await page.emulateMedia({ media: "print" });
  assert.match(await page.innerText(".official"), /Phú Thọ[^]*CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM/);
  assert.match(await page.innerText(".signatures"), /NGƯỜI LẬP[^]*THỦ TRƯỞNG ĐƠN VỊ/);
  assert.ok((await page.isVisible(".sources")) && (await page.isVisible(".share-legend")));
  for (const s of [".bar", ".report-filter", ".beside-periods", ".choice-line", ".file", "#print"]) assert.ok(await page.locator(s).first().isHidden(), s);
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
  const pdf = await page.pdf({ preferCSSPageSize: true });
  const box = /\/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)/.exec(pdf.toString("latin1"));
  assert.ok(box && Math.abs(Number(box[1]) - 842) < 2 && Math.abs(Number(box[2]) - 595) < 2, "A4, landscape");
});

test("a site's year is found from its page and leads back", async (t) => {
  const page = await open(t, "/sites/s08707");
  await page.click(".crumbs a[href='/reports/sites/s08707']");
  assert.match(await page.innerText("h1"), /12 tháng: Tích Sơn/);
  assert.equal(await page.locator("#months-broadband").count(), 1);
  assert.equal(await page.locator("section:has(#months-broadband) tbody tr").count(), 12);
  assert.equal(await page.getAttribute(".crumbs a:last-child", "href"), "/sites/s08707");
  await page.locator("section:has(#months-broadband) tbody th a").nth(1).click();
  assert.match(page.url(), /period=\d{4}-\d\d&site=s08707/);
  assert.ok((await page.locator(".lines tbody th").allInnerTexts()).every((s) => s.includes("Tích Sơn")));
});

test("a database that is away is told on every page, and goes by itself", async (t) => {
  const page = await open(t, "/inventory", { locale: "vi-VN" }); // a page without a script of its own
  t.after(() => database(page));
  await page.clock.install();
  await page.reload();
  assert.ok(await page.isHidden("#notice"));
  assert.equal(await page.getAttribute("#notices", "aria-live"), "assertive");
  await database(page, { away: "14:05" });
  await page.clock.fastForward(15_000);
  await page.waitForSelector("#notice:not([hidden])");
  assert.equal(await page.innerText("#notice p"), "Cơ sở dữ liệu không trả lời từ 14:05 ngày 26/11/2026. Các trạm vẫn đo và giữ kết quả; số liệu trên màn hình dừng ở lúc đó.");
  assert.ok(await page.isHidden("#notice li"), "what is for engineers is folded");
  await page.click("#notice summary");
  assert.match(await page.innerText("#notice ul"), /connection refused\nstart InfluxDB/);
  await assertAccessible(page, "a page with the notice");
  for (const [path, words] of [["/reports?lang=en", "The database has not answered since 14:05 on 26/11/2026."], ["/?wall=1&lang=vi", "không trả lời từ 14:05"], ["/sites/s08707", "không trả lời"], ["/rehearsals", "không trả lời"]]) {
    await page.goto(base + path);
    assert.ok((await page.innerText("#notice p")).includes(words), path);
    if (path.startsWith("/?wall")) assert.ok(await page.isHidden("#notice details"), "a wall has nobody who unfolds");
  }
  await page.emulateMedia({ media: "print" });
  assert.ok(await page.isVisible("#notice p"), "paper says it");
  await page.emulateMedia({ media: null });
  await database(page);
  await page.clock.fastForward(15_000);
  await page.waitForSelector("#notice", { state: "hidden" });
  assert.equal(await page.textContent("#notice-over"), "Cơ sở dữ liệu đã hoạt động bình thường, số liệu được cập nhật trở lại.");
});

test("what is on screen while the database is away is not shown as live, and not in another language", async (t) => {
  const page = await open(t, "/?layer=lan", { locale: "vi-VN" });
  t.after(() => database(page));
  await page.clock.install();
  await page.reload();
  await page.waitForSelector("#live[data-state=live]");
  await database(page, { away: "14:05" });
  await page.clock.fastForward(15_000);
  await page.waitForSelector("#live[data-state=stale]");
  assert.equal(await page.innerText("#live .live-text"), "Tình trạng lúc 14:05");
  assert.equal(await page.locator(".empty.good").count(), 0, "nothing is green of a state that nobody knows");
  page.expected.push("503");
  const refuse = (route) => route.fulfill({ status: 503, json: { code: "unavailable", message: "the database does not answer" } });
  for (const path of ["**/api/v1/series?*", "**/api/v1/sites/*/history?*"]) {
    await page.route(path, refuse);
    t.after(() => page.unroute(path));
  }
  for (const [lang, words, sign] of [["vi", "Không tải được số liệu: cơ sở dữ liệu không trả lời", "Tình trạng lúc 14:05"], ["en", "the database does not answer; figures come back by themselves", "As of 14:05"]]) {
    await page.goto(`${base}/sites/s08707?lang=${lang}`);
    for (const part of ["#history .empty", "#charts .empty"]) {
      await page.waitForFunction(([part, words]) => document.querySelector(part)?.textContent?.includes(words), [part, words]);
    }
    assert.equal(await page.innerText("#live .live-text"), sign);
  }
  await database(page);
  await page.clock.fastForward(15_000);
  await page.waitForSelector("#live[data-state=live]");
});

test("a range without data is not said to have been without outages", async (t) => {
  const page = await open(t, "/sites/s08707?range=24h", { locale: "vi-VN" });
  const [now, none] = [Date.now(), { state: "none", reason: "" }];
  const at = (hours) => new Date(now - hours * 3600_000).toISOString();
  let site = [{ ...none, from: at(24), to: at(0) }];
  await page.route("**/api/v1/sites/*/history?*", (route) => route.fulfill({ json: { from: at(24), to: at(0), site, layers: {} } }));
  t.after(() => page.unroute("**/api/v1/sites/*/history?*"));
  for (const [spans, words] of [
    [site, "Khoảng này không có số liệu nên không biết có gián đoạn hay không."],
    [[{ ...none, from: at(24), to: at(4) }, { state: "ok", from: at(4), to: at(0) }], /^Không có lần gián đoạn nào trong thời gian có số liệu; còn (20 giờ|19 giờ 59 phút) không có số liệu\.$/],
    [[{ state: "ok", from: at(24), to: at(0) }], "Không có lần gián đoạn nào trong khoảng này."],
  ]) {
    site = spans;
    await page.reload();
    await page.waitForSelector(".outages p");
    const said = await page.innerText(".outages p");
    if (words instanceof RegExp) assert.match(said, words);
    else assert.equal(said, words);
  }
});

test("without script a page says it when it is loaded; rollups that fail are told on reports", async (t) => {
  const page = await open(t, "/reports", { javaScriptEnabled: false });
  t.after(() => database(page));
  assert.ok(await page.isHidden("#notice"));
  await database(page, { away: "09:30", lag: "30h", failed: "no space left on device" });
  await page.reload();
  assert.match(await page.innerText("#notice p"), /từ 09:30 ngày 26\/11\/2026/);
  assert.match(await page.innerText(".notice.warned"), /Việc tổng hợp số liệu đang bị lỗi, mới tổng hợp đến \d\d:00/);
  await database(page, { warning: "retention is 30 days" });
  await page.reload();
  assert.match(await page.innerText("#notice p"), /cần người quản trị xem/);
  assert.equal(await page.getAttribute("#notice", "data-away"), "false");
});
