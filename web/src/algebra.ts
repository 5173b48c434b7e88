/** Products, means and weights of matrices. Pure, and in double precision unless a function says otherwise. */

import type { Matrix } from "./batch-data";

export const cell = (M: Matrix, row: number, column: number): number => M.values[row * M.columns + column] ?? NaN;

/** Build a matrix entry by entry. */
export function build(rows: number, columns: number, entry: (row: number, column: number) => number): Matrix {
  const values = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) values[r * columns + c] = entry(r, c);
  return { rows, columns, values };
}

export const transpose = (M: Matrix): Matrix => build(M.columns, M.rows, (r, c) => cell(M, c, r));

export const takeRows = (M: Matrix, index: readonly number[]): Matrix =>
  build(index.length, M.columns, (r, c) => cell(M, index[r] ?? 0, c));

/** `A − α B`. */
export const applyUpdate = (A: Matrix, B: Matrix, alpha: number): Matrix =>
  build(A.rows, A.columns, (r, c) => cell(A, r, c) - alpha * cell(B, r, c));

/** `dZ diag(c) Hᵀ`: the weighted mean gradient as one product; no example's gradient is built. */
export function weightedProduct(dZ: Matrix, H: Matrix, weights: readonly number[]): Matrix {
  return build(dZ.rows, H.rows, (j, k) => {
    let sum = 0;
    // Skip weight 0: an infinite gradient times 0 would be NaN.
    for (let i = 0; i < dZ.columns; i++) if (weights[i]) sum += weights[i]! * cell(dZ, j, i) * cell(H, k, i);
    return sum;
  });
}

/** `dz_i h_iᵀ`, one slice of the tensor, in single precision as the library keeps it. */
export function perExampleGradient(dZ: Matrix, H: Matrix, example: number): Matrix {
  const values = new Float32Array(dZ.rows * H.rows);
  for (let j = 0; j < dZ.rows; j++) {
    const left = cell(dZ, j, example);
    for (let k = 0; k < H.rows; k++) values[j * H.rows + k] = left * cell(H, k, example);
  }
  return { rows: dZ.rows, columns: H.rows, values };
}

/** `Σ c_i DW_i`, from the slices themselves: what collapsing the tensor gives. */
export function meanGradient(gradients: readonly Matrix[], weights: readonly number[]): Matrix {
  const [first] = gradients;
  if (!first) return build(0, 0, () => 0);
  const values = new Float64Array(first.values.length);
  gradients.forEach((gradient, i) => {
    const weight = weights[i] ?? 0;
    if (weight !== 0) for (let n = 0; n < values.length; n++) values[n]! += weight * (gradient.values[n] ?? 0);
  });
  return { rows: first.rows, columns: first.columns, values };
}

/** After each example of a weight: the mean of the gradients so far, `Σ c_i DW_i / Σ w_i`, where Σ w is 1 over all. */
export function runningMeans(gradients: readonly Matrix[], weights: readonly number[], shares: readonly number[]): Matrix[] {
  const included = gradients.map((_, i) => i).filter((i) => weights[i]);
  return included.map((_, n) => {
    const sofar = included.slice(0, n + 1);
    const total = sofar.reduce((sum, i) => sum + (shares[i] ?? 0), 0);
    return meanGradient(sofar.map((i) => gradients[i]!), sofar.map((i) => weights[i]! / total));
  });
}

/** `M c`, a column: the mean of the columns of M. */
export const meanColumn = (M: Matrix, weights: readonly number[]): Matrix =>
  build(M.rows, 1, (r) => weights.reduce((sum, weight, i) => (weight ? sum + weight * cell(M, r, i) : sum), 0));

export function maxDifference(A: Matrix, B: Matrix): number {
  let max = 0;
  for (let n = 0; n < A.values.length; n++) {
    const difference = Math.abs((A.values[n] ?? 0) - (B.values[n] ?? 0));
    if (Number.isFinite(difference)) max = Math.max(max, difference);
  }
  return max;
}

export interface Statistics {
  min: number;
  max: number;
  mean: number;
  /** How many are NaN or infinite; the other fields leave these out. */
  nonFinite: number;
}

