/** The current step's matrices as equations, with cells as large as the width allows. */

import { h } from "./dom";
import type { MatrixSpec } from "./matrix-spec";
import { createMatrixView, type MatrixView } from "./matrix-view";
import { formula } from "./formula";
import { breakRows, cellSize, fitEquation, fitSheets } from "./layout";
import { type Equation, type Item, algorithmSteps } from "./steps";
import type { Context } from "./batch-state";
import { createThumbnails, highlightExample } from "./thumbnails";

/** Pixels of the window's height that an equation leaves to what is above and below it: on a phone, a bar. */
const MARGIN = 84;
const NOTE_HEIGHT = 44;

export interface EquationView {
  element: HTMLElement;
  getSpec: (name: string) => MatrixSpec | undefined;
}

export function createEquationView(context: Context): EquationView {
  const { store } = context;
  const element = h("section", { class: "equation-view", "aria-label": "The matrices of this step" });
  let views: MatrixView[] = [];

  function render(): void {
    const step = algorithmSteps(context.batch())[store.get("step")]!;
    const saved = saveViewState(element);
    views = [];
    const equations = step.equations(context.batch()).map((equation) => drawEquation(equation, saved.open));
    const heading = h("h2", { class: "view-title" }, h("span", { class: "view-phase" }, step.phase), " ", step.title);
    element.replaceChildren(heading, h("p", { class: "view-note" }, step.note), ...equations);
    element.querySelectorAll<HTMLElement>(".canvas-holder").forEach(makeScrollable);
    restoreFocus(element, saved.focus);
    update();
  }

  function drawEquation(equation: Equation, open: ReadonlySet<string>): HTMLElement {
    const available = element.clientWidth || 800;
    const screen = window.innerHeight - MARGIN - (equation.note ? NOTE_HEIGHT : 0);
    const fit = fitEquation(equation.items, available, screen);
    const createPart = (item: Item): HTMLElement => {
      if ("sign" in item) return createSign(item);
      const view = createMatrixView(item, item.slices ? fitSheets(item, available, screen) : cellSize(item, fit), context, open.has(item.name));
      views.push(view);
      return view.element;
    };
    const rows = breakRows(equation.items, fit, available).map((row) => h("div", { class: "equation-row" }, ...row.map(createPart)));
    const note = equation.note ? h("p", { class: "equation-note" }, equation.note) : null;
    const inputs = equation.inputs && context.data.images ? createThumbnails(context) : null;
    return h("div", { class: inputs ? "equation with-inputs" : "equation" }, ...rows, note, inputs);
  }

  const findSpec = (name: string): MatrixSpec | undefined => views.find((view) => view.spec.name === name)?.spec;

  function update(): void {
    const cell = store.get("cell");
    const sources = (cell && findSpec(cell.matrix)?.sources(cell.row, cell.column)) ?? {};
    views.forEach((view) => view.update(sources));
    highlightExample(element, store.get("example"));
  }

  store.on(["step", "snapshot", "included", "clip", "theme", "numbers"], render);
  store.on(["example", "cell"], update);
  store.on(["collapsed"], () => views.forEach((view) => view.updateCollapsed()));
  onWidthChange(element, render);
  return { element, getSpec: findSpec };
}

function createSign(item: { sign: string; label: string }): HTMLElement {
  const element = formula(item.sign);
  element.setAttribute("aria-hidden", "true");
  return h("div", { class: "sign" }, element, h("span", { class: "sr-only" }, item.label));
}

/** A drawing wider than its figure scrolls; make that work by keyboard too. */
function makeScrollable(holder: HTMLElement): void {
  if (holder.scrollWidth <= holder.clientWidth) return;
  holder.tabIndex = 0;
  holder.setAttribute("role", "group");
  holder.setAttribute("aria-label", "Drawing, scrolls sideways");
}

interface ViewState {
  open: ReadonlySet<string>;
  focus: string | null;
}

/** Which tables are open and which matrix has the focus, so that redrawing keeps them. */
function saveViewState(element: HTMLElement): ViewState {
  const open = [...element.querySelectorAll<HTMLElement>("figure:has(details[open])")].map((getSpec) => getSpec.dataset["name"] ?? "");
  const focused = document.activeElement instanceof HTMLElement && element.contains(document.activeElement) ? document.activeElement : null;
  return { open: new Set(open), focus: focused?.dataset["name"] ?? null };
}

function restoreFocus(element: HTMLElement, name: string | null): void {
  if (name) element.querySelector<HTMLElement>(`figure[data-name="${name}"]`)?.focus({ preventScroll: true });
}

function onWidthChange(element: HTMLElement, listener: () => void): void {
  let lastWidth = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry?.contentRect.width ?? 0);
    if (width === lastWidth) return;
    lastWidth = width;
    listener();
  }).observe(element);
}
