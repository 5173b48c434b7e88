/** What a training was so far: of each step its loss, noise scale and batch size; of some the held-out loss. */

import { decode } from "../batch-data";
import type { Frame } from "./protocol";
import { Series } from "./series";

export interface HeldOut {
  step: number;
  loss: number;
  score: number | null;
}

/** Steps that a smoothed loss is the mean of, at most. */
const WINDOW = 64;

export class Trace {
  readonly losses = new Series();
  readonly noise = new Series();
  readonly sizes = new Series();
  held: HeldOut[] = [];
  /** Whether gradients ever cancelled, so that no number of examples would do. */
  endless = false;
  private train = 1;

  get steps(): number {
    return this.losses.length;
  }

  /** Forget everything; a new training has this many rows. */
  begin(train: number): void {
    for (const series of [this.losses, this.noise, this.sizes]) series.clear();
    this.held = [];
    this.endless = false;
    this.train = train;
  }

  /** Add what a frame brings; false where steps before it are missing, as after a connection that broke. */
  take(frame: Frame): boolean {
    if (frame.first > this.steps) return false;
    const already = this.steps - frame.first;
    const [losses, noise, sizes] = [frame.losses, frame.noise, frame.sizes].map((packed) => decode(packed).values);
    for (let n = already; n < losses!.length; n++) {
      this.losses.push(losses![n]!);
      this.noise.push(noise![n]!);
      this.endless ||= noise![n] === Infinity;
      this.sizes.push(sizes![n]!);
    }
    const last = this.held.at(-1)?.step ?? -1;
    // A loss beyond all numbers has no place in a drawing.
    for (const [step, loss, score] of frame.held) if (step > last && loss !== null) this.held.push({ step, loss, score });
    return true;
  }

  /** How many batches the smoothed line averages: an epoch's, where that is not too many. */
  get window(): number {
    const size = this.sizes.at(this.steps - 1) || this.train;
    return Math.max(1, Math.min(WINDOW, Math.ceil(this.train / size)));
  }

  /** The loss smoothed at a step (counted from 1): the mean of the batches up to it. */
  smooth(step: number, window = this.window): number {
    return this.losses.mean(Math.max(0, step - window), step);
  }
}
