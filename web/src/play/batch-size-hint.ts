/** What the noise scale says of the batch size, in a sentence. */

import { count, counted, scaleText } from "./format";

/**
 * Far below the noise scale, twice the batch takes nearly half the steps; far above it, the rest of a batch repeats
 * what its first examples said.
 */
export function advice(size: number, noise: number | null | "inf", train: number, step: number): string {
  if (step === 0) return "How many examples it takes until their mean gradient says more than their scatter: after the first steps it stands here.";
  if (noise === null) return size === 1
    ? "A batch of one cannot tell how gradients scatter: take at least two examples to see the noise scale."
    : "The noise scale shows after the next batch of two examples or more.";
  const batches = size >= train ? `All ${count(train)} examples at once` : `Batches of ${count(size)}`;
  if (noise === "inf") return `${batches} see only scatter: the gradients of their examples cancel, and larger batches would pay fully.`;
  if (noise < 0.1) return `All examples pull the same way (noise scale ${scaleText(noise)}): one at a time would lead as far as ${counted(size, "example")}.`;
  return `${batches} are ${compared(size / noise)} the noise scale of ${scaleText(noise)}: ${consequence(size, size / noise, train)}`;
}

function compared(ratio: number): string {
  if (ratio < 1 / 8) return "far below";
  if (ratio < 2 / 3) return "below";
  if (ratio <= 1.5) return "about at";
  return ratio <= 8 ? "above" : "far above";
}

function consequence(size: number, ratio: number, train: number): string {
  if (ratio < 2 / 3 && size >= train) return "more examples would make each step better, but there are no more.";
  if (ratio < 1 / 8) return "larger ones would pay almost fully.";
  if (ratio < 2 / 3) return "larger ones would still save steps.";
  if (ratio <= 1.5) return "a fair price in examples for every step saved.";
  if (ratio <= 8) return "smaller ones would learn as much from fewer examples.";
  return "most examples of a batch repeat what the others say.";
}
