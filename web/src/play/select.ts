/** A setting with a list of options. */

import { h } from "../dom";
import type { Setup, Settings } from "./protocol";
import type { Context } from "./state";
import { createSettingSender } from "./setting-sender";

export interface Option {
  value: string;
  text: string;
}

export interface SelectSpec {
  id: string;
  label: string;
  /** Without options the control is hidden. */
  options: (setup: Setup) => Option[];
  value: (setup: Setup) => string;
  changes: (value: string, setup: Setup) => Partial<Settings>;
}

export const toOption = (name: string): Option => ({ value: name, text: name.replaceAll("_", " ") });

export function createSelect(context: Context, spec: SelectSpec): HTMLElement {
  const select = h("select", { id: spec.id });
  const sender = createSettingSender(context, show);
  const element = h("div", { class: "field" }, h("div", { class: "field-row" }, h("label", { for: spec.id }, spec.label), select), sender.error);
  let listedKey = "";

  function show(): void {
    const setup = context.store.get("setup");
    if (!setup) return;
    const options = spec.options(setup);
    const key = JSON.stringify(options);
    // Replacing the options would close an open list.
    if (key !== listedKey) select.replaceChildren(...options.map(({ value, text }) => h("option", { value }, text)));
    listedKey = key;
    select.value = spec.value(setup);
    element.hidden = options.length === 0;
  }

  select.addEventListener("change", () => {
    const setup = context.store.get("setup");
    if (setup) sender.send(spec.changes(select.value, setup));
  });
  context.store.on(["setup"], () => {
    if (!sender.busy()) show();
  });
  return element;
}
