/** The loss by step: each batch's, faint; their mean; and that of the rows held out, dashed. */

import { least, max, min } from "d3-array";
import { scaleLinear, scaleLog } from "d3-scale";
import { h } from "../dom";
import { formatNumber } from "../format";
import { type Area, drawBottomAxis, drawLeftAxis, type Scale } from "./axes";
import { createBoard, createTeller, type Sheet } from "./canvas";
import { chartPanel, crosshair, keyLine, placeOf, stepScale } from "./chart";
import { clipTo, type Column, columnsOf, dot, traceLine, tracePeaks } from "./line-renderer";
import { count, lossText } from "./format";
import { createRecent } from "./history-table";
import type { Context } from "./state";
import type { Trace } from "./history";

export function createLossChart(context: Context): HTMLElement {
  const { store, trace } = context;
  const pointer = crosshair(() => board.redraw());
  const board = createBoard("loss", (sheet) => paint(sheet, trace, store.get("logLoss"), pointer.x));
  pointer.follow(board.canvas);
  const tell = createTeller(board.canvas, () => described(context));
  const smoothKey = keyLine("loss", "");
  const said = h("p", { class: "pointed", "aria-hidden": "true" });

  function update(): void {
    const steps = trace.window;
    smoothKey.querySelector("span")!.textContent = steps === 1 ? "their mean" : `mean of ${steps}`;
    board.redraw();
    pointer.tell();
    tell(!store.get("frame")?.running);
  }

  pointer.tell = () => (said.textContent = pointedAt(trace, board.element.clientWidth, pointer.x));
  store.on(["frame", "lesson", "theme", "logLoss"], update);
  const keys = h("ul", { class: "keys" }, keyLine("batch", "each batch"), smoothKey, keyLine("held", "held out"));
  return chartPanel("Loss", { said, more: createScaleSwitch(context), keys, board: board.element, recent: createRecent(context, "loss") });
}

function createScaleSwitch({ store }: Context): HTMLElement {
  const option = (name: string, log: boolean): HTMLElement => {
    const input = h("input", { type: "radio", name: "loss-scale", value: name, checked: store.get("logLoss") === log });
    input.addEventListener("change", () => store.set({ logLoss: log }));
    return h("label", {}, input, h("span", {}, name));
  };
  return h("fieldset", { class: "segments small" }, h("legend", { class: "sr-only" }, "Scale of the loss"), option("linear", false), option("log", true));
}

function paint(sheet: Sheet, trace: Trace, log: boolean, pointed: number | null): void {
  const area = placeOf(sheet);
  const x = stepScale(trace.steps, area);
  const columns = columnsOf(trace.steps, x, area);
  const y = lossScale(trace, columns, area, log);
  drawLeftAxis(sheet, area, y, { log, grid: true });
  drawBottomAxis(sheet, area, x, "step");
  if (trace.steps || trace.held.length) clipTo(sheet.context, area, () => drawCurves(sheet, trace, columns, x, y));
  if (pointed !== null) drawCrosshair(sheet, area, pointed);
}

function drawCurves({ context, inks }: Sheet, trace: Trace, columns: Column[], x: Scale, y: Scale): void {
  // A loss of 0 has no place on a log axis: it lies below.
  const [floor] = y.domain() as [number];
  const height = (loss: number): number => y(Math.max(loss, floor / 2));
  context.strokeStyle = inks.loss;
  context.globalAlpha = 0.3;
  context.lineWidth = 1;
  tracePeaks(context, trace.losses, columns, height);
  context.globalAlpha = 1;
  context.lineWidth = 2.25;
  drawLine(context, columns.map((column) => [column.x, height(smoothed(trace, column))]), inks.loss);
  context.strokeStyle = inks.held;
  context.setLineDash([6, 4]);
  const held = thinned(trace.held, columns.length);
  drawLine(context, held.map(({ step, loss }) => [x(step), height(loss)]), inks.held);
}

function drawLine(context: CanvasRenderingContext2D, places: [number, number][], colour: string): void {
  const [only, ...more] = places;
  if (only && more.length === 0) dot(context, ...only, colour);
  else traceLine(context, places);
}

/** Of measures that share a column of pixels the last will do. */
function thinned<T>(all: readonly T[], columns: number): T[] {
  const every = Math.max(1, Math.ceil(all.length / Math.max(200, columns)));
  return all.filter((_, n) => n % every === 0 || n === all.length - 1);
}

/** The mean of the batches that a column covers, and of some before where these are few. */
const smoothed = (trace: Trace, { from, to }: Column): number => trace.smooth(to, Math.max(trace.window, to - from));

/** High enough for the mean and the held-out loss; a batch far above leaves the drawing. */
function lossScale(trace: Trace, columns: readonly Column[], area: Area, log: boolean): Scale {
  const means = columns.map((column) => smoothed(trace, column)).filter(Number.isFinite);
  const lines = [...means, ...trace.held.map(({ loss }) => loss)];
  const peak = trace.losses.range(0, trace.steps)?.[1] ?? 1;
  const highest = max(lines) ?? 1;
  const top = Math.max(highest * 1.05, Math.min(peak, 1.6 * highest)) || 1;
  if (!log) return scaleLinear([0, top], [area.bottom, area.top]).nice();
  const lowest = min(lines.filter((loss) => loss > 0)) ?? top / 10;
  return scaleLog([Math.max(lowest / 3, top * 1e-9), top * 1.2], [area.bottom, area.top]);
}

function drawCrosshair({ context, inks }: Sheet, area: Area, x: number): void {
  if (x < area.left || x > area.right) return;
  context.fillStyle = inks.quiet;
  context.fillRect(Math.round(x), area.top, 1, area.bottom - area.top);
}

function pointedAt(trace: Trace, width: number, pointed: number | null): string {
  if (pointed === null) return "";
  const step = Math.round(stepScale(trace.steps, placeOf({ width, height: 200 })).invert(pointed));
  if (step < 0 || step > trace.steps) return "";
  const held = least(trace.held, (one) => Math.abs(one.step - step));
  // Before the first step there was no batch.
  const losses = [step ? formatNumber(trace.losses.at(step - 1), 3) : "", held ? `held out ${formatNumber(held.loss, 3)}` : ""];
  return `step ${count(step)}: ${losses.filter(Boolean).join(", ")}`;
}

function described({ trace, store }: Context): string {
  if (trace.steps === 0) return "Loss by step: no step was taken yet.";
  const held = store.get("frame")?.now.held_loss;
  const mean = trace.smooth(trace.steps);
  return `Loss by step, ${count(trace.steps)} steps: it began at ${formatNumber(trace.losses.at(0))}, the last batch has ${formatNumber(trace.losses.at(trace.steps - 1))}, the mean of the last ${trace.window} is ${formatNumber(mean)}, held out ${lossText(held)}.`;
}
