// What people know of a device is stated on its page by those who mind purchases, and by nobody else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible } from "../browser.mjs";
import { alertOf, ask, base, done, open, sideways, sizes } from "./town.mjs";

test("who minds purchases states what people know of a device, and takes it back", async (t) => {
  const page = await open(t, "/inventory", { as: "hoa" });
  page.expected = ["422"];
  await page.click('.devices tbody th a:has-text("Sông Lô")');
  const device = new URL(page.url()).pathname;
  await page.click(`a[href="${device}/state"]`);
  const state = async (value) => {
    await page.selectOption('[name="fact"]', "in_service");
    await page.fill('[name="value"]', value);
    await page.fill('[name="source"]', '<b onmouseover="alert(1)">Biên bản 12</b>');
    await page.click(".fleet-form > button");
  };
  await state("hôm qua");
  assert.ok((await alertOf(page)).length > 0);
  assert.equal(await page.inputValue('[name="value"]'), "hôm qua", "what was written stays");
  await state("01/07/2019");
  assert.match(await done(page), /Đã ghi nhận/);
  assert.match(await page.innerText(".grid tbody"), /01\/07\/2019[^]*<b onmouseover="alert\(1\)">Biên bản 12<\/b>[^]*Phạm Thị Hoa/);
  for (const size of Object.values(sizes)) {
    await page.setViewportSize(size);
    assert.ok((await sideways(page)) <= 0, "nothing sticks out sideways");
    await assertAccessible(page, "what is said of a device");
  }
  await page.goto(base + device);
  assert.match(await page.innerText(".legal-card"), /01\/07\/2019/);
  for (const name of ["xem", "minh", "yen"]) {
    const other = await open(t, name === "xem" ? "/account" : "/inventory", { as: name });
    other.expected = ["403", "404"];
    const answer = await other.goto(base + device);
    if (name === "minh") assert.equal(await other.locator(`a[href="${device}/state"]`).count(), 0, "what is refused is not offered");
    else assert.equal(answer.status(), name === "xem" ? 403 : 404);
    await other.goto(`${base}/account`);
    for (const method of ["GET", "POST"])
      assert.ok([403, 404].includes(await ask(other, method, `${device}/state`, { fact: "in_service", value: "2020-01-01", source: "x" })), `${name} ${method}`);
  }
  await page.goto(`${base}${device}/state`);
  await page.click(".grid tbody form button");
  assert.match(await done(page), /Đã rút lại/);
  assert.match(await page.innerText(".empty"), /Chưa ai ghi nhận gì/);
});
