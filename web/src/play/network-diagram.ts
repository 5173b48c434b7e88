/** The network as dots and lines: a column a layer, and how many units it has. */

import { h } from "../dom";
import { svg } from "./icons";
import type { Context } from "./state";

const [WIDTH, HEIGHT, TOP, NUMBERS] = [240, 98, 6, 22];
/** Units that are drawn of a layer; a gap in the middle stands for the others. */
const MOST = 6;

interface Column {
  x: number;
  ys: number[];
  gap: boolean;
}

export function createDiagram({ store }: Context): HTMLElement {
  const element = h("div", { class: "diagram" });
  store.on(["lesson"], () => {
    const sizes = store.get("lesson")?.data.sizes;
    if (sizes) element.replaceChildren(drawn(sizes));
  });
  return element;
}

function drawn(sizes: readonly number[]): SVGSVGElement {
  const columns = sizes.map((size, n) => columnOf(size, n, sizes.length));
  const edges = columns.slice(1).map((right, n) => svg("path", { d: between(columns[n]!, right), class: "edges" }));
  const units = columns.flatMap(({ x, ys }) => ys.map((y) => svg("circle", { cx: x, cy: y, r: 4, class: "unit" })));
  const gaps = columns.filter(({ gap }) => gap).map(({ x }) => text(x, middle + 3.5, "⋮"));
  const numbers = columns.map(({ x }, n) => text(x, HEIGHT - 5, String(sizes[n])));
  const title = svg("title", {});
  title.textContent = `The network: ${sizes.join(" – ")} units`;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title.textContent }, title, ...edges, ...units, ...gaps, ...numbers);
}

const middle = TOP + (HEIGHT - TOP - NUMBERS) / 2;

function columnOf(size: number, n: number, layers: number): Column {
  const x = 16 + (n * (WIDTH - 32)) / Math.max(1, layers - 1);
  const gap = size > MOST;
  const shown = gap ? MOST : size;
  const apart = Math.min(15, (HEIGHT - TOP - NUMBERS) / shown);
  const places = Array.from({ length: shown }, (_, k) => middle + (k - (shown - 1) / 2) * apart);
  // The two halves move apart to make room for the dots between them.
  return { x, gap, ys: gap ? places.map((y) => y + (y < middle ? -3.5 : 3.5)) : places };
}

const between = (left: Column, right: Column): string => left.ys.flatMap((y) => right.ys.map((other) => `M${left.x},${y}L${right.x},${other}`)).join("");

function text(x: number, y: number, words: string): SVGTextElement {
  const element = svg("text", { x, y, "text-anchor": "middle" });
  element.textContent = words;
  return element;
}
