/** The algorithm as a list of steps: each with its formula and its matrices. Pure. */

import { maxDifference, statistics } from "./algebra";
import type { Matrix } from "./batch-data";
import type { MatrixSpec } from "./matrix-spec";
import * as specs from "./matrix-specs";
import { formatNumber, pluralize, superscript } from "./format";
import type { BatchState } from "./batch-state";

export const PHASES = ["forward", "loss", "backward", "collapse", "update"] as const;
export type Phase = (typeof PHASES)[number];

/** A matrix, or the sign between two. */
export type Item = MatrixSpec | { sign: string; label: string };

/** One equation: matrices and signs, and a sentence below. */
export interface Equation {
  items: Item[];
  note?: string;
  /** Show the examples below, where they are images. */
  inputs?: true;
}

export interface AlgorithmStep {
  id: string;
  phase: Phase;
  title: string;
  tex: string;
  note: string;
  equations: (batch: BatchState) => Equation[];
}

const sign = (tex: string, label: string): Item => ({ sign: tex, label });
const EQUALS = sign("=", "equals");
const TIMES = sign("\\cdot", "times");
const PLUS = sign("+", "plus");
const MINUS = sign("-", "minus");

/** The steps for a network with L hidden layers, in the order of the algorithm. */
export function algorithmSteps(batch: BatchState): AlgorithmStep[] {
  const last = batch.outputLayer;
  const layers = Array.from({ length: last }, (_, n) => n + 1);
  const hidden = layers.slice(0, -1);
  return [
    batchStep(batch),
    ...hidden.map((l) => hiddenLayerStep(batch, l)),
    outputLayerStep(batch, last),
    lossStep(batch),
    outputGradientStep(batch, last),
    ...[...hidden].reverse().map(backwardStep),
    ...[...layers].reverse().map((l) => collapseStep(batch, l)),
    ...layers.map((l) => updateStep(batch, l)),
  ];
}

const batchStep = (batch: BatchState): AlgorithmStep => ({
  id: "forward-0", phase: "forward", title: "The batch", tex: "H^0 = B",
  note: `${pluralize(batch.m, "example enters", "examples enter")} the network side by side, one column each.`,
  equations: (s) => [{ items: [specs.specB(s, true)], inputs: true }],
});

const hiddenLayerStep = (batch: BatchState, l: number): AlgorithmStep => ({
  id: `forward-${l}`, phase: "forward", title: `Layer ${l}`,
  tex: `\\begin{aligned}Z^{${l}} &= W^{${l}} H^{${l - 1}} + b^{${l}} \\\\ H^{${l}} &= \\sigma(Z^{${l}})\\end{aligned}`,
  note: `Every unit computes a weighted sum of its inputs, adds its bias, and applies the activation function ${batch.data.activations[l - 1]!.name.replaceAll("_", " ")}.`,
  equations: (s) => [
    affine(s, l),
    { items: [sign(`\\sigma(Z^{${l}}) =`, `σ of Z ${l} equals`), specs.specH(s, l)] },
    ...(l === 1 && s.pixels ? [{ items: [specs.specW(s, 1, { asImages: true })], note: "Each row of W¹ as an image, the face of its unit: a pixel raises the unit's sum where it is orange, and lowers it where it is blue." }] : []),
  ],
});

const affine = (s: BatchState, l: number): Equation => ({
  items: [specs.specW(s, l), TIMES, specs.specH(s, l - 1), PLUS, specs.specb(s, l), EQUALS, specs.specZ(s, l)],
});

const outputLayerStep = (batch: BatchState, l: number): AlgorithmStep => ({
  id: `forward-${l}`, phase: "forward", title: "The output",
  tex: `\\begin{aligned}Z^{${l}} &= W^{${l}} H^{${l - 1}} + b^{${l}} \\\\ P &= ${batch.data.head.tex}\\end{aligned}`,
  note: `The output head turns the last layer's sums into the predictions P, column by column. The head is ${batch.data.head.name.replaceAll("_", " ")}.`,
  equations: (s) => [affine(s, l), { items: [sign(`Z^{${l}} \\;\\to`, `Z ${l} becomes`), specs.specP(s)] }],
});

