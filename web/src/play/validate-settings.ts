/** Settings that depend on each other. */

import type { Setup, Settings } from "./protocol";

/** The full batch, where the batch size exceeds the training rows of other data (a fifth is for validation). */
export function clampBatchSize(setup: Setup | null, rows: number): Partial<Settings> {
  const batchSize = setup?.settings.batch_size;
  const nTrain = rows - Math.max(1, Math.floor(rows / 5));
  return typeof batchSize === "number" && batchSize > nTrain ? { batch_size: "full" } : {};
}
