// From an empty collector to a person of each role: links that work once, passwords, lock-out, limits, signing out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { alertOf, ask, base, choosePassword, done, first, open, passwordOf, people, remember, signIn } from "./town.mjs";

test("nobody sees anything before there is an account", async (t) => {
  const page = await open(t, "/");
  assert.equal(new URL(page.url()).pathname, "/sign-in");
  assert.equal(await page.locator(".places").count(), 0, "there is nothing to choose from");
  for (const path of ["/sites/s1", "/fleet", "/inventory", "/reports", "/rehearsals", "/account", "/fleet/people"]) {
    await page.goto(base + path);
    assert.equal(page.url(), `${base}/sign-in?next=${encodeURIComponent(path)}`);
  }
  page.expected = ["401"];
  assert.equal(await page.evaluate(async () => (await fetch("/api/v1/sites")).status), 401);
  assert.equal(await page.evaluate(async () => (await fetch("/fleet/codes", { method: "POST", body: new URLSearchParams({ of: "all" }) })).url), `${base}/sign-in?next=%2F`);
});

test("the first administrator's link makes one account, once", async (t) => {
  const page = await open(t, first);
  page.expected = ["422", "404"];
  assert.match(await page.innerText(".lead"), /tạo một tài khoản quản trị/);
  await page.fill('[name="name"]', "lan");
  await page.fill('[name="display"]', people.lan.display);
  await choosePassword(page, "1234567890");
  assert.match(await alertOf(page), /quá dễ đoán/);
  assert.equal(await page.inputValue('[name="name"]'), "lan", "what was typed stays");
  assert.equal(await page.inputValue('[name="new"]'), "", "but for the password");
  await choosePassword(page, passwordOf("lan"));
  assert.equal(page.url(), `${base}/`);
  assert.equal(await page.innerText("#me summary"), people.lan.display);
  await remember(page, "lan");
  const other = await open(t, first);
  other.expected = ["404"];
  assert.match(await other.innerText(".lead"), /đã được dùng/);
  assert.equal(await other.locator(".sign-form").count(), 0);
});

/** The form for a new person. */
async function add(page, name, { role, display, district }) {
  await page.goto(`${base}/fleet/people`);
  const form = page.locator("form", { has: page.locator('input[name="do"][value="add"]') });
  await form.locator('[name="name"]').fill(name);
  await form.locator('[name="display"]').fill(display);
  await form.locator('[name="role"]').selectOption(role);
  if (district) {
    await form.locator('[name="where"][value="some"]').check();
    await form.locator(`[name="district"][value="${district}"]`).check();
  }
  await form.locator("button").click();
  return new URL(await page.innerText(".fleet-secret code")).pathname;
}

test("an administrator adds a person of each role, who choose their own passwords", async (t) => {
  const page = await open(t, "/fleet/people", { as: "lan" });
  for (const [name, person] of Object.entries({ ...people, khach: { role: "viewer", display: "Khách" } })) {
    if (name === "lan") continue;
    const link = await add(page, name, person);
    await t.test(name, async (t) => {
      const theirs = await open(t, link);
      assert.match(await theirs.innerText(".lead"), new RegExp(`mật khẩu mới cho tài khoản ${name}`));
      await choosePassword(theirs, passwordOf(name));
      assert.equal(theirs.url(), `${base}/`);
      await remember(theirs, name);
    });
  }
  await page.goto(`${base}/fleet/people`);
  assert.equal(await page.locator(".fleet-secret").count(), 0, "a link is not shown again");
  assert.match(await page.locator("tr", { hasText: people.yen.display }).innerText(), /Vận hành[^]*Vĩnh Yên[^]*mật khẩu/);
});

test("what is wrong with a new person is said in words", async (t) => {
  const page = await open(t, "/fleet/people", { as: "lan" });
  page.expected = ["409", "422"];
  const say = async (fill) => {
    await page.goto(`${base}/fleet/people`);
    const form = page.locator("form", { has: page.locator('input[name="do"][value="add"]') });
    await fill(form);
    await form.locator("button").click();
    return alertOf(page);
  };
  assert.match(await say((f) => f.locator('[name="name"]').fill("minh")), /Đã có tài khoản tên này/);
  assert.match(
    await say(async (f) => {
      await f.locator('[name="name"]').fill("moi");
      await f.locator('[name="where"][value="some"]').check();
    }),
    /ít nhất một địa bàn/,
  );
});

test("a wrong password is told in words, and soon nothing more is looked at", async (t) => {
  const page = await open(t, "/sign-in?next=/reports");
  page.expected = ["401", "429"];
  await signIn(page, "khach", "khong phai");
  assert.match(await alertOf(page), /Tên đăng nhập hoặc mật khẩu không đúng/);
  assert.equal(await page.inputValue('[name="name"]'), "khach");
  assert.equal(await page.inputValue('[name="password"]'), "");
  await signIn(page, "khongcoai", "khong phai");
  assert.match(await alertOf(page), /Tên đăng nhập hoặc mật khẩu không đúng/, "whether there is such an account is not told");
  for (let i = 0; i < 5; i++) await signIn(page, "khach", `khong phai ${i}`);
  await signIn(page, "khach", passwordOf("khach"));
  assert.match(await alertOf(page), /Đã thử quá nhiều lần\. Hãy thử lại sau \d+/);
  await signIn(page, "minh", passwordOf("minh"));
  assert.equal(page.url(), `${base}/reports`, "others come in, and to where they wanted to go");
});

