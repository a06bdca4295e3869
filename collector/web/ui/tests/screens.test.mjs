// The screens in a real browser, against a server that has the fixture province (see fixture_test.go).
//
// BASE_URL: 136 sites. BASE_URL_BOUNDARIES: the same with a GeoJSON file. BASE_URL_MANY: 2,720 sites.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, open } from "./browser.mjs";

const base = process.env.BASE_URL;
const bounded = process.env.BASE_URL_BOUNDARIES;
const many = process.env.BASE_URL_MANY;
assert.ok(base && bounded && many, "set BASE_URL, BASE_URL_BOUNDARIES and BASE_URL_MANY; `go test ./collector/web` does");

const openMap = async (t, address, options) => {
  const page = await open(t, address, options);
  await page.waitForSelector("#map[data-shapes]");
  await page.waitForSelector('#live[data-state="live"]');
  await page.waitForSelector("#list .row, #list .group, #list .empty");
  return page;
};
const set = (page, site, state, server = base) => page.request.post(`${server}/fixture/set`, { form: { site, state } });
const count = async (page, state) => Number(await page.getAttribute(`.count[data-state="${state}"]`, "data-n"));
const stateOf = (page, site) => page.getAttribute(`.area[data-site="${site}"]`, "data-state");

test("every site is drawn, in its state, by colour and by shape", async (t) => {
  const page = await openMap(t, base);
  assert.equal(await page.locator(".area").count(), 136);
  const sites = await (await page.request.get(`${base}/api/v1/sites`)).json();
  for (const s of sites) assert.equal(await stateOf(page, s.id), s.state, s.name);
  const looks = await page.evaluate(() =>
    ["ok", "degraded", "down", "no_data", "muted"].map((s) => {
      const area = document.querySelector(`.area[data-state="${s}"]`);
      const mark = document.querySelector(`.mark[data-state="${s}"]`);
      return { fill: getComputedStyle(area).fill, shape: mark.getAttribute("d") };
    }),
  );
  assert.equal(new Set(looks.map((l) => l.fill)).size, 5, "fills differ");
  assert.equal(new Set(looks.map((l) => l.shape)).size, 5, "shapes differ");
  assert.match(looks[3].fill, /url/, "no data is hatched");
});

test("counts, list and map tell the same", async (t) => {
  const page = await openMap(t, base);
  const sites = await (await page.request.get(`${base}/api/v1/sites`)).json();
  for (const state of ["down", "degraded", "no_data", "ok", "muted", "none"]) assert.equal(await count(page, state), sites.filter((s) => s.state === state).length, state);
  assert.equal(await page.getAttribute("#list .row", "data-state"), "down", "the worst is first");
  await page.click('.count[data-state="degraded"]');
  await page.waitForFunction(() => [...document.querySelectorAll("#list .row")].every((r) => r.dataset.state === "degraded"));
  assert.equal(await page.locator("#list .row").count(), sites.filter((s) => s.state === "degraded").length);
  assert.equal(await page.locator(".area:not([data-dim])").count(), sites.filter((s) => s.state === "degraded").length, "the others are dimmed on the map");
  assert.match(page.url(), /state=degraded/, "the address can be shared");
});

test("the layer switch recolours the map and is in the address", async (t) => {
  const page = await openMap(t, base);
  const before = await page.locator('.area[data-state="down"]').count();
  assert.ok(before > 0);
  await page.click('[data-layer="lan"]');
  await page.waitForFunction(() => !document.querySelector('.area[data-state="down"]'));
  await page.waitForSelector('.count[data-state="down"][data-n="0"]');
  assert.match(page.url(), /layer=lan/);
  await page.reload();
  await page.waitForSelector(".area");
  assert.equal(await page.getAttribute('[data-layer="lan"]', "aria-current"), "true");
  await page.click('[data-layer="conference"]');
  await page.waitForSelector('.area[data-state="none"]');
});

