/** One checkpoint under one choice of examples: every matrix of the algorithm, worked out when asked for. */

import * as algebra from "./algebra";
import { type BatchDocument, type Checkpoint, decode, type Matrix } from "./batch-data";
import type { Store } from "./state";

/** Layers count from 1, as in the text: `W(1)` leads from the inputs to the first hidden layer. */
export class Scene {
  private readonly made = new Map<string, unknown>();

  constructor(
    readonly doc: BatchDocument,
    readonly checkpoint: Checkpoint,
    /** c, what each example counts in the mean. */
    readonly shares: readonly number[],
    readonly kept: readonly boolean[],
  ) {}

  /** The number of the output layer, L + 1. */
  get last(): number {
    return this.doc.sizes.length - 1;
  }

  get m(): number {
    return this.doc.examples.length;
  }

  /** Whether the examples that are kept count alike in the mean loss, which clipping leaves as it is. */
  get even(): boolean {
    const weights = decode(this.doc.weights).values.filter((_, i) => this.kept[i]);
    return weights.every((weight) => weight === weights[0]);
  }

  /** `Σ w kept loss / Σ w kept`. */
  meanLoss = (): number => {
    const counts = algebra.sharesOf(decode(this.doc.weights).values, this.kept, [], null);
    return algebra.at(algebra.meanColumn(this.losses(), counts), 0, 0);
  };

  /** Whether every example counts 1/m. */
  get plain(): boolean {
    return this.shares.every((share) => Math.abs(share * this.m - 1) < 1e-12);
  }

  W = (l: number): Matrix => decode(this.layer(l).W);
  b = (l: number): Matrix => decode(this.layer(l).b);
  Z = (l: number): Matrix => decode(this.checkpoint.Z[l - 1]!);
  H = (l: number): Matrix => (l === 0 ? this.B() : decode(this.checkpoint.H[l - 1]!));
  dZ = (l: number): Matrix => decode(this.checkpoint.dZ[l - 1]!);
  dH = (l: number): Matrix => decode(this.checkpoint.dH[l - 1]!);
  slopes = (l: number): Matrix => decode(this.checkpoint.slopes[l - 1]!);
  P = (): Matrix => decode(this.checkpoint.P);
  Y = (): Matrix => decode(this.doc.Y);
  losses = (): Matrix => decode(this.checkpoint.losses);
  gram = (): Matrix => decode(this.checkpoint.gram);
  B = (): Matrix => this.once("B", () => algebra.takeRows(decode(this.doc.inputs), this.doc.levels[0]!.index));

  WT = (l: number): Matrix => this.once(`WT${l}`, () => algebra.transpose(this.W(l)));
  sheets = (l: number): Matrix[] =>
    this.once(`DW${l}`, () => Array.from({ length: this.m }, (_, i) => algebra.sheet(this.dZ(l), this.H(l - 1), i)));
  dW = (l: number): Matrix => this.once(`dW${l}`, () => algebra.meanOfSheets(this.sheets(l), this.shares));
  product = (l: number): Matrix => this.once(`product${l}`, () => algebra.weightedProduct(this.dZ(l), this.H(l - 1), this.shares));
  db = (l: number): Matrix => this.once(`db${l}`, () => algebra.meanColumn(this.dZ(l), this.shares));
  WAfter = (l: number): Matrix => this.once(`W${l}-after`, () => algebra.stepped(this.W(l), this.product(l), this.doc.learningRate));
  bAfter = (l: number): Matrix => this.once(`b${l}-after`, () => algebra.stepped(this.b(l), this.db(l), this.doc.learningRate));

  norms = (): number[] => this.once("norms", () => algebra.norms(this.gram()));
  /** The example in the mean with the longest gradient; the first where all overflowed. */
  longest = (): number => {
    const lengths = this.norms().map((norm, i) => (this.shares[i] && Number.isFinite(norm) ? norm : -1));
    return lengths.indexOf(Math.max(...lengths));
  };
  cosines = (): number[] => this.once("cosines", () => algebra.cosines(this.gram(), this.shares));

  /** How many units of level l are drawn, and how many it has. */
  drawn = (l: number): number => this.doc.levels[l]!.index.length;
  size = (l: number): number => this.doc.sizes[l]!;
  /** What the drawn units of a level are called; an output that is called 7 is "output 7". */
  names = (l: number): string[] =>
    this.once(`names${l}`, () => this.doc.levels[l]!.names.map((name) => (l === this.last && /^[\d.−-]+$/.test(name) ? `output ${name}` : name)));

  private layer(l: number): Checkpoint["layers"][number] {
    return this.checkpoint.layers[l - 1]!;
  }

  private once<T>(key: string, make: () => T): T {
    if (!this.made.has(key)) this.made.set(key, make());
    return this.made.get(key) as T;
  }
}

/** What every part of the page shares: the document, what is selected, and the scene that follows from both. */
export interface Context {
  doc: BatchDocument;
  store: Store;
  scene: () => Scene;
}

export function createContext(doc: BatchDocument, store: Store): Context {
  let key: unknown[] = [];
  let scene: Scene | undefined;
  return {
    doc,
    store,
    scene: () => {
      const wanted = [store.get("checkpoint"), store.get("kept"), store.get("clip")];
      if (!scene || wanted.some((part, n) => part !== key[n])) {
        key = wanted;
        scene = sceneOf(doc, store);
      }
      return scene;
    },
  };
}

function sceneOf(doc: BatchDocument, store: Store): Scene {
  const checkpoint = doc.checkpoints[store.get("checkpoint")]!;
  const lengths = algebra.norms(decode(checkpoint.gram));
  const shares = algebra.sharesOf(decode(doc.weights).values, store.get("kept"), lengths, store.get("clip"));
  return new Scene(doc, checkpoint, shares, store.get("kept"));
}