test("who is signed in sees where, changes their password and signs out", async (t) => {
  const page = await open(t, "/sign-in");
  page.expected = ["401"];
  await signIn(page, "hoa", passwordOf("hoa"));
  const cookies = await page.context().cookies();
  await page.click("#me summary");
  await page.click('#me a[href="/account"]');
  assert.match(await page.innerText(".sign-facts"), /hoa[^]*Phạm Thị Hoa[^]*Mua sắm, tài sản[^]*Toàn tỉnh/);
  assert.equal(await page.locator("section:has(#sessions) tbody tr").count(), 2, "here, and where the link was opened");
  await page.fill('[name="old"]', "khong phai");
  await choosePassword(page, "mot mat khau khac");
  assert.match(await alertOf(page), /Mật khẩu hiện tại không đúng/);
  await page.click("#me summary");
  await page.click('form[action="/sign-out"] button');
  assert.equal(page.url(), `${base}/sign-in`);
  await page.context().addCookies(cookies); // as whoever copied them
  await page.goto(`${base}/account`);
  assert.match(page.url(), /\/sign-in\?next=/, "the session has ended, not the cookie alone");
});

test("a form of another session or site changes nothing", async (t) => {
  const page = await open(t, "/fleet/people", { as: "lan" });
  page.expected = ["403"];
  assert.equal(await ask(page, "POST", "/fleet/people", { do: "disable", name: "khach", proof: "AAAA" }), 403);
  assert.equal(await ask(page, "POST", "/fleet/people", { do: "disable", name: "khach", proof: "" }), 403);
  const answer = await page.request.post(`${base}/fleet/people`, { form: { do: "disable", name: "khach" }, headers: { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" } });
  assert.equal(answer.status(), 403);
  await page.reload();
  assert.equal(await page.getByText("Đã khóa").count(), 0);
});

/** Opens the form of somebody in the list. */
async function change(page, name) {
  await page.goto(`${base}/fleet/people`);
  const row = page.locator("tbody tr", { has: page.locator(`input[name="name"][value="${name}"]`) });
  await row.locator("summary").click();
  return row;
}

test("a person is limited to a district, shut out and let in again, at once", async (t) => {
  const theirs = await open(t, "/", { as: "khach" });
  const seen = async () => (await theirs.evaluate(async () => (await fetch("/api/v1/sites")).json())).map((s) => s.id).sort();
  assert.deepEqual(await seen(), ["s1", "s2", "s3", "s4"]);
  const page = await open(t, "/fleet/people", { as: "lan" });
  page.expected = ["409"];
  let row = await change(page, "khach");
  await row.locator('[name="where"][value="some"]').check();
  await row.locator('[name="district"][value="Lập Thạch"]').check();
  await row.locator('button[value="set"]').click();
  assert.match(await done(page), /Đã lưu/);
  assert.deepEqual(await seen(), ["s3", "s4"]);
  row = await change(page, "khach");
  await row.locator('button[value="disable"]').click();
  assert.match(await page.locator("tr", { hasText: "khach" }).first().innerText(), /Đã khóa/);
  await theirs.goto(`${base}/`);
  assert.match(theirs.url(), /\/sign-in/);
  theirs.expected = ["401"];
  row = await change(page, "khach");
  await row.locator('button[value="enable"]').click();
  row = await change(page, "lan");
  await row.locator('button[value="disable"]').click();
  assert.match(await alertOf(page), /quản trị viên cuối cùng/);
});

test("a key is shown once, reads what its role may, and is worth nothing once revoked", async (t) => {
  const page = await open(t, "/fleet/people", { as: "lan" });
  const form = page.locator("form", { has: page.locator('input[name="do"][value="key"]') });
  await form.locator('[name="name"]').selectOption("minh");
  await form.locator('[name="role"]').selectOption("viewer");
  await form.locator("button").click();
  const key = await page.innerText(".fleet-secret code");
  const status = async (path) => (await page.context().request.get(base + path, { headers: { Authorization: `Bearer ${key}`, Cookie: "" } })).status();
  assert.equal(await status("/api/v1/sites"), 200);
  assert.equal(await status("/api/v1/inventory/devices"), 403, "a viewer's key of an operator");
  await page.goto(`${base}/fleet/people`);
  assert.ok(!(await page.content()).includes(key));
  await page.click('form:has(input[value="revoke_key"]) button');
  assert.match(await done(page), /Đã lưu/);
  assert.equal(await status("/api/v1/sites"), 401);
});
