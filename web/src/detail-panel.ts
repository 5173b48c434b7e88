/** The card: the example that is pointed at, and the arithmetic of the cell. */

import { at } from "./algebra";
import { sentence, type Arithmetic } from "./explanation-types";
import { decode } from "./batch-data";
import { button, h } from "./dom";
import type { Stage } from "./equation-view";
import { formula } from "./formula";
import { imageOf } from "./thumbnails";
import { show, showCosine } from "./format";
import type { Context } from "./batch-state";

const SHOWN_FEATURES = 12;
/** How long the reader must rest on a cell before a screen reader is told of it. */
const QUIET = 500;

export function createCard(context: Context, stage: Stage): HTMLElement {
  const { store } = context;
  const body = h("div", { class: "card-body" });
  const live = h("p", { class: "sr-only", "aria-live": "polite" });
  const more = button("More", () => {
    const opened = element.classList.toggle("expanded");
    more.textContent = opened ? "Less" : "More";
    more.setAttribute("aria-expanded", String(opened));
  }, { class: "card-more", "aria-expanded": "false" });
  const element = h("aside", { class: "card", "aria-label": "What you point at" }, more, body, live);
  let waiting: number | undefined;

  function render(): void {
    const example = store.get("example");
    const arithmetic = arithmeticOf(context, stage);
    const parts = [arithmetic && arithmeticPart(arithmetic), example !== null && examplePart(context, example)];
    const shown = parts.filter((part): part is HTMLElement => Boolean(part));
    body.replaceChildren(...(shown.length > 0 ? shown : [hint()]));
    element.classList.toggle("empty", shown.length === 0);
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => {
      live.textContent = [arithmetic && sentence(arithmetic), example !== null && summary(context, example)].filter(Boolean).join(" ");
    }, QUIET);
  }

  store.on(["example", "cell", "line", "checkpoint", "kept", "clip", "theme"], render);
  render();
  return element;
}

const hint = (): HTMLElement =>
  h("p", { class: "card-hint" }, "Point at a cell of a matrix to see how its number came about, and at a column to follow that example through every matrix.");

function arithmeticOf(context: Context, stage: Stage): Arithmetic | null {
  const cell = context.store.get("cell");
  const figure = cell && stage.figure(cell.figure);
  if (!cell || !figure || cell.row >= figure.matrix.rows || cell.column >= figure.matrix.columns) return null;
  return figure.explain(cell.row, cell.column, cell.sheet);
}

function arithmeticPart(arithmetic: Arithmetic): HTMLElement {
  const rows = arithmetic.steps.map(({ kind, label, expression, value }) =>
    h(
      "li",
      { class: kind },
      h("span", { class: "step-label" }, label),
      h("span", { class: "step-sum" }, expression && h("span", { class: "expression" }, expression), h("span", { class: "value", "data-value": String(value) }, `= ${show(value)}`)),
    ),
  );
  return h(
    "section",
    { class: "arithmetic" },
    h("h3", {}, arithmetic.title),
    h("p", { class: "arithmetic-value", "data-value": String(arithmetic.value) }, show(arithmetic.value)),
    h("p", { class: "arithmetic-formula" }, formula(arithmetic.tex)),
    h("ol", { class: "steps" }, ...rows),
    arithmetic.remark ? h("p", { class: "arithmetic-remark" }, arithmetic.remark) : null,
  );
}

function examplePart(context: Context, i: number): HTMLElement {
  const { doc } = context;
  const scene = context.scene();
  const example = doc.examples[i]!;
  const answers = facts("answers", [["label", example.label], ["prediction", prediction(context, i)], ["loss", show(at(scene.losses(), 0, i))]]);
  const lengths = facts("lengths", [["gradient norm", show(scene.norms()[i] ?? NaN)], ["cosine with the mean", showCosine(scene.cosines()[i] ?? NaN)]]);
  const image = imageOf(context, i, 112);
  const parts = image
    ? [h("div", { class: "with-image" }, image, answers), lengths]
    : [answers, lengths, featuresOf(context, i)];
  return h("section", { class: "example" }, h("h3", {}, example.row), ...parts);
}

const facts = (name: string, pairs: readonly [string, string][]): HTMLElement =>
  h("dl", { class: `facts ${name}` }, ...pairs.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));

/** The network's answer, said to be right or wrong where that can be said. */
export function prediction({ scene, doc }: Context, i: number): string {
  const answer = scene().checkpoint.answers[i] ?? "";
  const label = doc.examples[i]?.label ?? "";
  if (isNumeric(doc.head.name)) return answer;
  return `${answer}, ${answer === label ? "right" : "wrong"}`;
}

/** Heads whose answer is a number, near its label or far from it, but not right or wrong. */
const isNumeric = (head: string): boolean => !/softmax|sigmoid/.test(head);

function summary(context: Context, i: number): string {
  const { doc } = context;
  return `${doc.examples[i]?.row}: label ${doc.examples[i]?.label}, prediction ${prediction(context, i)}, loss ${show(at(context.scene().losses(), 0, i))}.`;
}

/** Of very many inputs the document names those that stand out. */
function featuresOf({ doc }: Context, i: number): HTMLElement {
  const inputs = decode(doc.inputs);
  const named = doc.features.map((name, k) => ({ name, value: at(inputs, k, i) }));
  const largest = [...named].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, SHOWN_FEATURES);
  const rows = largest.map(({ name, value }) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, show(value))));
  const left = doc.sizes[0]! - largest.length;
  const caption = h("caption", {}, left > 0 ? "Its input, the largest features" : "Its input");
  return h("div", { class: "input-features" }, h("table", {}, caption, h("tbody", {}, ...rows)), left > 0 ? h("p", {}, `… ${left} more`) : null);
}
