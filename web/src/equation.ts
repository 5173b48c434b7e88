/** The current line's matrices as equations; laid out so that cells are as large as the width allows. */

import { formula, h } from "./dom";
import type { Figure } from "./figures";
import { createFigure, type FigureView } from "./figure-view";
import type { CellSize } from "./heatmap";
import type { Equation, Item, Line } from "./lines";
import type { Context } from "./scene";
import { depthOf } from "./stack";

const LARGEST_CELL = 28;
const LEAST_CELL = 3;
/** Under this, an equation breaks over several rows rather than shrink further. */
const PLEASANT_CELL = 5;
const LEAST_FIGURE = 112;
const TALLEST = 420;
const SIGN_WIDTH = 46;
const GAP = 14;

export interface Stage {
  element: HTMLElement;
  figure: (name: string) => Figure | undefined;
}

export function createStage(context: Context, lines: readonly Line[]): Stage {
  const { store } = context;
  const element = h("section", { class: "stage", "aria-label": "The matrices of this line" });
  let views: FigureView[] = [];

  function render(): void {
    const line = lines[store.get("line")]!;
    const remembered = remember(element);
    views = [];
    const equations = line.equations(context.scene()).map((equation) => draw(equation, remembered.open));
    const heading = h("h2", { class: "stage-title" }, h("span", { class: "stage-group" }, line.group), " ", line.title);
    element.replaceChildren(heading, h("p", { class: "stage-note" }, line.note), ...equations);
    restore(element, remembered.focus);
    update();
  }

  function draw(equation: Equation, open: ReadonlySet<string>): HTMLElement {
    const size = cellSize(equation.items, element.clientWidth || 800);
    const parts = equation.items.map((item) => {
      if ("sign" in item) return signOf(item);
      const view = createFigure(item, cellOf(item, size), context, open.has(item.name));
      views.push(view);
      return view.element;
    });
    const note = equation.note ? h("p", { class: "equation-note" }, equation.note) : null;
    return h("div", { class: "equation" }, h("div", { class: "equation-row" }, ...parts), note);
  }

  const update = (): void => views.forEach((view) => view.update());
  store.on(["line", "checkpoint", "kept", "clip", "theme"], render);
  store.on(["example", "cell"], update);
  store.on(["collapsed"], () => views.forEach((view) => view.fold()));
  onWidth(element, render);
  return { element, figure: (name) => views.find((view) => view.figure.name === name)?.figure };
}

function signOf(item: { sign: string; spoken: string }): HTMLElement {
  const drawn = formula(item.sign);
  drawn.setAttribute("aria-hidden", "true");
  return h("div", { class: "sign" }, drawn, h("span", { class: "sr-only" }, item.spoken));
}

/** One side of a cell for all figures of an equation, so that shapes that must agree look as if they do. */
export function cellSize(items: readonly Item[], available: number): number {
  const figures = items.filter((item): item is Figure => !("sign" in item));
  const signs = (items.length - figures.length) * SIGN_WIDTH + (items.length - 1) * GAP;
  const tallest = Math.max(...figures.map((figure) => figure.matrix.rows));
  const bound = Math.min(LARGEST_CELL, Math.floor(TALLEST / tallest));
  const inOneRow = largestFitting(bound, (size) => total(figures, size) + signs <= available);
  if (inOneRow >= Math.min(PLEASANT_CELL, bound)) return inOneRow;
  return Math.max(LEAST_CELL, Math.min(bound, largestFitting(PLEASANT_CELL + 3, (size) => figures.every((figure) => widthOf(figure, size) <= available))));
}

function largestFitting(bound: number, fits: (size: number) => boolean): number {
  for (let size = bound; size > 0; size--) if (fits(size)) return size;
  return 0;
}

const total = (figures: readonly Figure[], size: number): number => figures.reduce((sum, figure) => sum + widthOf(figure, size), 0);

/** What a figure takes, its frame and a stack's depth included. */
const widthOf = (figure: Figure, size: number): number =>
  Math.max(LEAST_FIGURE, figure.matrix.columns * cellOf(figure, size).width) + (figure.sheets ? depthOf(figure.sheets.length) + 24 : 0) + 26;

/** Narrow matrices are widened to their caption, so that a column of an example is easy to point at. */
export function cellOf(figure: Figure, size: number): CellSize {
  const wide = Math.floor(LEAST_FIGURE / figure.matrix.columns);
  const height = figure.matrix.rows === 1 ? LARGEST_CELL : size;
  return { width: Math.max(size, Math.min(LARGEST_CELL, wide)), height };
}

interface Remembered {
  open: ReadonlySet<string>;
  focus: string | null;
}

/** What is open and focused, so that a redrawing does not lose the reader's place. */
function remember(element: HTMLElement): Remembered {
  const open = [...element.querySelectorAll<HTMLElement>("figure:has(details[open])")].map((figure) => figure.dataset["name"] ?? "");
  const focused = document.activeElement instanceof HTMLElement && element.contains(document.activeElement) ? document.activeElement : null;
  return { open: new Set(open), focus: focused?.dataset["name"] ?? null };
}

function restore(element: HTMLElement, name: string | null): void {
  if (name) element.querySelector<HTMLElement>(`figure[data-name="${name}"]`)?.focus({ preventScroll: true });
}

function onWidth(element: HTMLElement, listener: () => void): void {
  let known = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry?.contentRect.width ?? 0);
    if (width === known) return;
    known = width;
    listener();
  }).observe(element);
}
