/** Examples whose rows are images, as pictures: large on the card, small below the batch. */

import { at } from "./algebra";
import { picture, scaleFor } from "./color-scale";
import { decode, type Matrix } from "./batch-data";
import { h } from "./dom";
import { drawCells, sharpCanvas } from "./heatmap";
import { brief } from "./format";
import type { Context } from "./batch-state";

const THUMBNAIL = 56;

/** An example as a picture of about `side` pixels, in colours over the range of all pictures; null where rows are no images. */
export function imageOf({ doc, store }: Context, i: number, side: number): HTMLElement | null {
  if (!doc.image || !doc.pictures) return null;
  const [height, width] = doc.image;
  const pictures = decode(doc.pictures);
  const image: Matrix = { rows: height, columns: width, values: Float64Array.from({ length: height * width }, (_, k) => at(pictures, k, i)) };
  const size = Math.max(1, side / Math.max(height, width));
  const canvas = sharpCanvas(Math.round(width * size), Math.round(height * size));
  const scale = scaleFor([pictures], "amount", store.get("theme"));
  drawCells(canvas.getContext("2d")!, picture(image, scale), Math.round(width * size), Math.round(height * size));
  const spoken = `${doc.examples[i]?.row ?? ""} as an image, ${height} × ${width}, in colours from ${brief(scale.ends[0])} to ${brief(scale.ends[1])}`;
  return h("div", { class: "input-image", role: "img", "aria-label": spoken }, canvas);
}

/** The batch once more, each example as the image that it is. */
export function createThumbnails(context: Context): HTMLElement {
  const { doc, store } = context;
  const buttons = doc.examples.map(({ row, label }, i) => {
    const made = h("button", { type: "button", class: "thumbnail", "data-example": i, "aria-label": `${row}, label ${label}` }, imageOf(context, i, THUMBNAIL), h("span", {}, label));
    const choose = (): void => store.set({ example: i, cell: null });
    for (const event of ["pointerenter", "focus", "click"]) made.addEventListener(event, choose);
    return made;
  });
  return h("div", { class: "thumbnails-part" }, h("h3", {}, "The same examples as images, with their labels"), h("div", { class: "thumbnails" }, ...buttons));
}

/** Frame the example that is pointed at. */
export function lightThumbnails(within: HTMLElement, example: number | null): void {
  within.querySelectorAll<HTMLElement>(".thumbnail").forEach((each, i) => each.classList.toggle("lit", i === example));
}
