/** The head of an example's sheet: in the batch or not, its face or name, and how long its gradient is. */

import { h } from "./dom";
import { formatNumber } from "./format";
import { createImage } from "./thumbnails";
import type { Context } from "./batch-state";

const FACE = 20;

export function createSheetHead(context: Context, i: number): HTMLElement {
  const { data, store, batch } = context;
  const { row } = data.examples[i]!;
  const box = h("input", { type: "checkbox", "aria-label": `${row} in the batch`, "data-example": i });
  const included = store.get("included");
  box.checked = included[i] ?? true;
  // The mean of no gradients is undefined: the last example stays.
  box.disabled = box.checked && !batch().weights.some((weight, n) => weight > 0 && n !== i);
  box.addEventListener("change", () => store.set({ included: included.map((one, n) => (n === i ? box.checked : one)) }));
  const norm = h("span", { class: "sheet-norm", title: "the norm of its gradient, over all layers" }, `‖g‖ ${formatNumber(batch().norms()[i] ?? NaN, 2)}`);
  return h("div", { class: "sheet-head" }, box, createImage(context, i, FACE) ?? h("span", { class: "sheet-name" }, row), norm);
}
