/** The batch at one snapshot, for one choice of examples: every matrix of the algorithm, computed when first used. */

import * as algebra from "./algebra";
import { type BatchData, type Snapshot, decode, type Matrix, predictsNumbers } from "./batch-data";
import type { Store } from "./state";

/** Layers count from 1, as in the text: `W(1)` leads from the inputs to the first hidden layer. */
export class BatchState {
  private readonly cache = new Map<string, unknown>();

  constructor(
    readonly data: BatchData,
    readonly snapshot: Snapshot,
    /** c, each example's weight in the mean. */
    readonly weights: readonly number[],
    readonly included: readonly boolean[],
  ) {}

  /** The number of the output layer, L + 1. */
  get outputLayer(): number {
    return this.data.sizes.length - 1;
  }

  get m(): number {
    return this.data.examples.length;
  }

  /** Whether the included examples weigh the same in the mean loss; clipping changes gradients only. */
  get hasEqualWeights(): boolean {
    const weights = decode(this.data.weights).values.filter((_, i) => this.included[i]);
    return weights.every((weight) => weight === weights[0]);
  }

  /** `Σ w loss / Σ w` over the included examples. */
  meanLoss = (): number => {
    return algebra.cell(algebra.meanColumn(this.losses(), this.shares()), 0, 0);
  };

  /** Whether every example's weight is 1/m. */
  get isPlainMean(): boolean {
    return this.weights.every((weight) => Math.abs(weight * this.m - 1) < 1e-12);
  }

  /** Height and width of the images that the inputs are, where every pixel is drawn. */
  get pixels(): [number, number] | null {
    const { imageShape, sizes } = this.data;
    return imageShape && imageShape[0] * imageShape[1] === sizes[0] && this.nDrawn(0) === sizes[0] ? imageShape : null;
  }

  /** What the sheets collapse into. */
  get collapseName(): string {
    return this.isPlainMean ? "mean" : "weighted sum";
  }

  W = (l: number): Matrix => decode(this.layer(l).W);
  b = (l: number): Matrix => decode(this.layer(l).b);
  Z = (l: number): Matrix => decode(this.snapshot.Z[l - 1]!);
  H = (l: number): Matrix => (l === 0 ? this.B() : decode(this.snapshot.H[l - 1]!));
  dZ = (l: number): Matrix => decode(this.snapshot.dZ[l - 1]!);
  dH = (l: number): Matrix => decode(this.snapshot.dH[l - 1]!);
  derivatives = (l: number): Matrix => decode(this.snapshot.derivatives[l - 1]!);
  P = (): Matrix => decode(this.snapshot.P);
  Y = (): Matrix => decode(this.data.Y);
  losses = (): Matrix => decode(this.snapshot.losses);
  gram = (): Matrix => decode(this.snapshot.gram);
  B = (): Matrix => this.memoize("B", () => algebra.takeRows(decode(this.data.inputs), this.data.levels[0]!.index));

  WT = (l: number): Matrix => this.memoize(`WT${l}`, () => algebra.transpose(this.W(l)));
  HT = (l: number): Matrix => this.memoize(`HT${l}`, () => algebra.transpose(this.H(l)));
  perExampleGradients = (l: number): Matrix[] =>
    this.memoize(`DW${l}`, () => Array.from({ length: this.m }, (_, i) => algebra.perExampleGradient(this.dZ(l), this.H(l - 1), i)));
  dW = (l: number): Matrix => this.memoize(`dW${l}`, () => algebra.meanGradient(this.perExampleGradients(l), this.weights));
  product = (l: number): Matrix => this.memoize(`product${l}`, () => algebra.weightedProduct(this.dZ(l), this.H(l - 1), this.weights));
  db = (l: number): Matrix => this.memoize(`db${l}`, () => algebra.meanColumn(this.dZ(l), this.weights));
  updatedW = (l: number): Matrix => this.memoize(`updatedW${l}`, () => algebra.applyUpdate(this.W(l), this.product(l), this.data.learningRate));
  updatedb = (l: number): Matrix => this.memoize(`updatedb${l}`, () => algebra.applyUpdate(this.b(l), this.db(l), this.data.learningRate));

  /** The examples' weights before clipping; their sum is 1. */
  shares = (): number[] => algebra.normalizedWeights(decode(this.data.weights).values, this.included, [], null);

  norms = (): number[] => this.memoize("norms", () => algebra.norms(this.gram()));
  /** The included example with the largest gradient norm; the first where all overflowed. */
  largestGradient = (): number => {
    const norms = this.norms().map((norm, i) => (this.weights[i] && Number.isFinite(norm) ? norm : -1));
    return norms.indexOf(Math.max(...norms));
  };
  cosines = (): number[] => this.memoize("cosines", () => algebra.cosines(this.gram(), this.weights));

  /** Whether an example is the last one in the batch: it stays, as the mean of no gradients is undefined. */
  isLast = (i: number): boolean => Boolean(this.included[i]) && !this.weights.some((weight, n) => weight > 0 && n !== i);

  /** Whether the network takes an example for another class. */
  isWrong = (i: number): boolean => !predictsNumbers(this.data) && this.snapshot.predictions[i] !== this.data.examples[i]?.label;

  /** How many units of level l are drawn, and how many it has. */
  nDrawn = (l: number): number => this.data.levels[l]!.index.length;
  nUnits = (l: number): number => this.data.sizes[l]!;
  /** The names of the drawn units of a level; an output named 7 is "output 7". */
  names = (l: number): string[] =>
    this.memoize(`names${l}`, () => this.data.levels[l]!.names.map((name) => (l === this.outputLayer && /^[\d.−-]+$/.test(name) ? `output ${name}` : name)));

  private layer(l: number): Snapshot["layers"][number] {
    return this.snapshot.layers[l - 1]!;
  }

  private memoize<T>(key: string, compute: () => T): T {
    if (!this.cache.has(key)) this.cache.set(key, compute());
    return this.cache.get(key) as T;
  }
}

/** What every part of the page shares: the data, the selection, and the batch that follows from both. */
export interface Context {
  data: BatchData;
  store: Store;
  batch: () => BatchState;
}

export function createContext(data: BatchData, store: Store): Context {
  let key: unknown[] = [];
  let batch: BatchState | undefined;
  return {
    data,
    store,
    batch: () => {
      const inputs = [store.get("snapshot"), store.get("included"), store.get("clip")];
      if (!batch || inputs.some((part, n) => part !== key[n])) {
        key = inputs;
        batch = createBatchState(data, store);
      }
      return batch;
    },
  };
}

function createBatchState(data: BatchData, store: Store): BatchState {
  const snapshot = data.snapshots[store.get("snapshot")]!;
  const norms = algebra.norms(decode(snapshot.gram));
  const weights = algebra.normalizedWeights(decode(data.weights).values, store.get("included"), norms, store.get("clip"));
  return new BatchState(data, snapshot, weights, store.get("included"));
}

/** Leave an example out of the batch, or take it in again. */
export const toggleExample = (store: Store, i: number): void => store.set({ included: store.get("included").map((one, n) => (n === i ? !one : one)) });
