// Bundles src/ into one script and one stylesheet, the same bytes for the same sources and versions.
import { readFile } from "node:fs/promises";
import { build } from "esbuild";

const OUT = "../src/batchprop/view/static/microscope";
// The fonts that our formulas reach; the rest of KaTeX's stay out of the file.
const FONTS = ["Main-Regular", "Math-Italic", "Size1-Regular", "Size2-Regular", "Size3-Regular", "Size4-Regular"];

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

async function banner() {
  const lock = JSON.parse(await readFile("package-lock.json", "utf8"));
  const bundled = Object.entries(lock.packages).filter(([path, entry]) => path && !entry.dev && !entry.optional && !path.endsWith("/commander"));
  const lines = bundled.map(([path, entry]) => ` * ${path.replace("node_modules/", "")} ${entry.version} (${entry.license})`);
  return ["/*! batchprop's microscope (BSD-3-Clause). Bundled in, each under its own licence:", ...lines, " */"].join("\n");
}

const head = await banner();
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
