/** Elements, formulas and text. Data reaches the page as text nodes only: labels come from users' files. */

import katex from "katex";

type Attributes = Record<string, string | number | boolean | null | undefined>;
type Child = Node | string | null | undefined | false;

/** Make an element: `true` sets an empty attribute, `false`, null and undefined leave it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

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

/** A button of a few words. */
export function button(label: string, onClick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const element = h("button", { type: "button", ...attributes }, label);
  element.addEventListener("click", onClick);
  return element;
}

export const reducedMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
