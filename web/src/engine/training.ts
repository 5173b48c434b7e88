/** One step of training: forward, loss, backward, collapse, penalty, clipping, update. */

import { backward, forward, type Pass } from "./backprop";
import { clipByGlobalNorm, gradientNoise, type GradientNoise, meanGradient } from "./gradient";
import type { Network } from "./network";
import type { Optimizer } from "./optimizers";
import { STREAMS, uniforms } from "./random";

/** How the gradient is regularised and clipped, as in `batchprop.objective`; 0 for none of it. */
export interface Objective {
  /** The penalty `½ α ‖W‖² / m` of a batch, without the biases. */
  readonly alpha: number;
  /** The probability of dropping a hidden unit in a step. */
  readonly dropout: number;
  /** The largest norm of the gradient. */
  readonly maxNorm: number;
}

export interface StepResult {
  readonly loss: number;
  /** Of the examples' own gradients, before penalty and clipping. */
  readonly noise: GradientNoise;
}

/** Train on the batch that is loaded; the gradient that was followed is left in `gradient`. */
export function trainStep(network: Network, pass: Pass, optimizer: Optimizer, objective: Objective, rate: number, gradient: Float32Array): StepResult {
  forward(network, pass);
  backward(network, pass);
  meanGradient(network, pass, gradient);
  const noise = gradientNoise(network, pass, gradient);
  let loss = 0;
  for (let i = 0; i < pass.m; i++) loss += pass.losses[i]! / pass.m;
  if (objective.alpha > 0) loss += addPenalty(network, gradient, objective.alpha / pass.m);
  if (objective.maxNorm > 0) clipByGlobalNorm(gradient, objective.maxNorm);
  optimizer.update(network.theta, gradient, rate);
  return { loss, noise };
}

/** Add `strength · W` to the gradient, and return the penalty. */
function addPenalty({ layers, theta }: Network, gradient: Float32Array, strength: number): number {
  let sum = 0;
  for (const { W, b } of layers) {
    for (let n = W; n < b; n++) {
      gradient[n]! += strength * theta[n]!;
      sum += theta[n]! * theta[n]!;
    }
  }
  return 0.5 * strength * sum;
}

/** Draw the masks of a step: `1/(1 − p)` with probability `1 − p`, else 0; none without dropout. */
export function drawMasks(network: Network, pass: Pass, p: number, seed: number, step: number): void {
  const { m } = pass;
  network.layers.slice(0, -1).forEach(({ nOut }, l) => {
    if (p === 0) {
      pass.masks[l] = null;
      return;
    }
    const u = uniforms(nOut * m, seed, STREAMS.dropout, step, l);
    const mask = new Float32Array(nOut * m);
    for (let j = 0; j < nOut; j++) for (let i = 0; i < m; i++) mask[i * nOut + j] = p <= u[j * m + i]! ? 1 / (1 - p) : 0;
    pass.masks[l] = mask;
  });
}

export function allFinite(values: Float32Array): boolean {
  for (let n = 0; n < values.length; n++) if (!Number.isFinite(values[n])) return false;
  return true;
}
