// Bundles src/ into a script and a stylesheet for each page, the same bytes for the same sources and versions.
import { readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const MICROSCOPE = "../src/batchprop/microscope/static";
const REPORT = "../src/batchprop/report/static";
const PLAY = "../src/batchprop/playground/static";
// The fonts that our formulas reach; the rest of KaTeX's stay out of the file.
const FONTS = ["Main-Regular", "Math-Italic", "Size1-Regular", "Size2-Regular", "Size3-Regular", "Size4-Regular"];

const FONT_LICENCE = "The fonts KaTeX_* in the stylesheet are KaTeX's, under the SIL Open Font License 1.1 (https://openfontlicense.org).\n";

const katexFonts = {
  name: "katex-fonts",
  setup(bundle) {
    bundle.onLoad({ filter: /katex\.min\.css$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/@font-face\{[^}]*\}/g, keptFace),
      loader: "css",
    }));
  },
};

function keptFace(face) {
  const url = FONTS.map((font) => `fonts/KaTeX_${font}.woff2`).find((name) => face.includes(name));
  return url ? face.replace(/src:[^;}]*/, `src:url(${url}) format("woff2")`) : "";
}

/** The tokens as they are where no script sets a theme: dark follows the system, on a screen. */
const themeOfTheSystem = {
  name: "theme-of-the-system",
  setup(bundle) {
    bundle.onLoad({ filter: /base\.css$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/:root\[data-theme="dark"\] (\{[^}]*\})/, "@media screen and (prefers-color-scheme: dark) { :root $1 }"),
      loader: "css",
    }));
  },
};

/** Write the licences of what a page bundles beside it, and return the comment at the head of its files. */
async function licences(page, bundled, more = []) {
  const lock = JSON.parse(await readFile("package-lock.json", "utf8"));
  const named = (path) => `${path.replace("node_modules/", "")} ${lock.packages[path].version} (${lock.packages[path].license})`;
  const texts = await Promise.all(bundled.map(async (path) => `${named(path)}\n\n${(await readFile(`${path}/LICENSE`, "utf8")).trim()}\n`));
  await writeFile(`${page.out}.LICENSES.txt`, [...texts, ...more].join(`\n${"-".repeat(72)}\n\n`));
  const beside = `${page.out.split("/").at(-1)}.LICENSES.txt`;
  return [`/*! batchprop's ${page.name} (BSD-3-Clause). Bundled in, each under its own licence, in ${beside}:`, ...bundled.map((path) => ` * ${named(path)}`), " */"].join("\n");
}

/** The packages that files of a bundle come from, by name. */
function packagesOf(outcomes) {
  const inputs = outcomes.flatMap(({ metafile }) => Object.keys(metafile.inputs));
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

/** One page: first to learn what goes in, then with that at its head. */
async function bundle(page) {
  const script = { ...common, entryPoints: [page.script], outfile: `${page.out}.js`, format: "iife" };
  const styles = { ...common, entryPoints: [page.styles], outfile: `${page.out}.css`, plugins: [katexFonts] };
  const outcomes = await Promise.all([script, styles].map((options) => build({ ...options, write: false })));
  const head = await licences(page, packagesOf(outcomes), page.licences);
  await build({ ...script, banner: { js: head } });
  await build({ ...styles, banner: { css: head } });
}

await bundle({ name: "microscope", script: "src/main.ts", styles: "src/styles/main.css", out: `${MICROSCOPE}/microscope`, licences: [FONT_LICENCE] });
await bundle({ name: "playground", script: "src/play/main.ts", styles: "src/styles/play.css", out: `${PLAY}/playground` });
await build({ ...common, entryPoints: ["src/styles/report.css"], outfile: `${REPORT}/report.css`, plugins: [themeOfTheSystem] });