test("search finds with and without accents and tells namesakes apart", async (t) => {
  const page = await openMap(t, base);
  const found = async (query) => {
    await page.fill("#q", query);
    await page.waitForFunction((q) => document.getElementById("list").dataset.query === q, query);
    return page.locator("#list .row").allInnerTexts();
  };
  assert.ok((await found("tam son")).some((r) => r.includes("Tam Sơn")));
  assert.ok((await found("Tam Sơn"))[0].includes("Tam Sơn"));
  const both = await found("xuan hoa");
  assert.ok(both.some((r) => r.includes("08746")) && both.some((r) => r.includes("08794")), "without accents both are found");
  const [hoa] = await found("Xuân Hoà");
  assert.ok(hoa.includes("08746") && hoa.includes("Phúc Yên"), hoa);
  const [hoa2] = await found("Xuân Hòa");
  assert.ok(hoa2.includes("08794") && hoa2.includes("Lập Thạch"), hoa2);
  const wards = await found("phường");
  assert.ok(wards.slice(0, 10).every((r) => r.includes("phường")), `who types an accent means it: ${wards.slice(0, 3)}`);
  assert.ok((await found("phuong"))[0].includes("Phương Khoan"), "a name before what else a site is called");
  assert.ok((await found("\u00d0ồng Tĩnh"))[0].includes("Đồng Tĩnh"), "the letter that looks like Đ");
  assert.ok((await found("08794"))[0].includes("Xuân Hòa"), "by code");
  assert.ok((await found("<img src=x onerror=alert(1)>")).length === 0);
  await page.waitForSelector("#list .empty");
});

test("the conference layer's tip tells of the newest call", async (t) => {
  const page = await openMap(t, `${base}/?layer=conference`);
  const site = "s08747";
  const box = await page.locator(`.area[data-site="${site}"]`).boundingBox();
  await page.waitForSelector('[data-layer="conference"][aria-current]');
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.waitForSelector(".tip-calls span");
  const words = await page.innerText(".tip");
  assert.match(words, /Gọi thử hub-dien-tap: Tốt/);
  assert.match(words, /Chiều lên: mất [\d,]+\s%, đến muộn 0,02\s%/);
  assert.match(words, /Chiều xuống: mất [\d,]+\s%, đến muộn 0,02\s%/);
  assert.match(words, /Khứ hồi 31,2 ms/);
});

test("a site's page shows both ways of its newest call, and what kept the figures from being the line's", async (t) => {
  const page = await open(t, `${base}/sites/s08747`);
  assert.equal(await page.locator("#conference .flows tbody tr").count(), 4);
  assert.match(await page.innerText("#conference"), /MOS[^]*G\.107\.2[^]*G\.1070/);
  assert.match(await page.innerText("#conference .services"), /200 OK · PolycomRealPresence/);
  await page.waitForSelector("#charts[data-ready]");
  const card = page.locator('.chart-card[data-kind="webrtc"]');
  assert.equal(await card.locator("canvas").count(), 4, "loss, round trip, quality, usable rate");
  assert.match(await card.innerText(), /Lên[^]*Xuống/);
  await page.goto(`${base}/sites/s08719?lang=en`); // the fifth site's agent was too slow
  assert.match(await page.innerText("#conference .trouble"), /agent at the site could not keep up/);
});

test("districts are grouped with their counts", async (t) => {
  const page = await openMap(t, base);
  await page.click('[data-key="Theo khu vực"]');
  await page.waitForSelector(".group");
  assert.equal(await page.locator(".group").count(), 9);
  await page.click(".group summary");
  await page.locator(".group[open] .row").nth(3).waitFor();
  await set(page, "s08707", "ok"); // what is open stays open when the list is made anew
  await page.waitForTimeout(400);
  assert.equal(await page.locator(".group[open]").count(), 1);
});

test("an event changes a shape, the counts and the list, and is announced", async (t) => {
  const page = await openMap(t, base);
  const site = await page.getAttribute('.area[data-state="ok"]', "data-site");
  const before = await count(page, "down");
  await set(page, site, "down");
  await page.waitForSelector(`.area[data-site="${site}"][data-state="down"]`);
  await page.waitForFunction((n) => Number(document.querySelector('.count[data-state="down"]').dataset.n) === n, before + 1);
  assert.equal(await page.getAttribute("#list .row", "data-id"), site, "the newest trouble is on top");
  await page.waitForFunction(() => document.getElementById("announce").textContent.includes("Sự cố"));
  await set(page, site, "ok");
  await page.waitForSelector(`.area[data-site="${site}"][data-state="ok"]`);
});

test("a lost connection is said at once, and made good when it is back", async (t) => {
  const page = await openMap(t, base);
  page.expected = ["503"];
  const site = await page.getAttribute('.area[data-state="ok"]', "data-site");
  await page.request.post(`${base}/fixture/away`, { form: { away: "1" } });
  await page.waitForSelector('#live[data-state="lost"]');
  assert.match(await page.innerText("#lost"), /từ \d\d:\d\d:\d\d/);
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.querySelector(".surface")).filter), "none", "stale figures look stale");
  await set(page, site, "degraded"); // nobody listens
  await page.request.post(`${base}/fixture/away`, { form: { away: "0" } });
  await page.waitForSelector('#live[data-state="live"]');
  await page.waitForSelector(`.area[data-site="${site}"][data-state="degraded"]`);
  assert.ok(await page.isHidden("#lost"));
  await set(page, site, "ok");
});

