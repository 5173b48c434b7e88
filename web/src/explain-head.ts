/** How P and the losses came about, for the heads whose formulas can be written out with numbers. Pure. */

import { at } from "./algebra";
import { type Explained, step, type Step, sum } from "./explanation-types";
import { factor, show } from "./format";
import type { Scene } from "./batch-state";

const MOST_TERMS = 8;
/** From here on exp z is written as exp(z − max z), which is how the library keeps it finite. */
const LARGE_Z = 80;

export function explainP(scene: Scene, k: number, i: number): Explained {
  const [z, value] = [at(scene.Z(scene.last), k, i), at(scene.P(), k, i)];
  const head = scene.doc.head;
  const steps = head.name.startsWith("softmax") ? softmaxSteps(scene, z, value, i) : [sum("p", value, P_OF_Z[head.name]?.(z) ?? "")];
  return { tex: `P = ${head.tex}`, steps, value };
}

const identity = (): string => "z";

const P_OF_Z: Record<string, (z: number) => string> = {
  sigmoid: (z) => `1 / (1 + exp(${show(-z)}))`,
  poisson: (z) => `exp(${show(z)})`,
  squared_error: identity,
  absolute_error: identity,
  huber: identity,
  quantile: identity,
};

function softmaxSteps(scene: Scene, z: number, p: number, i: number): Step[] {
  const column = Array.from({ length: scene.drawn(scene.last) }, (_, k) => at(scene.Z(scene.last), k, i));
  const highest = Math.max(...column);
  const shift = highest > LARGE_Z ? highest : 0;
  const size = Math.exp(z - shift);
  const whole = scene.doc.head.name === "softmax" && column.length === scene.size(scene.last);
  const everything = whole ? column.reduce((total, each) => total + Math.exp(each - shift), 0) : size / p;
  if (!(everything > 0 && everything < Infinity)) return [sum("p", p)];
  const over = scene.doc.head.name === "softmax" ? `over the ${scene.size(scene.last)} outputs` : "over its target's outputs";
  return [
    step("exp z", shift ? `exp(${show(z)} − ${factor(shift)})` : `exp(${show(z)})`, size),
    step(`Σ exp z ${over}`, "", everything),
    sum("p", p, `${show(size)} / ${show(everything)}`),
  ];
}

interface LossTerm {
  expression: string;
  value: number;
}

/** The losses whose terms we write out, one an output; others are given as the number they are. */
const LOSS_TERMS: Record<string, (p: number, y: number) => LossTerm> = {
  softmax: cross,
  softmax_groups: cross,
  sigmoid: (p, y) => (y > 0.5 ? cross(p, y) : { expression: `−${show(1 - y)} × log(1 − ${show(p)})`, value: y === 1 ? 0 : -(1 - y) * Math.log(1 - p) }),
  squared_error: (p, y) => ({ expression: `½ (${show(p)} − ${factor(y)})²`, value: 0.5 * (p - y) ** 2 }),
  poisson: (p, y) =>
    y === 0
      ? { expression: show(p), value: p }
      : { expression: `${show(p)} − ${factor(y)} + ${show(y)} × log(${show(y)} / ${show(p)})`, value: p - y + y * Math.log(y / p) },
  absolute_error: (p, y) => ({ expression: `|${show(p)} − ${factor(y)}|`, value: Math.abs(p - y) }),
};

function cross(p: number, y: number): LossTerm {
  return { expression: `−${show(y)} × log ${show(p)}`, value: y === 0 ? 0 : -y * Math.log(p) };
}

export function explainLoss(scene: Scene, i: number): Explained {
  const value = at(scene.losses(), 0, i);
  const term = LOSS_TERMS[scene.doc.head.name];
  const steps = term ? lossSteps(scene, i, term, value) : [];
  return { tex: `\\text{loss}_i = ${scene.doc.head.lossTex}`, steps: [...steps, sum("loss", value)], value };
}

/** The largest terms, and what is left of the loss where that is more than rounding. */
function lossSteps(scene: Scene, i: number, term: (p: number, y: number) => LossTerm, loss: number): Step[] {
  const terms = scene.names(scene.last).map((label, k) => {
    const { expression, value } = term(at(scene.P(), k, i), at(scene.Y(), k, i));
    return step(label, expression, value);
  });
  if (!terms.every(({ value }) => Number.isFinite(value))) return [];
  const counted = terms.filter(({ value }) => value !== 0).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, MOST_TERMS);
  const others = loss - counted.reduce((total, { value }) => total + value, 0);
  const rounding = Math.abs(others) <= 1e-4 * Math.max(1e-3, Math.abs(loss));
  return rounding ? counted : [...counted, step("the rest", "", others)];
}
