// Agents come with codes from the screen, wait for approval, are asked to check, and are thrown out. Their machines, their
// devices and their sites have names that hope to be pages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { alertOf, base, done, evil, machine, open } from "./town.mjs";

/** Makes codes with the form that is open, and returns the sheet's codes by site; the sheet as shown goes to look. */
async function codes(page, look = async () => {}) {
  const faults = [];
  const hear = (m) => m.type() === "error" && faults.push(m.text());
  page.context().on("console", hear);
  const [sheet] = await Promise.all([page.context().waitForEvent("page"), page.click(".fleet-form > button")]);
  try {
    await sheet.waitForLoadState();
    const list = await sheet.$$eval("article", (all) => all.map((a) => [a.querySelector("h2 small").textContent, [...a.querySelectorAll(".code span")].map((s) => s.textContent).join("-")]));
    await look(sheet);
    assert.deepEqual(faults, []);
    return Object.fromEntries(list);
  } finally {
    page.context().off("console", hear);
    await sheet.close();
  }
}

const join = (page, site) => page.goto(`${base}/fleet/join${site ? `?site=${site}` : ""}`);

test("an operator makes a code for a site; a machine joins with it and reports", async (t) => {
  const page = await open(t, "/fleet/join?site=s1", { as: "minh" });
  assert.deepEqual(await page.$$eval('[name="site"] option:checked', (all) => all.map((o) => o.value)), ["s1"], "the site that led here is chosen");
  await page.fill('[name="agent"]', "pc-1");
  await page.fill('[name="note"]', "phòng một cửa");
  const { s1: code } = await codes(page, async (sheet) => {
    assert.match(await sheet.innerText("body"), /Tích Sơn \(Vĩnh Yên\)[^]*pc-1[^]*phòng một cửa/);
    assert.match(await sheet.innerText("header"), /https:\/\/giamsat\.example\.gov\.vn:8787/);
  });
  assert.equal(await machine("join", { code, agent: "pc-1", host: "MOTCUA-01" }), "active");
  assert.equal(await machine("measure", { agent: "pc-1", model: evil.device }), "active");
  assert.match(await machine("join", { code, agent: "pc-1", host: "KHAC" }), /^refused: .*code_used/);
  await page.goto(`${base}/fleet`);
  const row = page.locator(".fleet-table tbody tr", { hasText: "s1 / pc-1" });
  assert.match(await row.innerText(), /Tích Sơn[^]*Đang kết nối[^]*1\.2\.0[^]*MOTCUA-01/);
  await join(page);
  assert.match(await page.locator("tbody tr", { hasText: "s1" }).innerText(), /Đã dùng[^]*minh[^]*phòng một cửa/);
});

test("the sheet for many is one block each, and prints", async (t) => {
  const page = await open(t, "/fleet/join", { as: "lan" });
  await page.check('[name="of"][value="all"]');
  const list = await codes(page, async (sheet) => {
    assert.equal(await sheet.locator("article").count(), 4);
    assert.ok((await sheet.innerText("body")).includes(evil.site), "a name is a text");
    assert.equal(await sheet.locator("script, img").count(), 0);
    assert.equal(await sheet.$eval("article", (a) => getComputedStyle(a).breakInside), "avoid");
    const pdf = (await sheet.pdf({ preferCSSPageSize: true })).toString("latin1");
    assert.ok(pdf.match(/\/Type\s*\/Page\b/g).length <= 4, "no more pages than codes");
  });
  assert.equal(new Set(Object.values(list)).size, 4);
  assert.equal(await machine("join", { code: list.s3, agent: "pc-3", host: "SONGLO-01" }), "active");
  assert.equal(await machine("measure", { agent: "pc-3", model: "OptiPlex Sông Lô" }), "active");
  await join(page);
  const open4 = page.locator("tbody tr", { hasText: "s4" });
  const id = await open4.locator('[name="id"]').getAttribute("value");
  await open4.locator("button").click();
  assert.match(await done(page), /Đã hủy mã/);
  assert.match(await page.locator("tbody tr", { hasText: id }).innerText(), /Đã hủy/);
  assert.match(await machine("join", { code: list.s4, agent: "pc-4", host: "X" }), /^refused: .*code_unknown/);
});

test("a machine that has to be approved waits, is looked at and let in", async (t) => {
  const page = await open(t, "/fleet/join?site=s2", { as: "yen" });
  await page.check('[name="approve"]');
  const { s2: code } = await codes(page, async (sheet) => assert.match(await sheet.innerText("article"), /gọi về trung tâm để được duyệt/));
  assert.equal(await machine("join", { code, agent: "pc-2", host: evil.machine }), "pending");
  await page.goto(`${base}/fleet?show=pending`);
  assert.equal(await page.locator(".fleet-table tbody tr").count(), 1);
  await page.click(".fleet-table tbody th a");
  assert.ok((await page.innerText(".fleet-facts")).includes(evil.machine), "what the machine calls itself is there as a text");
  assert.equal(await machine("again", { agent: "pc-2" }), "pending");
  await page.click('form[action$="/approve"] button');
  assert.match(await done(page), /Đã duyệt/);
  assert.equal(await machine("again", { agent: "pc-2" }), "active");
  assert.equal(await machine("measure", { agent: "pc-2", model: "OptiPlex" }), "active");
});

