/** What the gradient noise scale says about the batch size, in a sentence. */

import { formatCount, pluralize } from "../format";
import { formatNoiseScale } from "./format";

/**
 * Far below the noise scale, doubling the batch nearly halves the number of steps; far above it, more examples per
 * batch hardly save steps (McCandlish et al. 2018, arXiv 1812.06162).
 */
export function batchSizeHint(size: number, noiseScale: number, nTrain: number, step: number, isAboveStart: boolean): string {
  if (step === 0) return "The noise scale is the batch size at which the mean gradient and its noise are equally large. It appears after the first steps.";
  if (Number.isNaN(noiseScale)) return size === 1
    ? "A batch of one says nothing about the noise of gradients: use at least two examples to see the noise scale."
    : "The noise scale appears after the next batch of two or more examples.";
  // Where training goes astray, the noise is the least of its troubles.
  if (isAboveStart) return "The loss is above where it began: try a smaller learning rate first.";
  const batches = size >= nTrain ? `All ${formatCount(nTrain)} examples at once` : `Batches of ${formatCount(size)}`;
  if (noiseScale === Infinity) return `${batches} see only noise: the gradients of their examples cancel, and larger batches would pay off fully.`;
  if (noiseScale < 0.1) return `All gradients point the same way (noise scale ${formatNoiseScale(noiseScale)}): one example per step would do as well as ${pluralize(size, "example")}.`;
  return `${batches} are ${compareToNoiseScale(size / noiseScale)} the noise scale of ${formatNoiseScale(noiseScale)}: ${consequence(size, size / noiseScale, nTrain)}`;
}

function compareToNoiseScale(ratio: number): string {
  if (ratio < 1 / 8) return "far below";
  if (ratio < 2 / 3) return "below";
  if (ratio <= 1.5) return "about";
  return ratio <= 8 ? "above" : "far above";
}

function consequence(size: number, ratio: number, nTrain: number): string {
  if (ratio < 2 / 3 && size >= nTrain) return "more examples would make each step better, but there are none.";
  if (ratio < 1 / 8) return "larger batches would save steps almost in proportion.";
  if (ratio < 2 / 3) return "larger batches would still save steps.";
  if (ratio <= 1.5) return "a good trade-off between steps and examples.";
  if (ratio <= 8) return "smaller batches would learn as much from fewer examples.";
  return "most examples of a batch add nothing new.";
}
