/** The table of examples: sortable, each can be excluded from the batch. */

import { cell } from "./algebra";
import { prediction } from "./detail-panel";
import { button, h } from "./dom";
import { formatCosine, formatNumber, parseNumber } from "./format";
import { type Context, toggleExample } from "./batch-state";
import { formatLabel } from "./source-rows";
import { createWeightControls } from "./weight-controls";

type Sorting = "none" | "ascending" | "descending";

interface Column {
  key: string;
  title: string;
  text: (context: Context, i: number) => string;
  /** What to sort by: numbers by size, text by the alphabet. */
  value: (context: Context, i: number) => number | string;
}

const numericColumn = (key: string, title: string, value: (context: Context, i: number) => number, text: (value: number) => string = formatNumber): Column => ({
  key, title, value, text: (context, i) => text(value(context, i)),
});

const COLUMNS: Column[] = [
  { key: "row", title: "Row", text: ({ data }, i) => data.examples[i]!.row, value: ({ data }, i) => data.examples[i]!.row },
  { key: "label", title: "Label", text: ({ data }, i) => formatLabel(data, data.examples[i]!.label), value: ({ data }, i) => data.examples[i]!.label },
  { key: "prediction", title: "Prediction", text: prediction, value: ({ batch }, i) => batch().snapshot.predictions[i] ?? "" },
  numericColumn("loss", "Loss", ({ batch }, i) => cell(batch().losses(), 0, i)),
  numericColumn("norm", "Gradient norm", ({ batch }, i) => batch().norms()[i] ?? NaN),
  numericColumn("cosine", "Cosine with the mean", ({ batch }, i) => batch().cosines()[i] ?? NaN, formatCosine),
  numericColumn("weight", "Weight in the mean", ({ batch }, i) => batch().weights[i] ?? 0),
  { key: "included", title: "In the batch", text: () => "", value: ({ store }, i) => (store.get("included")[i] ? 0 : 1) },
];

export function createExamplesTable(context: Context): HTMLElement {
  const { data, store } = context;
  let sorted = { key: "", direction: "none" as Sorting };
  const body = h("tbody");
  const headers = COLUMNS.map((column) => createHeader(column, () => sortBy(column.key)));
  const rows = data.examples.map((_, i) => createRow(context, i));

  function sortBy(key: string): void {
    const direction = sorted.key === key && sorted.direction === "ascending" ? "descending" : "ascending";
    sorted = { key, direction };
    COLUMNS.forEach((column, n) => headers[n]!.setAttribute("aria-sort", column.key === key ? direction : "none"));
    sortRows();
  }

  function sortRows(): void {
    const column = COLUMNS.find(({ key }) => key === sorted.key);
    const indices = data.examples.map((_, i) => i);
    const order = column ? sortedIndices(indices.map((i) => column.value(context, i)), sorted.direction === "descending") : indices;
    const sortedRows = order.map((i) => rows[i]!.element);
    if (sortedRows.every((row, n) => row === body.children[n])) return;
    // Moving a row takes the focus from it.
    const focused = document.activeElement;
    body.replaceChildren(...sortedRows);
    if (focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true });
  }

  const update = (): void => rows.forEach((row) => row.update());
  const highlightRow = (): void => rows.forEach(({ element }, i) => element.classList.toggle("highlighted", store.get("example") === i));
  store.on(["snapshot", "included", "clip"], () => {
    update();
    sortRows();
  });
  store.on(["example"], highlightRow);
  update();
  sortRows();
  const table = h("table", { class: "examples-table" }, h("caption", { class: "sr-only" }, "The examples of the batch"), h("thead", {}, h("tr", {}, ...headers)), body);
  const scroller = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "The examples of the batch" }, table);
  return h(
    "section",
    { class: "examples", "aria-labelledby": "examples-title" },
    h("h2", { id: "examples-title" }, "The examples"),
    h("p", { class: "section-note" }, "Exclude examples, or clip their gradients: the mean, the collapse and the update follow at once."),
    createWeightControls(context),
    scroller,
  );
}

function createHeader(column: Column, sort: () => void): HTMLTableCellElement {
  return h("th", { scope: "col", "aria-sort": "none", "data-key": column.key }, button(column.title, sort, { class: "sort" }));
}

function createRow(context: Context, i: number): { element: HTMLTableRowElement; update: () => void } {
  const { store, data } = context;
  const cells = COLUMNS.map((column) => (column.key === "row" ? h("th", { scope: "row" }) : h("td", { "data-key": column.key })));
  const box = h("input", { type: "checkbox", "aria-label": `${data.examples[i]!.row} in the batch` });
  box.addEventListener("change", () => toggleExample(store, i));
  cells.at(-1)!.append(box);
  const element = h("tr", { "data-example": i }, ...cells);
  element.addEventListener("pointerenter", () => store.set({ example: i, cell: null }));
  element.addEventListener("focusin", () => store.set({ example: i, cell: null }));
  return { element, update: () => fillRow(context, i, cells, box, element) };
}

function fillRow(context: Context, i: number, cells: readonly HTMLElement[], box: HTMLInputElement, element: HTMLElement): void {
  COLUMNS.forEach((column, n) => {
    if (column.key === "included") return;
    const value = column.value(context, i);
    if (typeof value === "number") cells[n]!.dataset["value"] = String(value);
    cells[n]!.textContent = column.text(context, i);
  });
  const included = context.store.get("included");
  box.checked = included[i] ?? true;
  box.disabled = context.batch().isLast(i);
  element.classList.toggle("excluded", !box.checked);
}

/** The indices that sort the values; NaN comes last in both directions. */
function sortedIndices(values: readonly (number | string)[], descending: boolean): number[] {
  const keys = parseNumbers(values) ?? values;
  const sign = descending ? -1 : 1;
  const isNaN = keys.map((key) => Number(Number.isNaN(key)));
  return keys.map((_, i) => i).sort((a, b) => isNaN[a]! - isNaN[b]! || (isNaN[a] ? 0 : sign * compare(keys[a]!, keys[b]!)) || a - b);
}

/** The texts as numbers where all are numbers, so that 10 comes after 9.5, and −3 before −1. */
function parseNumbers(values: readonly (number | string)[]): number[] | null {
  const texts = values.map((value) => String(value).trim());
  const numbers = texts.map(parseNumber);
  return texts.every((text, n) => text === "nan" || !Number.isNaN(numbers[n])) ? numbers : null;
}

/** Numbers by size; text so that "row 9" comes before "row 17". */
function compare(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a < b ? -1 : Number(a > b);
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
