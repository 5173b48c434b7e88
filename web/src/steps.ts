/** The algorithm as a list of lines: each with its formula and the matrices that it shows. Pure. */

import { largestDifference } from "./algebra";
import type { Figure } from "./matrix-spec";
import * as figures from "./matrix-specs";
import { plural, show } from "./format";
import type { Scene } from "./batch-state";

export const GROUPS = ["forward", "loss", "backward", "collapse", "update"] as const;
export type Group = (typeof GROUPS)[number];

/** A figure, or the formula sign between two. */
export type Item = Figure | { sign: string; spoken: string };

/** One equation: its figures and signs, and a sentence below. */
export interface Equation {
  items: Item[];
  note?: string;
  /** Show the examples themselves below, where they are images. */
  inputs?: true;
}

export interface Line {
  id: string;
  group: Group;
  title: string;
  tex: string;
  note: string;
  equations: (scene: Scene) => Equation[];
}

const sign = (tex: string, spoken: string): Item => ({ sign: tex, spoken });
const EQUALS = sign("=", "equals");
const TIMES = sign("\\cdot", "times");
const PLUS = sign("+", "plus");
const MINUS = sign("-", "minus");

/** The lines of a network with L hidden layers, in the order in which the algorithm runs. */
export function linesOf(scene: Scene): Line[] {
  const last = scene.last;
  const layers = Array.from({ length: last }, (_, n) => n + 1);
  const hidden = layers.slice(0, -1);
  return [
    batchLine(scene),
    ...hidden.map((l) => hiddenLine(scene, l)),
    outputLine(scene, last),
    lossLine(scene),
    lastGradientLine(scene, last),
    ...[...hidden].reverse().map(backwardLine),
    ...[...layers].reverse().map((l) => collapseLine(scene, l)),
    ...layers.map((l) => updateLine(scene, l)),
  ];
}

const batchLine = (scene: Scene): Line => ({
  id: "forward-0", group: "forward", title: "The batch", tex: "H^0 = B",
  note: `${plural(scene.m, "example enters", "examples enter")} side by side: one column each.`,
  equations: (s) => [{ items: [figures.figureB(s)], inputs: true }],
});

const hiddenLine = (scene: Scene, l: number): Line => ({
  id: `forward-${l}`, group: "forward", title: `Layer ${l}`,
  tex: `\\begin{aligned}Z^{${l}} &= W^{${l}} H^{${l - 1}} + b^{${l}} \\\\ H^{${l}} &= \\sigma(Z^{${l}})\\end{aligned}`,
  note: `Every unit weighs what comes in, adds its bias, and passes the sum through ${scene.doc.activations[l - 1]!.name}.`,
  equations: (s) => [
    affine(s, l),
    { items: [sign(`\\sigma(Z^{${l}}) =`, `σ of Z ${l} equals`), figures.figureH(s, l)] },
  ],
});

const affine = (s: Scene, l: number): Equation => ({
  items: [figures.figureW(s, l), TIMES, figures.figureH(s, l - 1), PLUS, figures.figureb(s, l), EQUALS, figures.figureZ(s, l)],
});

const outputLine = (scene: Scene, l: number): Line => ({
  id: `forward-${l}`, group: "forward", title: "The output",
  tex: `\\begin{aligned}Z^{${l}} &= W^{${l}} H^{${l - 1}} + b^{${l}} \\\\ P &= ${scene.doc.head.tex}\\end{aligned}`,
  note: `The last layer's sums become the prediction P, column by column; the head is ${scene.doc.head.name.replaceAll("_", " ")}.`,
  equations: (s) => [affine(s, l), { items: [sign(`Z^{${l}} \\;\\to`, `Z ${l} becomes`), figures.figureP(s)] }],
});

const lossLine = (scene: Scene): Line => ({
  id: "loss", group: "loss", title: "Each example's loss", tex: `\\text{loss}_i = ${scene.doc.head.lossTex}`,
  note: `Every column of P is compared with its column of Y. The loss of the batch is their ${scene.even ? "mean" : "weighted mean"}.`,
  equations: (s) => [
    { items: [figures.figureP(s, true), sign("\\text{against}", "against"), figures.figureY(s)] },
    { items: [sign("\\to", "gives"), figures.figureLosses(s)], note: meanLoss(s) },
  ],
});

function meanLoss(scene: Scene): string {
  const kept = scene.kept.filter(Boolean).length;
  const mean = scene.even ? "mean" : "weighted mean";
  const those = kept < scene.m ? " of those kept" : "";
  return `The ${mean} of the ${plural(kept, "loss", "losses")}${those} is ${show(scene.meanLoss())}.`;
}

const lastGradientLine = (scene: Scene, l: number): Line => ({
  id: `backward-${l}`, group: "backward", title: "Back from the output", tex: `dZ^{${l}} = ${scene.doc.head.dZTex}`,
  note: `Each example's own gradient by its sums, undivided: ${scene.plain ? "the 1/m waits" : "the shares c wait"} for the collapse.`,
  equations: (s) => [{ items: [figures.figureP(s, true), MINUS, figures.figureY(s), sign(scene.doc.head.dZTex === "P - Y" ? "=" : "\\to", "gives"), figures.figureDZ(s, l)] }],
});

