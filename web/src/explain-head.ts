/** How P and the losses are computed, for the heads whose formulas can be written out with numbers. Pure. */

import { cell } from "./algebra";
import { type CellExplanation, termStep, type ExplanationStep, sumStep } from "./explanation-types";
import { formatCount, formatFactor, formatNumber } from "./format";
import { predictsNumbers } from "./batch-data";
import { formatLabel } from "./source-rows";
import type { BatchState } from "./batch-state";

const MAX_TERMS = 8;
/** Above this, write exp(z − max z), as the library computes it: exp z would overflow. */
const MAX_PLAIN_Z = 80;

export function explainP(batch: BatchState, k: number, i: number): CellExplanation {
  const [z, value] = [cell(batch.Z(batch.outputLayer), k, i), cell(batch.P(), k, i)];
  const head = batch.data.head;
  const steps = head.name.startsWith("softmax") ? softmaxSteps(batch, z, value, i) : [sumStep("p", value, P_OF_Z[head.name]?.(z) ?? "")];
  const prediction = batch.snapshot.predictions[i] ?? "";
  const note = batch.data.source && predictsNumbers(batch.data) ? { note: `In the unit of the table: ${formatLabel(batch.data, prediction)}.` } : {};
  return { tex: `P = ${head.tex}`, steps, value, ...note };
}

const identity = (): string => "z";

const P_OF_Z: Record<string, (z: number) => string> = {
  sigmoid: (z) => `1 / (1 + exp(${formatNumber(-z)}))`,
  poisson: (z) => `exp(${formatNumber(z)})`,
  squared_error: identity,
  absolute_error: identity,
  huber: identity,
  quantile: identity,
};

function softmaxSteps(batch: BatchState, z: number, p: number, i: number): ExplanationStep[] {
  const column = Array.from({ length: batch.nDrawn(batch.outputLayer) }, (_, k) => cell(batch.Z(batch.outputLayer), k, i));
  const max = Math.max(...column);
  const shift = max > MAX_PLAIN_Z ? max : 0;
  const numerator = Math.exp(z - shift);
  const isComplete = batch.data.head.name === "softmax" && column.length === batch.nUnits(batch.outputLayer);
  const denominator = isComplete ? column.reduce((total, each) => total + Math.exp(each - shift), 0) : numerator / p;
  if (!(denominator > 0 && denominator < Infinity)) return [sumStep("p", p)];
  const range = batch.data.head.name === "softmax" ? `over the ${formatCount(batch.nUnits(batch.outputLayer))} outputs` : "over the outputs of its target";
  return [
    termStep("exp z", shift ? `exp(${formatNumber(z)} − ${formatFactor(shift)})` : `exp(${formatNumber(z)})`, numerator),
    termStep(`Σ exp z ${range}`, "", denominator),
    sumStep("p", p, `${formatNumber(numerator)} / ${formatNumber(denominator)}`),
  ];
}

interface LossTerm {
  expression: string;
  value: number;
}

/** Losses whose terms, one per output, are written out; for other heads only the value is shown. */
const LOSS_TERMS: Record<string, (p: number, y: number) => LossTerm> = {
  softmax: crossEntropyTerm,
  softmax_groups: crossEntropyTerm,
  sigmoid: (p, y) => (y > 0.5 ? crossEntropyTerm(p, y) : { expression: `−${formatNumber(1 - y)} × log(1 − ${formatNumber(p)})`, value: y === 1 ? 0 : -(1 - y) * Math.log(1 - p) }),
  squared_error: (p, y) => ({ expression: `½ (${formatNumber(p)} − ${formatFactor(y)})²`, value: 0.5 * (p - y) ** 2 }),
  poisson: (p, y) =>
    y === 0
      ? { expression: formatNumber(p), value: p }
      : { expression: `${formatNumber(p)} − ${formatFactor(y)} + ${formatNumber(y)} × log(${formatNumber(y)} / ${formatNumber(p)})`, value: p - y + y * Math.log(y / p) },
  absolute_error: (p, y) => ({ expression: `|${formatNumber(p)} − ${formatFactor(y)}|`, value: Math.abs(p - y) }),
};

function crossEntropyTerm(p: number, y: number): LossTerm {
  return { expression: `−${formatNumber(y)} × log ${formatNumber(p)}`, value: y === 0 ? 0 : -y * Math.log(p) };
}

export function explainLoss(batch: BatchState, i: number): CellExplanation {
  const value = cell(batch.losses(), 0, i);
  const term = LOSS_TERMS[batch.data.head.name];
  const steps = term ? lossSteps(batch, i, term, value) : [];
  return { tex: `\\text{loss}_i = ${batch.data.head.lossTex}`, steps: [...steps, sumStep("loss", value)], value };
}

/** The largest terms, and the remainder of the loss unless it is only rounding. */
function lossSteps(batch: BatchState, i: number, term: (p: number, y: number) => LossTerm, loss: number): ExplanationStep[] {
  const terms = batch.names(batch.outputLayer).map((label, k) => {
    const { expression, value } = term(cell(batch.P(), k, i), cell(batch.Y(), k, i));
    return termStep(label, expression, value);
  });
  if (!terms.every(({ value }) => Number.isFinite(value))) return [];
  const largest = terms.filter(({ value }) => value !== 0).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, MAX_TERMS);
  const remainder = loss - largest.reduce((total, { value }) => total + value, 0);
  const isRounding = Math.abs(remainder) <= 1e-4 * Math.max(1e-3, Math.abs(loss));
  return isRounding ? largest : [...largest, termStep("other terms", "", remainder)];
}
