/** The microscope on the last batch: the panel with its button, and the dialog. */

import { button, h } from "../dom";
import { formatCount, pluralize } from "../format";
import type { Context } from "./state";

const MICROSCOPE_URL = "microscope";

export function createMicroscopePanel({ store }: Context): HTMLElement {
  const description = h("p", { class: "microscope-description" });
  const openButton = button("Open in the microscope", () => openDialog(store.get("training")?.step ?? 0), { class: "open-microscope", "aria-haspopup": "dialog" });

  store.on(["training", "connection"], () => {
    const training = store.get("training");
    const batchSize = training && !training.running && store.get("connection") !== "lost" ? training.last_batch_size : null;
    openButton.disabled = batchSize === null;
    description.textContent = training && batchSize !== null
      ? `Step ${formatCount(training.step)} trained on ${pluralize(batchSize, "point")}. The microscope shows every matrix of that batch: forward, loss, backward, collapse, update.`
      : "Pause the training, or step one batch, to see every matrix of the last batch.";
  });
  return h("section", { class: "panel microscope-panel", "aria-label": "The last batch" }, h("div", {}, h("h2", {}, "The last batch"), description), openButton);
}

function openDialog(step: number): void {
  const title = `The batch of step ${formatCount(step)}`;
  const close = button("Close", () => dialog.close(), { class: "close" });
  const link = h("a", { href: MICROSCOPE_URL, target: "_blank", rel: "noopener" }, "Open in a new tab");
  const dialog = h(
    "dialog",
    { class: "microscope-dialog", "aria-label": `${title} in the microscope` },
    h("div", { class: "dialog-head" }, h("h2", {}, title), link, close),
    h("iframe", { src: MICROSCOPE_URL, title: `Microscope: ${title.toLowerCase()}` }),
  );
  // On closing, the browser gives the focus back to the button that opened the dialog.
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
