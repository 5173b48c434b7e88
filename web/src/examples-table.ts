/** The table of examples, sortable, with what is left out and where gradients are clipped. */

import { at } from "./algebra";
import { prediction } from "./detail-panel";
import { button, h } from "./dom";
import { show, showCosine } from "./format";
import type { Context } from "./batch-state";
import { createShares } from "./weight-controls";

type Sorting = "none" | "ascending" | "descending";

interface Column {
  key: string;
  title: string;
  text: (context: Context, i: number) => string;
  /** What to sort by: numbers by size, text by the alphabet. */
  value: (context: Context, i: number) => number | string;
}

const numeric = (key: string, title: string, value: (context: Context, i: number) => number, text: (value: number) => string = show): Column => ({
  key, title, value, text: (context, i) => text(value(context, i)),
});

const COLUMNS: Column[] = [
  { key: "row", title: "Row", text: ({ doc }, i) => doc.examples[i]!.row, value: ({ doc }, i) => doc.examples[i]!.row },
  { key: "label", title: "Label", text: ({ doc }, i) => doc.examples[i]!.label, value: ({ doc }, i) => doc.examples[i]!.label },
  { key: "prediction", title: "Prediction", text: prediction, value: ({ scene }, i) => scene().checkpoint.answers[i] ?? "" },
  numeric("loss", "Loss", ({ scene }, i) => at(scene().losses(), 0, i)),
  numeric("norm", "Gradient norm", ({ scene }, i) => scene().norms()[i] ?? NaN),
  numeric("cosine", "Cosine with the mean", ({ scene }, i) => scene().cosines()[i] ?? NaN, showCosine),
  numeric("share", "Share in the mean", ({ scene }, i) => scene().shares[i] ?? 0),
  { key: "kept", title: "In the batch", text: () => "", value: ({ store }, i) => (store.get("kept")[i] ? 0 : 1) },
];

export function createExamples(context: Context): HTMLElement {
  const { doc, store } = context;
  let sorted = { key: "", direction: "none" as Sorting };
  const body = h("tbody");
  const heads = COLUMNS.map((column) => headOf(column, () => sortBy(column.key)));
  const rows = doc.examples.map((_, i) => createRow(context, i));

  function sortBy(key: string): void {
    const direction = sorted.key === key && sorted.direction === "ascending" ? "descending" : "ascending";
    sorted = { key, direction };
    COLUMNS.forEach((column, n) => heads[n]!.setAttribute("aria-sort", column.key === key ? direction : "none"));
    arrange();
  }

  function arrange(): void {
    const column = COLUMNS.find(({ key }) => key === sorted.key);
    const all = doc.examples.map((_, i) => i);
    const order = column ? ordered(all.map((i) => column.value(context, i)), sorted.direction === "descending") : all;
    const wanted = order.map((i) => rows[i]!.element);
    if (wanted.every((row, n) => row === body.children[n])) return;
    // A row that is moved loses the focus.
    const focused = document.activeElement;
    body.replaceChildren(...wanted);
    if (focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true });
  }

  const fill = (): void => rows.forEach((row) => row.fill());
  const light = (): void => rows.forEach(({ element }, i) => element.classList.toggle("lit", store.get("example") === i));
  store.on(["checkpoint", "kept", "clip"], () => {
    fill();
    arrange();
  });
  store.on(["example"], light);
  fill();
  arrange();
  const table = h("table", { class: "examples-table" }, h("caption", { class: "sr-only" }, "The examples of the batch"), h("thead", {}, h("tr", {}, ...heads)), body);
  const scroller = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "The examples of the batch" }, table);
  return h(
    "section",
    { class: "examples", "aria-labelledby": "examples-title" },
    h("h2", { id: "examples-title" }, "The examples"),
    h("p", { class: "section-note" }, "Leave examples out, or cut long gradients down: the mean, the collapse and the step follow at once."),
    createShares(context),
    scroller,
  );
}

function headOf(column: Column, sort: () => void): HTMLTableCellElement {
  return h("th", { scope: "col", "aria-sort": "none", "data-key": column.key }, button(column.title, sort, { class: "sort" }));
}

function createRow(context: Context, i: number): { element: HTMLTableRowElement; fill: () => void } {
  const { store, doc } = context;
  const cells = COLUMNS.map((column) => (column.key === "row" ? h("th", { scope: "row" }) : h("td", { "data-key": column.key })));
  const box = h("input", { type: "checkbox", "aria-label": `${doc.examples[i]!.row} in the batch` });
  box.addEventListener("change", () => store.set({ kept: store.get("kept").map((kept, n) => (n === i ? box.checked : kept)) }));
  cells.at(-1)!.append(box);
  const element = h("tr", { "data-example": i }, ...cells);
  element.addEventListener("pointerenter", () => store.set({ example: i, cell: null }));
  element.addEventListener("focusin", () => store.set({ example: i, cell: null }));
  return { element, fill: () => fillRow(context, i, cells, box, element) };
}

function fillRow(context: Context, i: number, cells: readonly HTMLElement[], box: HTMLInputElement, element: HTMLElement): void {
  COLUMNS.forEach((column, n) => {
    if (column.key === "kept") return;
    const value = column.value(context, i);
    if (typeof value === "number") cells[n]!.dataset["value"] = String(value);
    cells[n]!.textContent = column.text(context, i);
  });
  const kept = context.store.get("kept");
  box.checked = kept[i] ?? true;
  // A mean of nothing is no gradient: the last one stays.
  box.disabled = box.checked && !context.scene().shares.some((share, n) => share > 0 && n !== i);
  element.classList.toggle("left-out", !box.checked);
}

/** The places of values in order; those that are no numbers last, whichever way. */
function ordered(values: readonly (number | string)[], descending: boolean): number[] {
  const keys = asNumbers(values) ?? values;
  const sense = descending ? -1 : 1;
  const odd = keys.map((key) => Number(Number.isNaN(key)));
  return keys.map((_, i) => i).sort((a, b) => odd[a]! - odd[b]! || (odd[a] ? 0 : sense * compare(keys[a]!, keys[b]!)) || a - b);
}

/** Python's texts of what is no number or too large for one. */
const ODD_NUMBERS = new Map([["nan", NaN], ["inf", Infinity], ["-inf", -Infinity]]);

/** Texts as the numbers that they are, where all of them are: 10 comes after 9.5, and −3 before −1. */
function asNumbers(values: readonly (number | string)[]): number[] | null {
  const texts = values.map((value) => String(value).trim());
  const numbers = texts.map((text) => ODD_NUMBERS.get(text) ?? Number(text));
  return texts.every((text, n) => text !== "" && (ODD_NUMBERS.has(text) || !Number.isNaN(numbers[n]))) ? numbers : null;
}

/** Numbers by size; text so that "row 9" comes before "row 17". */
function compare(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a < b ? -1 : Number(a > b);
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
