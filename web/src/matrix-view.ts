/** A figure on the page: name, shape, drawing, legend, numbers; pointer and keyboard move its cursor. */

import { type Statistics, statistics } from "./algebra";
import { type ColourScale, scaleFor, type Theme } from "./color-scale";
import { button, h } from "./dom";
import type { Figure, Sources } from "./matrix-spec";
import { formula } from "./formula";
import { type CellSize, createHeatmap, type Plate } from "./heatmap";
import { labelsOf } from "./layout";
import { brief, show } from "./format";
import { createNumbers } from "./numbers-table";
import type { Context } from "./batch-state";
import { createStack, type StackPlate } from "./tensor-view";
import type { CellRef, Store } from "./state";

export interface FigureView {
  figure: Figure;
  element: HTMLElement;
  /** Show what is marked now. */
  update: (sources: Sources) => void;
  /** Fold or fan out the sheets, where it has any. */
  fold: () => void;
}

export function createFigure(figure: Figure, cell: CellSize, context: Context, open: boolean): FigureView {
  const { store } = context;
  const scales = scalesOf(figure, store.get("theme"));
  const stack = figure.sheets ? createStack(figure, cell, scales.sheets, scales.own, context.scene().shares) : null;
  const plate: Plate = stack ?? createHeatmap(figure, cell, scales.own);
  const numbers = createNumbers(figure, context.doc.examples, open, sheetShown(figure, store));
  const width = figure.matrix.columns * cell.width;
  const folding = stack && createFolding(figure, stack, scales, width, context);
  const foot = h("div", { class: "figure-foot" }, ...(folding?.elements ?? [legend(scales.own, statistics(figure.matrix).odd, width)]), numbers.element);
  const element = h(
    "figure",
    { class: stack ? "figure stack" : "figure", "data-name": figure.name, tabindex: 0, role: "group", "aria-label": spoken(figure, store.get("collapsed")) },
    caption(figure),
    h("div", { class: "plate-holder" }, rowLabels(figure, cell), plate.element),
    foot,
  );
  const point = (ref: CellRef): void => store.set({ cell: ref, example: exampleOf(figure, ref) ?? store.get("example") });
  followPointer(plate, point);
  followKeys(element, figure, store, point);
  return {
    figure,
    element,
    update: (sources) => {
      plate.trace(sources[figure.name]);
      plate.mark(store.get("example"), store.get("cell"));
      numbers.show(sheetShown(figure, store));
    },
    fold: () => {
      if (!folding) return;
      folding.fold(true);
      element.setAttribute("aria-label", spoken(figure, store.get("collapsed")));
      numbers.show(sheetShown(figure, store));
    },
  };
}

interface Scales {
  own: ColourScale;
  sheets: ColourScale;
}

function scalesOf(figure: Figure, theme: Theme): Scales {
  const own = scaleFor([figure.matrix, ...figure.alike], figure.scale, theme);
  return { own, sheets: figure.sheets ? scaleFor(figure.sheets, figure.scale, theme) : own };
}

/** The button that folds the sheets into their mean, and the legend, which changes when the drawing does. */
function createFolding(figure: Figure, stack: StackPlate, scales: Scales, width: number, { store, scene }: Context): { elements: HTMLElement[]; fold: (animate: boolean) => void } {
  const holder = h("div", { class: "legend-holder" });
  const toggle = button("", () => store.set({ collapsed: !store.get("collapsed") }), { class: "collapse-button" });
  const whole = scene().plain ? "mean" : "weighted sum";
  const explain = (folded: boolean): void =>
    holder.replaceChildren(legend(folded ? scales.own : scales.sheets, rangeOf(figure, folded).odd, width));
  function fold(animate: boolean): void {
    const collapsed = store.get("collapsed");
    stack.collapse(collapsed, animate, explain);
    toggle.textContent = collapsed ? "Fan the sheets out" : `Collapse into the ${whole}`;
  }
  fold(false);
  return { elements: [holder, toggle], fold };
}

/** The sheet of the example that is pointed at, or the foremost; null for the mean, and where there are no sheets. */
const sheetShown = (figure: Figure, store: Store): number | null =>
  figure.sheets && !store.get("collapsed") ? (store.get("example") ?? figure.front ?? 0) : null;

/** The example that a cell belongs to: its column, or its sheet. */
const exampleOf = (figure: Figure, ref: CellRef): number | null => (figure.columnsAreExamples ? ref.column : (ref.sheet ?? null));

function caption(figure: Figure): HTMLElement {
  return h(
    "figcaption",
    {},
    h("span", { class: "figure-name" }, formula(figure.tex)),
    h("span", { class: "figure-shape" }, ...shapeParts(figure.shape)),
    h("span", { class: "figure-units" }, figure.units),
    figure.part && h("span", { class: "figure-part" }, figure.matrix.columns === 1 ? figure.part.count : figure.part.full),
  );
}