test("the keyboard reaches a site on the map and opens it", async (t) => {
  const page = await openMap(t, base);
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.classList.contains("cursor"))) break;
  }
  const first = await page.getAttribute(".cursor", "href");
  assert.match(first, /^\/sites\//);
  assert.match(await page.getAttribute(".cursor", "aria-label"), /Sự cố/, "it starts at the worst");
  await page.keyboard.press("ArrowLeft");
  const second = await page.getAttribute(".cursor", "href");
  assert.notEqual(second, first);
  assert.ok(await page.isVisible(".tip"));
  await page.keyboard.press("Enter");
  await page.waitForURL(`**${second}`);
});

test("pointing tells, wheel and buttons zoom, a click opens", async (t) => {
  const page = await openMap(t, base);
  const box = await page.locator('.mark[data-state="down"]').first().boundingBox();
  const at = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(...at);
  await page.waitForSelector(".tip:not([hidden])");
  assert.match(await page.innerText(".tip"), /Sự cố/);
  const scale = () => page.evaluate(() => Number(/scale\(([\d.]+)/.exec(document.querySelector(".world").getAttribute("transform"))[1]));
  const k = await scale();
  await page.mouse.wheel(0, -400);
  await page.waitForFunction((k) => Number(/scale\(([\d.]+)/.exec(document.querySelector(".world").getAttribute("transform"))[1]) > k * 1.2, k);
  await page.click(".zoom-buttons button:nth-child(3)");
  // the whole province again
  await page.waitForFunction((k) => Math.abs(Number(/scale\(([\d.]+)/.exec(document.querySelector(".world").getAttribute("transform"))[1]) - k) < 1e-6, k);
  for (let i = 0; i < 4; i++) await page.click(".zoom-buttons button:nth-child(1)");
  await page.waitForSelector(".label.site");
  await page.click(".zoom-buttons button:nth-child(3)");
  await page.mouse.click(...at);
  await page.waitForURL("**/sites/*");
});

test("areas come from a boundaries file where there is one", async (t) => {
  const page = await openMap(t, bounded);
  assert.equal(await page.locator('.area:not([data-site=""])').count(), 136);
  assert.ok((await page.locator(".border.district").getAttribute("d")).length > 100);
  assert.match((await page.locator(".area").first().getAttribute("d")).split("Z")[0], /^M[\d. -]+(L[\d. -]+){4}$/, "squares, as in the file");
});

test("thousands of sites are drawn on canvas, and the list is cut", async (t) => {
  const page = await openMap(t, many);
  assert.equal(await page.getAttribute(".map-canvas", "data-shapes"), "2720");
  assert.equal(await page.locator("#list .row").count(), 100);
  const drawn = await page.evaluate(() => {
    const c = document.querySelector(".map-canvas");
    const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
    let n = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i]) n++;
    return n / (data.length / 4);
  });
  assert.ok(drawn > 0.05, `only ${drawn} of the canvas is painted`);
  await page.click(".all");
  await page.waitForFunction(() => document.querySelectorAll("#list .row").length >= 300);
  await page.waitForFunction(() => {
    document.querySelector(".sentinel")?.scrollIntoView(); // it moves on with what is shown
    return document.querySelectorAll("#list .row").length >= 600;
  });
});

test("the site page tells checks, history and charts with their gap", async (t) => {
  const page = await open(t, `${base}/sites/s08707`);
  await page.waitForSelector("#charts[data-ready]");
  assert.equal(await page.innerText("h1"), "Tích Sơn");
  assert.equal(await page.locator("#layers .card").count(), 4);
  assert.equal(await page.locator("#checks tbody tr").count(), 6);
  assert.equal(await page.locator(".strip").count(), 5);
  assert.equal(await page.locator(".chart-card").count(), 6);
  assert.equal(await page.locator(".uplot canvas").count(), 3 * 3 + 3);
  const inks = await page.evaluate(() => {
    // Columns of the first chart's plot that hold the colour of the median line: none may be in the gap.
    const canvas = document.querySelector(".uplot canvas");
    const g = canvas.getContext("2d");
    const { width, height } = canvas;
    const line = getComputedStyle(document.documentElement).getPropertyValue("--line-1").trim();
    const [r, gr, b] = [1, 3, 5].map((i) => parseInt(line.slice(i, i + 2), 16));
    const { data } = g.getImageData(0, 0, width, height);
    return Array.from({ length: width }, (_, x) => {
      for (let y = 0; y < height; y++) {
        const i = (y * width + x) * 4;
        if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - gr) + Math.abs(data[i + 2] - b) < 30) return 1;
      }
      return 0;
    });
  });
  const first = inks.indexOf(1);
  const last = inks.lastIndexOf(1);
  let longest = 0;
  for (let x = first, run = 0; x <= last; x++) longest = Math.max(longest, (run = inks[x] ? 0 : run + 1));
  const share = longest / (last - first);
  assert.ok(share > 0.05 && share < 0.12, `the gap is ${share} of the width, of 0.08`);
  const rows = await page.locator(".chart-card").first().locator(".figures tbody tr").allTextContents();
  assert.ok(rows.length >= 6 && rows.some((r) => /\d,\d/.test(r)), "figures as a table, with decimal commas");
});

