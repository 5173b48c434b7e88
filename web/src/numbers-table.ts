/** The numbers of a figure as a table, made when it is opened. */

import { at } from "./algebra";
import type { Matrix } from "./batch-data";
import { h } from "./dom";
import type { Figure } from "./matrix-spec";
import { brief } from "./format";

/** "Numbers", closed; `sheet` says which sheet of a tensor the table shows, null its mean or the one matrix that there is. */
export interface NumbersPanel {
  element: HTMLDetailsElement;
  show: (sheet: number | null) => void;
}

export function createNumbers(figure: Figure, examples: readonly { row: string }[], open: boolean, first: number | null): NumbersPanel {
  const holder = h("div", { class: "numbers", tabindex: 0, role: "group", "aria-label": `Numbers of ${figure.title}` });
  const element = h("details", { class: "numbers-panel" }, h("summary", {}, "Numbers"), holder);
  let shown = first;
  let filled = false;

  function fill(): void {
    if (!element.open || filled) return;
    filled = true;
    const matrix = shown === null ? figure.matrix : (figure.sheets?.[shown] ?? figure.matrix);
    holder.replaceChildren(tableOf(figure, matrix, captionOf(), shown));
  }

  function captionOf(): string {
    if (!figure.sheets) return figure.title;
    return `${figure.title}: ${shown === null ? "the sheets collapsed" : `the sheet of ${examples[shown]?.row ?? ""}`}`;
  }

  element.addEventListener("toggle", fill);
  element.open = open;
  fill();
  return {
    element,
    show: (sheet) => {
      if (sheet === shown) return;
      shown = sheet;
      filled = false;
      fill();
    },
  };
}

function tableOf(figure: Figure, matrix: Matrix, caption: string, sheet: number | null): HTMLTableElement {
  const head = h("tr", {}, h("td", {}), ...figure.columnNames.map((name) => h("th", { scope: "col" }, name)));
  const body = h("tbody");
  for (let row = 0; row < matrix.rows; row++) {
    const line = h("tr", {}, h("th", { scope: "row" }, figure.rowNames[row] ?? ""));
    for (let column = 0; column < matrix.columns; column++) line.append(cell(at(matrix, row, column)));
    body.append(line);
  }
  return h("table", { "data-example": sheet }, h("caption", {}, caption), h("thead", {}, head), body);
}

const cell = (value: number): HTMLTableCellElement => h("td", { "data-value": String(value) }, brief(value));
