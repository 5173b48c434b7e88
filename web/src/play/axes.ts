/** Axes on a canvas: ticks, their numbers, and the lines through the drawing. */

import type { ScaleContinuousNumeric } from "d3-scale";
import { formatNumber } from "../format";
import type { Sheet } from "./canvas";
import type { Inks } from "./palette";
import { count } from "./format";

export type Scale = ScaleContinuousNumeric<number, number>;

export interface Area {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export const FONT_SIZE = 12;

export function tickLabel(value: number): string {
  return Math.abs(value) >= 10000 && Math.abs(value) < 1e7 ? count(value) : formatNumber(value, 3);
}

/** On a log axis whole powers of ten, and 2 and 5 between where there is room. */
export function ticksOf(scale: Scale, count: number, log: boolean): number[] {
  if (!log) return scale.ticks(count);
  const [least, most] = scale.domain() as [number, number];
  const decades = Math.log10(most / least);
  const steps = decades < 1.2 ? [1, 2, 3, 5] : decades < 2.5 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / count));
  const found: number[] = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
    if (power % every !== 0) continue;
    for (const step of steps) found.push(step * 10 ** power);
  }
  return found.filter((tick) => tick >= least && tick <= most);
}

export function drawBottomAxis(sheet: Sheet, area: Area, scale: Scale, name: string): void {
  const { context, inks } = sheet;
  context.font = `${FONT_SIZE}px ${inks.text}`;
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const tick of scale.ticks(Math.max(2, Math.floor((area.right - area.left) / 90)))) {
    const x = Math.round(scale(tick)) + 0.5;
    context.fillStyle = inks.line;
    context.fillRect(x - 0.5, area.bottom, 1, 5);
    context.fillStyle = inks.quiet;
    const label = tickLabel(tick);
    // Neither the first nor the last is cut off at the edge of the drawing.
    const half = context.measureText(label).width / 2;
    context.fillText(label, Math.max(half, Math.min(sheet.width - half, x)), area.bottom + 8);
  }
  context.fillStyle = inks.ink;
  context.fillText(fitted(context, name, area.right - area.left), (area.left + area.right) / 2, area.bottom + 26);
}

/** From the labels of an upright axis to the axis, and from its name to the labels. */
const LABEL_GAP = 8;

const leftTicks = (scale: Scale, log: boolean): number[] => ticksOf(scale, Math.max(2, Math.floor(Math.abs(scale.range()[0]! - scale.range()[1]!) / 46)), log);

/** How many pixels an upright axis takes with its labels, and its name beside them. */
export function roomForLeftAxis(context: CanvasRenderingContext2D, inks: Inks, scale: Scale): number {
  context.font = `${FONT_SIZE}px ${inks.text}`;
  const widest = Math.max(0, ...leftTicks(scale, false).map((tick) => context.measureText(tickLabel(tick)).width));
  return Math.ceil(1.5 * FONT_SIZE + LABEL_GAP + widest + LABEL_GAP);
}

export function drawLeftAxis(sheet: Sheet, area: Area, scale: Scale, { name, log = false, grid = false }: { name?: string | undefined; log?: boolean; grid?: boolean }): void {
  const { context, inks } = sheet;
  context.font = `${FONT_SIZE}px ${inks.text}`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of leftTicks(scale, log)) {
    const y = Math.round(scale(tick)) + 0.5;
    context.fillStyle = inks.line;
    context.fillRect(grid ? area.left : area.left - 5, y - 0.5, grid ? area.right - area.left : 5, 1);
    context.fillStyle = inks.quiet;
    context.fillText(tickLabel(tick), area.left - LABEL_GAP, y);
  }
  if (!name) return;
  context.save();
  context.translate(FONT_SIZE, (area.top + area.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillStyle = inks.ink;
  context.fillText(fitted(context, name, area.bottom - area.top), 0, 0);
  context.restore();
}

/** A name cut to the width that there is: columns of files may be called anything. */
export function fitted(context: CanvasRenderingContext2D, name: string, width: number): string {
  if (context.measureText(name).width <= width) return name;
  let kept = name.slice(0, 200);
  while (kept.length > 1 && context.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}