test("an outage of a minute is seen in a month, and told", async (t) => {
  const page = await open(t, `${base}/sites/s08707?range=30d`);
  await page.waitForSelector(".outages li");
  await page.waitForSelector("#charts[data-ready]"); // what is above the strips has its height
  await page.locator(".strip").first().scrollIntoViewIfNeeded();
  const seen = await page.evaluate(() => {
    // On the strip of the site as a whole: what a pointer meets in the middle of each short stay.
    const strip = document.querySelector(".strip");
    const around = strip.getBoundingClientRect();
    return [...strip.querySelectorAll("span")].filter((s) => ["down", "no_data", "degraded"].includes(s.dataset.state)).map((s) => {
      const box = s.getBoundingClientRect();
      const met = document.elementFromPoint(box.x + box.width / 2, box.y + 4);
      return { width: box.width, met: met === s, inside: box.left >= around.left - 0.5 && box.right <= around.right + 0.5 };
    });
  });
  assert.ok(seen.length >= 2 && seen.every((s) => s.width >= 3 && s.met && s.inside), JSON.stringify(seen));
  assert.match(await page.locator(".outages li").first().innerText(), /Không có dữ liệu.*đang diễn ra.*1 phút/s);
});

test("a chart zooms to what is dragged, with finer steps, and back", async (t) => {
  const page = await open(t, `${base}/sites/s08707?range=24h`);
  await page.waitForSelector("#charts[data-ready]");
  const steps = [];
  page.on("request", (r) => r.url().includes("/series") && steps.push(parseInt(new URL(r.url()).searchParams.get("step"))));
  await page.locator(".u-over").first().scrollIntoViewIfNeeded();
  const box = await page.locator(".u-over").first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.2, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 22, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/from=\d+&to=\d+/);
  await page.waitForFunction(() => !document.querySelector("#charts[aria-busy]"));
  assert.ok(steps.length > 0 && Math.max(...steps) < 300, `steps of ${steps}`);
  await page.click("#reset");
  await page.waitForURL((u) => !u.search.includes("from="));
  await page.click('[data-range="7d"]');
  await page.waitForURL(/range=7d/);
});

test("charts reach back five years, in both languages, and say what they are made of", async (t) => {
  for (const [lang, year, made, long] of [["vi", "1 năm", /tổng hợp ngày/, /tối đa 31 ngày/], ["en", "1 year", /daily figures/, /at most 31 days/]]) {
    const page = await open(t, `${base}/sites/s08707?range=24h&lang=${lang}`);
    await page.waitForSelector("#charts[data-ready]");
    const asked = [];
    page.on("request", (r) => r.url().includes("/series") && asked.push(new URL(r.url()).searchParams));
    await page.click(`#ranges >> text="${year}"`);
    await page.waitForURL(/range=1y/);
    await page.waitForFunction(() => document.querySelector(".chart-card[data-kind=icmp] .sub")?.textContent.match(/tổng hợp ngày|daily figures/));
    assert.match(await page.innerText(".chart-card[data-kind=icmp] .sub"), made);
    assert.match(await page.innerText("#history"), long);
    assert.ok(asked.length > 0 && asked.every((q) => q.get("step") === "172800s"), `steps of ${asked.map((q) => q.get("step"))}`);
    await page.click('[data-range="5y"]');
    await page.waitForURL(/range=5y/);
    await page.waitForFunction(() => !document.querySelector("#charts[aria-busy]"));
    assert.ok(asked.some((q) => q.get("step") === "604800s"), `steps of ${asked.map((q) => q.get("step"))}`);
    await page.click('[data-range="24h"]');
    await page.waitForSelector("#history .strip");
  }
});

