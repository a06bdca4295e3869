// The plan of work: mistakes with their lines, what would change and cost, saving, overtaking, going back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { alertOf, base, done, open } from "./town.mjs";

const plan = (interval, address = "10.0.0.1") => `templates:
  co-ban:
    checks:
    - {name: anchor, kind: icmp, address: ${address}, path: dedicated, interval: ${interval}}
groups:
- {name: tat-ca, all: true, templates: [co-ban]}
`;

async function preview(page, text, note = "") {
  await page.goto(`${base}/fleet/work`);
  await page.fill('.fleet-editor [name="plan"]', text);
  await page.fill('form[action^="/fleet/work/preview"] [name="note"]', note);
  await page.click('form[action^="/fleet/work/preview"] button');
}

const shown = (page) => page.innerText("#preview");

test("a plan with mistakes is told line by line and can't be saved", async (t) => {
  const page = await open(t, "/fleet/work", { as: "lan" });
  page.expected = ["422"];
  assert.match(await page.innerText(".as-of"), /Chưa có kế hoạch/);
  await preview(page, plan("30s").replace("icmp", "icpm"));
  assert.match(await shown(page), /1 lỗi[^]*Dòng 4/);
  assert.equal(await page.locator('form[action="/fleet/work/apply"]').count(), 0);
  assert.match(await page.inputValue('.fleet-editor [name="plan"]'), /icpm/, "what was written stays");
  await preview(page, "templates: [");
  assert.match(await shown(page), /lỗi/);
});

test("what would change and what it costs is seen before it is saved", async (t) => {
  const page = await open(t, "/fleet/work", { as: "lan" });
  await preview(page, plan("30s"), "bản đầu");
  assert.match(await shown(page), /\d+ máy đo sẽ thay đổi/);
  assert.match(await shown(page), /Mức chiếm dụng đường truyền[^]*Tích Sơn[^]*(bit|kbit)\/s/);
  await page.click(".fleet-change summary");
  assert.match(await page.innerText(".fleet-change"), /\+ anchor icmp 10\.0\.0\.1/);
  assert.match(await page.locator('a[href^="/fleet/work/versions/"]').count().then(String), /^0$/, "nothing is saved by looking");
  await page.click('form[action="/fleet/work/apply"] button');
  assert.match(await done(page), /Đã áp dụng/);
  assert.match(await page.innerText(".as-of"), /Bản 1 của lan/);
  await preview(page, plan("10s"), "đo dày hơn");
  const cells = page.locator("#preview table tbody tr").first().locator("td");
  assert.notEqual(await cells.nth(1).innerText(), await cells.nth(2).innerText(), "what a line carries before and after differs");
  await page.click(".fleet-change summary");
  assert.match(await page.innerText(".fleet-change"), /30s → 10s/);
  await page.click('form[action="/fleet/work/apply"] button');
  assert.match(await page.innerText(".as-of"), /Bản 2 của lan/);
  assert.match(await page.locator("tbody tr", { hasText: "đo dày hơn" }).innerText(), /2[^]*đang dùng/);
});

test("who is overtaken is told so and overwrites nothing", async (t) => {
  const slow = await open(t, "/fleet/work", { as: "lan" });
  slow.expected = ["409"];
  await preview(slow, plan("1m"), "chậm tay");
  const fast = await open(t, "/fleet/work", { as: "lan" });
  await preview(fast, plan("20s"), "nhanh tay");
  await fast.click('form[action="/fleet/work/apply"] button');
  await slow.click('form[action="/fleet/work/apply"] button');
  assert.match(await alertOf(slow), /Có người vừa thay đổi kế hoạch/);
  assert.match(await slow.inputValue('.fleet-editor [name="plan"]'), /1m/, "what was written is not lost");
  assert.match(await slow.innerText(".as-of"), /Bản 3/);
});

test("a version is compared with the one before, and gone back to", async (t) => {
  const page = await open(t, "/fleet/work/versions/2", { as: "lan" });
  assert.match(await page.innerText('.fleet-diff [data-sign="-"]'), /interval: 30s/);
  assert.match(await page.innerText('.fleet-diff [data-sign="+"]'), /interval: 10s/);
  await page.goto(`${base}/fleet/work`);
  await page.click('form:has([name="id"][value="1"]) button');
  assert.match(await shown(page), /Nếu trở lại bản 1[^]*máy đo sẽ thay đổi/);
  assert.match(await page.innerText(".as-of"), /Bản 3/, "nothing has changed yet");
  await page.click("#preview form button");
  assert.match(await done(page), /Đã áp dụng/);
  assert.match(await page.innerText(".as-of"), /Bản 4/);
  assert.match(await page.inputValue('.fleet-editor [name="plan"]'), /interval: 30s/);
  assert.match(await page.locator("section:has(#versions-title) tbody").innerText(), /trở lại bản 1/);
});

test("secrets go in and never come out", async (t) => {
  const page = await open(t, "/fleet/work", { as: "lan" });
  const form = page.locator('form[action="/fleet/work/secrets"]').last();
  await form.locator('[name="name"]').fill("snmp-doc");
  await form.locator('[name="value"]').fill("bi-mat-cua-tinh");
  await form.locator("button").click();
  assert.match(await done(page), /Đã lưu/);
  assert.match(await page.innerText("section:has(#secrets-title) tbody"), /snmp-doc/);
  for (const path of ["/fleet/work", "/fleet/audit", "/fleet/audit/record.json"]) assert.ok(!(await (await page.context().request.get(base + path)).text()).includes("bi-mat-cua-tinh"), path);
});
