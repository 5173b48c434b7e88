/** The training so far: loss, noise scale and batch size of every step, and the evaluations of some. */

import type { LogEntry, TrainingState, ValidationEntry } from "./protocol";
import { Series } from "./series";

/** The most steps that the smoothed loss averages. */
const MAX_WINDOW = 64;

export class History {
  readonly losses = new Series();
  /** The mean loss of the last batches, fixed when it arrives: a later change of the batch size leaves the past as it was. */
  readonly means = new Series();
  readonly noiseScales = new Series();
  readonly batchSizes = new Series();
  validation: ValidationEntry[] = [];
  log: readonly LogEntry[] = [];
  /** Whether the noise scale was ever infinite: the gradients of a batch cancelled. */
  hasInfinite = false;
  private nTrain = 1;

  get steps(): number {
    return this.losses.length;
  }

  /** Start again; `nTrain` is the number of training rows. */
  reset(nTrain: number): void {
    for (const series of [this.losses, this.means, this.noiseScales, this.batchSizes]) series.clear();
    [this.validation, this.log, this.hasInfinite, this.nTrain] = [[], [], false, nTrain];
  }

  append({ firstStep, losses, noiseScales, batchSizes, validation, recording }: TrainingState): void {
    if (firstStep !== this.steps) throw new Error(`steps ${this.steps + 1} to ${firstStep} are missing`);
    for (let n = 0; n < losses.length; n++) {
      this.losses.push(losses[n]!);
      this.noiseScales.push(noiseScales[n]!);
      this.hasInfinite ||= noiseScales[n] === Infinity;
      this.batchSizes.push(batchSizes[n]!);
      this.means.push(this.losses.mean(Math.max(0, this.steps - this.window), this.steps));
    }
    // A weight set by hand changes the network without a step: the newer evaluation counts.
    const first = validation[0]?.step ?? Infinity;
    while (this.validation.length && this.validation.at(-1)!.step >= first) this.validation.pop();
    for (const entry of validation) if (Number.isFinite(entry.loss)) this.validation.push(entry);
    this.log = recording.log;
  }

  /** How many batches the smoothed line averages: one epoch, up to MAX_WINDOW. */
  get window(): number {
    const size = this.batchSizes.at(this.steps - 1) || this.nTrain;
    return Math.max(1, Math.min(MAX_WINDOW, Math.ceil(this.nTrain / size)));
  }
}
