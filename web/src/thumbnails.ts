/** Examples that are images: large in the detail panel, small below the batch. */

import { cell } from "./algebra";
import { drawPixels, createColorScale } from "./color-scale";
import { decode, type Matrix } from "./batch-data";
import { h } from "./dom";
import { drawCells, createSharpCanvas } from "./heatmap";
import { formatShort } from "./format";
import type { Context } from "./batch-state";

const THUMBNAIL = 56;

/** An example as an image of about `side` pixels, on one colour scale for all images; null where examples are no images. */
export function createImage({ data, store }: Context, i: number, side: number): HTMLElement | null {
  if (!data.imageShape || !data.images) return null;
  const [height, width] = data.imageShape;
  const images = decode(data.images);
  const image: Matrix = { rows: height, columns: width, values: Float64Array.from({ length: height * width }, (_, k) => cell(images, k, i)) };
  const scaleFactor = Math.max(1, side / Math.max(height, width));
  const canvas = createSharpCanvas(Math.round(width * scaleFactor), Math.round(height * scaleFactor));
  const scale = createColorScale([images], "amount", store.get("theme"));
  drawCells(canvas.getContext("2d")!, drawPixels(image, scale), Math.round(width * scaleFactor), Math.round(height * scaleFactor));
  const label = `${data.examples[i]?.row ?? ""} as an image, ${height} × ${width}, colours from ${formatShort(scale.range[0])} to ${formatShort(scale.range[1])}`;
  return h("div", { class: "input-image", role: "img", "aria-label": label }, canvas);
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

/** Frame the selected example. */
export function highlightThumbnail(container: HTMLElement, example: number | null): void {
  container.querySelectorAll<HTMLElement>(".thumbnail").forEach((thumbnail, i) => thumbnail.classList.toggle("highlighted", i === example));
}