/** A narrow figure breaks "1000 × 8, 64 × 8 drawn" at the comma alone. */
const shapeParts = (shape: string): (Node | string)[] => shape.split(/(?<=,) /).flatMap((part, n) => [n > 0 ? " " : "", h("span", {}, part)]);

function rowLabels(figure: Figure, cell: CellSize): HTMLElement | null {
  const names = labelsOf(figure, cell);
  if (names.length === 0 || figure.sheets) return null;
  const element = h("div", { class: "row-labels", "aria-hidden": "true" }, ...names.map((name) => h("span", {}, name)));
  element.style.gridAutoRows = `${cell.height}px`;
  return element;
}

function spoken(figure: Figure, folded: boolean): string {
  const { least, most, mean, odd } = rangeOf(figure, folded);
  const range = `from ${brief(least)} to ${brief(most)}, mean ${brief(mean)}`;
  return [`${figure.title}, ${figure.shape}`, figure.sheets && folded && "its sheets collapsed into one", figure.units, figure.part?.full, range, odd > 0 && oddOnes(odd)].filter(Boolean).join("; ");
}

/** Of a tensor, over all of its sheets; folded, of their mean. */
function rangeOf(figure: Figure, folded: boolean): Statistics {
  const all = ((!folded && figure.sheets) || [figure.matrix]).map(statistics);
  const sum = (key: "mean" | "odd"): number => all.reduce((total, each) => total + each[key], 0);
  return {
    least: Math.min(...all.map(({ least }) => least)),
    most: Math.max(...all.map(({ most }) => most)),
    mean: sum("mean") / all.length,
    odd: sum("odd"),
  };
}

const oddOnes = (count: number): string => `${count} not finite, grey`;

/** Ends and middle of the range; with fewer digits where a figure is narrow. */
function legend(scale: ColourScale, odd: number, width: number): HTMLElement {
  const [low, high] = scale.ends;
  const bar = h("span", { class: "legend-bar" });
  bar.style.background = `linear-gradient(to right, ${scale.colours.join(", ")})`;
  const middle = scale.kind === "signed" ? 0 : high / 2;
  const digits = width < 130 ? 2 : 3;
  const numbers = [low, middle, high].map((value) => show(value, digits));
  const texts = width < 90 && scale.kind === "signed" ? [`±${show(high, digits)}`] : numbers;
  return h(
    "div",
    { class: "legend" },
    bar,
    h("span", { class: "legend-numbers" }, ...texts.map((text) => h("span", {}, text))),
    odd > 0 && h("span", { class: "legend-odd" }, oddOnes(odd)),
  );
}

function followPointer(plate: Plate, point: (ref: CellRef) => void): void {
  const follow = (event: PointerEvent): void => {
    const box = plate.element.getBoundingClientRect();
    const ref = plate.cellAt(event.clientX - box.left, event.clientY - box.top);
    if (ref) point(ref);
  };
  plate.element.addEventListener("pointermove", follow);
  plate.element.addEventListener("pointerdown", follow);
}

const MOVES: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Arrow keys move a cursor over the cells; Page Up and Page Down leaf through the sheets of a tensor. */
function followKeys(element: HTMLElement, figure: Figure, store: Store, point: (ref: CellRef) => void): void {
  element.addEventListener("keydown", (event) => {
    if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") store.set({ cell: null, example: null });
    const next = event.key === "Escape" ? null : moved(figure, store.get("cell"), store.get("example"), store.get("collapsed"), event.key);
    if (next) point(next);
    if (next || event.key === "Escape") event.preventDefault();
    if (event.key === "Escape") element.blur();
  });
}

function moved(figure: Figure, cell: CellRef | null, example: number | null, collapsed: boolean, key: string): CellRef | null {
  const turn = figure.sheets && !collapsed ? { PageUp: -1, PageDown: 1 }[key] : undefined;
  const move = MOVES[key] ?? (turn === undefined ? undefined : ([0, 0] as const));
  if (!move) return null;
  const here = cell?.figure === figure.name ? cell : null;
  const start = here ?? { row: 0, column: figure.columnsAreExamples ? (example ?? 0) : 0 };
  const [down, right] = here ? move : [0, 0];
  const row = clamp(start.row + down, figure.matrix.rows);
  const column = clamp(start.column + right, figure.matrix.columns);
  const sheet = figure.sheets && !collapsed ? { sheet: clamp((example ?? figure.front ?? 0) + (turn ?? 0), figure.sheets.length) } : {};
  return { figure: figure.name, row, column, ...sheet };
}

const clamp = (value: number, count: number): number => Math.max(0, Math.min(count - 1, value));
