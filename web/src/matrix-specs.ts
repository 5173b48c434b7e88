/** Every matrix of the algorithm, by its name in the text. */

import { cell } from "./algebra";
import * as explain from "./explain";
import { explainLoss, explainP } from "./explain-head";
import { superscript } from "./format";
import { type MatrixSpec, createMatrixSpec, type Sources } from "./matrix-spec";
import type { BatchState } from "./batch-state";

const PER_EXAMPLE_AXES = "one row per unit, one column per example";

export const specB = (s: BatchState, withSource = false): MatrixSpec =>
  createMatrixSpec(s, {
    name: "B", title: "B", tex: "B", matrix: s.B(), rows: 0, columns: "examples", scale: "amount", withSource,
    axes: "one row per feature, one column per example",
    explain: (k, i) => explain.explainInput(s, k, i),
  });

export const specW = (s: BatchState, l: number, { withUpdated = false, asImages = false } = {}): MatrixSpec =>
  createMatrixSpec(s, {
    asImages: asImages && l === 1,
    name: `W${l}`, title: `W${superscript(l)}`, tex: `W^{${l}}`, matrix: s.W(l), rows: l, columns: l - 1, axes: weightAxes(l),
    sharedScale: withUpdated ? [s.updatedW(l)] : [],
    explain: (j, k) => explain.explainGiven(`W^{${l}}_{jk}`, "the weight at this snapshot", cell(s.W(l), j, k)),
  });

/** Wᵀ, as backward reads it. */
export const specWT = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `W${l}T`, title: `W${superscript(l)} transposed`, tex: `(W^{${l}})^{\\top}`, matrix: s.WT(l), rows: l - 1, columns: l,
    axes: `one row per unit of layer ${l - 1}, one column per unit of layer ${l}`,
    explain: (k, j) => explain.explainGiven(`W^{${l}}_{jk}`, "the weight at this snapshot", cell(s.W(l), j, k)),
  });

export const specb = (s: BatchState, l: number, withUpdated = false): MatrixSpec =>
  createMatrixSpec(s, {
    name: `b${l}`, title: `b${superscript(l)}`, tex: `b^{${l}}`, matrix: s.b(l), rows: l, columns: "one", axes: "one row per unit",
    sharedScale: withUpdated ? [s.updatedb(l)] : [],
    explain: (j) => explain.explainGiven(`b^{${l}}_j`, "the bias at this snapshot", cell(s.b(l), j, 0)),
  });

export const specZ = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `Z${l}`, title: `Z${superscript(l)}`, tex: `Z^{${l}}`, matrix: s.Z(l), rows: l, columns: "examples", axes: PER_EXAMPLE_AXES,
    explain: (j, i) => explain.explainZ(s, l, j, i),
    sources: (j) => ({ [`W${l}`]: { row: j }, [`b${l}`]: { row: j, column: 0 } }),
  });

export const specH = (s: BatchState, l: number): MatrixSpec =>
  l === 0
    ? { ...specB(s), tex: "H^0 = B" }
    : createMatrixSpec(s, {
        name: `H${l}`, title: `H${superscript(l)}`, tex: `H^{${l}}`, matrix: s.H(l), rows: l, columns: "examples", axes: PER_EXAMPLE_AXES,
        scale: "amount", explain: (j, i) => explain.explainH(s, l, j, i),
      });

/** Hᵀ, as the collapse reads it: its rows are the examples. */
export const specHT = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `H${l}T`, title: `H${superscript(l)} transposed`, tex: l === 0 ? "(H^0)^{\\top} = B^{\\top}" : `(H^{${l}})^{\\top}`, matrix: s.HT(l),
    rows: "examples", columns: l, axes: `one row per example, one column per ${l === 0 ? "feature" : `unit of layer ${l}`}`, scale: "amount",
    explain: (i, k) => (l === 0 ? explain.explainInput(s, k, i) : explain.explainH(s, l, k, i)),
  });

/** `withY`: on the colour scale of Y, which is next to it. */
export const specP = (s: BatchState, withY = false): MatrixSpec =>
  createMatrixSpec(s, {
    name: "P", title: "P", tex: "P", matrix: s.P(), rows: s.outputLayer, columns: "examples", axes: "one row per output, one column per example",
    scale: "amount", sharedScale: withY ? [s.Y()] : [], explain: (k, i) => explainP(s, k, i),
  });

export const specY = (s: BatchState): MatrixSpec =>
  createMatrixSpec(s, {
    name: "Y", title: "Y", tex: "Y", matrix: s.Y(), rows: s.outputLayer, columns: "examples", axes: "one row per output, one column per example",
    scale: "amount", sharedScale: [s.P()], explain: (k, i) => explain.explainTarget(s, k, i),
  });

export const specLosses = (s: BatchState): MatrixSpec =>
  createMatrixSpec(s, {
    name: "losses", title: "loss", tex: "\\text{loss}_i", matrix: s.losses(), rows: -1, columns: "examples",
    axes: "one column per example", scale: "amount", explain: (_, i) => explainLoss(s, i),
  });

