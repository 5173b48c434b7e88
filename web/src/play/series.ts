/** Numbers by step that grow without end, and what is drawn of them: the least and the most of any stretch, and its mean. */

/** Steps whose least and most are kept together: a million losses are then eight thousand of these. */
const BLOCK = 128;

function grown<A extends Float32Array | Float64Array>(old: A, make: (length: number) => A, needed: number): A {
  if (needed <= old.length) return old;
  const larger = make(Math.max(needed, 2 * old.length));
  larger.set(old);
  return larger;
}

const floats = (length: number): Float32Array => new Float32Array(length);
const doubles = (length: number): Float64Array => new Float64Array(length);

export class Series {
  length = 0;
  private values = floats(1024);
  private lows = floats(4);
  private highs = floats(4);
  /** The sum of all finite numbers before each; what is not finite counts as the one before it. */
  private sums = doubles(1025);
  private lastFinite = 0;

  at(index: number): number {
    return index >= 0 && index < this.length ? this.values[index]! : NaN;
  }

  push(value: number): void {
    const n = this.length++;
    const block = Math.floor(n / BLOCK);
    this.values = grown(this.values, floats, n + 1);
    this.sums = grown(this.sums, doubles, n + 2);
    this.lows = grown(this.lows, floats, block + 1);
    this.highs = grown(this.highs, floats, block + 1);
    this.values[n] = value;
    if (n % BLOCK === 0) [this.lows[block], this.highs[block]] = [Infinity, -Infinity];
    if (Number.isFinite(value)) {
      this.lastFinite = value;
      this.lows[block] = Math.min(this.lows[block]!, value);
      this.highs[block] = Math.max(this.highs[block]!, value);
    }
    this.sums[n + 1] = this.sums[n]! + this.lastFinite;
  }

  clear(): void {
    this.length = 0;
    this.lastFinite = 0;
  }

  /** The mean from one index up to another, which is left out. */
  mean(from: number, to: number): number {
    return to > from ? (this.sums[to]! - this.sums[from]!) / (to - from) : NaN;
  }

  /** The least and the most finite number from one index up to another; null where there is none. */
  range(from: number, to: number): [number, number] | null {
    const [first, last] = [Math.max(0, from), Math.min(to, this.length)];
    const [firstBlock, lastBlock] = [Math.ceil(first / BLOCK), Math.floor(last / BLOCK)];
    if (firstBlock >= lastBlock) return between(this.values, this.values, first, last, WIDEST);
    const before = between(this.values, this.values, first, firstBlock * BLOCK, WIDEST);
    const inside = between(this.lows, this.highs, firstBlock, lastBlock, before ?? WIDEST);
    return between(this.values, this.values, lastBlock * BLOCK, last, inside ?? WIDEST);
  }
}

/** No number at all: the least is above the most. */
const WIDEST: readonly [number, number] = [Infinity, -Infinity];

/** A plain loop, as this runs over all that is drawn; empty blocks have their least above their most. */
function between(lows: Float32Array, highs: Float32Array, from: number, to: number, [least, most]: readonly [number, number]): [number, number] | null {
  for (let n = from; n < to; n++) {
    const [low, high] = [lows[n]!, highs[n]!];
    if (low < least && low > -Infinity) least = low;
    if (high > most && high < Infinity) most = high;
  }
  return least <= most ? [least, most] : null;
}
