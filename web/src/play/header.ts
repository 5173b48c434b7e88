/** The head of the page: what this is, the theme, the end. */

import { button, h } from "../dom";
import type { Context } from "./state";

export function createMasthead({ store, server }: Context, themeButton: HTMLElement): HTMLElement {
  const end = button("End", () => void server.end(), { class: "end", title: "End the playground and its training" });
  const over = createOver();
  store.on(["link"], () => {
    const lost = store.get("link") === "lost";
    end.disabled = lost;
    over.hidden = !lost;
    const farewell = store.get("farewell");
    if (lost) over.replaceChildren(...(farewell ? [farewell] : ["The playground has ended. Start it again in the terminal: ", h("code", {}, "batchprop play")]));
  });
  return h(
    "header",
    { class: "page-header" },
    h("div", { class: "page-header-row" }, h("h1", {}, "batchprop playground"), h("p", { class: "how-to" }, h("kbd", {}, "space"), " starts and pauses, ", h("kbd", {}, "→"), " takes one batch."), h("div", { class: "page-header-buttons" }, themeButton, end)),
    over,
  );
}

const createOver = (): HTMLElement => h("p", { class: "over", role: "alert", hidden: true });
