/** The controls of the network: a drawing of it, its hidden layers, their activation, the seed. */

import { button, h } from "../dom";
import { plural } from "../numbers";
import { createChoice, named } from "./choice";
import { createDiagram } from "./diagram";
import { onTyping } from "./quantity";
import { count } from "./readout";
import type { Context } from "./state";
import { createWisher, TYPING, type Wisher } from "./wishes";

export function createNetworkControls(context: Context): HTMLElement[] {
  const activation = createChoice(context, {
    id: "activation", label: "Activation",
    options: ({ choices }) => choices.activations.map(named),
    value: ({ settings }) => settings.activation,
    changes: (value) => ({ activation: value }),
  });
  return [createDiagram(context), createLayers(context), activation, createSeed(context)];
}

function createLayers(context: Context): HTMLElement {
  const list = h("ol", { class: "layers" });
  const about = h("p", { class: "field-about" });
  const wisher = createWisher(context, () => show(true));
  const add = button("Add a layer", () => {
    const hidden = widths();
    wisher.wish({ hidden: [...hidden, hidden.at(-1) ?? 8] });
  }, { class: "add-layer" });
  const widths = (): readonly number[] => context.store.get("lesson")?.settings.hidden ?? [];

  function show(force = false): void {
    const lesson = context.store.get("lesson");
    if (!lesson || (wisher.busy() && !force)) return;
    const { hidden } = lesson.settings;
    while (list.children.length > hidden.length) list.lastElementChild!.remove();
    while (list.children.length < hidden.length) list.append(createLayer(list.children.length, widths, wisher, lesson.limits.units, add));
    [...list.children].forEach((item, n) => {
      const field = item.querySelector("input")!;
      if (force || document.activeElement !== field || Number(field.value) !== hidden[n]) field.value = String(hidden[n]);
    });
    add.disabled = hidden.length >= lesson.limits.hidden_layers;
    about.textContent = `${plural(hidden.length, "hidden layer")}, ${count(lesson.data.parameters)} weights`;
  }

  context.store.on(["lesson"], () => show());
  return h("fieldset", { class: "field layers-field" }, h("legend", {}, "Units of each hidden layer"), h("div", { class: "layers-row" }, list, add), about, wisher.error);
}

function createLayer(n: number, widths: () => readonly number[], wisher: Wisher, most: number, add: HTMLButtonElement): HTMLElement {
  const name = `hidden layer ${n + 1}`;
  const field = h("input", { type: "number", min: 1, max: most, step: 1, "aria-label": `Units of ${name}`, class: "units" });
  onTyping(field, {
    typing: () => undefined,
    taken: (value, finished) => {
      if (widths()[n] === value && !wisher.busy()) return;
      wisher.wish({ hidden: widths().map((width, k) => (k === n ? value : width)) }, { after: finished ? 0 : TYPING, restart: true });
    },
    dropped: () => (field.value = String(widths()[n] ?? "")),
  });
  const remove = button("×", () => {
    wisher.wish({ hidden: widths().filter((_, k) => k !== n) });
    // The button goes with its layer, and the focus must not.
    add.focus();
  }, { class: "remove", "aria-label": `Remove ${name}`, title: `Remove ${name}` });
  return h("li", {}, field, remove);
}

function createSeed(context: Context): HTMLElement {
  const field = h("input", { type: "number", id: "seed", step: 1 });
  const wisher = createWisher(context, show);
  const another = button("Another", () => wisher.wish({ seed: (context.store.get("lesson")?.settings.seed ?? 0) + 1 }), { class: "another", "aria-label": "Another seed", title: "Other points, other first weights" });
  let typing = false;

  function show(): void {
    const lesson = context.store.get("lesson");
    if (!lesson) return;
    [field.min, field.max] = lesson.limits.seed.map(String) as [string, string];
    field.value = String(lesson.settings.seed);
  }

  onTyping(field, {
    typing: (on) => (typing = on),
    taken: (value, finished) => wisher.wish({ seed: value }, { after: finished ? 0 : TYPING, restart: true }),
    dropped: show,
  });
  context.store.on(["lesson"], () => {
    if (!typing && !wisher.busy()) show();
  });
  return h("div", { class: "field" }, h("div", { class: "field-row" }, h("label", { for: "seed" }, "Seed"), h("span", { class: "with-button" }, field, another)), wisher.error);
}
