/** Every matrix of the algorithm as a figure, by the name that it has in the text. */

import { at } from "./algebra";
import * as explain from "./explain";
import { explainLoss, explainP } from "./explain-head";
import { type Figure, figure, type Sources } from "./matrix-spec";
import type { Scene } from "./batch-state";

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
/** A layer's number, raised. */
export const raised = (l: number): string => [...String(l)].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");

const PER_EXAMPLE = "one row a unit, one column an example";

export const figureB = (s: Scene): Figure =>
  figure(s, {
    name: "B", title: "B", tex: "B", matrix: s.B(), rows: 0, columns: "examples", scale: "amount",
    units: "one row a feature, one column an example",
    cell: (k, i) => explain.given("H^0 = B", "given in the data", at(s.B(), k, i)),
  });

export const figureW = (s: Scene, l: number, withAfter = false): Figure =>
  figure(s, {
    name: `W${l}`, title: `W${raised(l)}`, tex: `W^{${l}}`, matrix: s.W(l), rows: l, columns: l - 1, units: weightUnits(l),
    alike: withAfter ? [s.WAfter(l)] : [],
    cell: (j, k) => explain.given(`W^{${l}}_{jk}`, "as trained so far", at(s.W(l), j, k)),
  });

/** Wᵀ, as backward reads it. */
export const figureWT = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `W${l}T`, title: `W${raised(l)} transposed`, tex: `(W^{${l}})^{\\top}`, matrix: s.WT(l), rows: l - 1, columns: l,
    units: `one row a unit of layer ${l - 1}, one column a unit of layer ${l}`,
    cell: (k, j) => explain.given(`W^{${l}}_{jk}`, "as trained so far", at(s.W(l), j, k)),
  });

export const figureb = (s: Scene, l: number, withAfter = false): Figure =>
  figure(s, {
    name: `b${l}`, title: `b${raised(l)}`, tex: `b^{${l}}`, matrix: s.b(l), rows: l, columns: "one", units: "one row a unit",
    alike: withAfter ? [s.bAfter(l)] : [],
    cell: (j) => explain.given(`b^{${l}}_j`, "as trained so far", at(s.b(l), j, 0)),
  });

export const figureZ = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `Z${l}`, title: `Z${raised(l)}`, tex: `Z^{${l}}`, matrix: s.Z(l), rows: l, columns: "examples", units: PER_EXAMPLE,
    cell: (j, i) => explain.explainZ(s, l, j, i),
    sources: (j) => ({ [`W${l}`]: { row: j }, [`b${l}`]: { row: j, column: 0 } }),
  });

export const figureH = (s: Scene, l: number): Figure =>
  l === 0
    ? { ...figureB(s), tex: "H^0 = B" }
    : figure(s, {
        name: `H${l}`, title: `H${raised(l)}`, tex: `H^{${l}}`, matrix: s.H(l), rows: l, columns: "examples", units: PER_EXAMPLE,
        scale: "amount", cell: (j, i) => explain.explainH(s, l, j, i),
      });

/** `withY`: in the colours of Y, beside which it stands. */
export const figureP = (s: Scene, withY = false): Figure =>
  figure(s, {
    name: "P", title: "P", tex: "P", matrix: s.P(), rows: s.last, columns: "examples", units: "one row an output, one column an example",
    scale: "amount", alike: withY ? [s.Y()] : [], cell: (k, i) => explainP(s, k, i),
  });

export const figureY = (s: Scene): Figure =>
  figure(s, {
    name: "Y", title: "Y", tex: "Y", matrix: s.Y(), rows: s.last, columns: "examples", units: "one row an output, one column an example",
    scale: "amount", alike: [s.P()], cell: (k, i) => explain.given("Y", "given in the data", at(s.Y(), k, i)),
  });

export const figureLosses = (s: Scene): Figure =>
  figure(s, {
    name: "losses", title: "loss", tex: "\\text{loss}_i", matrix: s.losses(), rows: -1, columns: "examples",
    units: "one column an example", scale: "amount", cell: (_, i) => explainLoss(s, i),
  });

export const figureDZ = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `dZ${l}`, title: `dZ${raised(l)}`, tex: `dZ^{${l}}`, matrix: s.dZ(l), rows: l, columns: "examples", units: PER_EXAMPLE,
    cell: (j, i) => (l === s.last ? explain.explainLastDZ(s, j, i) : explain.explainDZ(s, l, j, i)),
    sources: (j, i) =>
      l === s.last
        ? { P: { row: j, column: i }, Y: { row: j, column: i } }
        : { [`W${l + 1}T`]: { row: j }, [`dH${l}`]: { row: j, column: i }, [`slopes${l}`]: { row: j, column: i } },
  });

