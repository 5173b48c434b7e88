/** Lines over steps: as many points as the drawing has columns, however many steps there were. */

import { line } from "d3-shape";
import type { Area, Scale } from "./axes";
import type { Series } from "./series";

/** The radius of a dot. */
const DOT = 3;

export interface Column {
  /** Steps from + 1 to `to`, counted from 1. */
  from: number;
  to: number;
  x: number;
}

/** The columns of a drawing: a step each while these fit, else as many steps as share one. */
export function columnsOf(steps: number, x: Scale, area: Area): Column[] {
  const wide = Math.max(1, Math.floor(area.right - area.left));
  const count = Math.min(steps, wide);
  return Array.from({ length: count }, (_, n) => {
    const [from, to] = [Math.floor((n * steps) / count), Math.floor(((n + 1) * steps) / count)];
    return { from, to, x: x((from + to + 1) / 2) };
  });
}

/** From the least to the most of each column: of few steps the line through them, of many a band. */
export function tracePeaks(context: CanvasRenderingContext2D, series: Series, columns: readonly Column[], y: (value: number) => number): void {
  context.beginPath();
  let down = true;
  for (const { from, to, x } of columns) {
    const range = series.range(from, to);
    if (!range) continue;
    const [first, second] = down ? [range[1], range[0]] : range;
    context.lineTo(x, y(first));
    if (first !== second) context.lineTo(x, y(second));
    down = !down;
  }
  context.stroke();
}

/** A line through these places, broken where there is no number. */
export function traceLine(context: CanvasRenderingContext2D, points: Iterable<[number, number]>): void {
  context.beginPath();
  line().defined(([x, y]) => Number.isFinite(x) && Number.isFinite(y)).context(context)(points);
  context.stroke();
}

/** What a line of one place would not show. */
export function dot(context: CanvasRenderingContext2D, x: number, y: number, colour: string): void {
  if (!Number.isFinite(y)) return;
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, DOT, 0, 2 * Math.PI);
  context.fill();
}

export function clipTo(context: CanvasRenderingContext2D, area: Area, draw: () => void): void {
  context.save();
  context.beginPath();
  context.rect(area.left - DOT, area.top - 2, area.right - area.left + DOT + 1, area.bottom - area.top + 2);
  context.clip();
  context.lineJoin = "round";
  draw();
  context.restore();
}
