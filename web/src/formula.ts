/** Formulas; a file of its own, so that the playground, which has none, does without KaTeX. */

import katex from "katex";
import { h } from "./dom";

const cache = new Map<string, HTMLElement>();

/** A formula, typeset by KaTeX with MathML for screen readers; cached, as typesetting is slow. */
export function formula(tex: string, className = "formula"): HTMLElement {
  let element = cache.get(tex);
  if (!element) {
    element = h("span");
    katex.render(tex, element, { output: "htmlAndMathml", throwOnError: false, strict: "ignore", trust: false });
    cache.set(tex, element);
  }
  const copy = element.cloneNode(true) as HTMLElement;
  copy.className = className;
  return copy;
}
