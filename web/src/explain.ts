/** For every kind of matrix, how one of its cells is computed. Pure. */

import { cell } from "./algebra";
import { type CellExplanation, type Product, product, termStep, type ExplanationStep, sumStep, sumOfProducts, total } from "./explanation-types";
import { formatFactor, formatNumber } from "./format";
import { formatLabel, formatSourceCell } from "./source-rows";
import type { BatchState } from "./batch-state";

/** A number that is not computed on this page. */
export const explainGiven = (tex: string, label: string, value: number): CellExplanation => ({ tex, steps: [sumStep(label, value)], value });

/** A feature, and what its column holds in the table. */
export function explainInput(batch: BatchState, k: number, i: number): CellExplanation {
  const { source } = batch.data;
  const column = source?.columns[source.owners[k]!];
  const explanation = explainGiven("H^0 = B", "from the data", cell(batch.B(), k, i));
  return column ? { ...explanation, note: `In the table, ${column.name} is ${formatSourceCell(column.cells[i]!)}.` } : explanation;
}

export function explainTarget(batch: BatchState, k: number, i: number): CellExplanation {
  const explanation = explainGiven("Y", "from the data", cell(batch.Y(), k, i));
  return batch.data.source ? { ...explanation, note: `In the table, the label is ${formatLabel(batch.data, batch.data.examples[i]!.label)}.` } : explanation;
}

export function explainZ(batch: BatchState, l: number, j: number, i: number): CellExplanation {
  const [W, H, value, bias] = [batch.W(l), batch.H(l - 1), cell(batch.Z(l), j, i), cell(batch.b(l), j, 0)];
  const terms = batch.names(l - 1).map((label, k): Product => ({ label, factors: [cell(W, j, k), cell(H, k, i)] }));
  const steps = sumOfProducts(terms, undrawnTerms(batch, l - 1, value - total(terms) - bias));
  const tex = `z = \\sum_k w_k h_k + b`;
  return { tex, steps: [...steps, termStep("bias b", "", bias), sumStep("z", value)], value };
}

export function explainH(batch: BatchState, l: number, j: number, i: number): CellExplanation {
  const [z, value] = [cell(batch.Z(l), j, i), cell(batch.H(l), j, i)];
  return { tex: equation("h = \\sigma(z)", batch.data.activations[l - 1]!.tex), steps: [sumStep("h", value, `σ(${formatNumber(z)})`)], value };
}

export function explainDerivative(batch: BatchState, l: number, j: number, i: number): CellExplanation {
  const [z, value] = [cell(batch.Z(l), j, i), cell(batch.derivatives(l), j, i)];
  return { tex: equation("\\sigma'(z)", batch.data.activations[l - 1]!.derivativeTex), steps: [sumStep("derivative", value, `σ'(${formatNumber(z)})`)], value };
}

/** `left = right`; only the left side where the right repeats it. */
const equation = (left: string, right: string): string => (left.endsWith(right) ? left : `${left} = ${right}`);

/** dZ of the output layer: `P − Y`, or the head's own formula. */
export function explainLastDZ(batch: BatchState, k: number, i: number): CellExplanation {
  const [p, y, value] = [cell(batch.P(), k, i), cell(batch.Y(), k, i), cell(batch.dZ(batch.outputLayer), k, i)];
  const tex = `dZ = ${batch.data.head.dZTex}`;
  const difference = `${formatNumber(p)} − ${formatFactor(y)}`;
  const isPlainDifference = Math.abs(value - (p - y)) <= 1e-5 * Math.max(1, Math.abs(p), Math.abs(y));
  return { tex, steps: isPlainDifference ? [sumStep("dz", value, difference)] : [termStep("p − y", difference, p - y), sumStep("dz, by the head's formula", value)], value };
}

export function explainDH(batch: BatchState, l: number, j: number, i: number): CellExplanation {
  const value = cell(batch.dH(l), j, i);
  return { tex: "dh = \\sum_k w_k\\, dz_k", steps: [...dHTerms(batch, l, j, i), sumStep("dh", value)], value };
}