export const figureDH = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `dH${l}`, title: `dH${raised(l)}`, tex: `dH^{${l}}`, matrix: s.dH(l), rows: l, columns: "examples", units: PER_EXAMPLE,
    cell: (j, i) => explain.explainDH(s, l, j, i),
    sources: (j) => ({ [`W${l + 1}T`]: { row: j } }),
  });

export const figureSlopes = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `slopes${l}`, title: `σ'(Z${raised(l)})`, tex: `\\sigma'(Z^{${l}})`, matrix: s.slopes(l), rows: l, columns: "examples",
    units: PER_EXAMPLE, scale: "amount", cell: (j, i) => explain.explainSlope(s, l, j, i),
  });

export const figureStack = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `DW${l}`, title: `DW${raised(l)}`, tex: `DW^{${l}}`, matrix: s.dW(l), rows: l, columns: l - 1, sheets: s.sheets(l),
    units: `one sheet an example; in it ${weightUnits(l)}`, alike: [s.product(l)],
    cell: (j, k, i) => (i === undefined ? explain.explainDW(s, l, j, k) : explain.explainSheet(s, l, j, k, i)),
  });

export const figureBias = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `Db${l}`, title: `Db${raised(l)}`, tex: `Db^{${l}}`, matrix: s.dZ(l), rows: l, columns: "examples", units: PER_EXAMPLE,
    cell: (j, i) => explain.given(`Db^{${l}} = dZ^{${l}}`, "dz itself", at(s.dZ(l), j, i)),
  });

export const figureDW = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `dW${l}`, title: `dW${raised(l)}`, tex: `dW^{${l}}`, matrix: s.dW(l), rows: l, columns: l - 1, units: weightUnits(l),
    alike: [s.product(l)], cell: (j, k) => explain.explainDW(s, l, j, k), sources: (j, k) => gradientSources(l, j, k),
  });

export const figureProduct = (s: Scene, l: number): Figure => {
  const tex = s.plain ? `dZ^{${l}} (H^{${l - 1}})^{\\top} / m` : `dZ^{${l}} \\operatorname{diag}(c)\\, (H^{${l - 1}})^{\\top}`;
  const title = `the product of dZ${raised(l)} and H${raised(l - 1)} transposed`;
  return figure(s, {
    name: `product${l}`, title, tex, matrix: s.product(l), rows: l, columns: l - 1, units: weightUnits(l),
    alike: [s.dW(l)], cell: (j, k) => explain.explainDW(s, l, j, k), sources: (j, k) => gradientSources(l, j, k),
  });
};

export const figureDb = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `db${l}`, title: `db${raised(l)}`, tex: `db^{${l}}`, matrix: s.db(l), rows: l, columns: "one", units: "one row a unit",
    cell: (j) => explain.explainDb(s, l, j),
    sources: (j) => ({ [`Db${l}`]: { row: j } }),
  });

export const figureWAfter = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `W${l}-after`, title: `W${raised(l)} after the step`, tex: `W^{${l}}_{\\text{new}}`, matrix: s.WAfter(l), rows: l, columns: l - 1,
    units: weightUnits(l), alike: [s.W(l)],
    cell: (j, k) => explain.explainStep(at(s.W(l), j, k), at(s.product(l), j, k), s.doc.learningRate, "w"),
    sources: (j, k) => ({ [`W${l}`]: { row: j, column: k }, [`dW${l}`]: { row: j, column: k } }),
  });

export const figurebAfter = (s: Scene, l: number): Figure =>
  figure(s, {
    name: `b${l}-after`, title: `b${raised(l)} after the step`, tex: `b^{${l}}_{\\text{new}}`, matrix: s.bAfter(l), rows: l, columns: "one",
    units: "one row a unit", alike: [s.b(l)],
    cell: (j) => explain.explainStep(at(s.b(l), j, 0), at(s.db(l), j, 0), s.doc.learningRate, "b"),
    sources: (j) => ({ [`b${l}`]: { row: j, column: 0 }, [`db${l}`]: { row: j, column: 0 } }),
  });

/** A cell of dW is a row of dZ times a row of H. */
const gradientSources = (l: number, j: number, k: number): Sources => ({
  [`dZ${l}`]: { row: j },
  [l === 1 ? "B" : `H${l - 1}`]: { row: k },
});

const weightUnits = (l: number): string => (l === 1 ? "one row a unit, one column a feature" : `one row a unit, one column a unit of layer ${l - 1}`);
