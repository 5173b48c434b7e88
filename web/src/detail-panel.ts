/** The detail panel: the selected example, and how the selected cell is computed. */

import { cell } from "./algebra";
import { toSentence, type Explanation } from "./explanation-types";
import { decode, predictsNumbers } from "./batch-data";
import { button, h } from "./dom";
import type { EquationView } from "./equation-view";
import { formula } from "./formula";
import { createFace, createImage } from "./thumbnails";
import { formatCosine, formatCount, formatNumber } from "./format";
import { formatLabel, formatSourceCell } from "./source-rows";
import type { Context } from "./batch-state";

const MAX_FEATURES = 12;
/** Milliseconds on a cell before screen readers announce it: not every cell that the pointer crosses. */
const ANNOUNCE_DELAY = 500;

export function createDetailPanel(context: Context, view: EquationView): HTMLElement {
  const { store } = context;
  const body = h("div", { class: "detail-panel-body" });
  const live = h("p", { class: "sr-only", "aria-live": "polite" });
  const more = button("More", () => {
    const opened = element.classList.toggle("expanded");
    more.textContent = opened ? "Less" : "More";
    more.setAttribute("aria-expanded", String(opened));
  }, { class: "detail-panel-more", "aria-expanded": "false" });
  const element = h("aside", { class: "detail-panel", "aria-label": "Selected cell and example" }, more, body, live);
  let timer: number | undefined;

  function render(): void {
    const example = store.get("example");
    const explanation = explanationAt(context, view);
    const sections = [explanation && createExplanation(explanation, faceAt(context, view)), example !== null && createExampleSection(context, example)];
    const visible = sections.filter((section): section is HTMLElement => Boolean(section));
    body.replaceChildren(...(visible.length > 0 ? visible : [createHint()]));
    element.classList.toggle("empty", visible.length === 0);
    window.clearTimeout(timer);
    timer = window.setTimeout(() => {
      live.textContent = [explanation && toSentence(explanation), example !== null && summary(context, example)].filter(Boolean).join(" ");
    }, ANNOUNCE_DELAY);
  }

  store.on(["example", "cell", "step", "snapshot", "included", "clip", "theme"], render);
  render();
  return element;
}

const createHint = (): HTMLElement =>
  h("p", { class: "detail-panel-hint" }, "Point at a cell of a matrix to see how its number is computed. Point at a column to follow that example through every matrix.");

function explanationAt(context: Context, view: EquationView): Explanation | null {
  const cell = context.store.get("cell");
  const spec = cell && view.getSpec(cell.matrix);
  if (!cell || !spec || cell.row >= spec.matrix.rows || cell.column >= spec.matrix.columns) return null;
  return spec.explain(cell.row, cell.column, cell.slice);
}

/** The face of the unit whose cell is selected. */
function faceAt({ store }: Context, view: EquationView): HTMLElement | null {
  const cell = store.get("cell");
  const faces = cell && view.getSpec(cell.matrix)?.faces;
  return faces ? createFace(store, faces.matrix, faces.pixels, cell.row, 56) : null;
}

function createExplanation(explanation: Explanation, face: HTMLElement | null): HTMLElement {
  const rows = explanation.steps.map(({ kind, label, expression, value }) =>
    h(
      "li",
      { class: kind },
      h("span", { class: "term-label" }, label),
      h("span", { class: "term-result" }, expression && h("span", { class: "expression" }, expression), h("span", { class: "value", "data-value": String(value) }, `= ${formatNumber(value)}`)),
    ),
  );
  return h(
    "section",
    { class: "explanation" },
    h("h3", {}, explanation.title),
    h("div", { class: "explanation-head" }, h("p", { class: "explanation-value", "data-value": String(explanation.value) }, formatNumber(explanation.value)), face),
    h("p", { class: "explanation-formula" }, formula(explanation.tex)),
    h("ol", { class: "terms" }, ...rows),
    explanation.note ? h("p", { class: "explanation-note" }, explanation.note) : null,
  );
}

function createExampleSection(context: Context, i: number): HTMLElement {
  const { data } = context;
  const batch = context.batch();
  const example = data.examples[i]!;
  const predictionFacts = createFacts("prediction-facts", [["label", formatLabel(data, example.label)], ["prediction", prediction(context, i)], ["loss", formatNumber(cell(batch.losses(), 0, i))]]);
  const gradientFacts = createFacts("gradient-facts", [["gradient norm", formatNumber(batch.norms()[i] ?? NaN)], ["cosine with the mean", formatCosine(batch.cosines()[i] ?? NaN)]]);
  const image = createImage(context, i, 112);
  const parts = image
    ? [h("div", { class: "with-image" }, image, predictionFacts), gradientFacts]
    : [predictionFacts, gradientFacts, createFeatureTable(context, i)];
  return h("section", { class: "example" }, h("h3", {}, example.row), ...parts);
}

const createFacts = (name: string, pairs: readonly [string, string][]): HTMLElement =>
  h("dl", { class: `facts ${name}` }, ...pairs.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));

/** The prediction; a class is marked correct or wrong. */
export function prediction({ batch, data }: Context, i: number): string {
  const prediction = batch().snapshot.predictions[i] ?? "";
  if (predictsNumbers(data)) return formatLabel(data, prediction);
  return `${prediction}, ${batch().isWrong(i) ? "wrong" : "correct"}`;
}

function summary(context: Context, i: number): string {
  const { data } = context;
  return `${data.examples[i]?.row}: label ${formatLabel(data, data.examples[i]?.label ?? "")}, prediction ${prediction(context, i)}, loss ${formatNumber(cell(context.batch().losses(), 0, i))}.`;
}

/** The example's row of the table, or else its largest features; of very many inputs, Python sends only the outstanding ones. */
function createFeatureTable({ data }: Context, i: number): HTMLElement {
  const { source } = data;
  if (source) return h("div", { class: "input-features" }, createPairs("In the table", source.columns.map(({ name, cells }) => [name, formatSourceCell(cells[i]!)])));
  const inputs = decode(data.inputs);
  const features = data.features.map((name, k) => ({ name, value: cell(inputs, k, i) }));
  const largest = [...features].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, MAX_FEATURES);
  const nHidden = data.sizes[0]! - largest.length;
  const table = createPairs(nHidden > 0 ? "Inputs, the largest first" : "Inputs", largest.map(({ name, value }) => [name, formatNumber(value)]));
  return h("div", { class: "input-features" }, table, nHidden > 0 ? h("p", {}, `… ${formatCount(nHidden)} more`) : null);
}

const createPairs = (caption: string, pairs: readonly (readonly [string, string])[]): HTMLElement =>
  h("table", {}, h("caption", {}, caption), h("tbody", {}, ...pairs.map(([name, text]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, text)))));
