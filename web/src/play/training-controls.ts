/** The controls of the training: batch size, learning rate, optimiser. */

import { createChoice, named } from "./select";
import { createQuantity } from "./number-input";
import type { Lesson } from "./protocol";
import { count, counted } from "./format";
import type { Context } from "./state";

export function createTrainingControls(context: Context): HTMLElement[] {
  const batch = createQuantity(context, {
    id: "batch-size", label: "Batch size", log: true, whole: true, marks: ["1, stochastic", "all, full batch"],
    ends: ({ data }) => [1, data.train],
    value: batchSize,
    changes: (value, { data }) => ({ batch_size: value === data.train ? "full" : value }),
    about: batchText,
  });
  const rate = createQuantity(context, {
    id: "learning-rate", label: "Learning rate α", log: true,
    ends: ({ limits }) => limits.learning_rate,
    value: ({ settings }) => settings.learning_rate,
    changes: (value) => ({ learning_rate: value }),
  });
  const optimizer = createChoice(context, {
    id: "optimizer", label: "Optimiser",
    options: ({ choices }) => choices.optimizers.map(named),
    value: ({ settings }) => settings.optimizer,
    changes: (value) => ({ optimizer: value }),
  });
  return [batch, rate, optimizer];
}

const batchSize = ({ settings, data }: Lesson): number => (settings.batch_size === "full" ? data.train : settings.batch_size);

function batchText(size: number, { data }: Lesson): string {
  if (size >= data.train) return `Batch descent: all ${count(data.train)} rows, one step an epoch`;
  const steps = counted(Math.ceil(data.train / size), "step");
  return size === 1 ? `Stochastic descent: ${steps} an epoch` : `Mini-batches of ${count(size)} of ${count(data.train)} rows: ${steps} an epoch`;
}
