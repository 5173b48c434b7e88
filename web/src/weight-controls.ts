/** The controls above the table: where to clip, all back in, and what that does to the mean gradient. */

import { cosineBetween, cut, meanLength, norms, sharesOf } from "./algebra";
import { decode } from "./batch-data";
import { button, h } from "./dom";
import { brief, plural, show } from "./format";
import type { Context } from "./batch-state";

export function createShares(context: Context): HTMLElement {
  const { store, doc } = context;
  const all = doc.examples.map(() => true);
  const back = button("All back in", () => store.set({ kept: all }), { class: "all-back" });
  const changed = h("p", { class: "dw-change", role: "status" });

  function update(): void {
    back.disabled = store.get("kept").every(Boolean);
    changed.textContent = changeOf(context);
  }

  store.on(["kept", "clip", "checkpoint"], update);
  update();
  return h("div", { class: "shares" }, h("div", { class: "shares-controls" }, clipControls(context), back), changed);
}

/** "length of the mean gradient 1.93 → 1.20, cosine between the two 0.91". */
function changeOf({ scene, doc, store }: Context): string {
  const { shares } = scene();
  const gram = scene().gram();
  const everyone = sharesOf(decode(doc.weights).values, doc.examples.map(() => true), [], null);
  const before = meanLength(gram, everyone);
  if (store.get("kept").every(Boolean) && store.get("clip") === null) return `Length of the mean gradient ${show(before)}, ${doc.examples.length === 1 ? "the 1 example" : `all ${doc.examples.length} examples`} in it.`;
  const cosine = cosineBetween(gram, everyone, shares);
  return `Length of the mean gradient ${show(before)} → ${show(meanLength(gram, shares))}, cosine between the two ${show(cosine)}. ${counts({ scene, doc, store })}`;
}

function counts({ scene, store }: Pick<Context, "scene" | "doc" | "store">): string {
  const kept = store.get("kept");
  const clip = store.get("clip");
  const clipped = scene().norms().filter((norm, i) => kept[i] && cut(norm, clip) < 1).length;
  const left = kept.filter((one) => !one).length;
  return `${plural(left, "example")} left out, ${clipped} clipped.`;
}

function clipControls(context: Context): HTMLElement {
  const { store } = context;
  const longest = Math.max(1e-6, ...context.doc.checkpoints.map((_, n) => longestAt(context, n)).filter(Number.isFinite));
  const box = h("input", { type: "checkbox", id: "clip-on" });
  const slider = h("input", { type: "range", id: "clip", min: 0, max: 1000, step: 1, "aria-label": "Clip at, on a scale of lengths" });
  const number = h("input", { type: "number", id: "clip-number", min: 0, step: "any", "aria-label": "Clip at this gradient norm" });
  const lengthAt = (place: number): number => longest * 10 ** ((place / 1000 - 1) * 3);
  const placeOf = (length: number): number => Math.round(1000 * (1 + Math.log10(length / longest) / 3));
  box.addEventListener("change", () => store.set({ clip: box.checked ? median(context.scene().norms()) : null }));
  slider.addEventListener("input", () => store.set({ clip: Number(lengthAt(Number(slider.value)).toPrecision(3)) }));
  number.addEventListener("change", () => {
    const wanted = Number(number.value);
    if (wanted > 0) store.set({ clip: wanted });
    else write();
  });
  function update(): void {
    const clip = store.get("clip");
    box.checked = clip !== null;
    slider.value = String(clip === null ? 1000 : placeOf(clip));
    slider.setAttribute("aria-valuetext", clip === null ? "off" : brief(clip));
    // What is being typed is left as it is.
    if (document.activeElement !== number || clip === null) write();
  }
  function write(): void {
    const clip = store.get("clip");
    number.value = clip === null ? "" : String(Number(clip.toPrecision(4)));
  }
  store.on(["clip"], update);
  update();
  return h("div", { class: "clip" }, h("label", { for: "clip-on" }, box, " Clip each gradient at length"), slider, number);
}

/** The longest gradient at a checkpoint: the end of the slider. */
const longestAt = ({ doc }: Context, checkpoint: number): number => Math.max(...norms(decode(doc.checkpoints[checkpoint]!.gram)));

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Number((sorted[Math.floor(sorted.length / 2)] ?? 1).toPrecision(3)) || 1;
}
