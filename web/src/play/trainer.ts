/** Trains one batch at a time and records what each step did; a fifth of the rows is held out. */

import { forward, loadBatch, makePass, type Pass } from "../engine/backprop";
import { exampleGradient } from "../engine/gradient";
import { initialize, makeNetwork, type Network } from "../engine/network";
import { makeOptimizer, type Optimizer } from "../engine/optimizers";
import { permutation, STREAMS } from "../engine/random";
import { allFinite, drawMasks, trainStep } from "../engine/training";
import { formatCount, formatNumber } from "../format";
import type { Settings, Table, ValidationEntry } from "./protocol";
import { MAX_STEPS, SettingError } from "./settings";

const VALIDATION_PART = 5;
const AVERAGED_EPOCHS = 2;
/** The noise scale averages over at least this many batches before older ones fade. */
const MIN_AVERAGED_BATCHES = 50;
/** Examples that are evaluated at once. */
const CHUNK = 256;

/** The rows for training and those held out, each ascending. */
export function splitRows(n: number, seed: number): { train: Uint32Array; validation: Uint32Array } {
  const order = permutation(n, seed, STREAMS.split);
  const nValidation = Math.max(1, Math.floor(n / VALIDATION_PART));
  return { validation: order.slice(0, nValidation).sort(), train: order.slice(nValidation).sort() };
}

/** Batches of rows, epoch after epoch, each in an order of its own. */
export class Sampler {
  private order = new Uint32Array(0);
  private position = 0;

  /** `epoch`: how many began before. */
  constructor(private readonly rows: Uint32Array, private readonly size: number, private readonly seed: number, public epoch: number) {}

  next(): Uint32Array {
    if (this.position >= this.order.length) {
      this.order = permutation(this.rows.length, this.seed, STREAMS.batches, this.epoch++).map((place) => this.rows[place]!);
      this.position = 0;
    }
    const batch = this.order.subarray(this.position, this.position + this.size);
    this.position += this.size;
    return batch;
  }
}

/** A table as the network takes it. */
export interface Dataset {
  table: Table;
  /** (n, inputs) row by row. */
  X: Float32Array;
  /** (n, K): classes one-hot. */
  Y: Float32Array;
  inputs: readonly string[];
}

export class Trainer {
  readonly network: Network;
  readonly train: Uint32Array;
  readonly validationRows: Uint32Array;
  readonly losses: number[] = [];
  readonly noiseScales: number[] = [];
  readonly batchSizes: number[] = [];
  readonly validation: ValidationEntry[] = [];
  readonly gradient: Float32Array;
  readonly initialTheta: Float32Array;
  /** θ before the last step. */
  readonly thetaBefore: Float32Array;
  lastBatch: Uint32Array | null = null;
  nSeen = 0;
  private optimizer: Optimizer;
  private sampler: Sampler;
  private pass: Pass;
  private readonly evaluation: Pass;
  private noise = { trace: 0, squaredNorm: 0, count: 0 };

  constructor(readonly dataset: Dataset, private settings: Settings) {
    const { table, X, Y } = dataset;
    const n = table.rows.length;
    const { train, validation } = splitRows(n, settings.seed);
    [this.train, this.validationRows] = [train, validation];
    this.network = makeNetwork([X.length / n, ...settings.hidden, Y.length / n], settings.activation, settings.loss);
    initialize(this.network, settings.seed);
    this.initialTheta = this.network.theta.slice();
    this.thetaBefore = this.network.theta.slice();
    this.gradient = new Float32Array(this.network.theta.length);
    this.optimizer = makeOptimizer(settings.optimizer, this.network);
    this.sampler = new Sampler(train, this.batchSize, settings.seed, 0);
    this.pass = makePass(this.network, this.batchSize);
    this.evaluation = makePass(this.network, Math.min(CHUNK, n));
  }

  get steps(): number {
    return this.losses.length;
  }

  /** The size of the next batch, unless it is the last of an epoch. */
  get batchSize(): number {
    const { batchSize } = this.settings;
    return batchSize === "full" ? this.train.length : Math.min(batchSize, this.train.length);
  }

  /** Continue with other settings of the training; another optimiser starts afresh. */
  apply(settings: Settings): void {
    const before = this.settings;
    this.settings = settings;
    if (settings.batchSize !== before.batchSize) {
      this.sampler = new Sampler(this.train, this.batchSize, settings.seed, this.sampler.epoch);
      if (this.batchSize > this.pass.capacity) this.pass = makePass(this.network, this.batchSize);
    }
    if (settings.optimizer !== before.optimizer) this.optimizer = makeOptimizer(settings.optimizer, this.network);
  }

