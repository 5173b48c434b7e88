/** The microscope on the batch that was paused: what it can show, and the dialog that it opens in. */

import { button, h } from "../dom";
import { plural } from "../numbers";
import { count } from "./readout";
import { reason } from "./server";
import type { Context } from "./state";
import { refusal } from "./wishes";

const ADDRESS = "microscope";

export function createCloser({ store }: Context): HTMLElement {
  const about = h("p", { class: "closer-about" });
  const error = refusal();
  const open = button("Open it in the microscope", () => void show(), { class: "open-microscope", "aria-haspopup": "dialog" });

  async function show(): Promise<void> {
    error.textContent = await whyNot();
    if (!error.textContent) openDialog(store.get("frame")?.step ?? 0);
  }

  store.on(["frame", "link"], () => {
    const frame = store.get("frame");
    const ready = frame !== null && !frame.running && frame.step > 0 && store.get("link") !== "lost";
    open.disabled = !ready;
    const size = frame?.now.batch_size ?? 0;
    about.textContent = ready
      ? `Step ${count(frame.step)} took ${plural(frame.batch?.length || size, "point")}. See every matrix of that batch: forward, the loss, backward, the collapse of its gradients, the update.`
      : "Pause, or step one batch: then look at every matrix of the very batch that was taken last.";
    if (frame?.running) error.textContent = "";
  });
  return h("section", { class: "panel closer", "aria-label": "The last batch" }, h("div", {}, h("h2", {}, "Look into the batch"), about, error), open);
}

/** Ask before the dialog opens, as a frame would show a refusal as it came. */
async function whyNot(): Promise<string> {
  try {
    const response = await fetch(ADDRESS);
    return response.ok ? "" : await reason(response);
  } catch {
    return "The playground does not answer: it may have ended in its terminal.";
  }
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
