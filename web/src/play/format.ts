/** Numbers of a training as text. */

import { formatCount, formatNumber, formatShort } from "../format";
import type { Task } from "./protocol";

export const MISSING = "–";

export const formatLoss = (value: number | null | undefined): string => (value === null || value === undefined ? MISSING : formatNumber(value));

/** Accuracy `97.5%` for classes, R² for numbers. */
export function formatScore(task: Task, score: number | null): string {
  if (score === null) return MISSING;
  return task === "classes" ? `${Number((100 * score).toPrecision(3))}%` : formatShort(score);
}

export function describeScore(task: Task, score: number | null): string {
  if (score === null) return "no score yet";
  return task === "classes" ? `${formatScore(task, score)} correct` : `R² ${formatScore(task, score)}`;
}

export function formatNoiseScale(noiseScale: number | null | "inf"): string {
  if (noiseScale === "inf") return "∞";
  return noiseScale === null ? MISSING : noiseScale >= 100 ? formatCount(Math.round(noiseScale)) : formatShort(noiseScale);
}

/** Large epochs need no fraction. */
export const formatEpoch = (epoch: number): string => (epoch >= 1000 ? formatCount(Math.floor(epoch)) : epoch.toFixed(epoch >= 100 ? 1 : 2));
