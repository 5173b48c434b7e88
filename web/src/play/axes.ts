/** Axes on a canvas: ticks, labels and grid lines. */

import { range } from "d3-array";
import type { ScaleContinuousNumeric } from "d3-scale";
import { formatNumber, formatPower } from "../format";
import type { DrawContext } from "./canvas";

export type Scale = ScaleContinuousNumeric<number, number>;

export interface PlotArea {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export const FONT_SIZE = 12;

export function formatTick(value: number): string {
  return Math.abs(value) < 1e7 ? formatNumber(value, 6) : formatPower(value, 3);
}

/** On a log axis powers of ten, and multiples between them where there is room. */
export function computeTicks(scale: Scale, count: number, log: boolean): number[] {
  if (!log) return scale.ticks(Math.floor(count));
  const [min, max] = scale.domain() as [number, number];
  const decades = Math.log10(max / min);
  const multiples = decades < 1.2 ? [1, 2, 3, 5] : decades < 2.5 ? [1, 2, 5] : [1];
  const stride = Math.max(1, Math.ceil(decades / count));
  const powers = range(Math.floor(Math.log10(min)), Math.ceil(Math.log10(max)) + 1);
  // Counted from the first one in sight, so that there is no axis with a single tick while there is room for two.
  const first = powers.find((power) => 10 ** power >= min) ?? 0;
  const kept = powers.filter((power) => (power - first) % stride === 0);
  return kept.flatMap((power) => multiples.map((step) => step * 10 ** power)).filter((tick) => tick >= min && tick <= max);
}

export function drawBottomAxis(drawing: DrawContext, area: PlotArea, scale: Scale, name: string): void {
  const { context, palette } = drawing;
  context.font = `${FONT_SIZE}px ${palette.font}`;
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const tick of scale.ticks(Math.max(2, Math.floor((area.right - area.left) / 90)))) {
    const x = Math.round(scale(tick)) + 0.5;
    context.fillStyle = palette.line;
    context.fillRect(x - 0.5, area.bottom, 1, 5);
    context.fillStyle = palette.mutedText;
    const label = formatTick(tick);
    // Keep the first and last label inside the canvas.
    const halfWidth = context.measureText(label).width / 2;
    context.fillText(label, Math.max(halfWidth, Math.min(drawing.width - halfWidth, x)), area.bottom + 8);
  }
  context.fillStyle = palette.text;
  context.fillText(truncateText(context, name, area.right - area.left), (area.left + area.right) / 2, area.bottom + 26);
}

/** Pixels between a vertical axis, its labels and its name. */
const LABEL_GAP = 8;

const leftTicks = (scale: Scale, log: boolean): number[] => computeTicks(scale, Math.max(2, Math.abs(scale.range()[0]! - scale.range()[1]!) / 46), log);

/** The width of a vertical axis with its labels and, where it has one, its name. */
export function leftAxisWidth({ context, palette }: DrawContext, scale: Scale, { log = false, named = false }): number {
  context.font = `${FONT_SIZE}px ${palette.font}`;
  const maxLabelWidth = Math.max(0, ...leftTicks(scale, log).map((tick) => context.measureText(formatTick(tick)).width));
  return Math.ceil((named ? 1.5 * FONT_SIZE + LABEL_GAP : 0) + maxLabelWidth + LABEL_GAP);
}

export function drawLeftAxis(drawing: DrawContext, area: PlotArea, scale: Scale, { name, log = false, grid = false }: { name?: string | undefined; log?: boolean; grid?: boolean }): void {
  const { context, palette } = drawing;
  context.font = `${FONT_SIZE}px ${palette.font}`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of leftTicks(scale, log)) {
    const y = Math.round(scale(tick)) + 0.5;
    context.fillStyle = palette.line;
    context.fillRect(grid ? area.left : area.left - 5, y - 0.5, grid ? area.right - area.left : 5, 1);
    context.fillStyle = palette.mutedText;
    context.fillText(formatTick(tick), area.left - LABEL_GAP, y);
  }
  if (!name) return;
  context.save();
  context.translate(FONT_SIZE, (area.top + area.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillStyle = palette.text;
  context.fillText(truncateText(context, name, area.bottom - area.top), 0, 0);
  context.restore();
}

/** Truncate a name to the width: column names may be of any length. */
export function truncateText(context: CanvasRenderingContext2D, name: string, width: number): string {
  if (context.measureText(name).width <= width) return name;
  let text = name.slice(0, 200);
  while (text.length > 1 && context.measureText(`${text}…`).width > width) text = text.slice(0, -1);
  return `${text}…`;
}
