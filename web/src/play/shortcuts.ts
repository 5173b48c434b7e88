/** Shortcuts: space starts and pauses, → takes one batch. Never where keys have another meaning. */

import type { Context } from "./state";
import type { Act } from "./toolbar";

const TYPED = "input, select, textarea, iframe, dialog, [contenteditable]";
/** What space presses, and what → scrolls. */
const PRESSED = `${TYPED}, button, summary, a, label`;
const SCROLLED = `${TYPED}, .recent-scroll`;

export function listenToKeys({ store }: Context, act: Act): void {
  addEventListener("keydown", (event) => {
    const at = event.target instanceof Element ? event.target : document.body;
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat && event.key === " ") return;
    if (document.querySelector("dialog[open]") || store.get("link") === "lost") return;
    if (event.key === " " && !at.closest(PRESSED)) void act(store.get("frame")?.running ? "pause" : "start");
    else if (event.key === "ArrowRight" && !at.closest(SCROLLED)) void act("step");
    else return;
    event.preventDefault();
  });
}
