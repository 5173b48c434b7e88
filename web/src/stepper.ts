/** The algorithm at the side: its steps, the buttons, the slider over snapshots, and the keys. */

import { button, h, reducedMotion } from "./dom";
import { formula } from "./formula";
import { PHASES, type Phase, type AlgorithmStep, algorithmSteps } from "./steps";
import type { Context } from "./batch-state";
import type { Store } from "./state";

const STEP_DURATION = 2600;
const TITLES: Record<Phase, string> = {
  forward: "Forward", loss: "Loss", backward: "Backward", collapse: "Collapse", update: "Update",
};

export function createStepper(context: Context, steps: readonly AlgorithmStep[]): HTMLElement {
  const { store } = context;
  const items = steps.map((step, n) => createStepItem(step, () => store.set({ step: n, playing: false })));
  const phases = PHASES.map((phase) => createPhaseItem(phase, steps, items, store));
  const element = h(
    "nav",
    { class: "stepper", "aria-label": "The algorithm" },
    controls(store, steps),
    createSnapshotSlider(context),
    h("ol", { class: "phases" }, ...phases),
  );
  const update = (): void => showCurrent(store.get("step"), items, phases);
  store.on(["step"], update);
  update();
  store.on(["snapshot", "included", "clip"], () => algorithmSteps(context.batch()).forEach((step, n) => updateFormula(items[n]!, step)));
  autoplay(store, steps);
  listenToKeys(store, steps.length);
  return element;
}

function createStepItem(step: AlgorithmStep, choose: () => void): HTMLLIElement {
  const item = button("", choose, { class: "step" });
  item.append(h("span", { class: "step-title" }, step.title), formula(step.tex, "step-formula"));
  return h("li", { "data-step": step.id, "data-tex": step.tex }, item);
}

/** A step's formula changes with the examples' weights. */
function updateFormula(item: HTMLElement, step: AlgorithmStep): void {
  if (item.dataset["tex"] === step.tex) return;
  item.dataset["tex"] = step.tex;
  item.querySelector(".step-formula")?.replaceWith(formula(step.tex, "step-formula"));
}

function createPhaseItem(phase: Phase, steps: readonly AlgorithmStep[], items: readonly HTMLLIElement[], store: Store): HTMLLIElement {
  const first = steps.findIndex((step) => step.phase === phase);
  const heading = button(TITLES[phase], () => store.set({ step: first, playing: false }), { class: "phase-title" });
  return h("li", { class: "phase" }, heading, h("ol", {}, ...items.filter((_, n) => steps[n]?.phase === phase)));
}

function showCurrent(step: number, items: readonly HTMLLIElement[], phases: readonly HTMLLIElement[]): void {
  items.forEach((item, n) => {
    if (n === step) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  const current = items[step];
  phases.forEach((phase) => phase.classList.toggle("current", Boolean(current && phase.contains(current))));
  if (current) scrollIntoView(current);
}

/** Scroll the list alone, never the page. */
function scrollIntoView(item: HTMLElement): void {
  const list = item.closest<HTMLElement>(".phases");
  if (!list || list.scrollHeight <= list.clientHeight) return;
  const [itemBox, listBox] = [item.getBoundingClientRect(), list.getBoundingClientRect()];
  const offset = Math.max(0, itemBox.bottom - listBox.bottom + 24) - Math.max(0, listBox.top - itemBox.top + 48);
  if (offset !== 0) list.scrollBy({ top: offset, behavior: reducedMotion() ? "auto" : "smooth" });
}

function controls(store: Store, steps: readonly AlgorithmStep[]): HTMLElement {
  const count = steps.length;
  const previous = button("Previous", () => moveBy(store, count, -1), { class: "previous" });
  const next = button("Next", () => moveBy(store, count, 1), { class: "next" });
  const toggle = button("Play", () => store.set({ playing: !store.get("playing") }), { class: "play" });
  const position = h("span", { class: "position" });
  const announcement = h("span", { class: "sr-only", role: "status" });
  const update = (): void => {
    const step = store.get("step");
    previous.disabled = step === 0;
    next.disabled = step === count - 1;
    toggle.textContent = store.get("playing") ? "Pause" : "Play";
    position.textContent = `step ${step + 1} of ${count}`;
    announcement.textContent = `${TITLES[steps[step]!.phase]}: ${steps[step]!.title}`;
  };
  store.on(["step", "playing"], update);
  update();
  return h("div", { class: "controls" }, previous, toggle, next, position, announcement);
}

function createSnapshotSlider({ data, store }: Context): HTMLElement {
  const count = data.snapshots.length;
  const name = h("output", { class: "snapshot-name", for: "snapshot" });
  const slider = h("input", { type: "range", id: "snapshot", min: 0, max: count - 1, step: 1, hidden: count === 1 });
  slider.addEventListener("input", () => store.set({ snapshot: Number(slider.value) }));
  const update = (): void => {
    const index = store.get("snapshot");
    slider.value = String(index);
    name.textContent = data.snapshots[index]?.name ?? "";
    slider.setAttribute("aria-valuetext", name.textContent);
  };
  store.on(["snapshot"], update);
  update();
  return h("div", { class: "snapshots" }, h("label", { for: "snapshot" }, "Weights"), name, slider);
}

function moveBy(store: Store, count: number, by: number): void {
  store.set({ step: Math.max(0, Math.min(count - 1, store.get("step") + by)), playing: false });
}

/** Play one step after another; at a collapse, collapse the slices too. */
function autoplay(store: Store, steps: readonly AlgorithmStep[]): void {
  let timer: number | undefined;
  const advance = (): void => {
    const step = store.get("step");
    if (steps[step]?.phase === "collapse" && !store.get("collapsed")) store.set({ collapsed: true });
    else if (step + 1 < steps.length) store.set({ step: step + 1, collapsed: false });
    else store.set({ playing: false });
    if (store.get("playing")) timer = window.setTimeout(advance, STEP_DURATION);
  };
  store.on(["playing"], () => {
    window.clearTimeout(timer);
    if (!store.get("playing")) return;
    if (store.get("step") === steps.length - 1) store.set({ step: 0 });
    timer = window.setTimeout(advance, STEP_DURATION / 2);
  });
}

/** Elements that use these keys themselves. */
const OWN_ARROWS = "input, select, textarea, .numbers, .scroller, .canvas-holder[tabindex], [contenteditable]";
const OWN_SPACE = "button, input:not([type=range], [type=radio]), select, textarea, summary, a, .numbers, .scroller, [contenteditable]";

function listenToKeys(store: Store, count: number): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    const arrow = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (arrow !== undefined && !target.matches("figure") && !target.closest(OWN_ARROWS)) moveBy(store, count, arrow);
    else if (event.key === " " && !target.closest(OWN_SPACE)) store.set({ playing: !store.get("playing") });
    else if (event.key === "Escape") return store.set({ example: null, cell: null });
    else return;
    event.preventDefault();
  });
}
