/** The points of the plot: colour and shape by class, hollow for validation, ringed if in the last batch. */

import type { Theme } from "../color-scale";
import type { Scale } from "./axes";
import type { Palette } from "./palette";
import { classShape, markColor } from "./palette";
import type { Data, TrainingState } from "./protocol";
import { createNumberColors } from "./decision-surface";

interface Scales {
  x: Scale;
  y: Scale;
}

/** The area of a mark in square pixels: smaller where there are many. */
export const markArea = (count: number): number => (count <= 150 ? 70 : count <= 400 ? 52 : count <= 900 ? 34 : 20);

export function drawPoints(context: CanvasRenderingContext2D, data: Data, scales: Scales, theme: Theme, palette: Palette, showHeldOut: boolean): void {
  const { points, values, isValidation } = data;
  const nPoints = values.length;
  const area = markArea(nPoints);
  const colorScale = data.task === "numbers" ? createNumberColors(values, theme) : null;
  const marks = Array.from({ length: colorScale ? 1 : data.outputs.length }, (_, label) => new Path2D(classShape(label, area)));
  for (let n = 0; n < nPoints; n++) {
    if (isValidation[n] && !showHeldOut) continue;
    const value = values[n] ?? 0;
    const color = colorScale ? colorScale.toCss(value) : markColor(value, theme);
    const mark = marks[colorScale ? 0 : value];
    if (!mark) continue;
    context.save();
    context.translate(scales.x(points[n]!), scales.y(points[nPoints + n]!));
    drawMark(context, mark, color, isValidation[n]!, colorScale ? palette.text : palette.panel, palette);
    context.restore();
  }
}

/** A number's colour may equal the background's, so its mark is outlined in the text colour. */
function drawMark(context: CanvasRenderingContext2D, mark: Path2D, color: string, isHollow: boolean, outline: string, palette: Palette): void {
  context.lineJoin = "round";
  if (isHollow) {
    context.lineWidth = 4;
    context.strokeStyle = outline;
    context.stroke(mark);
    context.fillStyle = palette.panel;
    context.fill(mark);
    context.lineWidth = 2;
    context.strokeStyle = color;
    context.stroke(mark);
    return;
  }
  context.lineWidth = 2;
  context.strokeStyle = outline;
  context.stroke(mark);
  context.fillStyle = color;
  context.fill(mark);
}

/** Rings around all training points would show nothing. */
export const isFullBatch = (training: TrainingState | null, data: Data): boolean => training?.lastBatchSize != null && training.lastBatchSize >= data.nTrain;

/** The drawn points of the last batch, unless it has all training points. */
export const ringedPoints = (training: TrainingState | null, data: Data): readonly number[] => (training?.lastBatch && !isFullBatch(training, data) ? training.lastBatch.filter((n) => n >= 0) : []);

export function drawRings(context: CanvasRenderingContext2D, data: Data, batch: readonly number[], scales: Scales, palette: Palette): void {
  const { points } = data;
  const nPoints = data.values.length;
  const radius = Math.sqrt(markArea(nPoints) / Math.PI) + 4;
  for (const [width, color] of [[4, palette.panel], [1.75, palette.text]] as const) {
    context.lineWidth = width;
    context.strokeStyle = color;
    for (const n of batch) {
      context.beginPath();
      context.arc(scales.x(points[n]!), scales.y(points[nPoints + n]!), radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