test("a machine that nobody knows is turned away", async (t) => {
  const page = await open(t, "/fleet/join?site=s4", { as: "lan" });
  await page.check('[name="approve"]');
  const { s4: code } = await codes(page);
  assert.equal(await machine("join", { code, agent: "pc-5", host: "LA" }), "pending");
  await page.goto(`${base}/fleet/agents/s4/pc-5`);
  await page.click(".fleet-danger summary");
  await page.fill('[name="why"]', "không ai biết máy này");
  await page.check('[name="sure"]');
  await page.click(".fleet-danger button");
  assert.match(await done(page).catch(() => alertOf(page)), /Đã từ chối|Không có máy đo này/);
  assert.match(await machine("again", { agent: "pc-5" }), /^refused: .*rejected/);
});

test("checks are run now, and the answer is on the page within two seconds", async (t) => {
  const page = await open(t, "/fleet/agents/s1/pc-1", { as: "minh" });
  await page.check('[name="check"][value="router"]');
  await page.check('[name="check"][value="anchor"]');
  const began = Date.now();
  await page.click('form[action$="/check"] button');
  await page.waitForSelector('tbody tr:nth-child(2) .state[data-state="ok"]');
  assert.ok(Date.now() - began < 5000, "two seconds, and what a busy machine adds");
  assert.match(await page.innerText('main [role="status"]'), /Xong/);
  assert.match(await page.innerText("tbody"), /anchor[^]*12\sms[^]*router[^]*12\sms/);
});

test("a site's own page has its checks run, and shows what came of it", async (t) => {
  const page = await open(t, "/sites/s1", { as: "yen", javaScriptEnabled: false });
  await page.click('#checks button[name="check"][value="pc-1/router"]');
  await page.waitForSelector('.ran-table .state[data-state="ok"]');
  assert.equal(new URL(page.url()).pathname, "/sites/s1");
  assert.match(await page.innerText(".ran"), /Xong/);
  await page.goto(`${base}/sites/s1`);
  await page.click('#checks button[name="all"]');
  await page.locator('.ran-table .state[data-state="ok"]').nth(1).waitFor();
});

test("a stolen machine is thrown out at once", async (t) => {
  const page = await open(t, "/fleet/join?site=s4", { as: "lan" });
  const { s4: code } = await codes(page);
  assert.equal(await machine("join", { code, agent: "pc-4", host: "MAT-CAP" }), "active");
  assert.equal(await machine("measure", { agent: "pc-4", model: "Latitude" }), "active");
  await page.goto(`${base}/fleet/agents/s4/pc-4`);
  await page.click(".fleet-danger summary");
  await page.fill('[name="why"]', "mất cắp");
  await page.check('[name="sure"]');
  await page.click(".fleet-danger button");
  assert.match(await done(page), /Đã thu hồi/);
  assert.match(await machine("measure", { agent: "pc-4", model: "Latitude" }), /^refused: 401/);
  assert.match(await page.innerText(".fleet-card"), /Đã thu hồi[^]*lan thu hồi[^]*mất cắp/);
  await page.goto(`${base}/fleet?show=revoked`);
  assert.match(await page.innerText(".fleet-table tbody"), /s4 \/ pc-4/);
});

test("names are texts on every page that has them", async (t) => {
  const page = await open(t, "/", { as: "lan" });
  const inert = async (what, ...texts) => {
    const found = await page.evaluate(() => ({
      images: document.querySelectorAll('img[src="x"]').length,
      scripts: [...document.scripts].filter((s) => s.textContent.includes("alert(")).length,
      texts: document.documentElement.innerText,
      values: [...document.querySelectorAll("input, textarea, option, [title], [aria-label]")].map((e) => e.value ?? e.title ?? e.ariaLabel).join("\n"),
    }));
    assert.equal(found.images + found.scripts, 0, `${what}: a name has become a part of the page`);
    for (const text of texts) assert.ok(found.texts.includes(text) || found.values.includes(text), `${what} does not show ${text}`);
  };
  await page.waitForSelector('#live[data-state="live"]');
  await page.waitForSelector("#list .row");
  await inert("the map", evil.site, evil.elsewhere);
  for (const site of ["s2", "s4"]) {
    const box = await page.locator(`.area[data-site="${site}"]`).boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.waitForFunction((name) => document.querySelector(".tip")?.textContent.includes(name), site === "s2" ? evil.site : evil.elsewhere);
    await inert("the map's tip");
  }
  await page.click('[data-key="Theo khu vực"]');
  await page.waitForSelector(".group");
  await inert("the map's groups");
  for (const [path, ...texts] of [
    ["/sites/s2", evil.site],
    ["/sites/s4", evil.elsewhere],
    ["/sites/s1", evil.device],
    ["/inventory", evil.device, evil.site],
    ["/inventory/summary"],
    ["/inventory/replace"],
    ["/reports", evil.site],
    ["/reports/sites/s2", evil.site],
    ["/rehearsals/new?meeting=%3Cscript%3Ealert(1)%3C/script%3E&profile=low", "<script>alert(1)</script>"],
    ["/fleet", evil.site, evil.machine],
    ["/fleet?q=%3Cscript%3Ealert(1)%3C/script%3E", "<script>alert(1)</script>"],
    ["/fleet/agents/s2/pc-2", evil.site, evil.machine],
    ["/fleet/join", evil.site, evil.elsewhere],
    ["/fleet/audit?who=%3Cscript%3Ealert(1)%3C/script%3E", "<script>alert(1)</script>"],
    ["/fleet/audit"],
  ]) {
    await page.goto(base + path, { waitUntil: "load" });
    await inert(path, ...texts);
  }
  await page.goto(`${base}/inventory`);
  await page.click(`.devices tbody th a:has-text("alert")`);
  await inert("the device's page", evil.device);
});
