/** Shortcuts: space starts or pauses, → trains on one batch; except where these keys have another meaning. */

import type { Context } from "./state";
import type { RunCommand } from "./toolbar";

const USES_LETTERS = "input:not([type=radio], [type=range]), select, textarea, iframe, dialog, [contenteditable]";
/** Elements that use space or → themselves. */
const USES_SPACE = `${USES_LETTERS}, button, summary, a`;
const USES_ARROWS = "input, select, textarea, iframe, dialog, [contenteditable], .history-scroll, .network-canvas";

export function listenToShortcuts({ store }: Context, runCommand: RunCommand): void {
  addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat && event.key === " ") return;
    if (document.querySelector("dialog[open]")) return;
    // A radio or a slider that was clicked keeps the focus, and has no use for the space bar; a checkbox has.
    if (event.key === " " && !target.closest(USES_SPACE)) void runCommand(store.get("training")?.running ? "pause" : "start");
    else if (event.key === "ArrowRight" && !target.closest(USES_ARROWS)) void runCommand("step");
    else return;
    event.preventDefault();
  });
}
