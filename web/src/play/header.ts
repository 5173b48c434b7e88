/** The page's header: title, shortcuts, theme, end. */

import { button, h } from "../dom";
import type { Context } from "./state";

export function createHeader({ store, client }: Context, themeButton: HTMLElement): HTMLElement {
  const endButton = button("End", () => void client.end(), { class: "end", title: "Stop the training and end the playground" });
  const notice = createNotice();
  store.on(["connection"], () => {
    const isLost = store.get("connection") === "lost";
    endButton.disabled = isLost;
    notice.hidden = !isLost;
    const reason = store.get("disconnectReason");
    if (isLost) notice.replaceChildren(...(reason ? [reason] : ["The playground has ended. To start it again, run this in a terminal: ", h("code", {}, "batchprop play")]));
  });
  return h(
    "header",
    { class: "page-header" },
    h("div", { class: "page-header-row" }, h("h1", {}, "batchprop playground"), h("p", { class: "how-to" }, h("kbd", {}, "space"), " starts or pauses, ", h("kbd", {}, "→"), " trains on one batch."), h("div", { class: "page-header-buttons" }, themeButton, endButton)),
    notice,
  );
}

const createNotice = (): HTMLElement => h("p", { class: "connection-notice", role: "alert", hidden: true });
