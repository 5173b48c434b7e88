/** Announces starts, pauses, steps and new trainings to screen readers; errors are announced where they appear. */

import { h } from "../dom";
import { formatCount } from "../format";
import { formatLoss } from "./format";
import type { History } from "./history";
import type { TrainingState } from "./protocol";
import type { Context } from "./state";

export function createLiveRegion({ store, history }: Context): HTMLElement {
  const region = h("p", { class: "sr-only", "aria-live": "polite" });
  let previous: TrainingState | null = null;
  store.on(["training"], () => {
    const training = store.get("training");
    const announcement = previous && training ? describeChange(previous, training, history) : "";
    if (announcement) region.textContent = announcement;
    previous = training ?? previous;
  });
  return region;
}

function describeChange(previous: TrainingState, current: TrainingState, history: History): string {
  const loss = formatLoss(history.losses.at(history.steps - 1));
  if (current.run !== previous.run) return "New training from the initial weights.";
  if (current.running !== previous.running) return current.running ? "Started." : `Paused at step ${formatCount(current.step)}, loss ${loss}.`;
  return !current.running && current.step !== previous.step ? `Step ${formatCount(current.step)}, loss ${loss}.` : "";
}
