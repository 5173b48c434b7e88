/** The last steps as a table of numbers. */

import { h } from "../dom";
import { formatCount, formatNumber } from "../format";
import { MISSING } from "./format";
import type { Context } from "./state";

const MAX_ROWS = 20;
/** Milliseconds between updates: a table that changes more often cannot be read. */
const MIN_INTERVAL = 1000;

const COLUMNS = {
  loss: ["step", "batch loss", "held-out loss"],
  noise: ["step", "noise scale", "batch size"],
} as const;

export function createHistoryTable({ store, history }: Context, kind: keyof typeof COLUMNS): HTMLElement {
  const body = h("tbody");
  const head = h("tr", {}, ...COLUMNS[kind].map((name) => h("th", { scope: "col" }, name)));
  const table = h("table", {}, h("caption", { class: "sr-only" }, `The last ${MAX_ROWS} steps`), h("thead", {}, head), body);
  const details = h("details", { class: "history-table" }, h("summary", {}, `The last ${MAX_ROWS} steps as numbers`), h("div", { class: "history-scroll", tabindex: 0, role: "group", "aria-label": `The last ${MAX_ROWS} steps` }, table));
  let lastUpdate = -Infinity;

  function valuesAt(step: number): number[] {
    if (kind === "noise") return [history.noiseScales.at(step - 1), history.batchSizes.at(step - 1)];
    return [history.losses.at(step - 1), history.validation.find((entry) => entry.step === step)?.loss ?? NaN];
  }

  function createCell(value: number, column: number): HTMLElement {
    const isMissing = Number.isNaN(value);
    return h("td", { "data-value": isMissing ? null : value }, isMissing ? MISSING : kind === "noise" && column === 1 ? formatCount(value) : formatNumber(value));
  }

  function update(): void {
    const isPaused = !store.get("training")?.running;
    if (!details.open || (!isPaused && performance.now() - lastUpdate < MIN_INTERVAL)) return;
    lastUpdate = performance.now();
    const steps = Array.from({ length: Math.min(MAX_ROWS, history.steps) }, (_, n) => history.steps - n);
    body.replaceChildren(...steps.map((step) => h("tr", {}, h("th", { scope: "row" }, formatCount(step)), ...valuesAt(step).map(createCell))));
  }

  details.addEventListener("toggle", update);
  store.on(["training", "setup"], update);
  return details;
}
