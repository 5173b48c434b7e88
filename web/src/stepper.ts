/** The algorithm down the side: its lines, the buttons, the slider over checkpoints, and the keys. */

import { button, h, reducedMotion } from "./dom";
import { formula } from "./formula";
import { GROUPS, type Group, type Line, linesOf } from "./steps";
import type { Context } from "./batch-state";
import type { Store } from "./state";

const PACE = 2600;
const TITLES: Record<Group, string> = {
  forward: "Forward", loss: "Loss", backward: "Backward", collapse: "Collapse", update: "Update",
};

export function createStepper(context: Context, lines: readonly Line[]): HTMLElement {
  const { store } = context;
  const items = lines.map((line, n) => lineItem(line, () => store.set({ line: n, playing: false })));
  const groups = GROUPS.map((group) => groupItem(group, lines, items, store));
  const element = h(
    "nav",
    { class: "stepper", "aria-label": "The algorithm" },
    controls(store, lines),
    checkpoints(context),
    h("ol", { class: "groups" }, ...groups),
  );
  const update = (): void => showCurrent(store.get("line"), items, groups);
  store.on(["line"], update);
  update();
  store.on(["checkpoint", "kept", "clip"], () => linesOf(context.scene()).forEach((line, n) => typeset(items[n]!, line)));
  play(store, lines);
  listenToKeys(store, lines.length);
  return element;
}

function lineItem(line: Line, choose: () => void): HTMLLIElement {
  const made = button("", choose, { class: "line" });
  made.append(h("span", { class: "line-title" }, line.title), formula(line.tex, "line-formula"));
  return h("li", { "data-line": line.id, "data-tex": line.tex }, made);
}

/** What a line says changes with what the examples count. */
function typeset(item: HTMLElement, line: Line): void {
  if (item.dataset["tex"] === line.tex) return;
  item.dataset["tex"] = line.tex;
  item.querySelector(".line-formula")?.replaceWith(formula(line.tex, "line-formula"));
}

function groupItem(group: Group, lines: readonly Line[], items: readonly HTMLLIElement[], store: Store): HTMLLIElement {
  const first = lines.findIndex((line) => line.group === group);
  const heading = button(TITLES[group], () => store.set({ line: first, playing: false }), { class: "group-title" });
  return h("li", { class: "group" }, heading, h("ol", {}, ...items.filter((_, n) => lines[n]?.group === group)));
}

function showCurrent(line: number, items: readonly HTMLLIElement[], groups: readonly HTMLLIElement[]): void {
  items.forEach((item, n) => {
    if (n === line) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  const current = items[line];
  groups.forEach((group) => group.classList.toggle("current", Boolean(current && group.contains(current))));
  if (current) bringIntoView(current);
}

/** Scroll the list alone, never the page. */
function bringIntoView(item: HTMLElement): void {
  const list = item.closest<HTMLElement>(".groups");
  if (!list || list.scrollHeight <= list.clientHeight) return;
  const [box, frame] = [item.getBoundingClientRect(), list.getBoundingClientRect()];
  const over = Math.max(0, box.bottom - frame.bottom + 24) - Math.max(0, frame.top - box.top + 48);
  if (over !== 0) list.scrollBy({ top: over, behavior: reducedMotion() ? "auto" : "smooth" });
}

function controls(store: Store, lines: readonly Line[]): HTMLElement {
  const count = lines.length;
  const previous = button("Previous", () => step(store, count, -1), { class: "previous" });
  const next = button("Next", () => step(store, count, 1), { class: "next" });
  const toggle = button("Play", () => store.set({ playing: !store.get("playing") }), { class: "play" });
  const place = h("span", { class: "place" });
  const spoken = h("span", { class: "sr-only", role: "status" });
  const update = (): void => {
    const line = store.get("line");
    previous.disabled = line === 0;
    next.disabled = line === count - 1;
    toggle.textContent = store.get("playing") ? "Pause" : "Play";
    place.textContent = `line ${line + 1} of ${count}`;
    spoken.textContent = `${TITLES[lines[line]!.group]}: ${lines[line]!.title}`;
  };
  store.on(["line", "playing"], update);
  update();
  return h("div", { class: "controls" }, previous, toggle, next, place, spoken);
}

function checkpoints({ doc, store }: Context): HTMLElement {
  const count = doc.checkpoints.length;
  const name = h("output", { class: "checkpoint-name", for: "checkpoint" });
  const slider = h("input", { type: "range", id: "checkpoint", min: 0, max: count - 1, step: 1, hidden: count === 1 });
  slider.addEventListener("input", () => store.set({ checkpoint: Number(slider.value) }));
  const update = (): void => {
    const at = store.get("checkpoint");
    slider.value = String(at);
    name.textContent = doc.checkpoints[at]?.name ?? "";
    slider.setAttribute("aria-valuetext", name.textContent);
  };
  store.on(["checkpoint"], update);
  update();
  return h("div", { class: "checkpoints" }, h("label", { for: "checkpoint" }, "Weights as of"), name, slider);
}

function step(store: Store, count: number, by: number): void {
  store.set({ line: Math.max(0, Math.min(count - 1, store.get("line") + by)), playing: false });
}

/** One line after another; at a collapse, the sheets fold as well. */
function play(store: Store, lines: readonly Line[]): void {
  let waiting: number | undefined;
  const advance = (): void => {
    const line = store.get("line");
    if (lines[line]?.group === "collapse" && !store.get("collapsed")) store.set({ collapsed: true });
    else if (line + 1 < lines.length) store.set({ line: line + 1, collapsed: false });
    else store.set({ playing: false });
    if (store.get("playing")) waiting = window.setTimeout(advance, PACE);
  };
  store.on(["playing"], () => {
    window.clearTimeout(waiting);
    if (!store.get("playing")) return;
    if (store.get("line") === lines.length - 1) store.set({ line: 0 });
    waiting = window.setTimeout(advance, PACE / 2);
  });
}

/** What needs these keys for itself. */
const OWN_ARROWS = "input, select, textarea, .numbers, .scroller, .plate-holder[tabindex], [contenteditable]";
const OWN_SPACE = "button, input, select, textarea, summary, a, .numbers, .scroller, [contenteditable]";

function listenToKeys(store: Store, count: number): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    const arrow = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (arrow !== undefined && !target.matches("figure") && !target.closest(OWN_ARROWS)) step(store, count, arrow);
    else if (event.key === " " && !target.closest(OWN_SPACE)) store.set({ playing: !store.get("playing") });
    else if (event.key === "Escape") return store.set({ example: null, cell: null });
    else return;
    event.preventDefault();
  });
}
