/** The microscope on the last batch, in a dialog: its page is in this one, as text, and is put together when it is asked for. */

import { button, h, setText } from "../dom";
import { formatCount, pluralize } from "../format";
import type { BatchData } from "../batch-data";
import type { Context } from "./state";
import { errorOf } from "./setting-sender";

export function createMicroscopeButton({ store, client }: Context): HTMLElement {
  const description = h("p", { class: "microscope-description" });
  const openButton = button("Open this batch in the microscope", () => void open(), { class: "open-microscope", "aria-haspopup": "dialog" });

  async function open(): Promise<void> {
    const result = await client.microscope();
    if ("error" in result) store.set({ commandError: errorOf(result) });
    else openDialog(store.get("training")?.step ?? 0, result.value);
  }

  store.on(["training"], () => {
    const training = store.get("training");
    const batchSize = training && !training.running ? training.lastBatchSize : null;
    openButton.disabled = batchSize === null;
    const text = training && batchSize !== null
      ? `Step ${formatCount(training.step)} trained on ${pluralize(batchSize, "point")}: see every matrix of it, forward and back.`
      : "Pause, or step one batch, to see every matrix of the last batch.";
    setText(description, text);
  });
  return h("div", { class: "microscope-panel" }, description, openButton);
}

function openDialog(step: number, batch: BatchData): void {
  const title = `The batch of step ${formatCount(step)}`;
  const close = button("Close", () => dialog.close(), { class: "close" });
  const dialog = h(
    "dialog",
    { class: "microscope-dialog", "aria-label": `${title} in the microscope` },
    h("div", { class: "dialog-head" }, h("h2", {}, title), close),
    h("iframe", { srcdoc: microscopePage(batch), title: `Microscope: ${title.toLowerCase()}` }),
  );
  // On closing, the browser gives the focus back to the button that opened the dialog.
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** The page that `batchprop look` writes, with this batch; the frame inherits this page's policy. */
function microscopePage(batch: BatchData): string {
  const text = (id: string): string => document.getElementById(id)?.textContent ?? "";
  // A text in it may contain "</script", which would end the element.
  const data = JSON.stringify(batch).replaceAll("<", "\\u003c");
  const theme = document.documentElement.dataset["theme"] ?? "light";
  return `<!doctype html><html lang="en" data-theme="${theme}"><head><meta charset="utf-8"><title>batchprop microscope</title><style>${text("microscope-style")}</style></head>`
    + `<body><main id="microscope"></main><script type="application/json" id="batch-data">${data}</script><script>${text("microscope-script")}</script></body></html>`;
}
