// Takes the pictures in docs/images from a running collector:
//
//	node pictures.mjs http://127.0.0.1:8787 ../../../docs/images SITE
//
// Look at them before they are committed.
import { chromium } from "playwright-core";

const [base, folder, site] = process.argv.slice(2);
const pictures = [
  { name: "map-vi", path: "/?lang=vi", width: 1366, height: 768, scheme: "light" },
  { name: "map-vi-dark", path: "/?lang=vi", width: 1366, height: 768, scheme: "dark" },
  { name: "map-en", path: "/?lang=en", width: 1366, height: 768, scheme: "light" },
  { name: "map-en-dark", path: "/?lang=en", width: 1366, height: 768, scheme: "dark" },
  { name: "map-vi-phone", path: "/?lang=vi", width: 390, height: 844, scheme: "light" },
  { name: "map-wall", path: "/?lang=vi&wall=1", width: 1920, height: 1080, scheme: "dark" },
  { name: "site-vi", path: `/sites/${site}?lang=vi`, width: 1366, height: 768, scheme: "light", whole: true },
  { name: "site-en-dark", path: `/sites/${site}?lang=en`, width: 1366, height: 768, scheme: "dark" },
  { name: "site-vi-phone", path: `/sites/${site}?lang=vi`, width: 390, height: 844, scheme: "light" },
  { name: "rehearsals-vi", path: "/rehearsals?lang=vi", width: 1366, height: 768, scheme: "light" },
  { name: "rehearsal-vi", path: "/rehearsals?lang=vi", newest: true, width: 1366, height: 768, scheme: "light" },
  { name: "rehearsal-en-dark", path: "/rehearsals?lang=en", newest: true, width: 1366, height: 768, scheme: "dark" },
  { name: "rehearsal-vi-phone", path: "/rehearsals?lang=vi", newest: true, width: 390, height: 844, scheme: "light" },
  { name: "rehearsal-plan-vi", path: "/rehearsals/new?lang=vi&meeting=Giao+ban+tr%E1%BB%B1c+tuy%E1%BA%BFn&profile=720p", width: 1366, height: 768, scheme: "light", whole: true },
  { name: "report-vi", path: "/reports?lang=vi&hours=all", width: 1366, height: 768, scheme: "light", paper: "report" },
  { name: "report-en-dark", path: "/reports?lang=en&hours=all", width: 1366, height: 768, scheme: "dark" },
  { name: "report-vi-phone", path: "/reports?lang=vi&hours=all", width: 390, height: 844, scheme: "light" },
  { name: "report-site-vi", path: `/reports/sites/${site}?lang=vi&hours=all`, width: 1366, height: 768, scheme: "light" },
  { name: "equipment-vi", path: "/inventory?lang=vi", width: 1366, height: 768, scheme: "light" },
  { name: "equipment-vi-phone", path: "/inventory?lang=vi", width: 390, height: 844, scheme: "light" },
  { name: "device-vi", path: "/inventory?lang=vi&standing=outdated", first: true, width: 1366, height: 768, scheme: "light", whole: true },
  { name: "equipment-summary-en-dark", path: "/inventory/summary?lang=en", width: 1366, height: 768, scheme: "dark" },
  { name: "replacements-vi", path: "/inventory/replace?lang=vi", width: 1366, height: 768, scheme: "light" },
];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
for (const p of pictures) {
  const context = await browser.newContext({ viewport: { width: p.width, height: p.height }, colorScheme: p.scheme });
  const page = await context.newPage();
  await page.goto(base + p.path, { waitUntil: "load" });
  if (p.first) await page.locator(".devices tbody th a").first().click(); // the page of the first device
  if (p.newest) {
    const newest = page.locator(".reh-list tbody th a").first();
    if (!(await newest.count())) {
      console.log(`no rehearsal was held: ${p.name} is left out`);
      await context.close();
      continue;
    }
    await newest.click(); // the page of the newest rehearsal
  }
  await page.waitForTimeout(3000); // charts and the first live events
  await page.screenshot({ path: `${folder}/${p.name}.png`, fullPage: p.whole ?? false });
  if (p.paper) await page.pdf({ path: `${folder}/${p.paper}.pdf`, preferCSSPageSize: true, pageRanges: "1-3" }); // as it is printed
  await context.close();
  console.log(`${folder}/${p.name}.png`);
}
await browser.close();