export const specDZ = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `dZ${l}`, title: `dZ${superscript(l)}`, tex: `dZ^{${l}}`, matrix: s.dZ(l), rows: l, columns: "examples", axes: PER_EXAMPLE_AXES,
    explain: (j, i) => (l === s.outputLayer ? explain.explainLastDZ(s, j, i) : explain.explainDZ(s, l, j, i)),
    sources: (j, i) =>
      l === s.outputLayer
        ? { P: { row: j, column: i }, Y: { row: j, column: i } }
        : { [`W${l + 1}T`]: { row: j }, [`dH${l}`]: { row: j, column: i }, [`derivatives${l}`]: { row: j, column: i } },
  });

export const specDH = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `dH${l}`, title: `dH${superscript(l)}`, tex: `dH^{${l}}`, matrix: s.dH(l), rows: l, columns: "examples", axes: PER_EXAMPLE_AXES,
    explain: (j, i) => explain.explainDH(s, l, j, i),
    sources: (j) => ({ [`W${l + 1}T`]: { row: j } }),
  });

export const specDerivatives = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `derivatives${l}`, title: `σ'(Z${superscript(l)})`, tex: `\\sigma'(Z^{${l}})`, matrix: s.derivatives(l), rows: l, columns: "examples",
    axes: PER_EXAMPLE_AXES, scale: "amount", explain: (j, i) => explain.explainDerivative(s, l, j, i),
  });

export const specTensor = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `DW${l}`, title: `DW${superscript(l)}`, tex: `DW^{${l}}`, matrix: s.dW(l), rows: l, columns: l - 1, slices: s.perExampleGradients(l), asImages: l === 1,
    axes: `one slice per example; in a slice ${weightAxes(l)}`,
    explain: (j, k, i) => (i === undefined ? explain.explainDW(s, l, j, k) : explain.explainPerExampleGradient(s, l, j, k, i)),
  });

export const specBiasMatrix = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `Db${l}`, title: `Db${superscript(l)}`, tex: `Db^{${l}}`, matrix: s.dZ(l), rows: l, columns: "examples", axes: PER_EXAMPLE_AXES,
    explain: (j, i) => explain.explainGiven(`Db^{${l}} = dZ^{${l}}`, "dz itself", cell(s.dZ(l), j, i)),
  });

export const specDW = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `dW${l}`, title: `dW${superscript(l)}`, tex: `dW^{${l}}`, matrix: s.dW(l), rows: l, columns: l - 1, axes: weightAxes(l),
    asImages: l === 1, sharedScale: [s.product(l)], explain: (j, k) => explain.explainDW(s, l, j, k), sources: (j, k) => gradientSources(l, j, k),
  });

export const specProduct = (s: BatchState, l: number): MatrixSpec => {
  const tex = s.isPlainMean ? `dZ^{${l}} (H^{${l - 1}})^{\\top} / m` : `dZ^{${l}} \\operatorname{diag}(c)\\, (H^{${l - 1}})^{\\top}`;
  const title = `the product of dZ${superscript(l)} and H${superscript(l - 1)} transposed`;
  return createMatrixSpec(s, {
    name: `product${l}`, title, tex, matrix: s.product(l), rows: l, columns: l - 1, axes: weightAxes(l),
    sharedScale: [s.dW(l)], explain: (j, k) => explain.explainDW(s, l, j, k), sources: (j, k) => gradientSources(l, j, k),
  });
};

export const specDb = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `db${l}`, title: `db${superscript(l)}`, tex: `db^{${l}}`, matrix: s.db(l), rows: l, columns: "one", axes: "one row per unit",
    explain: (j) => explain.explainDb(s, l, j),
    sources: (j) => ({ [`Db${l}`]: { row: j } }),
  });

export const specUpdatedW = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `updatedW${l}`, title: `W${superscript(l)} after the update`, tex: `W^{${l}}_{\\text{new}}`, matrix: s.updatedW(l), rows: l, columns: l - 1,
    axes: weightAxes(l), sharedScale: [s.W(l)], asImages: l === 1,
    explain: (j, k) => explain.explainUpdate(cell(s.W(l), j, k), cell(s.product(l), j, k), s.data.learningRate, "w"),
    sources: (j, k) => ({ [`W${l}`]: { row: j, column: k }, [`dW${l}`]: { row: j, column: k } }),
  });

export const specUpdatedb = (s: BatchState, l: number): MatrixSpec =>
  createMatrixSpec(s, {
    name: `updatedb${l}`, title: `b${superscript(l)} after the update`, tex: `b^{${l}}_{\\text{new}}`, matrix: s.updatedb(l), rows: l, columns: "one",
    axes: "one row per unit", sharedScale: [s.b(l)],
    explain: (j) => explain.explainUpdate(cell(s.b(l), j, 0), cell(s.db(l), j, 0), s.data.learningRate, "b"),
    sources: (j) => ({ [`b${l}`]: { row: j, column: 0 }, [`db${l}`]: { row: j, column: 0 } }),
  });

/** A cell of dW is a row of dZ times a column of Hᵀ. */
const gradientSources = (l: number, j: number, k: number): Sources => ({
  [`dZ${l}`]: { row: j },
  [`H${l - 1}T`]: { column: k },
});

const weightAxes = (l: number): string => (l === 1 ? "one row per unit, one column per feature" : `one row per unit, one column per unit of layer ${l - 1}`);