export function explainDZ(batch: BatchState, l: number, j: number, i: number): CellExplanation {
  const [dh, derivative, value] = [cell(batch.dH(l), j, i), cell(batch.derivatives(l), j, i), cell(batch.dZ(l), j, i)];
  const steps = [...dHTerms(batch, l, j, i), termStep("dh, the sum", "", dh), sumStep("dz", value, `${formatNumber(dh)} × ${formatFactor(derivative)}`)];
  return { tex: "dz = dh \\cdot \\sigma'(z)", steps, value, note: `The derivative σ'(z) at z = ${formatNumber(cell(batch.Z(l), j, i))} is ${formatNumber(derivative)}.` };
}

function dHTerms(batch: BatchState, l: number, j: number, i: number): ExplanationStep[] {
  const [W, dZ] = [batch.W(l + 1), batch.dZ(l + 1)];
  const terms = batch.names(l + 1).map((label, k): Product => ({ label, factors: [cell(W, k, j), cell(dZ, k, i)] }));
  return sumOfProducts(terms, undrawnTerms(batch, l + 1, cell(batch.dH(l), j, i) - total(terms)));
}

export function explainPerExampleGradient(batch: BatchState, l: number, j: number, k: number, i: number): CellExplanation {
  const factors = [cell(batch.dZ(l), j, i), cell(batch.H(l - 1), k, i)];
  const value = product({ label: "", factors });
  return { tex: "DW_{jki} = dz_{ji}\\, h_{ki}", steps: [sumStep("dz × h", value, factors.map(formatFactor).join(" × "))], value };
}

export function explainDW(batch: BatchState, l: number, j: number, k: number): CellExplanation {
  const [dZ, H] = [batch.dZ(l), batch.H(l - 1)];
  return meanOver(batch, (i) => [cell(dZ, j, i), cell(H, k, i)], "dw = \\frac1m \\sum_i dz_i\\, h_i", "dw = \\sum_i c_i\\, dz_i\\, h_i", "dw");
}

export function explainDb(batch: BatchState, l: number, j: number): CellExplanation {
  return meanOver(batch, (i) => [cell(batch.dZ(l), j, i)], "db = \\frac1m \\sum_i dz_i", "db = \\sum_i c_i\\, dz_i", "db");
}

/** A mean over the examples: a sum divided by m, or with the weights c where these differ. */
function meanOver(batch: BatchState, factors: (i: number) => number[], plainTex: string, weightedTex: string, name: string): CellExplanation {
  const rows = batch.data.examples.map((example, i) => ({ label: example.row, weight: batch.weights[i] ?? 0, factors: factors(i) }));
  if (batch.isPlainMean) {
    const sum = total(rows);
    return { tex: plainTex, steps: [...sumOfProducts(rows, null), sumStep(name, sum / batch.m, `${formatNumber(sum)} / ${batch.m}`)], value: sum / batch.m };
  }
  const weighted = rows.filter(({ weight }) => weight > 0).map((row) => ({ label: row.label, factors: [row.weight, ...row.factors] }));
  const value = total(weighted);
  return { tex: weightedTex, steps: [...sumOfProducts(weighted, null), sumStep(name, value)], value, note: "The first factor is the example's weight c." };
}

export function explainUpdate(old: number, gradient: number, alpha: number, name: "w" | "b"): CellExplanation {
  const value = old - alpha * gradient;
  return { tex: `${name} - \\alpha\\, d${name}`, steps: [sumStep(`new ${name}`, value, `${formatNumber(old)} − ${formatNumber(alpha)} × ${formatFactor(gradient)}`)], value };
}

function undrawnTerms(batch: BatchState, level: number, value: number): { count: number; value: number; noun: string } {
  return { count: batch.nUnits(level) - batch.nDrawn(level), value, noun: "term" };
}