const lossStep = (batch: BatchState): AlgorithmStep => ({
  id: "loss", phase: "loss", title: "Each example's loss", tex: `\\text{loss}_i = ${batch.data.head.lossTex}`,
  note: `Each column of P is compared with its column of Y. The loss of the batch is the ${batch.hasEqualWeights ? "mean" : "weighted mean"} of the examples' losses.`,
  equations: (s) => [
    { items: [specs.specP(s, true), sign("\\text{against}", "compared with"), specs.specY(s)] },
    { items: [sign("\\to", "gives"), specs.specLosses(s)], note: meanLoss(s) },
  ],
});

function meanLoss(batch: BatchState): string {
  const nIncluded = batch.included.filter(Boolean).length;
  const mean = batch.hasEqualWeights ? "mean" : "weighted mean";
  const which = nIncluded < batch.m ? " of the included examples" : "";
  return `The ${mean} of the ${pluralize(nIncluded, "loss", "losses")}${which} is ${formatNumber(batch.meanLoss())}.`;
}

const outputGradientStep = (batch: BatchState, l: number): AlgorithmStep => ({
  id: `backward-${l}`, phase: "backward", title: "The output's gradient", tex: `dZ^{${l}} = ${batch.data.head.dZTex}`,
  note: `Each example's own gradient with respect to its sums Z. It is not divided by m: ${batch.isPlainMean ? "the factor 1/m enters" : "the weights c enter"} at the collapse.`,
  equations: (s) => [{ items: [specs.specP(s, true), MINUS, specs.specY(s), sign(batch.data.head.dZTex === "P - Y" ? "=" : "\\to", "gives"), specs.specDZ(s, l)] }],
});

const backwardStep = (l: number): AlgorithmStep => ({
  id: `backward-${l}`, phase: "backward", title: `Layer ${l}`,
  tex: `\\begin{aligned}dH^{${l}} &= (W^{${l + 1}})^{\\top} dZ^{${l + 1}} \\\\ dZ^{${l}} &= dH^{${l}} \\odot \\sigma'(Z^{${l}})\\end{aligned}`,
  note: "The same weights, transposed, carry the gradient back; the activation function's derivative at each sum scales it.",
  equations: (s) => [
    { items: [specs.specWT(s, l + 1), TIMES, specs.specDZ(s, l + 1), EQUALS, specs.specDH(s, l)] },
    { items: [sign(`dH^{${l}} \\odot`, `dH ${l}, entry by entry, times`), specs.specDerivatives(s, l), EQUALS, specs.specDZ(s, l)] },
  ],
});

const collapseStep = (batch: BatchState, l: number): AlgorithmStep => ({
  id: `collapse-${l}`, phase: "collapse", title: l === batch.outputLayer ? "The output" : `Layer ${l}`,
  tex: `\\begin{aligned}DW^{${l}}[:,:,i] &= dz_i\\, h_i^{\\top} \\\\ ${batch.isPlainMean ? meanTex(l) : weightsTex(l)}\\end{aligned}`,
  note: `Each example has a gradient of its own, one slice of the tensor: the outer product of its column of dZ and its column of H. ${batch.isPlainMean ? "The mean of the slices" : "The sum of the slices, each times its weight c,"} trains the network.`,
  equations: (s) => [
    { items: [specs.specTensor(s, l)], ...weightNote(s) },
    { items: [zoomSign(s, l), specs.specDW(s, l)] },
    {
      items: [specs.specDZ(s, l), byWeights(s), specs.specHT(s, l - 1), ...divisionSign(s), EQUALS, specs.specProduct(s, l)],
      note: agreementNote(s, l),
    },
    { items: [specs.specBiasMatrix(s, l), collapseSign(s), specs.specDb(s, l)] },
  ],
});