const backwardLine = (l: number): Line => ({
  id: `backward-${l}`, group: "backward", title: `Layer ${l}`,
  tex: `\\begin{aligned}dH^{${l}} &= (W^{${l + 1}})^{\\top} dZ^{${l + 1}} \\\\ dZ^{${l}} &= dH^{${l}} \\odot \\sigma'(Z^{${l}})\\end{aligned}`,
  note: "The same weights carry the gradient back; the slope at each sum lets it through or holds it.",
  equations: (s) => [
    { items: [figures.figureWT(s, l + 1), TIMES, figures.figureDZ(s, l + 1), EQUALS, figures.figureDH(s, l)] },
    { items: [sign(`dH^{${l}} \\odot`, `dH ${l}, entry by entry, times`), figures.figureSlopes(s, l), EQUALS, figures.figureDZ(s, l)] },
  ],
});

const collapseLine = (scene: Scene, l: number): Line => ({
  id: `collapse-${l}`, group: "collapse", title: l === scene.last ? "The output" : `Layer ${l}`,
  tex: `\\begin{aligned}DW^{${l}}[:,:,i] &= dz_i\\, h_i^{\\top} \\\\ ${scene.plain ? meanTex(l) : sharesTex(l)}\\end{aligned}`,
  note: `One sheet an example: the outer product of what comes back and what went in. ${scene.plain ? "Their mean" : "Their sum, each times its share c,"} trains the network.`,
  equations: (s) => [
    { items: [figures.figureStack(s, l), collapses(s), figures.figureDW(s, l)], ...shareNote(s) },
    {
      items: [figures.figureDZ(s, l), TIMES, figures.figureH(s, l - 1), transposed(s), figures.figureProduct(s, l)],
      note: sameness(s, l),
    },
    { items: [figures.figureBias(s, l), collapses(s), figures.figureDb(s, l)] },
  ],
});

const meanTex = (l: number): string =>
  `dW^{${l}} &= \\tfrac1m\\, dZ^{${l}} (H^{${l - 1}})^{\\top} \\\\ db^{${l}} &= \\tfrac1m \\textstyle\\sum_i dZ^{${l}}[:,i]`;

/** Where the examples count differently: left out, clipped or weighted. */
const sharesTex = (l: number): string =>
  `dW^{${l}} &= dZ^{${l}} \\operatorname{diag}(c)\\, (H^{${l - 1}})^{\\top} \\\\ db^{${l}} &= \\textstyle\\sum_i c_i\\, dZ^{${l}}[:,i]`;

const collapses = (scene: Scene): Item =>
  scene.plain ? sign("\\xrightarrow{\\text{mean}}", "their mean is") : sign("\\xrightarrow{\\sum c_i}", "their sum, each times its share c, is");

const transposed = (scene: Scene): Item =>
  scene.plain ? sign("{}^{\\top} / m =", "transposed, divided by m, equals") : sign("{}^{\\top}\\text{, by }c,\\; =", "transposed, each example times its share c, equals");

const shareNote = (scene: Scene): { note?: string } =>
  scene.plain ? {} : { note: "Each example counts by its share c, in the table below." };

function sameness(scene: Scene, l: number): string {
  const difference = largestDifference(scene.dW(l), scene.product(l));
  const product = scene.plain ? `dZ${figures.raised(l)} H${figures.raised(l - 1)}ᵀ / m` : `dZ${figures.raised(l)} diag(c) H${figures.raised(l - 1)}ᵀ`;
  return `The ${scene.plain ? "mean" : "sum"} of the sheets${scene.plain ? "" : ", each times its share,"} and ${product} are the same numbers: largest difference ${show(difference, 2)}.`;
}

const updateLine = (scene: Scene, l: number): Line => ({
  id: `update-${l}`, group: "update", title: l === scene.last ? "The output" : `Layer ${l}`,
  tex: `\\begin{aligned}W^{${l}} &\\leftarrow W^{${l}} - \\alpha\\, dW^{${l}} \\\\ b^{${l}} &\\leftarrow b^{${l}} - \\alpha\\, db^{${l}}\\end{aligned}`,
  note: `A step downhill, α = ${show(scene.doc.learningRate)}. This is the text's plain descent; a solver such as Adam steps otherwise.`,
  equations: (s) => [
    { items: [figures.figureW(s, l, true), alpha(s), figures.figureDW(s, l), EQUALS, figures.figureWAfter(s, l)] },
    { items: [figures.figureb(s, l, true), alpha(s), figures.figureDb(s, l), EQUALS, figures.figurebAfter(s, l)] },
  ],
});

const alpha = (scene: Scene): Item => sign(`-\\;${show(scene.doc.learningRate).replace("·10", "\\cdot 10")}\\;\\cdot`, "minus α times");
