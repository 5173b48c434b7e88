/** The page's header: what it is, and what to take from it: a link, the lines of Python, the weights. */

import { button, h } from "../dom";
import { isComplete } from "./address";
import type { Links } from "./address-sync";
import type { Context } from "./state";

export function createHeader({ store }: Context, links: Links, themeButton: HTMLElement): HTMLElement {
  const linkButton = button("Copy link", () => void copyLink(), { class: "copy-link", title: "An address that opens this network, at this step" });
  const pythonButton = button("As Python", () => showPython(links.python()), { class: "copy-python", "aria-haspopup": "dialog", title: "The lines that train this network with batchprop" });
  const weightsButton = button("Weights", () => download(links.weights()), { class: "download-weights", title: "Download the weights, for Network.from_weights" });
  const announcement = h("span", { class: "copied", role: "status" });
  const isReady = (): boolean => links.recording() !== null;

  async function copyLink(): Promise<void> {
    const [recording, address] = [links.recording(), links.link()];
    const copied = await copy(address);
    const rest = recording && !isComplete(recording) ? " It holds the settings; the table stays in this page." : "";
    announcement.textContent = copied ? `Copied.${rest}` : `Copy the address of this page.${rest}`;
  }

  store.on(["training"], () => {
    for (const each of [linkButton, pythonButton, weightsButton]) each.disabled = !isReady();
  });
  store.on(["setup"], () => (announcement.textContent = ""));
  return h(
    "header",
    { class: "page-header" },
    h("div", { class: "page-header-row" },
      h("h1", {}, "batchprop playground"),
      h("p", { class: "how-to" }, "A neural network that learns while you watch.", h("span", { class: "keys" }, " ", h("kbd", {}, "space"), " starts and pauses, ", h("kbd", {}, "→"), " takes one batch.")),
      h("div", { class: "page-header-buttons" }, announcement, linkButton, pythonButton, weightsButton, themeButton),
    ),
  );
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function download({ name, file }: { name: string; file: Blob }): void {
  const address = URL.createObjectURL(file);
  h("a", { href: address, download: name }).click();
  URL.revokeObjectURL(address);
}

function showPython(code: string): void {
  const text = h("pre", { class: "python", tabindex: 0 }, h("code", {}, code));
  const copyButton = button("Copy", () => void copy(code).then((copied) => {
    if (!copied) getSelection()?.selectAllChildren(text);
    status.textContent = copied ? "Copied." : "Selected: copy it with Ctrl-C.";
  }), { class: "copy" });
  const status = h("span", { role: "status" });
  const dialog = h(
    "dialog",
    { class: "python-dialog", "aria-label": "The same training in Python" },
    h("div", { class: "dialog-head" }, h("h2", {}, "The same training in Python"), status, copyButton, button("Close", () => dialog.close(), { class: "close" })),
    text,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
