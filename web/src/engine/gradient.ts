/** The gradient of every example in factors, dZ and H, and what is collapsed of them, as in `batchprop.gradient`. */

import type { Pass } from "./backprop";
import type { Network } from "./network";

/** The mean gradient `dW = dZ Hᵀ / m`, `db = Σ dz_i / m`, in the order of θ. */
export function meanGradient({ layers }: Network, { m, H, dZ }: Pass, gradient: Float32Array): void {
  gradient.fill(0);
  layers.forEach(({ nIn, nOut, W, b }, l) => {
    const [left, right] = [dZ[l]!, H[l]!];
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < nOut; j++) {
        const scaled = left[i * nOut + j]! / m;
        // Where a rectifier is off, its whole row is 0.
        if (scaled === 0) continue;
        const [row, column] = [W + j * nIn, i * nIn];
        for (let k = 0; k < nIn; k++) gradient[row + k]! += scaled * right[column + k]!;
        gradient[b + j]! += scaled;
      }
    }
  });
}

/** Example i's own gradient, `dz_i h_iᵀ` and `dz_i`, in the order of θ. */
export function exampleGradient({ layers }: Network, { H, dZ }: Pass, i: number, gradient: Float32Array): void {
  layers.forEach(({ nIn, nOut, W, b }, l) => {
    for (let j = 0; j < nOut; j++) {
      const left = dZ[l]![i * nOut + j]!;
      for (let k = 0; k < nIn; k++) gradient[W + j * nIn + k] = left * H[l]![i * nIn + k]!;
      gradient[b + j] = left;
    }
  });
}

function dot(a: Float32Array, i: number, j: number, n: number): number {
  let sum = 0;
  for (let k = 0; k < n; k++) sum += a[i * n + k]! * a[j * n + k]!;
  return sum;
}

/** `⟨g_i, g_j⟩ = Σ_layers (dz_iᵀ dz_j)(h_iᵀ h_j + 1)`; no gradient is built. */
export function innerProduct({ layers }: Network, { H, dZ }: Pass, i: number, j: number): number {
  let sum = 0;
  for (let l = 0; l < layers.length; l++) {
    const { nIn, nOut } = layers[l]!;
    sum += dot(dZ[l]!, i, j, nOut) * (dot(H[l]!, i, j, nIn) + 1);
  }
  return sum;
}

/** `‖g_i‖²` of each example. */
export const squaredNorms = (network: Network, pass: Pass): Float64Array => Float64Array.from({ length: pass.m }, (_, i) => innerProduct(network, pass, i, i));

/** (m, m) row by row. */
export function gram(network: Network, pass: Pass): Float32Array {
  const { m } = pass;
  return Float32Array.from({ length: m * m }, (_, n) => innerProduct(network, pass, Math.floor(n / m), n % m));
}

export function squaredNorm(values: Float32Array): number {
  let sum = 0;
  for (let n = 0; n < values.length; n++) sum += values[n]! * values[n]!;
  return sum;
}

/** Unbiased estimates of `tr Σ` and of `‖G‖²`. */
export interface GradientNoise {
  readonly trace: number;
  readonly squaredNorm: number;
}

/** `tr Σ ≈ (Σ ‖g_i‖²/m − ‖ḡ‖²) / (1 − 1/m)`, `‖G‖² ≈ ‖ḡ‖² − tr Σ / m` (McCandlish et al. 2018); NaN for one example. */
export function gradientNoise(network: Network, pass: Pass, mean: Float32Array): GradientNoise {
  const { m } = pass;
  if (m < 2) return { trace: NaN, squaredNorm: NaN };
  let meanOfSquares = 0;
  for (let i = 0; i < m; i++) meanOfSquares += innerProduct(network, pass, i, i) / m;
  const squareOfMean = squaredNorm(mean);
  const trace = Math.max(0, meanOfSquares - squareOfMean) / (1 - 1 / m);
  return { trace, squaredNorm: squareOfMean - trace / m };
}

/** The norm `√‖values‖²` cut to a limit: `g · min(1, C / ‖g‖)` (Pascanu et al. 2013). */
export function clipByGlobalNorm(gradient: Float32Array, maxNorm: number): void {
  const norm = Math.sqrt(squaredNorm(gradient));
  if (norm <= maxNorm) return;
  for (let n = 0; n < gradient.length; n++) gradient[n]! *= maxNorm / norm;
}
