/** A number with a slider and a field, both the same setting. */

import { scaleLinear, scaleLog } from "d3-scale";
import { h } from "../dom";
import type { Ends, Lesson, Settings } from "./protocol";
import type { Context } from "./state";
import { createWisher, SLIDING, TYPING } from "./setting-sender";

export interface Quantity {
  id: string;
  label: string;
  ends: (lesson: Lesson) => Ends;
  value: (lesson: Lesson) => number;
  changes: (value: number, lesson: Lesson) => Partial<Settings>;
  /** What the value means, under the slider and for screen readers. */
  about?: (value: number, lesson: Lesson) => string;
  log?: boolean;
  whole?: boolean;
  /** The words under the slider's ends. */
  marks?: [string, string];
  /** Begins a new training: ask for it once, where the slider stops. */
  anew?: boolean;
}

const PLACES = 1000;

export function createQuantity(context: Context, quantity: Quantity): HTMLElement {
  const { id, label } = quantity;
  const number = h("input", { type: "number", id, step: "any", inputmode: quantity.whole ? "numeric" : "decimal", autocomplete: "off" });
  const slider = h("input", { type: "range", id: `${id}-slider`, min: 0, max: PLACES, step: 1, "aria-label": `${label}, slider` });
  const about = h("p", { class: "field-about" });
  const lesson = (): Lesson | null => context.store.get("lesson");
  const wisher = createWisher(context, () => show(true));

  function show(force = false): void {
    const now = lesson();
    if (!now || (wisher.busy() && !force)) return;
    [number.min, number.max] = quantity.ends(now).map(String) as [string, string];
    const value = quantity.value(now);
    if (force || !typing()) number.value = written(value, quantity);
    slide(value, now);
  }

  function slide(value: number, now: Lesson): void {
    slider.value = String(placeOf(quantity, now, value));
    describe(value, now);
  }

  function describe(value: number, now: Lesson): void {
    about.textContent = quantity.about?.(value, now) ?? "";
    slider.setAttribute("aria-valuetext", about.textContent || written(value, quantity));
  }

  slider.addEventListener("input", () => {
    const now = lesson();
    if (!now) return;
    const value = valueAt(quantity, now, Number(slider.value));
    number.value = written(value, quantity);
    describe(value, now);
    wisher.wish(quantity.changes(value, now), { after: quantity.anew ? 2 * SLIDING : SLIDING, restart: quantity.anew ?? false });
  });
  const typing = onTyping(number, {
    taken: (value, finished) => {
      const now = lesson();
      if (!now || (finished && value === quantity.value(now) && !wisher.busy())) return;
      if (Number.isFinite(value)) slide(value, now);
      wisher.wish(quantity.changes(value, now), { after: finished ? 0 : TYPING, restart: true });
    },
    dropped: () => show(true),
  });
  context.store.on(["lesson"], () => show());
  return h(
    "div",
    { class: `field quantity ${id}-field` },
    h("div", { class: "field-row" }, h("label", { for: id }, label), number),
    slider,
    quantity.marks ? h("div", { class: "marks", "aria-hidden": "true" }, ...quantity.marks.map((mark) => h("span", {}, mark))) : null,
    quantity.about ? about : null,
    wisher.error,
  );
}

interface Typed {
  /** A number within its bounds while it is typed, any number once it is finished. */
  taken: (value: number, finished: boolean) => void;
  /** Nothing that is a number was left. */
  dropped: () => void;
}

/**
 * Hear of what is typed, and return whether somebody is at it: a field must not change under their fingers.
 * Numbers out of bounds may be on their way to others: they are asked for only once they are finished.
 */
export function onTyping(number: HTMLInputElement, heard: Typed): () => boolean {
  let typing = false;
  number.addEventListener("input", () => {
    typing = true;
    const value = number.valueAsNumber;
    if (value >= Number(number.min) && value <= Number(number.max)) heard.taken(value, false);
  });
  number.addEventListener("change", () => {
    typing = false;
    if (Number.isNaN(number.valueAsNumber)) heard.dropped();
    else heard.taken(number.valueAsNumber, true);
  });
  return () => typing;
}

const written = (value: number, { whole }: Quantity): string => String(whole ? Math.round(value) : Number(value.toPrecision(4)));

function scaleOf({ log, ends }: Quantity, lesson: Lesson): (value: number) => number {
  return (log ? scaleLog() : scaleLinear()).domain(ends(lesson)).range([0, PLACES]).clamp(true);
}

const placeOf = (quantity: Quantity, lesson: Lesson, value: number): number => Math.round(scaleOf(quantity, lesson)(value));

function valueAt(quantity: Quantity, lesson: Lesson, place: number): number {
  const scale = (quantity.log ? scaleLog() : scaleLinear()).domain(quantity.ends(lesson)).range([0, PLACES]);
  const value = scale.invert(place);
  return quantity.whole ? Math.round(value) : Number(value.toPrecision(2));
}
