/** A growing series of numbers by step, with the minimum, maximum and mean of any range. */

/** Steps per block: each block keeps its minimum and maximum, so that a range over a million steps is fast. */
const BLOCK = 128;

function growArray<A extends Float32Array | Float64Array>(array: A, create: (length: number) => A, length: number): A {
  if (length <= array.length) return array;
  const copy = create(Math.max(length, 2 * array.length));
  copy.set(array);
  return copy;
}

const floats = (length: number): Float32Array => new Float32Array(length);
const doubles = (length: number): Float64Array => new Float64Array(length);

export class Series {
  length = 0;
  private values = floats(1024);
  private mins = floats(4);
  private maxs = floats(4);
  /** Prefix sums; a number that is not finite counts as the last finite one. */
  private sums = doubles(1025);
  private lastFinite = 0;

  at(index: number): number {
    return index >= 0 && index < this.length ? this.values[index]! : NaN;
  }

  push(value: number): void {
    const n = this.length++;
    const block = Math.floor(n / BLOCK);
    this.values = growArray(this.values, floats, n + 1);
    this.sums = growArray(this.sums, doubles, n + 2);
    this.mins = growArray(this.mins, floats, block + 1);
    this.maxs = growArray(this.maxs, floats, block + 1);
    this.values[n] = value;
    if (n % BLOCK === 0) [this.mins[block], this.maxs[block]] = [Infinity, -Infinity];
    if (Number.isFinite(value)) {
      this.lastFinite = value;
      this.mins[block] = Math.min(this.mins[block]!, value);
      this.maxs[block] = Math.max(this.maxs[block]!, value);
    }
    this.sums[n + 1] = this.sums[n]! + this.lastFinite;
  }

  clear(): void {
    this.length = 0;
    this.lastFinite = 0;
  }

  /** The mean from index `from` up to, not including, `to`. */
  mean(from: number, to: number): number {
    return to > from ? (this.sums[to]! - this.sums[from]!) / (to - from) : NaN;
  }

  /** The minimum and maximum of the finite numbers from index `from` up to, not including, `to`; null without any. */
  range(from: number, to: number): [number, number] | null {
    const [first, last] = [Math.max(0, from), Math.min(to, this.length)];
    const [firstBlock, lastBlock] = [Math.ceil(first / BLOCK), Math.floor(last / BLOCK)];
    if (firstBlock >= lastBlock) return rangeOf(this.values, this.values, first, last, EMPTY_RANGE);
    const before = rangeOf(this.values, this.values, first, firstBlock * BLOCK, EMPTY_RANGE);
    const inside = rangeOf(this.mins, this.maxs, firstBlock, lastBlock, before ?? EMPTY_RANGE);
    return rangeOf(this.values, this.values, lastBlock * BLOCK, last, inside ?? EMPTY_RANGE);
  }
}

/** The range of no numbers: its minimum is above its maximum. */
const EMPTY_RANGE: readonly [number, number] = [Infinity, -Infinity];

/** A plain loop, for speed; blocks without finite numbers hold EMPTY_RANGE and do not count. */
function rangeOf(mins: Float32Array, maxs: Float32Array, from: number, to: number, [min, max]: readonly [number, number]): [number, number] | null {
  for (let n = from; n < to; n++) {
    const [low, high] = [mins[n]!, maxs[n]!];
    if (low < min && low > -Infinity) min = low;
    if (high > max && high < Infinity) max = high;
  }
  return min <= max ? [min, max] : null;
}
