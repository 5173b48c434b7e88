/** Numbers of a training as text. */

import { formatCount, formatNumber, formatPercent, formatShort } from "../format";
import type { Task } from "./protocol";

export const MISSING = "–";

export const formatLoss = (value: number | undefined): string => (value === undefined || Number.isNaN(value) ? MISSING : formatNumber(value));

/** Accuracy `97.5%` for classes, R² for numbers. */
export function formatScore(task: Task, score: number): string {
  if (!Number.isFinite(score)) return MISSING;
  return task === "classes" ? formatPercent(score) : formatShort(score);
}

export function describeScore(task: Task, score: number): string {
  if (!Number.isFinite(score)) return "no score yet";
  return task === "classes" ? `${formatScore(task, score)} correct` : `R² ${formatScore(task, score)}`;
}

export function formatNoiseScale(noiseScale: number): string {
  if (noiseScale === Infinity) return "∞";
  return Number.isNaN(noiseScale) ? MISSING : noiseScale >= 100 ? formatCount(Math.round(noiseScale)) : formatShort(noiseScale);
}

/** Large epochs need no fraction. */
export const formatEpoch = (epoch: number): string => (epoch >= 1000 ? formatCount(Math.floor(epoch)) : epoch.toFixed(epoch >= 100 ? 1 : 2));
