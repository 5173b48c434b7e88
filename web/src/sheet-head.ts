/** The head of an example's sheet: in the batch or not, its face or name, and how long its gradient is. */

import { h } from "./dom";
import { formatNumber } from "./format";
import { createImage } from "./thumbnails";
import { type Context, toggleExample } from "./batch-state";

const FACE = 20;

export function createSheetHead(context: Context, i: number): HTMLElement {
  const { data, store, batch } = context;
  const { row } = data.examples[i]!;
  const box = h("input", { type: "checkbox", "aria-label": `${row} in the batch`, "data-example": i });
  box.checked = store.get("included")[i] ?? true;
  box.disabled = batch().isLast(i);
  box.addEventListener("change", () => toggleExample(store, i));
  const norm = h("span", { class: "sheet-norm", title: "the norm of its gradient, over all layers" }, `‖g‖ ${formatNumber(batch().norms()[i] ?? NaN, 2)}`);
  return h("div", { class: "sheet-head" }, box, createImage(context, i, FACE) ?? h("span", { class: "sheet-name" }, row), norm);
}
