/** The microscope page: one batch, every matrix of the algorithm, at each snapshot of the training. */

import { createDetailPanel } from "./detail-panel";
import { type BatchData, readBatchData } from "./batch-data";
import { h } from "./dom";
import { createEquationView } from "./equation-view";
import { createExamplesTable } from "./examples-table";
import { algorithmSteps } from "./steps";
import { createContext } from "./batch-state";
import { type State, Store } from "./state";
import { createStepper } from "./stepper";
import { createThemeButton, followTheme, preferredTheme } from "./theme";

function start(root: HTMLElement, data: BatchData): void {
  const store = new Store<State>({
    step: 0,
    snapshot: data.snapshots.length - 1,
    playing: false,
    example: null,
    cell: null,
    included: data.examples.map(() => true),
    clip: null,
    collapsed: false,
    theme: preferredTheme(),
  });
  // Before all other listeners: drawings read the theme's colours from the stylesheet.
  followTheme(store);
  const context = createContext(data, store);
  const steps = algorithmSteps(context.batch());
  // An address may end in a step, such as microscope.html#collapse-1, so that a text can link to it.
  store.set({ step: Math.max(0, steps.findIndex((step) => `#${step.id}` === location.hash)) });
  const view = createEquationView(context);
  const workspace = h("div", { class: "workspace" }, createStepper(context, steps), view.element, createDetailPanel(context, view));
  root.replaceChildren(header(data, store), workspace, createExamplesTable(context));
}

function header(data: BatchData, store: Store): HTMLElement {
  return h(
    "header",
    { class: "page-header" },
    h("div", { class: "page-header-row" }, h("p", { class: "kicker" }, "batchprop microscope"), createThemeButton(store)),
    h("h1", {}, data.title),
    ...data.description.map((sentence) => h("p", { class: "about" }, sentence)),
    h("p", { class: "how-to" }, "Step with ", h("kbd", {}, "←"), " and ", h("kbd", {}, "→"), ", play with ", h("kbd", {}, "space"), ". Point at a column to follow an example, at a cell to see how its number is computed. By keyboard: tab to a matrix, then use the arrow keys."),
  );
}

const root = document.getElementById("microscope");
if (root) start(root, readBatchData("batch-data"));
