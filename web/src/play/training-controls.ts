/** The training settings: batch size, learning rate, optimiser. */

import { createSelect, toOption } from "./select";
import { createNumberInput } from "./number-input";
import type { Setup } from "./protocol";
import { formatCount, pluralize } from "../format";
import type { Context } from "./state";

export function createTrainingControls(context: Context): HTMLElement[] {
  const batchSizeInput = createNumberInput(context, {
    id: "batch-size", label: "Batch size", log: true, integer: true, endLabels: ["1: stochastic", "all rows: full batch"],
    range: ({ data }) => [1, data.n_train],
    value: batchSize,
    toSettings: (value, { data }) => ({ batch_size: value === data.n_train ? "full" : value }),
    describe: describeBatchSize,
  });
  const learningRateInput = createNumberInput(context, {
    id: "learning-rate", label: "Learning rate α", log: true,
    range: ({ limits }) => limits.learning_rate,
    value: ({ settings }) => settings.learning_rate,
    toSettings: (value) => ({ learning_rate: value }),
  });
  const optimizerSelect = createSelect(context, {
    id: "optimizer", label: "Optimiser",
    options: ({ choices }) => choices.optimizers.map(toOption),
    value: ({ settings }) => settings.optimizer,
    changes: (value) => ({ optimizer: value }),
  });
  return [batchSizeInput, learningRateInput, optimizerSelect];
}

const batchSize = ({ settings, data }: Setup): number => (settings.batch_size === "full" ? data.n_train : settings.batch_size);

function describeBatchSize(size: number, { data }: Setup): string {
  if (size >= data.n_train) return `Batch gradient descent: all ${formatCount(data.n_train)} rows, 1 step per epoch`;
  const steps = pluralize(Math.ceil(data.n_train / size), "step");
  return size === 1 ? `Stochastic gradient descent: ${steps} per epoch` : `Mini-batches of ${formatCount(size)} of ${formatCount(data.n_train)} rows: ${steps} per epoch`;
}
