/** What is selected in the microscope flows to Python's widget, and back. */

import { joinWidget } from "./embedding";
import type { State, Store } from "./state";
import type { AlgorithmStep } from "./steps";

interface Selection {
  /** The example pointed at. */
  selected: number | null;
  /** The id of the step, such as "collapse-1". */
  step: string;
  /** The examples that are left out of the batch. */
  left_out: number[];
}

export function shareSelection(store: Store, steps: readonly AlgorithmStep[]): void {
  const tell = joinWidget<Selection>(() => describe(store, steps), (selection) => store.set(toState(selection, store, steps)));
  store.on(["example", "step", "included"], tell);
}

function describe(store: Store, steps: readonly AlgorithmStep[]): Selection {
  const included = store.get("included");
  return {
    selected: store.get("example"),
    step: steps[store.get("step")]!.id,
    left_out: included.map((_, i) => i).filter((i) => !included[i]),
  };
}

/** What is told, as far as the page has it; at least one example stays in the batch. */
function toState({ selected, step, left_out: leftOut }: Partial<Selection>, store: Store, steps: readonly AlgorithmStep[]): Partial<State> {
  const m = store.get("included").length;
  const index = steps.findIndex(({ id }) => id === step);
  const included = store.get("included").map((_, i) => !(leftOut ?? []).includes(i));
  const isSame = included.every((one, i) => one === store.get("included")[i]);
  return {
    ...(selected === null || (selected !== undefined && selected >= 0 && selected < m) ? { example: selected } : {}),
    ...(index >= 0 ? { step: index } : {}),
    ...(leftOut && included.some(Boolean) && !isSame ? { included } : {}),
  };
}
