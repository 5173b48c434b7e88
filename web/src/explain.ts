/** For every kind of matrix, how one of its cells came about. Pure: from the scene to steps of arithmetic. */

import { at } from "./algebra";
import { type Explained, type Product, product, step, type Step, sum, sumOfProducts, total } from "./explanation-types";
import { factor, show } from "./format";
import type { Scene } from "./batch-state";

/** One number that comes from nothing on this page. */
export const given = (tex: string, label: string, value: number): Explained => ({ tex, steps: [sum(label, value)], value });

export function explainZ(scene: Scene, l: number, j: number, i: number): Explained {
  const [W, H, value, bias] = [scene.W(l), scene.H(l - 1), at(scene.Z(l), j, i), at(scene.b(l), j, 0)];
  const terms = scene.names(l - 1).map((label, k): Product => ({ label, factors: [at(W, j, k), at(H, k, i)] }));
  const steps = sumOfProducts(terms, undrawn(scene, l - 1, value - total(terms) - bias));
  const tex = `z = \\sum_k w_k h_k + b`;
  return { tex, steps: [...steps, step("the bias b", "", bias), sum("z", value)], value };
}

export function explainH(scene: Scene, l: number, j: number, i: number): Explained {
  const [z, value] = [at(scene.Z(l), j, i), at(scene.H(l), j, i)];
  return { tex: equation("h = \\sigma(z)", scene.doc.activations[l - 1]!.tex), steps: [sum("h", value, `σ(${show(z)})`)], value };
}

export function explainSlope(scene: Scene, l: number, j: number, i: number): Explained {
  const [z, value] = [at(scene.Z(l), j, i), at(scene.slopes(l), j, i)];
  return { tex: equation("\\sigma'(z)", scene.doc.activations[l - 1]!.slopeTex), steps: [sum("the slope", value, `σ'(${show(z)})`)], value };
}

/** Left = right, once where the right side only repeats the left. */
const equation = (left: string, right: string): string => (left.endsWith(right) ? left : `${left} = ${right}`);

/** Of the output layer: `P − Y`, or what the head makes of it. */
export function explainLastDZ(scene: Scene, k: number, i: number): Explained {
  const [p, y, value] = [at(scene.P(), k, i), at(scene.Y(), k, i), at(scene.dZ(scene.last), k, i)];
  const tex = `dZ = ${scene.doc.head.dZTex}`;
  const difference = `${show(p)} − ${factor(y)}`;
  const plainly = Math.abs(value - (p - y)) <= 1e-5 * Math.max(1, Math.abs(p), Math.abs(y));
  return { tex, steps: plainly ? [sum("dz", value, difference)] : [step("p − y", difference, p - y), sum("dz, as the head has it", value)], value };
}

export function explainDH(scene: Scene, l: number, j: number, i: number): Explained {
  const value = at(scene.dH(l), j, i);
  return { tex: "dh = \\sum_k w_k\\, dz_k", steps: [...dHTerms(scene, l, j, i), sum("dh", value)], value };
}

export function explainDZ(scene: Scene, l: number, j: number, i: number): Explained {
  const [dh, slope, value] = [at(scene.dH(l), j, i), at(scene.slopes(l), j, i), at(scene.dZ(l), j, i)];
  const steps = [...dHTerms(scene, l, j, i), step("dh, their sum", "", dh), sum("dz", value, `${show(dh)} × ${factor(slope)}`)];
  return { tex: "dz = dh \\cdot \\sigma'(z)", steps, value, remark: `The slope σ'(z) at z = ${show(at(scene.Z(l), j, i))} is ${show(slope)}.` };
}

function dHTerms(scene: Scene, l: number, j: number, i: number): Step[] {
  const [W, dZ] = [scene.W(l + 1), scene.dZ(l + 1)];
  const terms = scene.names(l + 1).map((label, k): Product => ({ label, factors: [at(W, k, j), at(dZ, k, i)] }));
  return sumOfProducts(terms, undrawn(scene, l + 1, at(scene.dH(l), j, i) - total(terms)));
}

export function explainSheet(scene: Scene, l: number, j: number, k: number, i: number): Explained {
  const factors = [at(scene.dZ(l), j, i), at(scene.H(l - 1), k, i)];
  const value = product({ label: "", factors });
  return { tex: "DW_{jki} = dz_{ji}\\, h_{ki}", steps: [sum("dz × h", value, factors.map(factor).join(" × "))], value };
}

export function explainDW(scene: Scene, l: number, j: number, k: number): Explained {
  const [dZ, H] = [scene.dZ(l), scene.H(l - 1)];
  return meanOver(scene, (i) => [at(dZ, j, i), at(H, k, i)], "dw = \\frac1m \\sum_i dz_i\\, h_i", "dw = \\sum_i c_i\\, dz_i\\, h_i", "dw");
}

export function explainDb(scene: Scene, l: number, j: number): Explained {
  return meanOver(scene, (i) => [at(scene.dZ(l), j, i)], "db = \\frac1m \\sum_i dz_i", "db = \\sum_i c_i\\, dz_i", "db");
}

/** A mean over the examples: a sum divided by m, or each term times its share where the shares differ. */
function meanOver(scene: Scene, factors: (i: number) => number[], plainTex: string, sharedTex: string, name: string): Explained {
  const rows = scene.doc.examples.map((example, i) => ({ label: example.row, share: scene.shares[i] ?? 0, factors: factors(i) }));
  if (scene.plain) {
    const all = total(rows);
    return { tex: plainTex, steps: [...sumOfProducts(rows, null), sum(name, all / scene.m, `${show(all)} / ${scene.m}`)], value: all / scene.m };
  }
  const counted = rows.filter(({ share }) => share > 0).map((row) => ({ label: row.label, factors: [row.share, ...row.factors] }));
  const value = total(counted);
  return { tex: sharedTex, steps: [...sumOfProducts(counted, null), sum(name, value)], value, remark: "The first factor is the example's share c." };
}

export function explainStep(before: number, gradient: number, alpha: number, name: "w" | "b"): Explained {
  const value = before - alpha * gradient;
  return { tex: `${name} - \\alpha\\, d${name}`, steps: [sum(`new ${name}`, value, `${show(before)} − ${show(alpha)} × ${factor(gradient)}`)], value };
}

function undrawn(scene: Scene, level: number, value: number): { count: number; value: number; what: string } {
  return { count: scene.size(level) - scene.drawn(level), value, what: "term" };
}
