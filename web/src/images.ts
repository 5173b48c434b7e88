/** Examples whose rows are images, as pictures: large on the card, small below the batch. */

import { at } from "./algebra";
import { picture, scaleFor } from "./colours";
import { decode, type Matrix } from "./document";
import { h } from "./dom";
import { drawCells, sharpCanvas } from "./heatmap";
import type { Context } from "./scene";

const THUMBNAIL = 56;

/** The input of an example as a picture of about `side` pixels. */
export function imageOf({ doc, store }: Context, i: number, [height, width]: [number, number], side: number): HTMLElement {
  const inputs = decode(doc.inputs);
  const image: Matrix = { rows: height, columns: width, values: Float64Array.from({ length: height * width }, (_, k) => at(inputs, k, i)) };
  const size = Math.max(1, side / Math.max(height, width));
  const canvas = sharpCanvas(Math.round(width * size), Math.round(height * size));
  const scale = scaleFor([inputs], "amount", store.get("theme"));
  drawCells(canvas.getContext("2d")!, picture(image, scale), Math.round(width * size), Math.round(height * size));
  return h("div", { class: "input-image", role: "img", "aria-label": `the input of ${doc.examples[i]?.row ?? ""} as an image` }, canvas);
}

/** The batch once more, each column laid out as the image that it is. */
export function createThumbnails(context: Context, shape: [number, number]): HTMLElement {
  const { doc, store } = context;
  const buttons = doc.examples.map(({ row, label }, i) => {
    const made = h("button", { type: "button", class: "thumbnail", "data-example": i, "aria-label": `${row}, label ${label}` }, imageOf(context, i, shape, THUMBNAIL), h("span", {}, label));
    const choose = (): void => store.set({ example: i, cell: null });
    for (const event of ["pointerenter", "focus", "click"]) made.addEventListener(event, choose);
    return made;
  });
  return h("div", { class: "thumbnails-part" }, h("h3", {}, "The same columns as images, with their labels"), h("div", { class: "thumbnails" }, ...buttons));
}

/** Frame the example that is pointed at. */
export function lightThumbnails(within: HTMLElement, example: number | null): void {
  within.querySelectorAll<HTMLElement>(".thumbnail").forEach((each, i) => each.classList.toggle("lit", i === example));
}
