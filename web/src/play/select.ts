/** One of several names. */

import { h } from "../dom";
import type { Lesson, Settings } from "./protocol";
import type { Context } from "./state";
import { createWisher } from "./setting-sender";

export interface Option {
  value: string;
  text: string;
}

export interface Choice {
  id: string;
  label: string;
  /** Empty where there is nothing to choose: the control is hidden then. */
  options: (lesson: Lesson) => Option[];
  value: (lesson: Lesson) => string;
  changes: (value: string, lesson: Lesson) => Partial<Settings>;
}

export const named = (name: string): Option => ({ value: name, text: name.replaceAll("_", " ") });

export function createChoice(context: Context, choice: Choice): HTMLElement {
  const select = h("select", { id: choice.id });
  const wisher = createWisher(context, show);
  const element = h("div", { class: "field choice" }, h("div", { class: "field-row" }, h("label", { for: choice.id }, choice.label), select), wisher.error);
  let listed = "";

  function show(): void {
    const lesson = context.store.get("lesson");
    if (!lesson) return;
    const options = choice.options(lesson);
    const key = JSON.stringify(options);
    // An open list that is made anew would close.
    if (key !== listed) select.replaceChildren(...options.map(({ value, text }) => h("option", { value }, text)));
    listed = key;
    select.value = choice.value(lesson);
    element.hidden = options.length === 0;
  }

  select.addEventListener("change", () => {
    const lesson = context.store.get("lesson");
    if (lesson) wisher.wish(choice.changes(select.value, lesson));
  });
  context.store.on(["lesson"], () => {
    if (!wisher.busy()) show();
  });
  return element;
}
