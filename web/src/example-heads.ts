/** A face or a label above every example's column, and a mark on those that the network gets wrong. */

import { h } from "./dom";
import type { CellSize } from "./heatmap";
import type { MatrixSpec } from "./matrix-spec";
import { formatLabel, hasSourceRows } from "./source-rows";
import { createImage } from "./thumbnails";
import type { Context } from "./batch-state";

/** Narrower columns have no room for a head. */
const MIN_HEAD = 14;
const MAX_FACE = 28;
const LETTER_WIDTH = 7;

export function createExampleHeads(context: Context, spec: MatrixSpec, cell: CellSize): HTMLElement | null {
  if (!spec.columnsAreExamples || cell.width < MIN_HEAD || hasSourceRows(context, spec, cell)) return null;
  const element = h("div", { class: "example-heads", "aria-hidden": "true" }, ...context.data.examples.map((_, i) => createHead(context, i, cell.width)));
  element.style.gridTemplateColumns = `repeat(${spec.matrix.columns}, ${cell.width}px)`;
  return element;
}

function createHead({ data, store, batch }: Context, i: number, width: number): HTMLElement {
  const { row, label } = data.examples[i]!;
  const classes = ["example-head", batch().isWrong(i) && "wrong", !store.get("included")[i] && "excluded"].filter(Boolean).join(" ");
  const face = createImage({ data, store, batch }, i, Math.min(MAX_FACE, width - 4)) ?? h("span", {}, truncate(formatLabel(data, label, 4), Math.floor(width / LETTER_WIDTH)));
  return h("div", { class: classes, title: `${row}, ${label}` }, face);
}

const truncate = (text: string, length: number): string => (text.length <= length ? text : length < 2 ? text.slice(0, 1) : `${text.slice(0, length - 1)}…`);
