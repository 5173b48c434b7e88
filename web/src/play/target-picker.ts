/** A file that was read, and whose target was refused: it waits for another of its columns to be chosen. */

import { h } from "../dom";
import type { Lesson, Loaded } from "./protocol";
import type { Context } from "./state";

export interface Table extends Loaded {
  name: string;
}

export interface Offer {
  element: HTMLElement;
  /** Let another column than the one that was tried be chosen. */
  show: (table: Table, tried: string) => void;
  drop: () => void;
}

export function createOffer({ store }: Context, choose: (table: Table, target: string) => void): Offer {
  const select = h("select", { id: "offer" });
  const label = h("label", { for: "offer" });
  const element = h("div", { class: "offer", hidden: true }, label, select);
  let offered: Table | null = null;
  let besides = "";

  function show(table: Table, tried: string): void {
    if (offered !== table) select.replaceChildren(...table.columns.map((name) => h("option", { value: name }, name)));
    [offered, besides] = [table, inForce(store.get("lesson"))];
    label.textContent = `Another target in ${table.name}`;
    select.value = tried;
    element.hidden = false;
  }

  function drop(): void {
    offered = null;
    element.hidden = true;
  }

  select.addEventListener("change", () => {
    if (offered) choose(offered, select.value);
  });
  // Somebody who chooses another set wants this file no more.
  store.on(["lesson"], () => {
    if (offered && inForce(store.get("lesson")) !== besides) drop();
  });
  return { element, show, drop };
}

/** What is learned from, as far as its choice tells. */
const inForce = (lesson: Lesson | null): string => JSON.stringify([lesson?.settings.data, lesson?.settings.target, lesson?.file]);
