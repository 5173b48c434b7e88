/** Curves over steps, with at most one point per column of pixels, however many steps there are. */

import { line } from "d3-shape";
import type { PlotArea, Scale } from "./axes";
import type { Series } from "./series";

/** The radius of a dot. */
const DOT_RADIUS = 3;

export interface Column {
  /** Steps from + 1 to `to`, counted from 1. */
  from: number;
  to: number;
  x: number;
}

/** The columns of a chart: one step each while these fit, else several steps per column. */
export function computeColumns(steps: number, x: Scale, area: PlotArea): Column[] {
  const width = Math.max(1, Math.floor(area.right - area.left));
  const count = Math.min(steps, width);
  return Array.from({ length: count }, (_, n) => {
    const [from, to] = [Math.floor((n * steps) / count), Math.floor(((n + 1) * steps) / count)];
    return { from, to, x: x((from + to + 1) / 2) };
  });
}

/** Draw each column from its minimum to its maximum: a line for few steps, a band for many. */
export function drawRange(context: CanvasRenderingContext2D, series: Series, columns: readonly Column[], y: (value: number) => number): void {
  context.beginPath();
  let isDescending = true;
  for (const { from, to, x } of columns) {
    const range = series.range(from, to);
    if (!range) continue;
    const [first, second] = isDescending ? [range[1], range[0]] : range;
    context.lineTo(x, y(first));
    if (first !== second) context.lineTo(x, y(second));
    isDescending = !isDescending;
  }
  context.stroke();
}

/** A line through the points, broken where one is not finite. */
export function drawPolyline(context: CanvasRenderingContext2D, points: Iterable<[number, number]>): void {
  context.beginPath();
  line().defined(([x, y]) => Number.isFinite(x) && Number.isFinite(y)).context(context)(points);
  context.stroke();
}

/** A dot: a line through a single point would not be visible. */
export function drawDot(context: CanvasRenderingContext2D, x: number, y: number, color: string): void {
  if (!Number.isFinite(y)) return;
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, DOT_RADIUS, 0, 2 * Math.PI);
  context.fill();
}

export function withClip(context: CanvasRenderingContext2D, area: PlotArea, draw: () => void): void {
  context.save();
  context.beginPath();
  context.rect(area.left - DOT_RADIUS, area.top - 2, area.right - area.left + DOT_RADIUS + 1, area.bottom - area.top + 2);
  context.clip();
  context.lineJoin = "round";
  draw();
  context.restore();
}
