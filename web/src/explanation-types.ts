/** How one number came about, in words and numbers. Pure. */

import { factor, plural, show } from "./format";

export interface Step {
  kind: "term" | "rest" | "sum";
  /** Where the number comes from: "pixel 3, 4", "and 56 smaller ones". */
  label: string;
  /** `0.12 × 0.53`, where there is one. */
  expression: string;
  value: number;
}

export interface Arithmetic {
  /** What the cell is: "Z¹, unit 3, row 17". */
  title: string;
  tex: string;
  steps: Step[];
  value: number;
  remark?: string;
}

/** Arithmetic before it is known of which cell. */
export type Explained = Omit<Arithmetic, "title">;

export interface Product {
  label: string;
  factors: number[];
}

export const SHOWN_TERMS = 8;

export const product = (term: Product): number => term.factors.reduce((left, right) => left * right, 1);

/** A sum of products: the largest few in order of size, the small ones together, what is not drawn as the rest. */
export function sumOfProducts(terms: readonly Product[], hidden: { count: number; value: number; what: string } | null): Step[] {
  const bySize = [...terms].sort((a, b) => size(b) - size(a));
  const steps = bySize.slice(0, SHOWN_TERMS).map(termStep);
  const small = bySize.slice(SHOWN_TERMS);
  if (small.length > 0) steps.push(rest(`and ${plural(small.length, "smaller one")}, together`, total(small)));
  if (hidden && hidden.count > 0) steps.push(rest(`and ${plural(hidden.count, hidden.what)} not drawn, together`, hidden.value));
  return steps;
}

export const total = (terms: readonly Product[]): number => terms.reduce((sum, term) => sum + product(term), 0);

/** What overflowed comes first. */
const size = (term: Product): number => {
  const value = Math.abs(product(term));
  return Number.isFinite(value) ? value : Number.MAX_VALUE;
};

const termStep = (term: Product): Step => ({
  kind: "term",
  label: term.label,
  expression: term.factors.map(factor).join(" × "),
  value: product(term),
});

export const rest = (label: string, value: number): Step => ({ kind: "rest", label, expression: "", value });

export const step = (label: string, expression: string, value: number): Step => ({ kind: "term", label, expression, value });

export const sum = (label: string, value: number, expression = ""): Step => ({ kind: "sum", label, expression, value });

/** The one sentence that a screen reader hears. */
export function sentence(arithmetic: Arithmetic): string {
  const [first] = arithmetic.steps;
  const expression = arithmetic.steps.length === 1 && first?.expression ? `, ${first.expression}` : "";
  return `${arithmetic.title}: ${show(arithmetic.value)}${expression}.`;
}
