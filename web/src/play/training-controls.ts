/** The training settings: batch size, learning rate, optimiser; loss, activation, seed; what holds it back. */

import { button, h } from "../dom";
import { formatCount, pluralize } from "../format";
import { ACTIVATIONS } from "../engine/activations";
import { OPTIMIZERS } from "../engine/optimizers";
import { createNumberInput, listenToTyping } from "./number-input";
import type { Setup } from "./protocol";
import { createSelect, toOption } from "./select";
import { createSettingSender, TYPING_DELAY } from "./setting-sender";
import { LIMITS, LOSSES } from "./settings";
import type { Context } from "./state";

export function createTrainingControls(context: Context): HTMLElement[] {
  const batchSize = createNumberInput(context, {
    id: "batch-size", label: "Batch size", log: true, integer: true, endLabels: ["1: stochastic", "all rows: full batch"],
    range: ({ data }) => [1, data.nTrain],
    value: batchSizeOf,
    toSettings: (value, { data }) => ({ batchSize: value === data.nTrain ? "full" : value }),
    describe: describeBatchSize,
  });
  const learningRate = createNumberInput(context, {
    id: "learning-rate", label: "Learning rate α", log: true,
    range: () => LIMITS.learningRate,
    value: ({ settings }) => settings.learningRate,
    toSettings: (value) => ({ learningRate: value }),
  });
  const optimizer = createSelect(context, {
    id: "optimizer", label: "Optimiser",
    options: () => OPTIMIZERS.map(toOption),
    value: ({ settings }) => settings.optimizer,
    changes: (value) => ({ optimizer: value }),
  });
  const activation = createSelect(context, {
    id: "activation", label: "Activation",
    options: () => ACTIVATIONS.map(({ name }) => toOption(name)),
    value: ({ settings }) => settings.activation,
    changes: (value) => ({ activation: value }),
  });
  const loss = createSelect(context, {
    id: "loss", label: "Loss",
    options: ({ data }) => (LOSSES[data.task].length > 1 ? LOSSES[data.task].map(toOption) : []),
    value: ({ settings }) => settings.loss,
    changes: (value) => ({ loss: value }),
  });
  return [batchSize, learningRate, optimizer, activation, loss, createSeed(context), createRegularization(context)];
}

/** What holds a training back: seldom needed, so folded away. */
function createRegularization(context: Context): HTMLElement {
  const field = (id: string, label: string, name: "l2" | "dropout" | "maxNorm"): HTMLElement => createNumberInput(context, {
    id, label,
    range: () => (name === "dropout" ? LIMITS.dropout : [0, name === "l2" ? 1 : 5]),
    limits: () => LIMITS[name],
    value: ({ settings }) => settings[name],
    toSettings: (value) => ({ [name]: value }),
  });
  const note = h("p", { class: "field-description" }, "0 is none. α ‖W‖²/2m is added to the loss; hidden units are dropped at random; the gradient is cut to the norm.");
  return h("details", { class: "more" }, h("summary", {}, "Regularisation and clipping"), h("div", { class: "group-body" }, field("l2", "L2 penalty", "l2"), field("dropout", "Dropout", "dropout"), field("max-norm", "Largest ‖g‖", "maxNorm"), note));
}

const batchSizeOf = ({ settings, data }: Setup): number => (settings.batchSize === "full" ? data.nTrain : settings.batchSize);

function describeBatchSize(size: number, { data }: Setup): string {
  if (size >= data.nTrain) return `Batch gradient descent: all ${formatCount(data.nTrain)} rows, 1 step per epoch`;
  const steps = pluralize(Math.ceil(data.nTrain / size), "step");
  return size === 1 ? `Stochastic gradient descent: ${steps} per epoch` : `Mini-batches of ${formatCount(size)} of ${formatCount(data.nTrain)} rows: ${steps} per epoch`;
}

function createSeed(context: Context): HTMLElement {
  const [low, high] = LIMITS.seed;
  const field = h("input", { type: "number", id: "seed", step: 1, min: low, max: high });
  const sender = createSettingSender(context, update);
  const nextSeedButton = button("Next", () => sender.send({ seed: (context.store.get("setup")?.settings.seed ?? 0) + 1 }), { class: "next-seed", "aria-label": "Next seed", title: "Next seed: other points, other initial weights" });

  function update(): void {
    field.value = String(context.store.get("setup")?.settings.seed ?? 0);
  }

  const isTyping = listenToTyping(field, {
    onValue: (value, isFinal) => sender.send({ seed: value }, { delay: isFinal ? 0 : TYPING_DELAY, restart: true }),
    onCancel: update,
  });
  context.store.on(["setup"], () => {
    if (!isTyping() && !sender.busy()) update();
  });
  return h("div", { class: "field" }, h("div", { class: "field-row" }, h("label", { for: "seed" }, "Seed"), h("span", { class: "with-button" }, field, nextSeedButton)), sender.error);
}
