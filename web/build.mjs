// Bundles src/ into a script and a stylesheet per page; the same sources and versions give the same bytes.
import { readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const MICROSCOPE = "../src/batchprop/microscope/static";
const REPORT = "../src/batchprop/report/static";
const PLAY = "../src/batchprop/playground/static";
// The fonts that our formulas use; the other fonts of KaTeX would only enlarge the file.
const FONTS = ["Main-Regular", "Math-Italic", "Size1-Regular", "Size2-Regular", "Size3-Regular", "Size4-Regular"];

const FONT_LICENCE = "The fonts KaTeX_* in the stylesheet are KaTeX's, under the SIL Open Font License 1.1 (https://openfontlicense.org).\n";

const katexFonts = {
  name: "katex-fonts",
  setup(bundle) {
    bundle.onLoad({ filter: /katex\.min\.css$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/@font-face\{[^}]*\}/g, inlineFont),
      loader: "css",
    }));
  },
};

function inlineFont(face) {
  const url = FONTS.map((font) => `fonts/KaTeX_${font}.woff2`).find((name) => face.includes(name));
  return url ? face.replace(/src:[^;}]*/, `src:url(${url}) format("woff2")`) : "";
}

/** The report has no script to set a theme: its dark theme follows the system, on screens only. */
const systemTheme = {
  name: "system-theme",
  setup(bundle) {
    bundle.onLoad({ filter: /base\.css$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/:root\[data-theme="dark"\] (\{[^}]*\})/, "@media screen and (prefers-color-scheme: dark) { :root $1 }"),
      loader: "css",
    }));
  },
};

/** Write the licences of bundled packages beside a page, and return the comment for the head of its files. */
async function writeLicences(page, packages, more = []) {
  const lock = JSON.parse(await readFile("package-lock.json", "utf8"));
  const describe = (path) => `${path.replace("node_modules/", "")} ${lock.packages[path].version} (${lock.packages[path].license})`;
  const texts = await Promise.all(packages.map(async (path) => `${describe(path)}\n\n${(await readFile(`${path}/LICENSE`, "utf8")).trim()}\n`));
  await writeFile(`${page.out}.LICENSES.txt`, [...texts, ...more].join(`\n${"-".repeat(72)}\n\n`));
  const file = `${page.out.split("/").at(-1)}.LICENSES.txt`;
  return [`/*! batchprop's ${page.name} (BSD-3-Clause). Bundled in, each under its own licence, in ${file}:`, ...packages.map((path) => ` * ${describe(path)}`), " */"].join("\n");
}

/** The npm packages in a bundle, sorted. */
function findPackages(results) {
  const inputs = results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  return [...new Set(inputs.map((path) => path.match(/^node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]).filter(Boolean))].sort();
}

const common = {
  bundle: true,
  minify: true,
  metafile: true,
  legalComments: "none",
  charset: "utf8",
  target: ["es2022", "chrome110", "firefox115", "safari16.4"],
  loader: { ".woff2": "dataurl" },
  logLevel: "warning",
};

/** Build a page twice: first to find the packages in it, then with their licences at its head. */
async function bundle(page) {
  const script = { ...common, entryPoints: [page.script], outfile: `${page.out}.js`, format: "iife" };
  const styles = { ...common, entryPoints: [page.styles], outfile: `${page.out}.css`, plugins: [katexFonts] };
  const results = await Promise.all([script, styles].map((options) => build({ ...options, write: false })));
  const head = await writeLicences(page, findPackages(results), page.licences);
  await build({ ...script, banner: { js: head } });
  await build({ ...styles, banner: { css: head } });
}

async function bundleWorker(page) {
  const script = { ...common, entryPoints: [page.script], outfile: `${page.out}.js`, format: "iife", globalName: "playground" };
  const head = await writeLicences(page, findPackages([await build({ ...script, write: false })]));
  await build({ ...script, banner: { js: head } });
}

await bundle({ name: "microscope", script: "src/main.ts", styles: "src/styles/main.css", out: `${MICROSCOPE}/microscope`, licences: [FONT_LICENCE] });
await bundle({ name: "playground", script: "src/play/main.ts", styles: "src/styles/play.css", out: `${PLAY}/playground` });
await build({ ...common, entryPoints: ["src/widget.ts"], outfile: `${MICROSCOPE}/widget.js`, format: "esm" });
// A file of its own: the page starts it as a worker from its text, and the tests run it in Node as it is.
await bundleWorker({ name: "playground's worker", script: "src/play/worker.ts", out: `${PLAY}/worker` });
await build({ ...common, entryPoints: ["src/styles/report.css"], outfile: `${REPORT}/report.css`, plugins: [systemTheme] });
