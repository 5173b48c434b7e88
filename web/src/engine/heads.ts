/** The output heads: one record each, with P and the loss of an example, and its dZ, as in `batchprop.heads`. */

import { sigmoid } from "./activations";

export interface Head {
  readonly name: string;
  /** Write P of the K numbers from `at` on, and return the example's loss; from Z, as P is rounded to 0 or 1 where it is sure. */
  readonly output: (Z: Float32Array, Y: Float32Array, P: Float32Array, at: number, K: number) => number;
  /** ∂loss/∂z of one output. */
  readonly dz: (p: number, y: number) => number;
}

const HUBER_DELTA = 1;
const QUANTILE_LEVEL = 0.5;
/** Beyond it P stays constant and the loss goes on as its tangent, so that nothing overflows in float32. */
const MAX_LOG_RATE = 0.5 * Math.log(3.4028234663852886e38);

const residual = (p: number, y: number): number => p - y;
const clampResidual = (p: number, y: number): number => Math.max(-HUBER_DELTA, Math.min(HUBER_DELTA, p - y));

/** A head whose outputs have nothing to do with each other: the loss is the sum of theirs. */
function elementwise(name: string, output: (z: number) => number, loss: (z: number, y: number) => number, dz: Head["dz"]): Head {
  return {
    name,
    dz,
    output: (Z, Y, P, at, K) => {
      let sum = 0;
      for (let k = at; k < at + K; k++) {
        P[k] = output(Z[k]!);
        sum += loss(Z[k]!, Y[k]!);
      }
      return sum;
    },
  };
}

const identity = (z: number): number => z;

const softmax: Head = {
  name: "softmax",
  dz: residual,
  output: (Z, Y, P, at, K) => {
    let largest = -Infinity;
    for (let k = at; k < at + K; k++) largest = Math.max(largest, Z[k]!);
    let total = 0;
    for (let k = at; k < at + K; k++) total += Math.exp(Z[k]! - largest);
    const logTotal = Math.log(total);
    let loss = 0;
    for (let k = at; k < at + K; k++) {
      P[k] = Math.exp(Z[k]! - largest) / total;
      // A target of 0 adds nothing, even where the logarithm is infinite.
      if (Y[k] !== 0) loss += Y[k]! * (logTotal - (Z[k]! - largest));
    }
    return loss;
  },
};

export const HEADS: readonly Head[] = [
  softmax,
  elementwise("sigmoid", sigmoid, (z, y) => Math.max(z, 0) - y * z + Math.log1p(Math.exp(-Math.abs(z))), residual),
  elementwise("squared_error", identity, (z, y) => 0.5 * (z - y) ** 2, residual),
  elementwise("absolute_error", identity, (z, y) => Math.abs(z - y), (p, y) => Math.sign(p - y)),
  elementwise("huber", identity, (z, y) => clampResidual(z, y) * (z - y - 0.5 * clampResidual(z, y)), clampResidual),
  elementwise(
    "quantile",
    identity,
    (z, y) => Math.max(QUANTILE_LEVEL * (y - z), (QUANTILE_LEVEL - 1) * (y - z)),
    (p, y) => 0.5 * Math.sign(p - y) + (0.5 - QUANTILE_LEVEL) * Math.sign(p - y) ** 2,
  ),
  elementwise(
    "poisson",
    (z) => Math.exp(Math.min(z, MAX_LOG_RATE)),
    (z, y) => Math.exp(Math.min(z, MAX_LOG_RATE)) * (1 + z - Math.min(z, MAX_LOG_RATE)) - y * z + (y > 0 ? y * Math.log(y) : 0) - y,
    residual,
  ),
];

export function getHead(name: string): Head {
  const head = HEADS.find((each) => each.name === name);
  if (!head) throw new Error(`the loss ${name} is unknown`);
  return head;
}
