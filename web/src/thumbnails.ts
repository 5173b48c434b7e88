/** Examples that are images: large in the detail panel, small below the batch. */

import { build, cell } from "./algebra";
import { type ColorScale, drawPixels, createColorScale } from "./color-scale";
import { decode, type Matrix } from "./batch-data";
import { h } from "./dom";
import { drawCells, createSharpCanvas } from "./heatmap";
import { formatShort } from "./format";
import type { Context } from "./batch-state";
import type { Store } from "./state";

const THUMBNAIL = 56;

/** A row of the first layer's weights as an image of about `side` pixels, on one colour scale for all units. */
export function createFace(store: Store, W: Matrix, [rows, columns]: readonly [number, number], unit: number, side: number): HTMLElement {
  const image = build(rows, columns, (row, column) => cell(W, unit, row * columns + column));
  return h("div", { class: "unit-face", role: "img", "aria-label": `the weights of unit ${unit + 1} as an image` }, drawImage(image, createColorScale([W], "signed", store.get("theme")), side));
}

function drawImage(image: Matrix, scale: ColorScale, side: number): HTMLCanvasElement {
  const factor = side / Math.max(image.rows, image.columns);
  const [width, height] = [Math.round(image.columns * factor), Math.round(image.rows * factor)];
  const canvas = createSharpCanvas(width, height);
  drawCells(canvas.getContext("2d")!, drawPixels(image, scale), width, height);
  return canvas;
}

/** An example as an image of about `side` pixels, on one colour scale for all images; null where examples are no images. */
export function createImage({ data, store }: Context, i: number, side: number): HTMLElement | null {
  if (!data.imageShape || !data.images) return null;
  const [height, width] = data.imageShape;
  const images = decode(data.images);
  const image = build(height, width, (row, column) => cell(images, row * width + column, i));
  const scale = createColorScale([images], "amount", store.get("theme"));
  const label = `${data.examples[i]?.row ?? ""} as an image, ${height} × ${width}, colours from ${formatShort(scale.range[0])} to ${formatShort(scale.range[1])}`;
  return h("div", { class: "input-image", role: "img", "aria-label": label }, drawImage(image, scale, Math.max(side, height, width)));
}

/** The batch again, each example as an image. */
export function createThumbnails(context: Context): HTMLElement {
  const { data, store } = context;
  const buttons = data.examples.map(({ row, label }, i) => {
    const thumbnail = h("button", { type: "button", class: "thumbnail", "data-example": i, "aria-label": `${row}, label ${label}` }, createImage(context, i, THUMBNAIL), h("span", {}, label));
    const choose = (): void => store.set({ example: i, cell: null });
    for (const event of ["pointerenter", "focus", "click"]) thumbnail.addEventListener(event, choose);
    return thumbnail;
  });
  return h("div", { class: "thumbnails-part" }, h("h3", {}, "The same examples as images, with their labels"), h("div", { class: "thumbnails" }, ...buttons));
}

/** Mark the selected example among the thumbnails or the rows of the table. */
export function highlightExample(container: HTMLElement, example: number | null): void {
  container.querySelectorAll<HTMLElement>(".thumbnail, .source-value").forEach((part) => part.classList.toggle("highlighted", part.dataset["example"] === String(example)));
}
