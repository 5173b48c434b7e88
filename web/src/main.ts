/** The microscope page: one batch, every matrix of the algorithm, at each checkpoint of training. */

import { createCard } from "./detail-panel";
import { type BatchDocument, readDocument } from "./batch-data";
import { h } from "./dom";
import { createStage } from "./equation-view";
import { createExamples } from "./examples-table";
import { linesOf } from "./steps";
import { createContext } from "./batch-state";
import { type State, Store } from "./state";
import { createStepper } from "./stepper";
import { createThemeButton, followTheme, preferredTheme } from "./theme";

function start(root: HTMLElement, doc: BatchDocument): void {
  const store = new Store<State>({
    line: 0,
    checkpoint: doc.checkpoints.length - 1,
    playing: false,
    example: null,
    cell: null,
    kept: doc.examples.map(() => true),
    clip: null,
    collapsed: false,
    theme: preferredTheme(),
  });
  // First of all listeners: drawings read the theme's colours from the stylesheet.
  followTheme(store);
  const context = createContext(doc, store);
  const lines = linesOf(context.scene());
  // An address may end in a line, as microscope.html#collapse-1, for a text to point at it.
  store.set({ line: Math.max(0, lines.findIndex((line) => `#${line.id}` === location.hash)) });
  const stage = createStage(context);
  const bench = h("div", { class: "bench" }, createStepper(context, lines), stage.element, createCard(context, stage));
  root.replaceChildren(header(doc, store), bench, createExamples(context));
}

function header(doc: BatchDocument, store: Store): HTMLElement {
  return h(
    "header",
    { class: "masthead" },
    h("div", { class: "masthead-row" }, h("p", { class: "kicker" }, "batchprop microscope"), createThemeButton(store)),
    h("h1", {}, doc.title),
    ...doc.about.map((sentence) => h("p", { class: "about" }, sentence)),
    h("p", { class: "how-to" }, "Step with ", h("kbd", {}, "←"), " and ", h("kbd", {}, "→"), ", play with ", h("kbd", {}, "space"), ". Point at a column to follow an example, at a cell for its arithmetic; by keyboard, tab to a matrix and use the arrow keys."),
  );
}

const root = document.getElementById("microscope");
if (root) start(root, readDocument("document"));
