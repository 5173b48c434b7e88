/** How one number is computed, in words and numbers. Pure. */

import { formatFactor, pluralize, formatNumber } from "./format";

export interface ExplanationStep {
  kind: "term" | "rest" | "sum";
  /** Where the number comes from: "pixel 3, 4", "56 smaller terms". */
  label: string;
  /** `0.12 × 0.53`, where there is one. */
  expression: string;
  value: number;
}

export interface Explanation {
  /** What the cell is: "Z¹, unit 3, row 17". */
  title: string;
  tex: string;
  steps: ExplanationStep[];
  value: number;
  note?: string;
}

/** An explanation without the title of its cell. */
export type CellExplanation = Omit<Explanation, "title">;

export interface Product {
  label: string;
  factors: number[];
}

export const MAX_TERMS = 8;

export const product = (term: Product): number => term.factors.reduce((left, right) => left * right, 1);

/** A sum of products: the largest terms by size, then the smaller ones together, then those that are not drawn. */
export function sumOfProducts(terms: readonly Product[], hidden: { count: number; value: number; noun: string } | null): ExplanationStep[] {
  const bySize = [...terms].sort((a, b) => magnitude(b) - magnitude(a));
  const steps = bySize.slice(0, MAX_TERMS).map(productStep);
  const remaining = bySize.slice(MAX_TERMS);
  if (remaining.length > 0) steps.push(restStep(`${pluralize(remaining.length, "smaller term")}`, total(remaining)));
  if (hidden && hidden.count > 0) steps.push(restStep(`${pluralize(hidden.count, hidden.noun)} not drawn`, hidden.value));
  return steps;
}

export const total = (terms: readonly Product[]): number => terms.reduce((sum, term) => sum + product(term), 0);

/** Terms that overflowed come first. */
const magnitude = (term: Product): number => {
  const value = Math.abs(product(term));
  return Number.isFinite(value) ? value : Number.MAX_VALUE;
};

const productStep = (term: Product): ExplanationStep => ({
  kind: "term",
  label: term.label,
  expression: term.factors.map(formatFactor).join(" × "),
  value: product(term),
});

export const restStep = (label: string, value: number): ExplanationStep => ({ kind: "rest", label, expression: "", value });

export const termStep = (label: string, expression: string, value: number): ExplanationStep => ({ kind: "term", label, expression, value });

export const sumStep = (label: string, value: number, expression = ""): ExplanationStep => ({ kind: "sum", label, expression, value });

/** The sentence for screen readers. */
export function toSentence(explanation: Explanation): string {
  const [first] = explanation.steps;
  const expression = explanation.steps.length === 1 && first?.expression ? `, ${first.expression}` : "";
  return `${explanation.title}: ${formatNumber(explanation.value)}${expression}.`;
}
