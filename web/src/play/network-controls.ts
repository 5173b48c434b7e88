/** The network settings: its diagram, hidden layers, activation function, seed. */

import { button, h } from "../dom";
import { pluralize } from "../format";
import { createSelect, toOption } from "./select";
import { createNetworkDiagram } from "./network-diagram";
import { listenToTyping } from "./number-input";
import type { Context } from "./state";
import { createSettingSender, TYPING_DELAY } from "./setting-sender";

export function createNetworkControls(context: Context): HTMLElement[] {
  const activation = createSelect(context, {
    id: "activation", label: "Activation",
    options: ({ choices }) => choices.activations.map(toOption),
    value: ({ settings }) => settings.activation,
    changes: (value) => ({ activation: value }),
  });
  return [createNetworkDiagram(context), createLayerFields(context), activation, createSeed(context)];
}

function createLayerFields(context: Context): HTMLElement {
  const list = h("ol", { class: "layers" });
  const description = h("p", { class: "field-description" });
  const layerFields: LayerField[] = [];
  // The widths that were sent last, until the server answers: the next change builds on them.
  let pending: readonly number[] | null = null;
  const sender = createSettingSender(context, () => {
    pending = null;
    update(true);
  });
  const hiddenLayers: HiddenLayers = {
    widths: () => pending ?? context.store.get("setup")?.settings.hidden ?? [],
    send: (widths, delay = 0) => {
      pending = widths;
      sender.send({ hidden: [...widths] }, { delay, restart: true });
      update();
    },
  };
  const addButton = button("+", () => hiddenLayers.send([...hiddenLayers.widths(), hiddenLayers.widths().at(-1) ?? 8]), { class: "add-layer", "aria-label": "Add a hidden layer", title: "Add a hidden layer" });

  function update(force = false): void {
    const setup = context.store.get("setup");
    if (!setup) return;
    const widths = hiddenLayers.widths();
    while (layerFields.length > widths.length) layerFields.pop()!.item.remove();
    while (layerFields.length < widths.length) layerFields.push(createLayerField(layerFields.length, hiddenLayers, setup.limits.max_units, addButton));
    list.append(...layerFields.map(({ item }) => item).slice(list.children.length));
    layerFields.forEach((layer, n) => layer.update(widths[n] ?? 0, force));
    addButton.disabled = widths.length >= setup.limits.max_hidden_layers;
    description.textContent = `${pluralize(widths.length, "hidden layer")}, ${pluralize(setup.data.n_parameters, "parameter")}`;
  }

  context.store.on(["setup"], () => {
    if (!sender.busy()) pending = null;
    update();
  });
  return h("fieldset", { class: "field layers-field" }, h("legend", {}, "Units of each hidden layer"), h("div", { class: "layers-row" }, list, addButton), description, sender.error);
}

interface HiddenLayers {
  widths: () => readonly number[];
  send: (widths: readonly number[], delay?: number) => void;
}

interface LayerField {
  item: HTMLElement;
  update: (width: number, force: boolean) => void;
}

function createLayerField(n: number, hiddenLayers: HiddenLayers, maxUnits: number, addButton: HTMLButtonElement): LayerField {
  const name = `hidden layer ${n + 1}`;
  const field = h("input", { type: "number", min: 1, max: maxUnits, step: 1, "aria-label": `Units of ${name}`, class: "units" });
  const isTyping = listenToTyping(field, {
    onValue: (value, isFinal) => hiddenLayers.send(hiddenLayers.widths().map((width, k) => (k === n ? value : width)), isFinal ? 0 : TYPING_DELAY),
    onCancel: () => (field.value = String(hiddenLayers.widths()[n] ?? "")),
  });
  const removeButton = button("×", () => {
    hiddenLayers.send(hiddenLayers.widths().filter((_, k) => k !== n));
    // The button disappears with its layer; keep the focus on the page.
    addButton.focus();
  }, { class: "remove", "aria-label": `Remove ${name}`, title: `Remove ${name}` });
  const update = (width: number, force: boolean): void => void (force || !isTyping() ? (field.value = String(width)) : null);
  return { item: h("li", {}, field, removeButton), update };
}

function createSeed(context: Context): HTMLElement {
  const field = h("input", { type: "number", id: "seed", step: 1 });
  const sender = createSettingSender(context, update);
  const nextSeedButton = button("Next", () => sender.send({ seed: (context.store.get("setup")?.settings.seed ?? 0) + 1 }), { class: "next-seed", "aria-label": "Next seed", title: "Next seed: other data, other initial weights" });

  function update(): void {
    const setup = context.store.get("setup");
    if (!setup) return;
    [field.min, field.max] = setup.limits.seed.map(String) as [string, string];
    field.value = String(setup.settings.seed);
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
