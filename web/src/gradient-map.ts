/** A map of the batch: each example's gradient as an arrow in the plane that holds most of them, and their mean. */

import { clipFactor, principalComponents } from "./algebra";
import { h, svg } from "./dom";
import { formatPercent, shortenNames } from "./format";
import { formatLabel } from "./source-rows";
import { createImage } from "./thumbnails";
import { type Context, toggleExample } from "./batch-state";

const SIDE = 300;
const MARGIN = 26;
const FACE = 22;
/** Of a label; more would hide the others. */
const MAX_LETTERS = 7;
/** A mean shorter than this in pixels is drawn longer, and said so. */
const MIN_MEAN = 36;

interface Point {
  x: number;
  y: number;
}

export function createGradientMap(context: Context): HTMLElement {
  const { store } = context;
  const drawing = h("div", { class: "gradient-map-drawing" });
  const note = h("p", { class: "section-note" });
  const element = h("section", { class: "gradient-map", "aria-labelledby": "map-title" }, h("h2", { id: "map-title" }, "Who pulls which way"), note, drawing);

  function render(): void {
    const map = layOut(context);
    note.textContent = describe(map, context.data.images !== null);
    drawing.replaceChildren(drawArrows(context, map), ...markerTexts(context).map((text, i) => createMarker(context, map, i, text)));
    highlight();
  }

  function highlight(): void {
    const example = store.get("example");
    drawing.querySelectorAll("[data-example]").forEach((part) => part.classList.toggle("highlighted", part.getAttribute("data-example") === String(example)));
  }

  store.on(["snapshot", "included", "clip", "theme"], render);
  store.on(["example"], highlight);
  render();
  return element;
}

interface GradientMap {
  /** Of each example, in units of the gradient. */
  points: Point[];
  mean: Point;
  /** Pixels in a unit of the gradient. */
  scale: number;
  /** By how much the mean is drawn longer. */
  zoom: number;
  /** The part of the gradients' squared length that the plane holds. */
  explained: number;
}

function layOut({ batch, store }: Context): GradientMap {
  const { weights, norms } = batch();
  const { components, explained } = principalComponents(batch().gram(), 2);
  const factor = (i: number): number => clipFactor(norms()[i] ?? 0, store.get("clip"));
  const unclipped = weights.map((_, i): Point => ({ x: components[0]?.[i] ?? 0, y: components[1]?.[i] ?? 0 }));
  const points = unclipped.map(({ x, y }, i) => ({ x: x * factor(i), y: y * factor(i) }));
  const mean = { x: dot(weights, unclipped.map(({ x }) => x)), y: dot(weights, unclipped.map(({ y }) => y)) };
  const largest = Math.max(1e-30, ...unclipped.map(({ x, y }) => Math.max(Math.abs(x), Math.abs(y))));
  const scale = (SIDE / 2 - MARGIN) / largest;
  const length = Math.hypot(mean.x, mean.y) * scale;
  return { points, mean, scale, explained, zoom: length > 0 ? Math.max(1, Math.min(10, Math.round(MIN_MEAN / length))) : 1 };
}

const markerTexts = ({ data }: Context): string[] => shortenNames(data.examples.map(({ label }) => formatLabel(data, label, 4)), ({ length }) => length <= MAX_LETTERS);

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => (value ? sum + value * (b[i] ?? 0) : sum), 0);

function describe({ explained, zoom }: GradientMap, haveFaces: boolean): string {
  const mean = zoom > 1 ? `The dark arrow is their mean, drawn ${zoom} times as long.` : "The dark arrow is their mean.";
  return `Each arrow is an example's gradient over all layers, in the plane that holds ${formatPercent(explained)} of their squared length. ${mean} Click ${haveFaces ? "a face" : "an example"} to leave it out.`;
}

const place = ({ x, y }: Point, scale: number): [number, number] => [SIDE / 2 + x * scale, SIDE / 2 - y * scale];

function drawArrows({ batch }: Context, { points, mean, scale, zoom }: GradientMap): SVGElement {
  const center = SIDE / 2;
  const arrow = (point: Point, by: number, attributes: Record<string, string>): SVGElement => {
    const [x, y] = place(point, by);
    return svg("line", { x1: center, y1: center, x2: x, y2: y, ...attributes });
  };
  const head = svg("marker", { id: "arrow-head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 5, markerHeight: 5, orient: "auto" }, svg("path", { d: "M0 0 L8 4 L0 8 Z" }));
  return svg(
    "svg",
    { viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true" },
    svg("defs", {}, head),
    svg("line", { class: "map-axis", x1: 0, y1: center, x2: SIDE, y2: center }),
    svg("line", { class: "map-axis", x1: center, y1: 0, x2: center, y2: SIDE }),
    ...points.map((point, i) => arrow(point, scale, { class: batch().weights[i] ? "map-arrow" : "map-arrow excluded", "data-example": String(i) })),
    arrow(mean, scale * zoom, { class: "map-mean", "marker-end": "url(#arrow-head)" }),
  );
}

/** An example's face at the tip of its arrow, which leaves it out or takes it in. */
function createMarker(context: Context, { points, scale }: GradientMap, i: number, text: string): HTMLElement {
  const { data, store, batch } = context;
  const { row, label } = data.examples[i]!;
  const included = store.get("included");
  const classes = ["map-marker", !included[i] && "excluded", batch().isWrong(i) && "wrong"].filter(Boolean).join(" ");
  const point = points[i]!;
  const marker = h(
    "button",
    { type: "button", class: classes, "data-example": i, title: `${row}, ${label}`, "aria-pressed": included[i] ? "true" : "false", "aria-label": `${row}, ${label}, in the batch`, disabled: batch().isLast(i), "data-x": point.x, "data-y": point.y },
    createImage(context, i, FACE) ?? h("span", {}, text),
  );
  const [x, y] = place(point, scale);
  Object.assign(marker.style, { left: `${(100 * x) / SIDE}%`, top: `${(100 * y) / SIDE}%` });
  marker.addEventListener("click", () => {
    toggleExample(store, i);
    // Drawing anew took the focus with the button.
    document.querySelector<HTMLElement>(`.map-marker[data-example="${i}"]`)?.focus({ preventScroll: true });
  });
  for (const event of ["pointerenter", "focus"]) marker.addEventListener(event, () => store.set({ example: i, cell: null }));
  return marker;
}
