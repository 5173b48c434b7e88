/** Products, means and shares. Pure: every function returns new numbers, in double precision unless it says so. */

import type { Matrix } from "./batch-data";

export const at = (M: Matrix, row: number, column: number): number => M.values[row * M.columns + column] ?? NaN;

/** Build a matrix entry by entry. */
export function build(rows: number, columns: number, entry: (row: number, column: number) => number): Matrix {
  const values = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) values[r * columns + c] = entry(r, c);
  return { rows, columns, values };
}

export const transpose = (M: Matrix): Matrix => build(M.columns, M.rows, (r, c) => at(M, c, r));

export const takeRows = (M: Matrix, index: readonly number[]): Matrix =>
  build(index.length, M.columns, (r, c) => at(M, index[r] ?? 0, c));

/** `A − α B`. */
export const stepped = (A: Matrix, B: Matrix, alpha: number): Matrix =>
  build(A.rows, A.columns, (r, c) => at(A, r, c) - alpha * at(B, r, c));

/** `dZ diag(c) Hᵀ`: the mean of the examples' gradients as one product, none of them built. */
export function weightedProduct(dZ: Matrix, H: Matrix, shares: readonly number[]): Matrix {
  return build(dZ.rows, H.rows, (j, k) => {
    let sum = 0;
    // What has no share is not looked at: an infinite gradient times 0 would be no number.
    for (let i = 0; i < dZ.columns; i++) if (shares[i]) sum += shares[i]! * at(dZ, j, i) * at(H, k, i);
    return sum;
  });
}

/** `dz_i h_iᵀ`, one sheet of the tensor, in single precision as the library keeps it. */
export function sheet(dZ: Matrix, H: Matrix, example: number): Matrix {
  const values = new Float32Array(dZ.rows * H.rows);
  for (let j = 0; j < dZ.rows; j++) {
    const left = at(dZ, j, example);
    for (let k = 0; k < H.rows; k++) values[j * H.rows + k] = left * at(H, k, example);
  }
  return { rows: dZ.rows, columns: H.rows, values };
}

/** The mean of the sheets themselves, `Σ c_i DW_i`: what collapsing the tensor gives. */
export function meanOfSheets(sheets: readonly Matrix[], shares: readonly number[]): Matrix {
  const [first] = sheets;
  if (!first) return build(0, 0, () => 0);
  const values = new Float64Array(first.values.length);
  sheets.forEach((each, i) => {
    const share = shares[i] ?? 0;
    if (share !== 0) for (let n = 0; n < values.length; n++) values[n]! += share * (each.values[n] ?? 0);
  });
  return { rows: first.rows, columns: first.columns, values };
}

/** `M c`, a column: the mean of the columns of M. */
export const meanColumn = (M: Matrix, shares: readonly number[]): Matrix =>
  build(M.rows, 1, (r) => shares.reduce((sum, share, i) => (share ? sum + share * at(M, r, i) : sum), 0));

export function largestDifference(A: Matrix, B: Matrix): number {
  let largest = 0;
  for (let n = 0; n < A.values.length; n++) {
    const difference = Math.abs((A.values[n] ?? 0) - (B.values[n] ?? 0));
    if (Number.isFinite(difference)) largest = Math.max(largest, difference);
  }
  return largest;
}

export interface Statistics {
  least: number;
  most: number;
  mean: number;
  /** How many are infinite or no numbers; the rest of this is of the others. */
  odd: number;
}

export function statistics(M: Matrix): Statistics {
  let [least, most, sum, count] = [Infinity, -Infinity, 0, 0];
  for (const value of M.values) {
    if (!Number.isFinite(value)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
    sum += value;
    count += 1;
  }
  const odd = M.values.length - count;
  return count > 0 ? { least, most, mean: sum / count, odd } : { least: 0, most: 0, mean: NaN, odd };
}

/** `‖g_i‖ = √G_ii`. */
export const norms = (gram: Matrix): number[] => Array.from({ length: gram.rows }, (_, i) => Math.sqrt(Math.max(0, at(gram, i, i))));

/** c_i: what example i counts in the mean, `w_i kept_i min(1, C / ‖g_i‖) / Σ_j w_j kept_j`. */
export function sharesOf(weights: ArrayLike<number>, kept: readonly boolean[], lengths: readonly number[], clip: number | null): number[] {
  const counted = kept.map((isKept, i) => (isKept ? (weights[i] ?? 0) : 0));
  const total = counted.reduce((sum, weight) => sum + weight, 0);
  return counted.map((weight, i) => (weight > 0 ? (weight / total) * cut(lengths[i] ?? 0, clip) : 0));
}

/** `min(1, C / ‖g‖)`: 1 where there is no limit or nothing to cut, 0 for a gradient that overflowed. */
export function cut(length: number, clip: number | null): number {
  if (clip === null || length <= clip) return 1;
  return Number.isFinite(length) ? clip / length : 0;
}

/** `aᵀ G b`, the inner product of two means of gradients with shares a and b. */
export function inner(gram: Matrix, a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < gram.rows; i++) if (a[i]) sum += a[i]! * rowDot(gram, i, b);
  return sum;
}

function rowDot(gram: Matrix, row: number, shares: readonly number[]): number {
  let sum = 0;
  for (let j = 0; j < gram.columns; j++) if (shares[j]) sum += at(gram, row, j) * shares[j]!;
  return sum;
}

export const meanLength = (gram: Matrix, shares: readonly number[]): number => Math.sqrt(Math.max(0, inner(gram, shares, shares)));

/** `cos(g_i, ḡ) = (G c)_i / (‖g_i‖ ‖ḡ‖)`; NaN where a length is 0. */
export function cosines(gram: Matrix, shares: readonly number[]): number[] {
  const length = meanLength(gram, shares);
  return norms(gram).map((norm, i) => ratio(rowDot(gram, i, shares), norm * length));
}

/** The cosine between two means of the same gradients. */
export const cosineBetween = (gram: Matrix, a: readonly number[], b: readonly number[]): number =>
  ratio(inner(gram, a, b), meanLength(gram, a) * meanLength(gram, b));

const ratio = (dot: number, lengths: number): number => (lengths > 0 ? Math.max(-1, Math.min(1, dot / lengths)) : NaN);
