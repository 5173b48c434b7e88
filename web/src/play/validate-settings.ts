/** Settings that go together. */

import type { Lesson, Settings } from "./protocol";

/** What a batch was may be more than the rows that will be there to learn from, a fifth held out: it is all of them then. */
export function fittingBatch(lesson: Lesson | null, rows: number): Partial<Settings> {
  const size = lesson?.settings.batch_size;
  const train = rows - Math.max(1, Math.floor(rows / 5));
  return typeof size === "number" && size > train ? { batch_size: "full" } : {};
}