export function statistics(M: Matrix): Statistics {
  let [min, max, sum, count] = [Infinity, -Infinity, 0, 0];
  for (const value of M.values) {
    if (!Number.isFinite(value)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    count += 1;
  }
  const nonFinite = M.values.length - count;
  return count > 0 ? { min, max, mean: sum / count, nonFinite } : { min: 0, max: 0, mean: NaN, nonFinite };
}

/** `‖g_i‖ = √G_ii`. */
export const norms = (gram: Matrix): number[] => Array.from({ length: gram.rows }, (_, i) => Math.sqrt(Math.max(0, cell(gram, i, i))));

/** c_i, the weight of example i in the mean: `w_i min(1, C / ‖g_i‖) / Σ_j w_j` over the included examples. */
export function normalizedWeights(weights: ArrayLike<number>, included: readonly boolean[], norms: readonly number[], clip: number | null): number[] {
  const remaining = included.map((isIncluded, i) => (isIncluded ? (weights[i] ?? 0) : 0));
  const total = remaining.reduce((sum, weight) => sum + weight, 0);
  return remaining.map((weight, i) => (weight > 0 ? (weight / total) * clipFactor(norms[i] ?? 0, clip) : 0));
}

/** `min(1, C / ‖g‖)`: 1 without a limit or below it, 0 for a gradient that overflowed. */
export function clipFactor(norm: number, clip: number | null): number {
  if (clip === null || norm <= clip) return 1;
  return Number.isFinite(norm) ? clip / norm : 0;
}

/** `aᵀ G b`, the inner product of two weighted means of the gradients. */
export function innerProduct(gram: Matrix, a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < gram.rows; i++) if (a[i]) sum += a[i]! * rowDot(gram, i, b);
  return sum;
}

function rowDot(gram: Matrix, row: number, weights: readonly number[]): number {
  let sum = 0;
  for (let j = 0; j < gram.columns; j++) if (weights[j]) sum += cell(gram, row, j) * weights[j]!;
  return sum;
}

export const meanNorm = (gram: Matrix, weights: readonly number[]): number => Math.sqrt(Math.max(0, innerProduct(gram, weights, weights)));

/** `cos(g_i, ḡ) = (G c)_i / (‖g_i‖ ‖ḡ‖)`; NaN where a norm is 0. */
export function cosines(gram: Matrix, weights: readonly number[]): number[] {
  const normOfMean = meanNorm(gram, weights);
  return norms(gram).map((norm, i) => cosine(rowDot(gram, i, weights), norm * normOfMean));
}

/** The cosine between two means of the same gradients. */
export const cosineBetween = (gram: Matrix, a: readonly number[], b: readonly number[]): number =>
  cosine(innerProduct(gram, a, b), meanNorm(gram, a) * meanNorm(gram, b));

// Rounding may carry a cosine a little beyond 1.
const cosine = (dot: number, normProduct: number): number => (normProduct > 0 ? Math.max(-1, Math.min(1, dot / normProduct)) : NaN);

export interface PrincipalComponents {
  /** For each component, the examples' coordinates. */
  components: number[][];
  /** The part of the trace that they hold. */
  explained: number;
}

/** The largest eigenvectors v of G = A Aᵀ times the roots of their eigenvalues λ: the rows' coordinates along the axes
 * that hold most of their squared length. By powers of G, each component without the ones before. */
export function principalComponents(gram: Matrix, count: number): PrincipalComponents {
  const n = gram.rows;
  const trace = Array.from({ length: n }, (_, i) => cell(gram, i, i)).reduce((sum, value) => sum + value, 0);
  if (!Number.isFinite(trace) || trace <= 0) return { components: [], explained: NaN };
  const found: { vector: number[]; value: number }[] = [];
  for (let c = 0; c < Math.min(count, n); c++) {
    // From the row of the longest gradient that is left: a start that no symmetry makes orthogonal to the answer.
    let vector = unit(largestRow(gram, found));
    for (let power = 0; power < 200; power++) vector = unit(multiplyWithout(gram, found, vector));
    const product = multiplyWithout(gram, found, vector);
    const value = Math.max(0, vector.reduce((sum, v, i) => sum + v * product[i]!, 0));
    found.push({ vector, value });
  }
  const explained = Math.min(1, found.reduce((sum, { value }) => sum + value, 0) / trace);
  return { components: found.map(({ vector, value }) => vector.map((v) => v * Math.sqrt(value))), explained };
}

type Eigenpair = { vector: number[]; value: number };

/** `(G − Σ λ v vᵀ) x`. */
function multiplyWithout(gram: Matrix, found: readonly Eigenpair[], x: readonly number[]): number[] {
  const products = x.map((_, i) => rowDot(gram, i, x));
  for (const { vector, value } of found) {
    const along = value * vector.reduce((sum, v, i) => sum + v * x[i]!, 0);
    vector.forEach((v, i) => (products[i]! -= along * v));
  }
  return products;
}

function largestRow(gram: Matrix, found: readonly Eigenpair[]): number[] {
  const rest = Array.from({ length: gram.rows }, (_, i) => cell(gram, i, i) - found.reduce((sum, { vector, value }) => sum + value * vector[i]! ** 2, 0));
  const longest = rest.indexOf(Math.max(...rest));
  return multiplyWithout(gram, found, rest.map((_, i) => (i === longest ? 1 : 0)));
}

function unit(vector: readonly number[]): number[] {
  const norm = Math.hypot(...vector);
  return vector.map((value) => (norm > 0 ? value / norm : 0));
}
