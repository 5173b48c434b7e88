/** The gradient noise scale by step beside the batch size, and what the two say together. */

import { scaleLog } from "d3-scale";
import { h } from "../dom";
import { type Area, drawBottomAxis, drawLeftAxis, type Scale } from "./axes";
import { advice } from "./batch-size-hint";
import { createBoard, createTeller, type Sheet } from "./canvas";
import { chartPanel, keyLine, placeOf, stepScale } from "./chart";
import { clipTo, type Column, columnsOf, dot, traceLine, tracePeaks } from "./line-renderer";
import { count, scaleText } from "./format";
import { createRecent } from "./history-table";
import type { Context } from "./state";
import type { Trace } from "./history";

export function createNoiseChart(context: Context): HTMLElement {
  const { store, trace } = context;
  const board = createBoard("noise", (sheet) => paint(sheet, trace, store.get("lesson")?.data.train ?? 100));
  const tell = createTeller(board.canvas, () => described(context));
  const said = h("p", { class: "advice" });
  const endless = keyLine("endless", "without end");

  store.on(["frame", "lesson", "theme"], () => {
    const [lesson, frame] = [store.get("lesson"), store.get("frame")];
    if (lesson && frame) said.textContent = advice(frame.now.batch_size, frame.now.noise_scale, lesson.data.train, frame.step);
    endless.hidden = !trace.endless;
    board.redraw();
    tell(!frame?.running);
  });
  const keys = h("ul", { class: "keys" }, keyLine("noise", "noise scale, in examples"), keyLine("size", "batch size"), endless);
  return chartPanel("Gradient noise scale", { keys, board: board.element, below: said, recent: createRecent(context, "noise") });
}

function paint(sheet: Sheet, trace: Trace, train: number): void {
  const area = placeOf(sheet);
  const x = stepScale(trace.steps, area);
  const columns = columnsOf(trace.steps, x, area);
  const y = examplesScale(trace, train, area);
  drawLeftAxis(sheet, area, y, { log: true, grid: true });
  drawBottomAxis(sheet, area, x, "step");
  if (trace.steps) clipTo(sheet.context, area, () => drawCurves(sheet, trace, columns, y));
}

/** Room for both curves; noise beyond a hundred data sets is as good as without end. */
function examplesScale(trace: Trace, train: number, area: Area): Scale {
  const noise = trace.noise.range(0, trace.steps) ?? [1, train];
  const sizes = trace.sizes.range(0, trace.steps) ?? [1, train];
  const low = Math.max(1e-3, Math.min(noise[0] > 0 ? noise[0] : 1, sizes[0]));
  const high = Math.min(100 * train, Math.max(noise[1], sizes[1], 10 * low));
  return scaleLog([low / 1.3, Math.max(high, 2 * low) * 1.3], [area.bottom, area.top]);
}

function drawCurves({ context, inks }: Sheet, trace: Trace, columns: Column[], y: Scale): void {
  const [floor, ceiling] = y.domain() as [number, number];
  const height = (value: number): number => (value > ceiling ? NaN : y(Math.max(floor, value)));
  const noise = columns.map(({ to, x }): [number, number] => [x, trace.noise.at(to - 1)]);
  context.strokeStyle = inks.ink;
  context.lineWidth = 1.5;
  context.setLineDash([2, 3]);
  tracePeaks(context, trace.sizes, columns, height);
  context.setLineDash([]);
  context.strokeStyle = inks.noise;
  context.fillStyle = inks.noise;
  context.lineWidth = 2.25;
  // After a batch of one there is none, and the line breaks; so it does where it is without end.
  traceLine(context, noise.map(([x, value]) => [x, height(value)]));
  markEndless(context, noise.filter(([, value]) => value > ceiling).map(([x]) => x), columns, y(ceiling));
  const [only, ...more] = noise;
  if (!only || more.length) return;
  dot(context, only[0], height(trace.sizes.at(0)), inks.ink);
  dot(context, only[0], height(only[1]), inks.noise);
}

/** A strip along the top where the noise scale is beyond the drawing, as when gradients cancel. */
function markEndless(context: CanvasRenderingContext2D, xs: readonly number[], columns: readonly Column[], top: number): void {
  const wide = columns.length > 1 ? columns[1]!.x - columns[0]!.x : 4;
  context.globalAlpha = 0.45;
  context.beginPath();
  // All in one path, as neighbours overlap.
  for (const x of xs) context.rect(x - wide / 2, top, wide + 0.5, 5);
  context.fill();
  context.globalAlpha = 1;
}

function described({ store, trace }: Context): string {
  const frame = store.get("frame");
  if (!frame || trace.steps === 0) return "Gradient noise scale by step: no step was taken yet.";
  return `Gradient noise scale by step, ${count(trace.steps)} steps: now ${scaleText(frame.now.noise_scale)} examples, in batches of ${count(frame.now.batch_size)}.`;
}
