/** The numbers of a matrix as a table, created when it is opened. */

import { cell } from "./algebra";
import type { Matrix } from "./batch-data";
import { h } from "./dom";
import type { MatrixSpec } from "./matrix-spec";
import { formatShort } from "./format";

/** A panel, closed at first; `slice` is the slice of a tensor to show, null for the mean or for a matrix. */
export interface NumbersPanel {
  element: HTMLDetailsElement;
  update: (slice: number | null) => void;
}

export function createNumbers(spec: MatrixSpec, examples: readonly { row: string }[], open: boolean, initial: number | null): NumbersPanel {
  const container = h("div", { class: "numbers", tabindex: 0, role: "group", "aria-label": `Numbers of ${spec.title}` });
  const element = h("details", { class: "numbers-panel" }, h("summary", {}, "Numbers"), container);
  let visible = initial;
  let isFilled = false;

  function fill(): void {
    if (!element.open || isFilled) return;
    isFilled = true;
    const matrix = visible === null ? spec.matrix : (spec.slices?.[visible] ?? spec.matrix);
    container.replaceChildren(createTable(spec, matrix, formatCaption(), visible));
  }

  function formatCaption(): string {
    if (!spec.slices) return spec.title;
    return `${spec.title}: ${visible === null ? "collapsed to the mean" : (examples[visible]?.row ?? "")}`;
  }

  element.addEventListener("toggle", fill);
  element.open = open;
  fill();
  return {
    element,
    update: (slice) => {
      if (slice === visible) return;
      visible = slice;
      isFilled = false;
      fill();
    },
  };
}

function createTable(spec: MatrixSpec, matrix: Matrix, caption: string, slice: number | null): HTMLTableElement {
  const head = h("tr", {}, h("td", {}), ...spec.columnNames.map((name) => h("th", { scope: "col" }, name)));
  const body = h("tbody");
  for (let row = 0; row < matrix.rows; row++) {
    const tr = h("tr", {}, h("th", { scope: "row" }, spec.rowNames[row] ?? ""));
    for (let column = 0; column < matrix.columns; column++) tr.append(createCell(cell(matrix, row, column)));
    body.append(tr);
  }
  return h("table", { "data-example": slice }, h("caption", {}, caption), h("thead", {}, head), body);
}

const createCell = (value: number): HTMLTableCellElement => h("td", { "data-value": String(value) }, formatShort(value));
