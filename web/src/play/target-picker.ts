/** Lets the user choose another target for a file whose target was rejected. */

import { h } from "../dom";
import type { FileInfo, Setup } from "./protocol";
import type { Context } from "./state";

export interface LoadedTable extends FileInfo {
  name: string;
}

export interface TargetPicker {
  element: HTMLElement;
  /** Show the columns, with the rejected target selected. */
  show: (table: LoadedTable, rejectedTarget: string) => void;
  hide: () => void;
}

export function createTargetPicker({ store }: Context, onSelect: (table: LoadedTable, target: string) => void): TargetPicker {
  const select = h("select", { id: "target-picker" });
  const label = h("label", { for: "target-picker" });
  const element = h("div", { class: "target-picker", hidden: true }, label, select);
  let current: LoadedTable | null = null;
  let sourceKey = "";

  function show(table: LoadedTable, rejectedTarget: string): void {
    if (current !== table) select.replaceChildren(...table.columns.map((name) => h("option", { value: name }, name)));
    [current, sourceKey] = [table, describeSource(store.get("setup"))];
    label.textContent = `Target in ${table.name}`;
    select.value = rejectedTarget;
    element.hidden = false;
  }

  function hide(): void {
    current = null;
    element.hidden = true;
  }

  select.addEventListener("change", () => {
    if (current) onSelect(current, select.value);
  });
  // After a choice of other data this file is no longer needed.
  store.on(["setup"], () => {
    if (current && describeSource(store.get("setup")) !== sourceKey) hide();
  });
  return { element, show, hide };
}

/** Identifies the current data. */
const describeSource = (setup: Setup | null): string => JSON.stringify([setup?.settings.data, setup?.settings.target, setup?.table]);
