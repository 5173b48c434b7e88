/** A number setting, with a slider and a field. */

import { scaleLinear, scaleLog } from "d3-scale";
import { h } from "../dom";
import type { Range, Setup, Settings } from "./protocol";
import type { Context } from "./state";
import { createSettingSender, SLIDING_DELAY, TYPING_DELAY } from "./setting-sender";

export interface NumberOptions {
  id: string;
  label: string;
  /** Of the slider. */
  range: (setup: Setup) => Range;
  /** Of the field, if it takes more. */
  limits?: () => Range;
  value: (setup: Setup) => number;
  toSettings: (value: number, setup: Setup) => Partial<Settings>;
  /** Explains the value, below the slider and for screen readers. */
  describe?: (value: number, setup: Setup) => string;
  log?: boolean;
  integer?: boolean;
  /** Labels below the ends of the slider. */
  endLabels?: [string, string];
  /** The setting restarts the training: send it only when the slider stops. */
  restartsTraining?: boolean;
}

const SLIDER_STEPS = 1000;

export function createNumberInput(context: Context, options: NumberOptions): HTMLElement {
  const { id, label } = options;
  const number = h("input", { type: "number", id, step: "any", inputmode: options.integer ? "numeric" : "decimal", autocomplete: "off" });
  const slider = h("input", { type: "range", id: `${id}-slider`, min: 0, max: SLIDER_STEPS, step: 1, "aria-label": `${label}, slider` });
  const description = h("p", { class: "field-description" });
  const getSetup = (): Setup | null => context.store.get("setup");
  const sender = createSettingSender(context, () => update(true));

  function update(force = false): void {
    const setup = getSetup();
    if (!setup || (sender.busy() && !force)) return;
    [number.min, number.max] = (options.limits ?? options.range)(setup).map(String) as [string, string];
    const value = options.value(setup);
    if (force || !isTyping()) number.value = formatValue(value, options);
    updateSlider(value, setup);
  }

  function updateSlider(value: number, setup: Setup): void {
    slider.value = String(sliderPosition(options, setup, value));
    updateDescription(value, setup);
  }

  function updateDescription(value: number, setup: Setup): void {
    description.textContent = options.describe?.(value, setup) ?? "";
    slider.setAttribute("aria-valuetext", description.textContent || formatValue(value, options));
  }

  slider.addEventListener("input", () => {
    const setup = getSetup();
    if (!setup) return;
    const value = sliderValue(options, setup, Number(slider.value));
    number.value = formatValue(value, options);
    updateDescription(value, setup);
    sender.send(options.toSettings(value, setup), { delay: options.restartsTraining ? 2 * SLIDING_DELAY : SLIDING_DELAY, restart: options.restartsTraining ?? false });
  });
  const isTyping = listenToTyping(number, {
    onValue: (value, isFinal) => {
      const setup = getSetup();
      if (!setup || (isFinal && value === options.value(setup) && !sender.busy())) return;
      if (Number.isFinite(value)) updateSlider(value, setup);
      sender.send(options.toSettings(value, setup), { delay: isFinal ? 0 : TYPING_DELAY, restart: true });
    },
    onCancel: () => update(true),
  });
  context.store.on(["setup"], () => update());
  return h(
    "div",
    { class: `field number-field ${id}-field` },
    h("div", { class: "field-row" }, h("label", { for: id }, label), number),
    slider,
    options.endLabels ? h("div", { class: "end-labels", "aria-hidden": "true" }, ...options.endLabels.map((text) => h("span", {}, text))) : null,
    options.describe ? description : null,
    sender.error,
  );
}

interface TypingHandlers {
  /** Called while typing for a number in range, and at the end for any number. */
  onValue: (value: number, isFinal: boolean) => void;
  /** Called when the field is left without a number. */
  onCancel: () => void;
}

/**
 * Listen to a field; the returned function says whether the user is typing, as the field must not change meanwhile.
 * A number out of range may be the beginning of another one: it is sent only at the end.
 */
export function listenToTyping(number: HTMLInputElement, handlers: TypingHandlers): () => boolean {
  let isTyping = false;
  number.addEventListener("input", () => {
    isTyping = true;
    const value = number.valueAsNumber;
    if (value >= Number(number.min) && value <= Number(number.max)) handlers.onValue(value, false);
  });
  number.addEventListener("change", () => {
    isTyping = false;
    if (Number.isNaN(number.valueAsNumber)) handlers.onCancel();
    else handlers.onValue(number.valueAsNumber, true);
  });
  return () => isTyping;
}

const formatValue = (value: number, { integer }: NumberOptions): string => String(integer ? Math.round(value) : Number(value.toPrecision(4)));

function createScale({ log, range }: NumberOptions, setup: Setup): (value: number) => number {
  return (log ? scaleLog() : scaleLinear()).domain(range(setup)).range([0, SLIDER_STEPS]).clamp(true);
}

const sliderPosition = (options: NumberOptions, setup: Setup, value: number): number => Math.round(createScale(options, setup)(value));

function sliderValue(options: NumberOptions, setup: Setup, position: number): number {
  const scale = (options.log ? scaleLog() : scaleLinear()).domain([...options.range(setup)]).range([0, SLIDER_STEPS]);
  const value = scale.invert(position);
  return options.integer ? Math.round(value) : Number(value.toPrecision(2));
}