test("the site page follows events", async (t) => {
  const page = await open(t, `${base}/sites/s08710`);
  await page.waitForSelector('#live[data-state="live"]');
  await set(page, "s08710", "degraded");
  await page.waitForSelector('#head[data-state="degraded"]');
  assert.match(await page.innerText("#layers"), /Suy giảm/);
  await set(page, "s08710", "ok");
  await page.waitForSelector('#head[data-state="ok"]');
});

test("both languages, remembered", async (t) => {
  const page = await openMap(t, base, { locale: "en-US" });
  assert.equal(await page.getAttribute("html", "lang"), "vi", "Vietnamese first, whatever the browser's own language");
  assert.match(await page.title(), /Bản đồ giám sát mạng/);
  await page.click("#lang");
  await page.waitForSelector('html[lang="en"]');
  await page.waitForSelector("#list .row");
  assert.match(await page.innerText("#counts"), /Down/);
  await page.goto(`${base}/sites/s08707`);
  assert.match(await page.innerText("main"), /Dedicated/);
});

for (const theme of ["light", "dark"]) {
  test(`no serious barrier, ${theme}`, async (t) => {
    const page = await openMap(t, base, { colorScheme: theme });
    await assertAccessible(page, `map, ${theme}`);
    await page.click('[data-key="Theo khu vực"]');
    await page.click(".group summary");
    await page.focus(".cursor");
    await assertAccessible(page, `map by district, ${theme}`);
    await page.goto(`${base}/sites/s08938?lang=en`);
    await page.waitForSelector("#charts[data-ready]");
    await assertAccessible(page, `site, ${theme}`);
  });
}

test("the theme can be chosen against the system's", async (t) => {
  const page = await openMap(t, base, { colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.click('[data-theme-choice="dark"]');
  assert.notEqual(await ground(), light);
  await page.reload();
  assert.notEqual(await ground(), light, "remembered");
});

test("a phone scrolls down, never sideways", async (t) => {
  for (const path of ["/", "/sites/s08938", "/sites/nowhere"]) {
    const page = await open(t, base + path, { width: 390, height: 844, hasTouch: true, isMobile: true });
    page.expected = ["404"];
    await page.waitForLoadState("load");
    if (path === "/") await page.waitForSelector("#map[data-shapes]");
    if (path === "/sites/s08938") await page.waitForSelector("#charts[data-ready]");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, path);
  }
});

test("a finger's first tap tells, its second opens", async (t) => {
  const page = await openMap(t, base, { width: 390, height: 844, hasTouch: true, isMobile: true });
  const box = await page.locator('.mark[data-state="down"]').first().boundingBox();
  const at = [box.x + box.width / 2, box.y + box.height / 2];
  await page.touchscreen.tap(...at);
  await page.waitForSelector(".tip:not([hidden])");
  assert.ok(!page.url().includes("/sites/"));
  await page.touchscreen.tap(...at);
  await page.waitForURL("**/sites/*");
});

test("paper has the map, and says whose it is", async (t) => {
  const page = await openMap(t, base);
  await page.emulateMedia({ media: "print" });
  await page.setViewportSize({ width: 1047, height: 718 }); // A4 landscape within its margins
  const map = await page.locator("#map").boundingBox();
  assert.ok(map.height > 500 && map.y + map.height < 718, JSON.stringify(map));
  assert.ok(await page.isVisible(".brand-place"));
});

test("the wallboard shows what is wrong without controls", async (t) => {
  const page = await openMap(t, `${base}/?wall=1`, { width: 1920, height: 1080 });
  await page.waitForSelector(".wall-clock:not(:empty)");
  assert.ok(await page.isHidden("#search"));
  assert.ok((await page.locator("#list .row").count()) >= 5);
  assert.equal(await page.evaluate(() => document.documentElement.scrollHeight), 1080);
  const way = page.locator(".tool-wall");
  assert.equal(await way.evaluate((e) => getComputedStyle(e).opacity), "0");
  await page.mouse.move(400, 400);
  await page.waitForFunction(() => getComputedStyle(document.querySelector(".tool-wall")).opacity === "1");
  await page.keyboard.press("Escape");
  await page.waitForURL((u) => !u.search.includes("wall"));
});

test("without scripts the words are there", async (t) => {
  const page = await open(t, base, { javaScriptEnabled: false });
  assert.equal(await page.locator("table.rows tbody tr").count(), 136);
  assert.match(await page.innerText("table.rows tbody tr:first-child"), /Sự cố/);
  await page.fill("#q", "xuan hoa");
  await page.press("#q", "Enter");
  assert.equal(await page.locator("table.rows tbody tr").count(), 2);
});
