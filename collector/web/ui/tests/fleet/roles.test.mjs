// Each role finds exactly what it may see and do: every page by the navigation, every form on it, and a refusal where
// somebody asks for the rest by its address. The tables below are docs/people.md in terms of pages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { acts, ask, base, everybody, evil, open, passwordOf, people, signIn } from "./town.mjs";

const operators = ["minh", "yen", "lan"];
const stock = ["minh", "hoa", "yen", "lan"];
const lan = ["lan"];

/** Where the navigation leads, for whom, and which forms are there that change something, for whom. */
const pages = {
  "/": { who: everybody },
  "/sites/s1": { who: everybody, acts: { "/sites/s1/check": operators } },
  "/rehearsals": { who: everybody },
  "/reports": { who: everybody },
  "/inventory": { who: stock },
  "/account": { who: everybody, acts: { "/account": everybody, "/account end-others": everybody } },
  "/fleet": { who: operators },
  "/fleet/agents/s1/pc-1": {
    who: operators,
    acts: { "/fleet/agents/s1/pc-1/check": operators, "/fleet/agents/s1/pc-1/revoke": lan },
  },
  "/fleet/join": { who: operators, acts: { "/fleet/codes": operators, "/fleet/codes/cancel": operators } },
  "/fleet/work": {
    who: operators,
    acts: { "/fleet/work/preview": lan, "/fleet/work/secrets": lan, "/fleet/work/secrets remove": lan, "/fleet/work/rollback": lan },
  },
  "/fleet/work/versions/2": { who: operators },
  "/fleet/releases": { who: operators },
  "/fleet/people": {
    who: lan,
    acts: Object.fromEntries(["add", "set", "link", "disable", "key"].map((what) => [`/fleet/people ${what}`, lan])),
  },
  "/fleet/audit": { who: lan },
};

const of = (table, name) => Object.keys(table).filter((key) => (table[key].who ?? table[key]).includes(name));

for (const name of everybody) {
  test(`${people[name].role}${people[name].district ? " of one district" : ""}: the navigation leads to what there is, and to nothing else`, async (t) => {
    const page = await open(t, "/sign-in", {});
    await signIn(page, name, passwordOf(name));
    assert.equal(page.url(), `${base}/`);
    assert.equal(await page.innerText("#me summary"), people[name].display);
    const links = async (selector) => page.$$eval(`${selector} a`, (all) => all.map((a) => a.getAttribute("href")));
    const places = await links(".places");
    assert.deepEqual(places, ["/", "/rehearsals", "/reports", "/inventory", "/fleet"].filter((p) => pages[p].who.includes(name)));
    const seen = { "/": await acts(page) }; // by the navigation alone, with what can be done there
    for (const place of places) {
      await page.click(`.places a[href="${place}"]`);
      await page.waitForURL((u) => u.pathname === place, { waitUntil: "domcontentloaded" });
      assert.ok(await page.isVisible("main"), place);
      seen[place] = await acts(page);
      if (place !== "/fleet") continue;
      const tabs = await links(".tabs");
      assert.deepEqual(tabs, ["/fleet", "/fleet/join", "/fleet/work", "/fleet/releases", "/fleet/people", "/fleet/audit"].filter((p) => pages[p].who.includes(name)));
      for (const tab of tabs) {
        await page.click(`.tabs a[href="${tab}"]`);
        await page.waitForURL((u) => u.pathname === tab, { waitUntil: "domcontentloaded" });
        assert.equal(await page.getAttribute('.tabs [aria-current="page"]', "href"), tab);
        assert.ok(await page.isVisible("main h1"), tab);
        seen[tab] = await acts(page);
        if (tab === "/fleet/work") {
          const plan = page.locator('.fleet-editor [name="plan"]'); // names the sites of all districts
          assert.equal(await plan.count(), people[name].district ? 0 : 1);
          if (!people[name].district) assert.equal(await plan.isEditable(), name === "lan");
        }
        if (tab === "/fleet/join") assert.equal(await page.locator('[name="replace"]').count(), name === "lan" ? 1 : 0, "having a machine replaced is throwing one out");
      }
    }
    page.expected = ["403"];
    for (const path of Object.keys(pages)) {
      if (!seen[path]) {
        const answer = await page.goto(base + path, { waitUntil: "domcontentloaded" });
        assert.equal(answer.status(), pages[path].who.includes(name) ? 200 : 403, path);
        if (answer.status() === 403) {
          assert.match(await page.innerText("body"), /không được phép làm việc này[^]*may not do this/, path);
          continue;
        }
        seen[path] = await acts(page);
      }
      assert.deepEqual(seen[path], of(pages[path].acts ?? {}, name).sort(), `what ${name} can do on ${path}`);
    }
    await page.goto(`${base}/`);
    await page.click("#me summary");
    await page.click('form[action="/sign-out"] button');
    assert.equal(page.url(), `${base}/sign-in`);
    await page.goto(`${base}/fleet`);
    assert.match(page.url(), /\/sign-in\?next=/);
  });
}

