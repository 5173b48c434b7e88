/**
 * Batch backpropagation. The m examples of a batch lie one after the other: unit j of example i is at `i · n + j`, which is
 * the library's matrix (n, m) column by column. `dZ` holds each example's own derivative; 1/m enters at the collapse.
 */

import type { Network } from "./network";

/** The matrices of one pass over up to `capacity` examples. `H[0]` is the batch, `H[l]` the input of layer l, counted from 0. */
export interface Pass {
  m: number;
  readonly capacity: number;
  readonly Y: Float32Array;
  readonly Z: readonly Float32Array[];
  readonly H: readonly Float32Array[];
  readonly dZ: readonly Float32Array[];
  readonly P: Float32Array;
  readonly losses: Float64Array;
  /** For each hidden layer the dropout mask that multiplies its H, or null. */
  readonly masks: (Float32Array | null)[];
}

export function makePass({ sizes }: Network, capacity: number): Pass {
  const matrices = (widths: readonly number[]): Float32Array[] => widths.map((n) => new Float32Array(n * capacity));
  const K = sizes.at(-1)!;
  return {
    m: capacity,
    capacity,
    Y: new Float32Array(K * capacity),
    Z: matrices(sizes.slice(1)),
    H: matrices(sizes.slice(0, -1)),
    dZ: matrices(sizes.slice(1)),
    P: new Float32Array(K * capacity),
    losses: new Float64Array(capacity),
    masks: sizes.slice(1, -1).map(() => null),
  };
}

/** Copy rows of a table into the batch: `X` and `Y` row by row. */
export function loadBatch({ sizes }: Network, pass: Pass, X: Float32Array, Y: Float32Array, rows: ArrayLike<number>): void {
  const [n, K] = [sizes[0]!, sizes.at(-1)!];
  const B = pass.H[0]!;
  pass.m = rows.length;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    for (let j = 0; j < n; j++) B[i * n + j] = X[row * n + j]!;
    for (let k = 0; k < K; k++) pass.Y[i * K + k] = Y[row * K + k]!;
  }
}

/** `Z = W H + b`; four rows of W at a time, whose sums do not wait for each other. */
function affine(network: Network, l: number, H: Float32Array, Z: Float32Array, m: number): void {
  const { theta } = network;
  const { nIn, nOut, W, b } = network.layers[l]!;
  const blocked = nOut - (nOut % 4);
  for (let i = 0; i < m; i++) {
    const [column, to] = [i * nIn, i * nOut];
    for (let j = 0; j < blocked; j += 4) {
      const [row0, row1, row2, row3] = [W + j * nIn, W + (j + 1) * nIn, W + (j + 2) * nIn, W + (j + 3) * nIn];
      let [sum0, sum1, sum2, sum3] = [theta[b + j]!, theta[b + j + 1]!, theta[b + j + 2]!, theta[b + j + 3]!];
      for (let k = 0; k < nIn; k++) {
        const h = H[column + k]!;
        sum0 += theta[row0 + k]! * h;
        sum1 += theta[row1 + k]! * h;
        sum2 += theta[row2 + k]! * h;
        sum3 += theta[row3 + k]! * h;
      }
      Z[to + j] = sum0;
      Z[to + j + 1] = sum1;
      Z[to + j + 2] = sum2;
      Z[to + j + 3] = sum3;
    }
    for (let j = blocked; j < nOut; j++) {
      const row = W + j * nIn;
      let sum = theta[b + j]!;
      for (let k = 0; k < nIn; k++) sum += theta[row + k]! * H[column + k]!;
      Z[to + j] = sum;
    }
  }
}

/** Fill Z, H, P and the losses of a batch that is loaded. */
export function forward(network: Network, pass: Pass): void {
  const { m, H, Z, P, Y, losses } = pass;
  const last = network.layers.length - 1;
  const { value } = network.activation;
  for (let l = 0; l <= last; l++) {
    affine(network, l, H[l]!, Z[l]!, m);
    if (l === last) break;
    const [from, to, mask, count] = [Z[l]!, H[l + 1]!, pass.masks[l], m * network.layers[l]!.nOut];
    if (mask) for (let n = 0; n < count; n++) to[n] = value(from[n]!) * mask[n]!;
    else for (let n = 0; n < count; n++) to[n] = value(from[n]!);
  }
  const K = network.sizes.at(-1)!;
  for (let i = 0; i < m; i++) losses[i] = network.head.output(Z[last]!, Y, P, i * K, K);
}

/** Fill dZ, from the head down: `dZ = head'(P, Y)`, then `dZˡ = (Wˡ⁺¹)ᵀ dZˡ⁺¹ ⊙ σ'(Zˡ)`. */
export function backward(network: Network, pass: Pass): void {
  const { m, H, Z, dZ, P, Y } = pass;
  const { theta, layers } = network;
  const last = layers.length - 1;
  const { dz } = network.head;
  const { value, slope } = network.activation;
  for (let n = 0; n < m * layers[last]!.nOut; n++) dZ[last]![n] = dz(P[n]!, Y[n]!);
  for (let l = last - 1; l >= 0; l--) {
    const { nIn, nOut, W } = layers[l + 1]!;
    const [above, below, z, h, mask] = [dZ[l + 1]!, dZ[l]!, Z[l]!, H[l + 1]!, pass.masks[l]];
    below.fill(0, 0, m * nIn);
    for (let i = 0; i < m; i++) {
      const column = i * nIn;
      for (let j = 0; j < nOut; j++) {
        const [row, d] = [W + j * nIn, above[i * nOut + j]!];
        for (let k = 0; k < nIn; k++) below[column + k]! += theta[row + k]! * d;
      }
    }
    // A mask hides the h that it drops.
    if (mask) for (let n = 0; n < m * nIn; n++) below[n]! *= mask[n]! * slope(z[n]!, value(z[n]!));
    else for (let n = 0; n < m * nIn; n++) below[n]! *= slope(z[n]!, h[n]!);
  }
}

/** P of a batch whose inputs lie in `H[0]`, without dropout. */
export function predict(network: Network, pass: Pass): Float32Array {
  const masks = [...pass.masks];
  pass.masks.fill(null);
  forward(network, pass);
  masks.forEach((mask, l) => (pass.masks[l] = mask));
  return pass.P;
}
