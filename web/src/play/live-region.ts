/** What a screen reader hears as it happens: starts and pauses, steps, new trainings. Refusals are told where they happen. */

import { h } from "../dom";
import { count, lossText } from "./format";
import type { Frame } from "./protocol";
import type { Context } from "./state";

export function createLive({ store }: Context): HTMLElement {
  const region = h("p", { class: "sr-only", "aria-live": "polite" });
  let before: Frame | null = null;
  store.on(["frame"], () => {
    const frame = store.get("frame");
    const news = before && frame ? newsOf(before, frame) : "";
    if (news) region.textContent = news;
    before = frame ?? before;
  });
  return region;
}

function newsOf(before: Frame, now: Frame): string {
  if (now.run !== before.run) return "A new training, from the first weights.";
  if (now.running !== before.running) return now.running ? "Started." : `Paused at step ${count(now.step)}, loss ${lossText(now.now.loss)}.`;
  return !now.running && now.step !== before.step ? `Step ${count(now.step)}, loss ${lossText(now.now.loss)}.` : "";
}
