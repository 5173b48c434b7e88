/** The controls of the network: a drawing of it, its hidden layers, their activation, the seed. */

import { button, h } from "../dom";
import { pluralize } from "../format";
import { createChoice, named } from "./select";
import { createDiagram } from "./network-diagram";
import { onTyping } from "./number-input";
import { count } from "./format";
import type { Context } from "./state";
import { createWisher, TYPING } from "./setting-sender";

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
  const layers: Layer[] = [];
  // What was asked for last, until the server says what is: the next wish builds on it.
  let wanted: readonly number[] | null = null;
  const wisher = createWisher(context, () => {
    wanted = null;
    show(true);
  });
  const hidden: Hidden = {
    widths: () => wanted ?? context.store.get("lesson")?.settings.hidden ?? [],
    wish: (widths, after = 0) => {
      wanted = widths;
      wisher.wish({ hidden: [...widths] }, { after, restart: true });
      show();
    },
  };
  const add = button("+", () => hidden.wish([...hidden.widths(), hidden.widths().at(-1) ?? 8]), { class: "add-layer", "aria-label": "Add a hidden layer", title: "Add a hidden layer" });

  function show(force = false): void {
    const lesson = context.store.get("lesson");
    if (!lesson) return;
    const widths = hidden.widths();
    while (layers.length > widths.length) layers.pop()!.item.remove();
    while (layers.length < widths.length) layers.push(createLayer(layers.length, hidden, lesson.limits.units, add));
    list.append(...layers.map(({ item }) => item).slice(list.children.length));
    layers.forEach((layer, n) => layer.show(widths[n] ?? 0, force));
    add.disabled = widths.length >= lesson.limits.hidden_layers;
    about.textContent = `${pluralize(widths.length, "hidden layer")}, ${count(lesson.data.parameters)} weights`;
  }

  context.store.on(["lesson"], () => {
    if (!wisher.busy()) wanted = null;
    show();
  });
  return h("fieldset", { class: "field layers-field" }, h("legend", {}, "Units of each hidden layer"), h("div", { class: "layers-row" }, list, add), about, wisher.error);
}

interface Hidden {
  widths: () => readonly number[];
  wish: (widths: readonly number[], after?: number) => void;
}

interface Layer {
  item: HTMLElement;
  show: (width: number, force: boolean) => void;
}

function createLayer(n: number, hidden: Hidden, most: number, add: HTMLButtonElement): Layer {
  const name = `hidden layer ${n + 1}`;
  const field = h("input", { type: "number", min: 1, max: most, step: 1, "aria-label": `Units of ${name}`, class: "units" });
  const typing = onTyping(field, {
    taken: (value, finished) => hidden.wish(hidden.widths().map((width, k) => (k === n ? value : width)), finished ? 0 : TYPING),
    dropped: () => (field.value = String(hidden.widths()[n] ?? "")),
  });
  const remove = button("×", () => {
    hidden.wish(hidden.widths().filter((_, k) => k !== n));
    // The button goes with its layer, and the focus must not.
    add.focus();
  }, { class: "remove", "aria-label": `Remove ${name}`, title: `Remove ${name}` });
  const show = (width: number, force: boolean): void => void (force || !typing() ? (field.value = String(width)) : null);
  return { item: h("li", {}, field, remove), show };
}

function createSeed(context: Context): HTMLElement {
  const field = h("input", { type: "number", id: "seed", step: 1 });
  const wisher = createWisher(context, show);
  const another = button("Another", () => wisher.wish({ seed: (context.store.get("lesson")?.settings.seed ?? 0) + 1 }), { class: "another", "aria-label": "Another seed", title: "Other points, other first weights" });

  function show(): void {
    const lesson = context.store.get("lesson");
    if (!lesson) return;
    [field.min, field.max] = lesson.limits.seed.map(String) as [string, string];
    field.value = String(lesson.settings.seed);
  }

  const typing = onTyping(field, {
    taken: (value, finished) => wisher.wish({ seed: value }, { after: finished ? 0 : TYPING, restart: true }),
    dropped: show,
  });
  context.store.on(["lesson"], () => {
    if (!typing() && !wisher.busy()) show();
  });
  return h("div", { class: "field" }, h("div", { class: "field-row" }, h("label", { for: "seed" }, "Seed"), h("span", { class: "with-button" }, field, another)), wisher.error);
}
