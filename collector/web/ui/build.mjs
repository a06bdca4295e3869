// Bundles the pages' scripts and styles into ../dist, which the Go server embeds. File names carry a hash of their
// content, so that browsers may keep them for ever; manifest.json tells the server which name is the present one.
import { build } from "esbuild";
import { mkdir, readdir, rm, stat, writeFile, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "..", "dist");

await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) {
  if (name !== ".gitkeep") await rm(join(dist, name));
}

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/map.ts", "src/site.ts", "src/rehearsal.ts", "src/report.ts", "src/status.ts", "style/app.css", "style/icon.svg"],
  entryNames: "[name]-[hash]",
  outdir: dist,
  bundle: true,
  minify: true,
  format: "iife",
  // The last browsers that run on Windows 7 and 8 count: those are the PCs that stand in the communes.
  target: ["chrome109", "firefox115", "safari15.6"],
  loader: { ".svg": "copy" },
  metafile: true,
  logLevel: "warning",
});

const manifest = {};
let total = 0;
for (const [path, output] of Object.entries(result.metafile.outputs)) {
  if (!output.entryPoint) continue;
  const file = basename(path);
  manifest[basename(output.entryPoint).replace(/\.ts$/, ".js")] = file;
  const zipped = gzipSync(await readFile(join(dist, file))).length;
  total += zipped;
  console.log(`${file.padEnd(24)} ${(await stat(join(dist, file))).size} B, gzip ${zipped} B`);
}
console.log(`total gzip ${total} B`);
await writeFile(join(dist, "manifest.json"), JSON.stringify(manifest, null, 1) + "\n");
