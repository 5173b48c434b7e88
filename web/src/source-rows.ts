/** The rows of the table above the features that they became: a line per column of the table, aligned with the examples. */

import { type BatchData, predictsNumbers } from "./batch-data";
import { formatNumber, parseNumber } from "./format";
import { h } from "./dom";
import type { CellSize } from "./heatmap";
import type { MatrixSpec } from "./matrix-spec";
import type { Context } from "./batch-state";

/** Narrower columns have no room for words. */
const MIN_WIDTH = 28;
/** More columns than these would push the features off the screen. */
const MAX_LINES = 12;

export type SourceCell = string | number | null;

/** As the table holds it: a number is not grouped, as it may be a year. */
export function formatSourceCell(value: SourceCell): string {
  if (value === null) return "missing";
  return typeof value === "number" ? String(Number(value.toPrecision(6))).replace("-", "−") : value;
}

/** A class as it is; numbers in the page's format, several targets with commas between. */
export function formatLabel(data: BatchData, text: string, digits = 6): string {
  if (!predictsNumbers(data)) return text;
  return text.split(", ").map((number) => formatNumber(parseNumber(number), digits)).join(", ");
}

/** Whether they stand above a matrix: the batch comes from a table, and its columns are wide enough. */
export const hasSourceRows = ({ data }: Context, spec: MatrixSpec, cell: CellSize): boolean => spec.showsSource && data.source !== null && !data.images && cell.width >= MIN_WIDTH;

/** Names and values, the target last. */
export function createSourceRows({ data, store, batch }: Context, spec: MatrixSpec, cell: CellSize): HTMLElement[] {
  const { source, examples } = data;
  if (!source || !hasSourceRows({ data, store, batch }, spec, cell)) return [];
  const lines = source.columns.slice(0, MAX_LINES).map(({ name, cells }) => ({ name, texts: cells.map(formatSourceCell), isGap: cells.map((value) => value === null) }));
  const nHidden = source.columns.length - lines.length;
  const labels = [...lines.map(({ name }) => h("span", {}, name)), h("strong", {}, "label")];
  const values = lines.flatMap(({ texts, isGap }) => texts.map((text, i) => createValue(text, i, isGap[i] ? "source-value gap" : "source-value")));
  const targets = examples.map(({ label }, i) => createValue(formatLabel(data, label), i, batch().isWrong(i) ? "source-value target wrong" : "source-value target"));
  const grid = h("div", { class: "source-rows", "aria-hidden": "true" }, ...values, ...targets);
  grid.style.gridTemplateColumns = `repeat(${examples.length}, ${cell.width}px)`;
  grid.addEventListener("pointermove", ({ target }) => {
    const i = target instanceof HTMLElement ? target.dataset["example"] : undefined;
    if (i !== undefined) store.set({ example: Number(i), cell: null });
  });
  const more = nHidden > 0 ? `; ${nHidden === 1 ? "1 more column is" : `${nHidden} more columns are`} not shown` : "";
  return [h("div", { class: "source-names", "aria-hidden": "true" }, ...labels), grid, h("div", { class: "source-note" }, `↑ the table${more} · ↓ as the network reads it`)];
}

const createValue = (text: string, i: number, className: string): HTMLElement => h("span", { class: className, "data-example": i, title: text }, text);
