/** The training so far: loss, noise scale and batch size of every step, and the validation loss of some. */

import { decode } from "../batch-data";
import type { TrainingState } from "./protocol";
import { Series } from "./series";

export interface ValidationEntry {
  step: number;
  loss: number;
  score: number | null;
}

/** The most steps that the smoothed loss averages. */
const MAX_WINDOW = 64;

export class History {
  readonly losses = new Series();
  readonly noiseScales = new Series();
  readonly batchSizes = new Series();
  validation: ValidationEntry[] = [];
  /** Whether the noise scale was ever infinite: the gradients of a batch cancelled. */
  hasInfinite = false;
  private nTrain = 1;

  get steps(): number {
    return this.losses.length;
  }

  /** Start again; `nTrain` is the number of training rows. */
  reset(nTrain: number): void {
    for (const series of [this.losses, this.noiseScales, this.batchSizes]) series.clear();
    this.validation = [];
    this.hasInfinite = false;
    this.nTrain = nTrain;
  }

  /** Append new steps; false where earlier steps are missing, as after a lost connection. */
  append(state: TrainingState): boolean {
    if (state.first_step > this.steps) return false;
    const nKnown = this.steps - state.first_step;
    const [losses, noiseScales, batchSizes] = [state.losses, state.noise_scales, state.batch_sizes].map((packed) => decode(packed).values);
    for (let n = nKnown; n < losses!.length; n++) {
      this.losses.push(losses![n]!);
      this.noiseScales.push(noiseScales![n]!);
      this.hasInfinite ||= noiseScales![n] === Infinity;
      this.batchSizes.push(batchSizes![n]!);
    }
    const lastStep = this.validation.at(-1)?.step ?? -1;
    // A loss that is not finite cannot be drawn.
    for (const [step, loss, score] of state.validation) if (step > lastStep && loss !== null) this.validation.push({ step, loss, score });
    return true;
  }

  /** How many batches the smoothed line averages: one epoch, up to MAX_WINDOW. */
  get window(): number {
    const size = this.batchSizes.at(this.steps - 1) || this.nTrain;
    return Math.max(1, Math.min(MAX_WINDOW, Math.ceil(this.nTrain / size)));
  }

  /** The mean loss of the batches up to a step, counted from 1. */
  smoothedLoss(step: number, window = this.window): number {
    return this.losses.mean(Math.max(0, step - window), step);
  }
}
