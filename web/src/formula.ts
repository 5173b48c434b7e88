/** Formulas, in a file of their own: a page without any needs no KaTeX. */

import katex from "katex";
import { h } from "./dom";

const formulas = new Map<string, HTMLElement>();

/** A formula, drawn by KaTeX with MathML beside it; each text is typeset once and copied after that. */
export function formula(tex: string, className = "formula"): HTMLElement {
  let made = formulas.get(tex);
  if (!made) {
    made = h("span");
    katex.render(tex, made, { output: "htmlAndMathml", throwOnError: false, strict: "ignore", trust: false });
    formulas.set(tex, made);
  }
  const copy = made.cloneNode(true) as HTMLElement;
  copy.className = className;
  return copy;
}
