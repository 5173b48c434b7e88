/**
 * Random numbers that are a function of a seed, a path and a position: `batchprop.playground.random` draws the same, so
 * that the library can repeat what the page trained.
 */

/** A well mixed bijection of 32 bits (Chris Wellons' lowbias32). */
function hash(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** One key for a seed and the whole numbers that tell its streams apart. */
function makeKey(seed: number, path: readonly number[]): number {
  return path.reduce((key, part) => hash((key + part + 0x9e3779b9) >>> 0), hash(seed >>> 0));
}

/** What random numbers are for: the first part of a path. */
export const STREAMS = { data: 0, split: 1, weights: 2, batches: 3, dropout: 4 } as const;

const at = (key: number, i: number): number => hash((hash(i) + key) >>> 0);

/** n numbers in [0, 1). */
export function uniforms(n: number, seed: number, ...path: number[]): Float64Array {
  const key = makeKey(seed, path);
  const values = new Float64Array(n);
  for (let i = 0; i < n; i++) values[i] = at(key, i) / 2 ** 32;
  return values;
}

/** n standard normal numbers (Box and Muller 1958). */
export function normals(n: number, seed: number, ...path: number[]): Float64Array {
  const u = uniforms(2 * n, seed, ...path);
  return Float64Array.from({ length: n }, (_, i) => Math.sqrt(-2 * Math.log(1 - u[i]!)) * Math.cos(2 * Math.PI * u[n + i]!));
}

/** The numbers from 0 to n − 1 in random order: those of their hashes. */
export function permutation(n: number, seed: number, ...path: number[]): Uint32Array {
  const key = makeKey(seed, path);
  // Hash and position in one number: below 2⁵³ a sort of numbers does it, which is several times faster than one with a comparison.
  const order = Float64Array.from({ length: n }, (_, i) => at(key, i) * 2 ** 21 + i).sort();
  return Uint32Array.from(order, (value) => value % 2 ** 21);
}
