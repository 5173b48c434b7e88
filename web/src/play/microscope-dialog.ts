/** The microscope on the batch that was paused: what it can show, and the dialog that it opens in. */

import { button, h } from "../dom";
import { count, counted } from "./format";
import type { Context } from "./state";

const ADDRESS = "microscope";

export function createCloser({ store }: Context): HTMLElement {
  const about = h("p", { class: "closer-about" });
  const open = button("Open it in the microscope", () => openDialog(store.get("frame")?.step ?? 0), { class: "open-microscope", "aria-haspopup": "dialog" });

  store.on(["frame", "link"], () => {
    const frame = store.get("frame");
    const taken = frame && !frame.running && store.get("link") !== "lost" ? frame.taken : null;
    open.disabled = taken === null;
    about.textContent = frame && taken !== null
      ? `Step ${count(frame.step)} took ${counted(taken, "point")}. See every matrix of that batch: forward, the loss, backward, the collapse of its gradients, the update.`
      : "Pause, or step one batch: then look at every matrix of the very batch that was taken last.";
  });
  return h("section", { class: "panel closer", "aria-label": "The last batch" }, h("div", {}, h("h2", {}, "Look into the batch"), about), open);
}

function openDialog(step: number): void {
  const title = `The batch of step ${count(step)}`;
  const close = button("Close", () => dialog.close(), { class: "close" });
  const tab = h("a", { href: ADDRESS, target: "_blank", rel: "noopener" }, "In a tab of its own");
  const dialog = h(
    "dialog",
    { class: "microscope-dialog", "aria-label": `${title}, through the microscope` },
    h("div", { class: "dialog-head" }, h("h2", {}, title), tab, close),
    h("iframe", { src: ADDRESS, title: `The microscope on ${title.toLowerCase()}` }),
  );
  // Closing gives the focus back to the button that opened it: the browser does that.
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
