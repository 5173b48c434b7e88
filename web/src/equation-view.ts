/** The current line's matrices as equations; laid out so that cells are as large as the width allows. */

import { h } from "./dom";
import type { Figure } from "./matrix-spec";
import { createFigure, type FigureView } from "./matrix-view";
import { formula } from "./formula";
import { brokenRows, cellOf, fitOf } from "./layout";
import { type Equation, type Item, linesOf } from "./steps";
import type { Context } from "./batch-state";
import { createThumbnails, lightThumbnails } from "./thumbnails";

export interface Stage {
  element: HTMLElement;
  figure: (name: string) => Figure | undefined;
}

export function createStage(context: Context): Stage {
  const { store } = context;
  const element = h("section", { class: "stage", "aria-label": "The matrices of this line" });
  let views: FigureView[] = [];

  function render(): void {
    const line = linesOf(context.scene())[store.get("line")]!;
    const remembered = remember(element);
    views = [];
    const equations = line.equations(context.scene()).map((equation) => draw(equation, remembered.open));
    const heading = h("h2", { class: "stage-title" }, h("span", { class: "stage-group" }, line.group), " ", line.title);
    element.replaceChildren(heading, h("p", { class: "stage-note" }, line.note), ...equations);
    element.querySelectorAll<HTMLElement>(".plate-holder").forEach(makeReachable);
    restore(element, remembered.focus);
    update();
  }

  function draw(equation: Equation, open: ReadonlySet<string>): HTMLElement {
    const available = element.clientWidth || 800;
    const fit = fitOf(equation.items, available);
    const part = (item: Item): HTMLElement => {
      if ("sign" in item) return signOf(item);
      const view = createFigure(item, cellOf(item, fit), context, open.has(item.name));
      views.push(view);
      return view.element;
    };
    const rows = brokenRows(equation.items, fit, available).map((row) => h("div", { class: "equation-row" }, ...row.map(part)));
    const note = equation.note ? h("p", { class: "equation-note" }, equation.note) : null;
    const inputs = equation.inputs && context.doc.pictures ? createThumbnails(context) : null;
    return h("div", { class: inputs ? "equation with-inputs" : "equation" }, ...rows, note, inputs);
  }

  const find = (name: string): Figure | undefined => views.find((view) => view.figure.name === name)?.figure;

  function update(): void {
    const cell = store.get("cell");
    const sources = (cell && find(cell.figure)?.sources(cell.row, cell.column)) ?? {};
    views.forEach((view) => view.update(sources));
    lightThumbnails(element, store.get("example"));
  }

  store.on(["line", "checkpoint", "kept", "clip", "theme"], render);
  store.on(["example", "cell"], update);
  store.on(["collapsed"], () => views.forEach((view) => view.fold()));
  onWidth(element, render);
  return { element, figure: find };
}

function signOf(item: { sign: string; spoken: string }): HTMLElement {
  const drawn = formula(item.sign);
  drawn.setAttribute("aria-hidden", "true");
  return h("div", { class: "sign" }, drawn, h("span", { class: "sr-only" }, item.spoken));
}

/** A drawing wider than its figure scrolls, and then by keyboard too. */
function makeReachable(holder: HTMLElement): void {
  if (holder.scrollWidth <= holder.clientWidth) return;
  holder.tabIndex = 0;
  holder.setAttribute("role", "group");
  holder.setAttribute("aria-label", "the drawing, which scrolls sideways");
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
