/** Numbers of a training, in words. */

import { formatShort, formatNumber } from "../format";
import type { Task } from "./protocol";

export const NONE = "–";

/** Thousands set apart by a narrow space that no line breaks at. */
export const count = (value: number): string => value.toLocaleString("en").replaceAll(",", "\u202f");

/** `1 point`, `4 000 points`. */
export const counted = (value: number, one: string): string => `${count(value)} ${value === 1 ? one : `${one}s`}`;

export const lossText = (value: number | null | undefined): string => (value === null || value === undefined ? NONE : formatNumber(value));

/** `97.5 %` of classes, R² of numbers. */
export function scoreValue(task: Task, score: number | null): string {
  if (score === null) return NONE;
  return task === "classes" ? `${Number((100 * score).toPrecision(3))} %` : formatShort(score);
}

export function scoreText(task: Task, score: number | null): string {
  if (score === null) return "no score yet";
  return task === "classes" ? `${scoreValue(task, score)} right` : `R² ${scoreValue(task, score)}`;
}

export function scaleText(noise: number | null | "inf"): string {
  if (noise === "inf") return "∞";
  return noise === null ? NONE : noise >= 100 ? count(Math.round(noise)) : formatShort(noise);
}

/** `epoch 3.4`; tens of thousands need no fraction. */
export const epochText = (epoch: number): string => (epoch >= 1000 ? count(Math.floor(epoch)) : epoch.toFixed(epoch >= 100 ? 1 : 2));
