/** The microscope page: one batch, every matrix of the algorithm, at each snapshot of the training. */

import { createDetailPanel } from "./detail-panel";
import { type BatchData, predictsNumbers, readBatchData } from "./batch-data";
import { h } from "./dom";
import { createEquationView } from "./equation-view";
import { createExamplesTable } from "./examples-table";
import { createGradientMap } from "./gradient-map";
import { createMiniatures } from "./miniatures";
import { algorithmSteps } from "./steps";
import { createContext } from "./batch-state";
import { shareSelection } from "./selection";
import { type State, Store } from "./state";
import { createStepper } from "./stepper";
import { createTour } from "./tour";
import { createThemeButton, followTheme, preferredTheme } from "./theme";

function start(root: HTMLElement, data: BatchData): void {
  const store = new Store<State>({
    step: 0,
    snapshot: openingSnapshot(data),
    playing: false,
    example: null,
    cell: null,
    included: data.examples.map(() => true),
    clip: null,
    collapsed: false,
    numbers: true,
    theme: preferredTheme(),
  });
  // Before all other listeners: drawings read the theme's colours from the stylesheet.
  followTheme(store);
  const context = createContext(data, store);
  const steps = algorithmSteps(context.batch());
  // An address may end in a step, such as microscope.html#collapse-1, so that a text can link to it.
  store.set({ step: Math.max(0, steps.findIndex((step) => `#${step.id}` === location.hash)) });
  const view = createEquationView(context);
  const panel = createDetailPanel(context, view);
  const examples = h("div", { class: "examples-part" }, createExamplesTable(context), createGradientMap(context));
  shareSelection(store, steps);
  const stepper = createStepper(context, steps);
  // Last: it points at what the others draw.
  const tour = createTour(context, steps, view.element);
  const workspace = h("div", { class: "workspace" }, stepper, view.element, h("div", { class: "side" }, tour.card, panel));
  root.replaceChildren(header(data, store, tour.opener), createMiniatures(context), workspace, examples);
}

/** The last snapshot with a mistake to look at, where most examples are right; the last one where there is none. */
function openingSnapshot(data: BatchData): number {
  const last = data.snapshots.length - 1;
  if (predictsNumbers(data)) return last;
  const nWrong = data.snapshots.map(({ predictions }) => data.examples.filter(({ label }, i) => predictions[i] !== label).length);
  const fromTheEnd = nWrong.reverse().findIndex((n) => n > 0 && 2 * n < data.examples.length);
  return fromTheEnd < 0 ? last : last - fromTheEnd;
}

function header(data: BatchData, store: Store, tour: HTMLElement): HTMLElement {
  return h(
    "header",
    { class: "page-header" },
    h("div", { class: "page-header-row" }, h("p", { class: "kicker" }, "batchprop microscope"), createNumbersSwitch(store), tour, createThemeButton(store)),
    h("h1", {}, data.title),
    ...data.description.map((sentence) => h("p", { class: "about" }, sentence)),
    h("p", { class: "how-to" }, "Step with ", h("kbd", {}, "←"), " and ", h("kbd", {}, "→"), ", play with ", h("kbd", {}, "space"), ". Point at a column to follow an example, at a cell to see its number made. By keyboard: tab to a matrix, then the arrow keys."),
    h("p", { class: "how-to touch" }, "Tap a column to follow an example, a cell to see how its number is computed. Next takes a step."),
  );
}

/** Whether cells print their numbers, where they have room. */
function createNumbersSwitch(store: Store): HTMLElement {
  const box = h("input", { type: "checkbox", id: "numbers" });
  box.checked = store.get("numbers");
  box.addEventListener("change", () => store.set({ numbers: box.checked }));
  return h("label", { for: "numbers", class: "numbers-switch" }, box, " Numbers in cells");
}

const root = document.getElementById("microscope");
if (root) start(root, readBatchData("batch-data"));
