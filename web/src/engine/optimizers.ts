/** The optimisers, as in `batchprop.optimizers`, with the numbers that the library starts from. */

import type { Network } from "./network";

export interface Optimizer {
  readonly update: (theta: Float32Array, gradient: Float32Array, rate: number) => void;
}

const MOMENTUM = 0.9;
const [BETA_1, BETA_2, EPSILON] = [0.9, 0.999, 1e-8];
const WEIGHT_DECAY = 0.01;

/** `θ ← θ − α g`. */
const sgd = (): Optimizer => ({
  update: (theta, gradient, rate) => {
    for (let n = 0; n < theta.length; n++) theta[n]! -= rate * gradient[n]!;
  },
});

/** `v ← β v − α g`, `θ ← θ + v`; Nesterov's: `θ ← θ + β v − α g`. */
function momentum(network: Network, isNesterov: boolean): Optimizer {
  const velocity = new Float32Array(network.theta.length);
  return {
    update: (theta, gradient, rate) => {
      for (let n = 0; n < theta.length; n++) {
        const step = rate * gradient[n]!;
        const v = MOMENTUM * velocity[n]! - step;
        velocity[n] = v;
        theta[n]! += isNesterov ? MOMENTUM * v - step : v;
      }
    },
  };
}

/** `m ← β₁ m + (1−β₁) g`, `v ← β₂ v + (1−β₂) g²`, `θ ← θ − α √(1−β₂ᵗ)/(1−β₁ᵗ) m / (√v + ε)`. */
function adam(network: Network): Optimizer {
  const [mu, nu] = [new Float32Array(network.theta.length), new Float32Array(network.theta.length)];
  let steps = 0;
  return {
    update: (theta, gradient, rate) => {
      steps += 1;
      const corrected = (rate * Math.sqrt(1 - BETA_2 ** steps)) / (1 - BETA_1 ** steps);
      for (let n = 0; n < theta.length; n++) {
        const g = gradient[n]!;
        mu[n] = BETA_1 * mu[n]! + (1 - BETA_1) * g;
        nu[n] = BETA_2 * nu[n]! + (1 - BETA_2) * g * g;
        theta[n]! -= (corrected * mu[n]!) / (Math.sqrt(nu[n]!) + EPSILON);
      }
    },
  };
}

/** `W ← (1 − α λ) W`, then Adam's step; biases do not decay. */
function adamw(network: Network): Optimizer {
  const inner = adam(network);
  return {
    update: (theta, gradient, rate) => {
      const factor = 1 - rate * WEIGHT_DECAY;
      for (const { W, b } of network.layers) for (let n = W; n < b; n++) theta[n]! *= factor;
      inner.update(theta, gradient, rate);
    },
  };
}

const MAKERS: Record<string, (network: Network) => Optimizer> = {
  sgd,
  momentum: (network) => momentum(network, false),
  nesterov: (network) => momentum(network, true),
  adam,
  adamw,
};

export const OPTIMIZERS: readonly string[] = Object.keys(MAKERS);

export function makeOptimizer(name: string, network: Network): Optimizer {
  const make = MAKERS[name];
  if (!make) throw new Error(`the optimiser ${name} is unknown`);
  return make(network);
}
