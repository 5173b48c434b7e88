/** The controls above the table: the clipping norm, the reset, and their effect on the mean gradient. */

import { cosineBetween, clipFactor, meanNorm, norms, normalizedWeights } from "./algebra";
import { decode } from "./batch-data";
import { button, h } from "./dom";
import { formatNumber, formatShort, pluralize } from "./format";
import type { Context } from "./batch-state";

export function createWeightControls(context: Context): HTMLElement {
  const { store, data } = context;
  const all = data.examples.map(() => true);
  const reset = button("Include all", () => store.set({ included: all }), { class: "include-all" });
  const summary = h("p", { class: "gradient-change", role: "status" });

  function update(): void {
    reset.disabled = store.get("included").every(Boolean);
    summary.textContent = describeChange(context);
  }

  store.on(["included", "clip", "snapshot"], update);
  update();
  return h("div", { class: "weight-controls" }, h("div", { class: "weight-inputs" }, clipControls(context), reset), summary);
}

/** "Norm of the mean gradient 1.93 → 1.20, cosine between the two 0.91." */
function describeChange({ batch, data, store }: Context): string {
  const { weights } = batch();
  const gram = batch().gram();
  const fullWeights = normalizedWeights(decode(data.weights).values, data.examples.map(() => true), [], null);
  const fullNorm = meanNorm(gram, fullWeights);
  if (store.get("included").every(Boolean) && store.get("clip") === null) return `Norm of the mean gradient ${formatNumber(fullNorm)}, with ${data.examples.length === 1 ? "its 1 example" : `all ${data.examples.length} examples`}.`;
  const cosine = cosineBetween(gram, fullWeights, weights);
  return `Norm of the mean gradient ${formatNumber(fullNorm)} → ${formatNumber(meanNorm(gram, weights))}, cosine between the two ${formatNumber(cosine)}. ${describeCounts({ batch, store })}`;
}

function describeCounts({ batch, store }: Pick<Context, "batch" | "store">): string {
  const included = store.get("included");
  const clip = store.get("clip");
  const nClipped = batch().norms().filter((norm, i) => included[i] && clipFactor(norm, clip) < 1).length;
  const nExcluded = included.filter((isIncluded) => !isIncluded).length;
  return `${pluralize(nExcluded, "example")} excluded, ${nClipped} clipped.`;
}

function clipControls(context: Context): HTMLElement {
  const { store } = context;
  const maxNorm = Math.max(1e-6, ...context.data.snapshots.map((_, n) => maxNormAt(context, n)).filter(Number.isFinite));
  const checkbox = h("input", { type: "checkbox", id: "clip-on" });
  const slider = h("input", { type: "range", id: "clip", min: 0, max: 1000, step: 1, "aria-label": "Clipping norm, slider" });
  const number = h("input", { type: "number", id: "clip-number", min: 0, step: "any", "aria-label": "Clipping norm" });
  const normAt = (position: number): number => maxNorm * 10 ** ((position / 1000 - 1) * 3);
  const sliderPosition = (norm: number): number => Math.round(1000 * (1 + Math.log10(norm / maxNorm) / 3));
  checkbox.addEventListener("change", () => store.set({ clip: checkbox.checked ? median(context.batch().norms()) : null }));
  slider.addEventListener("input", () => store.set({ clip: Number(normAt(Number(slider.value)).toPrecision(3)) }));
  number.addEventListener("change", () => {
    const value = Number(number.value);
    if (value > 0) store.set({ clip: value });
    else updateField();
  });
  function update(): void {
    const clip = store.get("clip");
    checkbox.checked = clip !== null;
    slider.value = String(clip === null ? 1000 : sliderPosition(clip));
    slider.setAttribute("aria-valuetext", clip === null ? "off" : formatShort(clip));
    // Do not change the field while the user types in it.
    if (document.activeElement !== number || clip === null) updateField();
  }
  function updateField(): void {
    const clip = store.get("clip");
    number.value = clip === null ? "" : String(Number(clip.toPrecision(4)));
  }
  store.on(["clip"], update);
  update();
  return h("div", { class: "clip" }, h("label", { for: "clip-on" }, checkbox, " Clip each gradient to norm"), slider, number);
}

/** The largest gradient norm at a snapshot: the end of the slider. */
const maxNormAt = ({ data }: Context, snapshot: number): number => Math.max(...norms(decode(data.snapshots[snapshot]!.gram)));

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Number((sorted[Math.floor(sorted.length / 2)] ?? 1).toPrecision(3)) || 1;
}
