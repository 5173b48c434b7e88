/** A face or a label above every example's column, and a mark on those that the network gets wrong. */

import { h } from "./dom";
import { shortenNames } from "./format";
import type { CellSize } from "./heatmap";
import type { MatrixSpec } from "./matrix-spec";
import { formatLabel, hasSourceRows } from "./source-rows";
import { createImage } from "./thumbnails";
import type { Context } from "./batch-state";

/** Narrower columns have no room for a head. */
const MIN_HEAD = 14;
const MAX_FACE = 28;
const LETTER_WIDTH = 7;
const MAX_UPRIGHT = 10;

export function createExampleHeads(context: Context, spec: MatrixSpec, cell: CellSize): HTMLElement | null {
  if (!spec.columnsAreExamples || cell.width < MIN_HEAD || hasSourceRows(context, spec, cell)) return null;
  const labels = context.data.examples.map(({ label }) => formatLabel(context.data, label, 4));
  // Where they are wider than their columns, all are written upwards.
  const isUpright = !context.data.images && labels.some(({ length }) => length * LETTER_WIDTH > cell.width);
  const texts = shortenNames(labels, ({ length }) => length <= MAX_UPRIGHT);
  const heads = texts.map((text, i) => createHead(context, i, text, cell.width));
  const element = h("div", { class: isUpright ? "example-heads upright" : "example-heads", "aria-hidden": "true" }, ...heads);
  element.style.gridTemplateColumns = `repeat(${spec.matrix.columns}, ${cell.width}px)`;
  return element;
}

function createHead({ data, store, batch }: Context, i: number, text: string, width: number): HTMLElement {
  const { row, label } = data.examples[i]!;
  const classes = ["example-head", batch().isWrong(i) && "wrong", !store.get("included")[i] && "excluded"].filter(Boolean).join(" ");
  const face = createImage({ data, store, batch }, i, Math.min(MAX_FACE, width - 4)) ?? h("span", {}, text);
  return h("div", { class: classes, title: `${row}, ${label}` }, face);
}