const meanTex = (l: number): string =>
  `dW^{${l}} &= \\tfrac1m\\, dZ^{${l}} (H^{${l - 1}})^{\\top} \\\\ db^{${l}} &= \\tfrac1m \\textstyle\\sum_i dZ^{${l}}[:,i]`;

/** For weights that differ: some examples are excluded, clipped or weighted. */
const weightsTex = (l: number): string =>
  `dW^{${l}} &= dZ^{${l}} \\operatorname{diag}(c)\\, (H^{${l - 1}})^{\\top} \\\\ db^{${l}} &= \\textstyle\\sum_i c_i\\, dZ^{${l}}[:,i]`;

/** From the sheets' colour scale to that of their mean, whose numbers are smaller. */
function zoomSign(batch: BatchState, l: number): Item {
  const largest = (matrices: readonly Matrix[]): number => Math.max(...matrices.map(statistics).map(({ min, max }) => Math.max(-min, max)));
  const factor = largest(batch.perExampleGradients(l)) / largest([batch.dW(l)]);
  const zoom = Number.isFinite(factor) ? `\\text{colours }\\times ${formatNumber(factor, 2)}` : "";
  return sign(`\\xrightarrow{${zoom}}`, "the same numbers, on a colour scale of their own");
}

const collapseSign = (batch: BatchState): Item =>
  batch.isPlainMean ? sign("\\xrightarrow{\\text{mean}}", "their mean is") : sign("\\xrightarrow{\\sum c_i}", "their sum, each times its weight c, is");

const byWeights = (batch: BatchState): Item => (batch.isPlainMean ? TIMES : sign("\\operatorname{diag}(c)", "each example times its weight c, times"));

const divisionSign = (batch: BatchState): Item[] => (batch.isPlainMean ? [sign("/ m", "divided by m")] : []);

const weightNote = (batch: BatchState): { note?: string } =>
  batch.isPlainMean ? {} : { note: "The weights c are in the table of examples below." };

function agreementNote(batch: BatchState, l: number): string {
  const difference = maxDifference(batch.dW(l), batch.product(l));
  const product = batch.isPlainMean ? `dZ${superscript(l)} H${superscript(l - 1)}ᵀ / m` : `dZ${superscript(l)} diag(c) H${superscript(l - 1)}ᵀ`;
  return `The ${batch.isPlainMean ? "mean" : "sum"} of the slices${batch.isPlainMean ? "" : ", each times its weight,"} and ${product} are the same numbers: largest difference ${formatNumber(difference, 2)}.`;
}

const updateStep = (batch: BatchState, l: number): AlgorithmStep => ({
  id: `update-${l}`, phase: "update", title: l === batch.outputLayer ? "The output" : `Layer ${l}`,
  tex: `\\begin{aligned}W^{${l}} &\\leftarrow W^{${l}} - \\alpha\\, dW^{${l}} \\\\ b^{${l}} &\\leftarrow b^{${l}} - \\alpha\\, db^{${l}}\\end{aligned}`,
  note: `A step against the gradient, with learning rate α = ${formatNumber(batch.data.learningRate)}. This is plain gradient descent; an optimiser such as Adam takes a different step.`,
  equations: (s) => [
    { items: [specs.specW(s, l, { withUpdated: true, asImages: true }), alphaSign(s), specs.specDW(s, l), EQUALS, specs.specUpdatedW(s, l)] },
    { items: [specs.specb(s, l, true), alphaSign(s), specs.specDb(s, l), EQUALS, specs.specUpdatedb(s, l)] },
  ],
});

const alphaSign = (batch: BatchState): Item => sign(`-\\;${formatNumber(batch.data.learningRate).replace("·10", "\\cdot 10")}\\;\\cdot`, "minus α times");
