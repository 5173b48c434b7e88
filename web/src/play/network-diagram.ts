/** The network as dots and lines: one column per layer, with its number of units. */

import { h } from "../dom";
import { svg } from "./icons";
import type { Context } from "./state";

const [WIDTH, HEIGHT, TOP, LABEL_HEIGHT] = [240, 98, 6, 22];
/** Units drawn per layer; a gap in the middle represents the others. */
const MAX_UNITS = 6;

interface Column {
  x: number;
  ys: number[];
  isTruncated: boolean;
}

export function createNetworkDiagram({ store }: Context): HTMLElement {
  const element = h("div", { class: "network-diagram" });
  store.on(["setup"], () => {
    const sizes = store.get("setup")?.data.layer_sizes;
    if (sizes) element.replaceChildren(drawNetwork(sizes));
  });
  return element;
}

function drawNetwork(sizes: readonly number[]): SVGSVGElement {
  const columns = sizes.map((size, n) => layoutColumn(size, n, sizes.length));
  const edges = columns.slice(1).map((right, n) => svg("path", { d: connect(columns[n]!, right), class: "edges" }));
  const units = columns.flatMap(({ x, ys }) => ys.map((y) => svg("circle", { cx: x, cy: y, r: 4, class: "unit" })));
  const gaps = columns.filter(({ isTruncated }) => isTruncated).map(({ x }) => createText(x, middle + 3.5, "⋮"));
  const numbers = columns.map(({ x }, n) => createText(x, HEIGHT - 5, String(sizes[n])));
  const title = svg("title", {});
  title.textContent = `Network with ${sizes.join("–")} units`;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title.textContent }, title, ...edges, ...units, ...gaps, ...numbers);
}

const middle = TOP + (HEIGHT - TOP - LABEL_HEIGHT) / 2;

function layoutColumn(size: number, n: number, layers: number): Column {
  const x = 16 + (n * (WIDTH - 32)) / Math.max(1, layers - 1);
  const isTruncated = size > MAX_UNITS;
  const nVisible = isTruncated ? MAX_UNITS : size;
  const spacing = Math.min(15, (HEIGHT - TOP - LABEL_HEIGHT) / nVisible);
  const positions = Array.from({ length: nVisible }, (_, k) => middle + (k - (nVisible - 1) / 2) * spacing);
  // Move the two halves apart to make room for the dots between them.
  return { x, isTruncated, ys: isTruncated ? positions.map((y) => y + (y < middle ? -3.5 : 3.5)) : positions };
}

const connect = (left: Column, right: Column): string => left.ys.flatMap((y) => right.ys.map((other) => `M${left.x},${y}L${right.x},${other}`)).join("");

function createText(x: number, y: number, content: string): SVGTextElement {
  const element = svg("text", { x, y, "text-anchor": "middle" });
  element.textContent = content;
  return element;
}