/** What can be asked for by its address: a request that changes nothing, who may ask for it, and what they are told. */
const requests = [
  ["GET", "/api/v1/sites", {}, everybody, 200],
  ["GET", "/api/v1/inventory/devices", {}, stock, 200],
  ["GET", "/inventory.csv", {}, stock, 200],
  ["GET", "/rehearsals/new", {}, ["xem", "minh", "hoa", "lan"], 200],
  ["GET", "/fleet/agents.csv", {}, operators, 200],
  ["GET", "/fleet/agents.xlsx", {}, operators, 200],
  ["GET", "/fleet/audit/record.csv", {}, lan, 200],
  ["GET", "/fleet/audit/record.json", {}, lan, 200],
  ["POST", "/rehearsals", { meeting: "" }, ["minh", "lan"], 422],
  ["POST", "/rehearsals/x/stop", {}, ["minh", "lan"], 404],
  ["POST", "/sites/khong-co/check", { check: "pc-1/router" }, operators, 404],
  ["POST", "/fleet/codes", { of: "sites" }, operators, 422],
  ["POST", "/fleet/codes/cancel", { id: "khong-co" }, operators, 404],
  ["POST", "/fleet/agents/s1/khong-co/approve", {}, operators, 404],
  ["POST", "/fleet/agents/s1/khong-co/check", { check: "router" }, operators, 404],
  ["POST", "/fleet/agents/s1/khong-co/revoke", { why: "x", sure: "1" }, lan, 404],
  ["POST", "/fleet/agents/s1/khong-co/cleared", {}, lan, 404],
  ["POST", "/fleet/work/preview", { plan: "x: [", base: "4" }, lan, 200], // with what is wrong with it
  ["POST", "/fleet/work/apply", { plan: "x: [", base: "4" }, lan, 422],
  ["POST", "/fleet/work/rollback", { id: "999", sure: "1" }, lan, 404],
  ["POST", "/fleet/work/secrets", { do: "remove", name: "khong-co" }, lan, 404],
  ["POST", "/fleet/releases", { do: "pause" }, lan, 422],
  ["POST", "/fleet/people", { do: "disable", name: "khong-co" }, lan, 404],
  ["POST", "/fleet/people", { do: "link", name: "lan" }, lan, null], // an administrator's own link: not made here
  ["POST", "/khong-co", {}, lan, 404],
];

test("what is not offered is refused to who asks for it by its address", async (t) => {
  for (const name of everybody) {
    await t.test(name, async (t) => {
      const page = await open(t, "/account", { as: name });
      page.expected = ["Failed to load resource"];
      for (const [method, path, form, who, told] of requests) {
        if (!who.includes(name)) assert.equal(await ask(page, method, path, form), 403, `${method} ${path}`);
        else if (told) assert.equal(await ask(page, method, path, form), told, `${method} ${path}`);
      }
    });
  }
  const page = await open(t, "/fleet/audit", { as: "lan" });
  for (const name of ["xem", "minh"]) // the record takes only so much in a minute of what was refused
    assert.ok((await page.locator("tbody tr", { has: page.locator("th", { hasText: name }) }).filter({ hasText: "POST /fleet/people" }).count()) > 0, `what ${name} tried is on the record`);
});

