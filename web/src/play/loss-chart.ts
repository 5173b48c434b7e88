/** The loss by step: each batch's, faint; their mean; the validation loss, dashed. */

import { least, max, min } from "d3-array";
import { scaleLinear, scaleLog } from "d3-scale";
import { h } from "../dom";
import { formatCount, formatNumber } from "../format";
import { formatLoss } from "./format";
import { type PlotArea, drawBottomAxis, drawLeftAxis, type Scale } from "./axes";
import { createCanvas, createAnnouncer, type DrawContext } from "./canvas";
import { chartPanel, createCrosshair, createLegendEntry, plotArea, createStepScale } from "./chart";
import { withClip, type Column, computeColumns, drawDot, drawPolyline, drawRange } from "./line-renderer";
import { createHistoryTable } from "./history-table";
import type { Context } from "./state";
import type { History } from "./history";

export function createLossChart(context: Context): HTMLElement {
  const { store, history } = context;
  const crosshair = createCrosshair(() => canvas.redraw());
  const canvas = createCanvas("loss", (drawing) => draw(drawing, history, store.get("logLoss"), crosshair.x));
  crosshair.follow(canvas.canvas);
  const announce = createAnnouncer(canvas.canvas, () => describeChart(context));
  const meanEntry = createLegendEntry("loss", "");
  const readout = h("p", { class: "pointer-readout", "aria-hidden": "true" });

  function update(): void {
    const steps = history.window;
    meanEntry.querySelector("span")!.textContent = steps === 1 ? "mean" : `mean of ${steps}`;
    canvas.redraw();
    crosshair.update();
    announce(!store.get("training")?.running);
  }

  crosshair.update = () => (readout.textContent = describeStep(history, canvas.element.clientWidth, crosshair.x));
  store.on(["training", "setup", "theme", "logLoss"], update);
  const legend = h("ul", { class: "legend" }, createLegendEntry("batch", "each batch"), meanEntry, createLegendEntry("validation", "validation"));
  return chartPanel("Loss", { readout, controls: createScaleSwitch(context), legend, canvas: canvas.element, historyTable: createHistoryTable(context, "loss") });
}

function createScaleSwitch({ store }: Context): HTMLElement {
  const createOption = (name: string, log: boolean): HTMLElement => {
    const input = h("input", { type: "radio", name: "loss-scale", value: name, checked: store.get("logLoss") === log });
    input.addEventListener("change", () => store.set({ logLoss: log }));
    return h("label", {}, input, h("span", {}, name));
  };
  return h("fieldset", { class: "segments small" }, h("legend", { class: "sr-only" }, "Scale of the loss"), createOption("linear", false), createOption("log", true));
}

function draw(drawing: DrawContext, history: History, log: boolean, pointerX: number | null): void {
  const area = plotArea(drawing);
  const x = createStepScale(history.steps, area);
  const columns = computeColumns(history.steps, x, area);
  const y = createLossScale(history, columns, area, log);
  drawLeftAxis(drawing, area, y, { log, grid: true });
  drawBottomAxis(drawing, area, x, "step");
  if (history.steps || history.validation.length) withClip(drawing.context, area, () => drawCurves(drawing, history, columns, x, y));
  if (pointerX !== null) drawCrosshair(drawing, area, pointerX);
}

function drawCurves({ context, palette }: DrawContext, history: History, columns: Column[], x: Scale, y: Scale): void {
  // A loss of 0 is drawn below a log axis.
  const [floor] = y.domain() as [number];
  const toY = (loss: number): number => y(Math.max(loss, floor / 2));
  context.strokeStyle = palette.loss;
  context.globalAlpha = 0.3;
  context.lineWidth = 1;
  drawRange(context, history.losses, columns, toY);
  context.globalAlpha = 1;
  context.lineWidth = 2.25;
  drawLine(context, columns.map((column) => [column.x, toY(smoothedLoss(history, column))]), palette.loss);
  context.strokeStyle = palette.validation;
  context.setLineDash([6, 4]);
  const validation = thinOut(history.validation, columns.length);
  drawLine(context, validation.map(({ step, loss }) => [x(step), toY(loss)]), palette.validation);
}

function drawLine(context: CanvasRenderingContext2D, points: [number, number][], color: string): void {
  const [first, ...rest] = points;
  if (first && rest.length === 0) drawDot(context, ...first, color);
  else drawPolyline(context, points);
}

/** Drop points that would share a column of pixels. */
function thinOut<T>(all: readonly T[], columns: number): T[] {
  const stride = Math.max(1, Math.ceil(all.length / Math.max(200, columns)));
  return all.filter((_, n) => n % stride === 0 || n === all.length - 1);
}

/** The mean of the batches that a column covers, and of earlier ones where these are few. */
const smoothedLoss = (history: History, { from, to }: Column): number => history.smoothedLoss(to, Math.max(history.window, to - from));

/** A scale for the mean and the validation loss; the loss of single batches may exceed it. */
function createLossScale(history: History, columns: readonly Column[], area: PlotArea, log: boolean): Scale {
  const means = columns.map((column) => smoothedLoss(history, column)).filter(Number.isFinite);
  const lines = [...means, ...history.validation.map(({ loss }) => loss)];
  const maxBatchLoss = history.losses.range(0, history.steps)?.[1] ?? 1;
  const maxLoss = max(lines) ?? 1;
  const top = Math.max(maxLoss * 1.05, Math.min(maxBatchLoss, 1.6 * maxLoss)) || 1;
  if (!log) return scaleLinear([0, top], [area.bottom, area.top]).nice();
  const minLoss = min(lines.filter((loss) => loss > 0)) ?? top / 10;
  return scaleLog([Math.max(minLoss / 3, top * 1e-9), top * 1.2], [area.bottom, area.top]);
}

function drawCrosshair({ context, palette }: DrawContext, area: PlotArea, x: number): void {
  if (x < area.left || x > area.right) return;
  context.fillStyle = palette.mutedText;
  context.fillRect(Math.round(x), area.top, 1, area.bottom - area.top);
}

function describeStep(history: History, width: number, pointerX: number | null): string {
  if (pointerX === null) return "";
  const step = Math.round(createStepScale(history.steps, plotArea({ width, height: 200 })).invert(pointerX));
  if (step < 0 || step > history.steps) return "";
  const validation = least(history.validation, (one) => Math.abs(one.step - step));
  // Step 0 has no batch.
  const losses = [step ? formatNumber(history.losses.at(step - 1), 3) : "", validation ? `validation ${formatNumber(validation.loss, 3)}` : ""];
  return `step ${formatCount(step)}: ${losses.filter(Boolean).join(", ")}`;
}

function describeChart({ history, store }: Context): string {
  if (history.steps === 0) return "Loss by step: no step yet.";
  const validation = store.get("training")?.current.validation_loss;
  const mean = history.smoothedLoss(history.steps);
  return `Loss by step, ${formatCount(history.steps)} steps: the first batch ${formatNumber(history.losses.at(0))}, the last batch ${formatNumber(history.losses.at(history.steps - 1))}, the mean of the last ${history.window} ${formatNumber(mean)}, validation ${formatLoss(validation)}.`;
}
