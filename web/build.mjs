// Bundles src/ into one script and one stylesheet, the same bytes for the same sources and versions.
import { readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const OUT = "../src/batchprop/view/static/microscope";
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

/** Write the licences beside the bundle, and return the comment at its head. */
async function licences() {
  const lock = JSON.parse(await readFile("package-lock.json", "utf8"));
  const bundled = Object.entries(lock.packages).filter(([path, entry]) => path && !entry.dev && !entry.optional && !path.endsWith("/commander"));
  const named = ([path, entry]) => `${path.replace("node_modules/", "")} ${entry.version} (${entry.license})`;
  const texts = await Promise.all(bundled.map(async (each) => `${named(each)}\n\n${(await readFile(`${each[0]}/LICENSE`, "utf8")).trim()}\n`));
  await writeFile(`${OUT}.LICENSES.txt`, [...texts, FONT_LICENCE].join(`\n${"-".repeat(72)}\n\n`));
  const lines = bundled.map((each) => ` * ${named(each)}`);
  return [`/*! batchprop's microscope (BSD-3-Clause). Bundled in, each under its own licence, in microscope.LICENSES.txt:`, ...lines, " */"].join("\n");
}

const head = await licences();
const common = {
  bundle: true,
  minify: true,
  legalComments: "none",
  charset: "utf8",
  target: ["es2022", "chrome110", "firefox115", "safari16.4"],
  loader: { ".woff2": "dataurl" },
  logLevel: "warning",
};
await build({ ...common, entryPoints: ["src/main.ts"], outfile: `${OUT}.js`, format: "iife", banner: { js: head } });
await build({ ...common, entryPoints: ["src/styles/main.css"], outfile: `${OUT}.css`, plugins: [katexFonts], banner: { css: head } });
await build({ ...common, entryPoints: ["src/styles/report.css"], outfile: `${OUT.replace("microscope", "report")}.css`, plugins: [themeOfTheSystem] });