test("who sees one district finds nothing of the others anywhere", async (t) => {
  const page = await open(t, "/", { as: "yen" });
  page.expected = ["404", "422"];
  await page.waitForSelector("#map[data-shapes]");
  await page.waitForSelector("#list .row");
  assert.deepEqual(await page.$$eval(".area", (all) => all.map((a) => a.dataset.site).sort()), ["s1", "s2"]);
  const hidden = ["Sông Lô", evil.elsewhere, "Lập Thạch", "SONGLO-01", "pc-3"];
  for (const path of ["/", "/sites/s1", "/reports", "/reports/sites/s1", "/rehearsals", "/inventory", "/inventory/summary", "/inventory/replace", "/inventory.csv", "/reports.csv",
    "/fleet", "/fleet?show=revoked", "/fleet/agents.csv", "/fleet/join", "/fleet/work", "/fleet/work/versions/4", "/fleet/releases", "/api/v1/sites", "/api/v1/inventory/devices", "/api/v1/reports/sites"]) {
    const answer = await page.context().request.get(base + path);
    assert.ok([200, 404].includes(answer.status()), `${path}: ${answer.status()}`);
    const body = (await answer.text()).normalize("NFC");
    for (const name of hidden) assert.ok(!body.includes(name), `${path} tells of ${name}`);
  }
  for (const path of ["/sites/s3", "/sites/s4", "/reports/sites/s3", "/api/v1/sites/s3", "/fleet/agents/s3/pc-3", "/inventory/d2", "/api/v1/inventory/devices/d2"]) {
    const answer = await page.context().request.get(base + path);
    const body = await answer.text();
    assert.ok(answer.status() === 404 || !body.includes("Sông Lô"), `${path}: ${answer.status()}`);
  }
  await page.goto(`${base}/fleet/join?site=s3`);
  assert.deepEqual(await page.$$eval('[name="site"] option', (all) => all.map((o) => o.value).sort()), ["s1", "s2"]);
  assert.equal(await ask(page, "POST", "/fleet/codes", { of: "sites", site: "s3" }), 422);
  assert.equal(await ask(page, "POST", "/fleet/codes", { of: "district", district: "Lập Thạch" }), 422);
  assert.equal(await ask(page, "POST", "/fleet/agents/s3/pc-3/check", { check: "router" }), 404);
  assert.equal(await ask(page, "POST", "/fleet/agents/s3/pc-3/approve"), 404);
});

test("the record says who did what, and comes down as a file", async (t) => {
  const page = await open(t, "/fleet/audit", { as: "lan" });
  const record = await (await page.context().request.get(`${base}/fleet/audit/record.json`)).json();
  const has = (who, act, what = "") => record.some((e) => e.who === who && e.act === act && e.what.includes(what));
  for (const [who, act, what] of [
    ["lan", "person.add", "minh"],
    ["lan", "person.set", "khach"],
    ["minh", "code.create", "s1"],
    ["yen", "agent.approve", "s2/pc-2"],
    ["lan", "agent.revoke", "s4/pc-4"],
    ["hoa", "inventory.say", ""],
    ["lan", "work.apply", ""],
    ["lan", "work.rollback", ""],
    ["khach", "sign_in.failed", "khach"],
    ["minh", "sign_in", ""],
  ])
    assert.ok(has(who, act, what), `${who} ${act} ${what} is not among ${[...new Set(record.map((e) => `${e.who} ${e.act}`))].join(", ")}`);
  await page.fill('[name="who"]', "yen");
  await page.click(".fleet-inline button");
  assert.ok((await page.locator("tbody th").allInnerTexts()).every((text) => text.startsWith("yen")));
  const [download] = await Promise.all([page.waitForEvent("download"), page.click('.file[href*="record.csv"]')]);
  assert.match(download.suggestedFilename(), /^nhat-ky-\d{4}-\d\d-\d\d\.csv$/);
});