  /** Train on the next batch; throws, with the weights of before, where it overflows. */
  step(): void {
    if (this.steps >= MAX_STEPS) throw new SettingError(`The playground takes at most ${formatCount(MAX_STEPS)} steps: reset it.`);
    const { network, pass, settings } = this;
    const rows = this.sampler.next();
    loadBatch(network, pass, this.dataset.X, this.dataset.Y, rows);
    drawMasks(network, pass, settings.dropout, settings.seed, this.steps);
    this.thetaBefore.set(network.theta);
    const { loss, noise } = trainStep(network, pass, this.optimizer, { alpha: settings.l2, dropout: settings.dropout, maxNorm: settings.maxNorm }, settings.learningRate, this.gradient);
    if (!Number.isFinite(loss) || !allFinite(network.theta)) {
      network.theta.set(this.thetaBefore);
      throw new SettingError(`Step ${formatCount(this.steps + 1)} overflowed with the learning rate ${formatNumber(settings.learningRate)}: choose a smaller learning rate, then reset.`);
    }
    this.lastBatch = rows.slice();
    this.nSeen += rows.length;
    this.losses.push(loss);
    this.noiseScales.push(this.averageNoiseScale(noise, rows.length));
    this.batchSizes.push(rows.length);
  }

  /** The last batch's pass, of the weights before its step. */
  get lastPass(): Pass {
    return this.pass;
  }

  /** The own gradient of example i of the last batch. */
  exampleGradient(i: number): Float32Array {
    const gradient = new Float32Array(this.network.theta.length);
    exampleGradient(this.network, this.pass, i, gradient);
    return gradient;
  }

  /** Evaluate the network on the rows held out and on those for training, once per step. */
  validate(): ValidationEntry {
    const last = this.validation.at(-1);
    if (last?.step === this.steps) return last;
    const held = this.evaluate(this.validationRows);
    // Of many rows a part tells enough.
    const entry = { step: this.steps, loss: held.loss, score: held.score, trainScore: this.evaluate(this.train.subarray(0, 1000)).score };
    this.validation.push(entry);
    return entry;
  }

  /** Forget the evaluation of this step, after a weight was set by hand. */
  invalidate(): void {
    if (this.validation.at(-1)?.step === this.steps) this.validation.pop();
  }

  private evaluate(rows: Uint32Array): { loss: number; score: number } {
    const { network, evaluation, dataset } = this;
    const K = network.sizes.at(-1)!;
    const isClasses = dataset.table.task === "classes";
    let [loss, correct, residuals, sum, squares] = [0, 0, 0, 0, 0];
    for (let from = 0; from < rows.length; from += evaluation.capacity) {
      loadBatch(network, evaluation, dataset.X, dataset.Y, rows.subarray(from, from + evaluation.capacity));
      forward(network, evaluation);
      for (let i = 0; i < evaluation.m; i++) {
        loss += evaluation.losses[i]! / rows.length;
        if (isClasses) correct += argmax(evaluation.P, i * K, K) === argmax(evaluation.Y, i * K, K) ? 1 : 0;
        else {
          const y = evaluation.Y[i]!;
          [residuals, sum, squares] = [residuals + (evaluation.P[i]! - y) ** 2, sum + y, squares + y * y];
        }
      }
    }
    const total = squares - sum ** 2 / rows.length;
    return { loss, score: isClasses ? correct / rows.length : total > 0 ? 1 - residuals / total : NaN };
  }

  /** The noise scale from averages of both estimates: a ratio of single estimates is biased. */
  private averageNoiseScale({ trace, squaredNorm }: { trace: number; squaredNorm: number }, m: number): number {
    if (Number.isNaN(trace)) return NaN;
    const { noise } = this;
    noise.count += 1;
    const weight = 1 / Math.min(noise.count, Math.max(MIN_AVERAGED_BATCHES, (AVERAGED_EPOCHS * this.train.length) / m));
    noise.trace += weight * (trace - noise.trace);
    noise.squaredNorm += weight * (squaredNorm - noise.squaredNorm);
    if (noise.squaredNorm > 0) return noise.trace / noise.squaredNorm;
    // Without a gradient there is no noise.
    return noise.trace > 0 ? Infinity : NaN;
  }
}

export function argmax(values: Float32Array, at: number, K: number): number {
  let best = 0;
  for (let k = 1; k < K; k++) if (values[at + k]! > values[at + best]!) best = k;
  return best;
}
