// Every page of the fleet and of signing in: accessible, and as wide as its screen; both languages, light and dark, desk
// and phone. PICTURES=folder keeps a picture of each, to look at.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible } from "../browser.mjs";
import { base, open, sideways, sizes } from "./town.mjs";

const pictures = process.env.PICTURES;
const pages = ["/fleet", "/fleet/agents/s1/pc-1", "/fleet/agents/s4/pc-4", "/fleet/join", "/fleet/work", "/fleet/work/versions/2", "/fleet/releases", "/fleet/people", "/fleet/audit?act=work", "/account"];
const looks = [
  { lang: "vi", size: "desk", colorScheme: "light", axe: true },
  { lang: "vi", size: "phone", colorScheme: "dark" },
  { lang: "en", size: "desk", colorScheme: "light" },
  { lang: "en", size: "phone", colorScheme: "dark", axe: true },
];

async function look(page, path, name) {
  let lang;
  for (const l of looks) {
    await page.setViewportSize(sizes[l.size]);
    await page.emulateMedia({ colorScheme: l.colorScheme });
    if (l.lang !== lang) await page.goto(`${base}${path}${path.includes("?") ? "&" : "?"}lang=${l.lang}`);
    lang = l.lang;
    const what = `${path} ${l.lang} ${l.size} ${l.colorScheme}`;
    assert.equal(await page.getAttribute("html", "lang"), l.lang);
    if (pictures) await page.screenshot({ path: `${pictures}/${name}-${l.lang}-${l.size}-${l.colorScheme}.png`, fullPage: true });
    assert.ok((await sideways(page)) <= 0, `${what}: nothing sticks out sideways`);
    assert.ok(!/\b(fleet|signin|account|role)\.[a-z_]+\b/.test(await page.innerText("body")), `${what}: a text has no words`);
    if (l.axe) await assertAccessible(page, what);
  }
}

test("/sign-in", async (t) => look(await open(t, "/sign-in"), "/sign-in", "sign-in"));

for (const path of pages)
  test(path, async (t) => {
    const page = await open(t, "/account", { as: "lan" });
    await look(page, path, path.slice(1).replace(/[/?=]/g, "-"));
  });

test("a plan that is looked at", async (t) => {
  const page = await open(t, "/fleet/work", { as: "lan" });
  await page.fill('.fleet-editor [name="plan"]', (await page.inputValue('.fleet-editor [name="plan"]')).replace("30s", "5s"));
  await page.click('form[action^="/fleet/work/preview"] button');
  for (const size of Object.keys(sizes)) {
    await page.setViewportSize(sizes[size]);
    await page.click(".fleet-change summary");
    if (pictures) await page.screenshot({ path: `${pictures}/preview-${size}.png`, fullPage: true });
    assert.ok((await sideways(page)) <= 0, size);
    await assertAccessible(page, `preview ${size}`);
  }
});
