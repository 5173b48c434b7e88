/** The last steps as a table, for those who want numbers rather than curves. */

import { h } from "../dom";
import { formatNumber } from "../format";
import { count } from "./format";
import type { Context } from "./state";

const ROWS = 20;
/** A table that changes more often cannot be read. */
const EVERY = 1000;

const COLUMNS = {
  loss: ["step", "loss of the batch", "held out"],
  noise: ["step", "noise scale", "batch size"],
} as const;

export function createRecent({ store, trace }: Context, kind: keyof typeof COLUMNS): HTMLElement {
  const body = h("tbody");
  const head = h("tr", {}, ...COLUMNS[kind].map((name) => h("th", { scope: "col" }, name)));
  const table = h("table", {}, h("caption", { class: "sr-only" }, `The last ${ROWS} steps`), h("thead", {}, head), body);
  const details = h("details", { class: "recent" }, h("summary", {}, `The last ${ROWS} steps as numbers`), h("div", { class: "recent-scroll", tabindex: 0, role: "group", "aria-label": `The last ${ROWS} steps` }, table));
  let written = -Infinity;

  function numbersAt(step: number): number[] {
    if (kind === "noise") return [trace.noise.at(step - 1), trace.sizes.at(step - 1)];
    return [trace.losses.at(step - 1), trace.held.find((one) => one.step === step)?.loss ?? NaN];
  }

  function cell(value: number, column: number): HTMLElement {
    const nothing = Number.isNaN(value);
    return h("td", { "data-value": nothing ? null : value }, nothing ? "–" : kind === "noise" && column === 1 ? count(value) : formatNumber(value));
  }

  function write(): void {
    const paused = !store.get("frame")?.running;
    if (!details.open || (!paused && performance.now() - written < EVERY)) return;
    written = performance.now();
    const steps = Array.from({ length: Math.min(ROWS, trace.steps) }, (_, n) => trace.steps - n);
    body.replaceChildren(...steps.map((step) => h("tr", {}, h("th", { scope: "row" }, count(step)), ...numbersAt(step).map(cell))));
  }

  details.addEventListener("toggle", write);
  store.on(["frame", "lesson"], write);
  return details;
}
