/** The points of the plane: colour and shape by class, hollow where held out, ringed where in the batch. */

import { decode } from "../batch-data";
import type { Theme } from "../color-scale";
import type { Scale } from "./axes";
import type { Inks } from "./palette";
import { classShape, markColour } from "./palette";
import type { Data, Frame } from "./protocol";
import { numberColours } from "./decision-surface";

interface Places {
  x: Scale;
  y: Scale;
}

/** Square pixels of a mark: smaller where there are many. */
export const areaOf = (count: number): number => (count <= 150 ? 70 : count <= 400 ? 52 : count <= 900 ? 34 : 20);

const isSet = (indices: readonly number[]): Set<number> => new Set(indices);

export function drawPoints(context: CanvasRenderingContext2D, data: Data, places: Places, theme: Theme, inks: Inks): void {
  const points = decode(data.points);
  const values = decode(data.values).values;
  const held = isSet(data.held);
  const area = areaOf(points.columns);
  const colours = data.task === "numbers" ? numberColours(data, theme) : null;
  const marks = Array.from({ length: colours ? 1 : data.outputs.length }, (_, label) => new Path2D(classShape(label, area)));
  for (let n = 0; n < points.columns; n++) {
    const value = values[n] ?? 0;
    const colour = colours ? colours.css(value) : markColour(value, theme);
    const mark = marks[colours ? 0 : value];
    if (!mark) continue;
    context.save();
    context.translate(places.x(points.values[n]!), places.y(points.values[points.columns + n]!));
    drawMark(context, mark, colour, held.has(n), colours ? inks.ink : inks.panel, inks);
    context.restore();
  }
}

/** A number's colour may be the ground's: its mark has an outline in ink, and is a ring of the colour where held out. */
function drawMark(context: CanvasRenderingContext2D, mark: Path2D, colour: string, hollow: boolean, outline: string, inks: Inks): void {
  context.lineJoin = "round";
  if (hollow) {
    context.lineWidth = 4;
    context.strokeStyle = outline;
    context.stroke(mark);
    context.fillStyle = inks.panel;
    context.fill(mark);
    context.lineWidth = 2;
    context.strokeStyle = colour;
    context.stroke(mark);
    return;
  }
  context.lineWidth = 2;
  context.strokeStyle = outline;
  context.stroke(mark);
  context.fillStyle = colour;
  context.fill(mark);
}

/** A batch of all would ring everything, and tell nothing. */
export const tookAll = (frame: Frame | null, data: Data): boolean => frame?.taken != null && frame.taken >= data.train;

/** The points that rings tell apart from the others: those drawn of the batch that was paused. */
export const ringed = (frame: Frame | null, data: Data): readonly number[] => (frame?.batch && !tookAll(frame, data) ? frame.batch : []);

export function drawRings(context: CanvasRenderingContext2D, data: Data, batch: readonly number[], places: Places, inks: Inks): void {
  const points = decode(data.points);
  const radius = Math.sqrt(areaOf(points.columns) / Math.PI) + 4;
  for (const [width, colour] of [[4, inks.panel], [1.75, inks.ink]] as const) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    for (const n of batch) {
      context.beginPath();
      context.arc(places.x(points.values[n]!), places.y(points.values[points.columns + n]!), radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
