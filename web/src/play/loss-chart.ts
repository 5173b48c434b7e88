/** The loss by step: each batch's, faint; their mean; that of the rows held out, dashed; or the scores instead. */

import { least, max, min } from "d3-array";
import { scaleLinear, scaleLog } from "d3-scale";
import { h, setText } from "../dom";
import { formatCount, formatNumber } from "../format";
import { formatLoss, formatScore } from "./format";
import { type PlotArea, drawBottomAxis, drawLeftAxis, type Scale } from "./axes";
import { createCanvas, createAnnouncer, type DrawContext } from "./canvas";
import { CHART_INTERVAL, chartPanel, createCrosshair, createLegendEntry, drawFlags, plotArea, createStepScale } from "./chart";
import { withClip, type Column, computeColumns, drawDot, drawPolyline, drawRange } from "./line-renderer";
import { createHistoryTable } from "./history-table";
import type { Task } from "./protocol";
import type { Context } from "./state";
import type { History } from "./history";

/** A loss that fell by more than this is drawn on a logarithmic axis, unless another was chosen. */
const LOG_FACTOR = 50;

export function createLossChart(context: Context): HTMLElement {
  const { store, history } = context;
  let showsScore = false;
  const crosshair = createCrosshair(() => canvas.redraw());
  const isLog = (): boolean => store.get("logLoss") ?? spansDecades(history);
  const canvas = createCanvas("loss", (drawing) => {
    if (showsScore) drawScores(drawing, history, store.get("setup")?.data.task ?? "classes", crosshair.x);
    else draw(drawing, history, isLog(), crosshair.x);
  }, CHART_INTERVAL);
  crosshair.follow(canvas.canvas);
  const announce = createAnnouncer(canvas.canvas, () => describeChart(context));
  const meanEntry = createLegendEntry("loss", "their mean");
  const readout = h("p", { class: "pointer-readout", "aria-hidden": "true" });
  const [lossLegend, scoreLegend] = [
    h("ul", { class: "legend" }, createLegendEntry("batch", "each batch"), meanEntry, createLegendEntry("validation", "held out")),
    h("ul", { class: "legend", hidden: true }, createLegendEntry("trainScore", "training"), createLegendEntry("heldOutScore", "held out")),
  ];
  const scaleSwitch = createScaleSwitch(context, isLog);

  function update(): void {
    canvas.redraw();
    crosshair.update();
    announce(!store.get("training")?.running);
  }

  function show(score: boolean): void {
    showsScore = score;
    [lossLegend.hidden, scoreLegend.hidden, scaleSwitch.hidden] = [score, !score, score];
    update();
  }

  const task = (): Task => store.get("setup")?.data.task ?? "classes";
  // The width is asked for only where it is needed: the answer lays out the page.
  crosshair.update = () => setText(readout, crosshair.x === null ? "" : describeStep(history, canvas.element.clientWidth, crosshair.x, showsScore ? task() : null));
  store.on(["training", "setup", "theme", "logLoss"], update);
  const controls = h("div", { class: "chart-controls" }, createQuantitySwitch(context, show), scaleSwitch);
  return chartPanel("Loss", { readout, controls, legend: h("div", {}, lossLegend, scoreLegend), canvas: canvas.element, historyTable: createHistoryTable(context, "loss") });
}

/** Whether the mean loss and the one held out span a factor that a linear axis does not show. */
function spansDecades({ means, validation, steps }: History): boolean {
  const losses = [means.at(0), means.at(steps - 1), ...validation.slice(-1).map(({ loss }) => loss)].filter((loss) => loss > 0);
  return losses.length > 1 && Math.max(...losses) / Math.min(...losses) > LOG_FACTOR;
}

function createRadios(name: string, label: string, options: readonly [string, () => void][], checked: () => number): { element: HTMLElement; update: () => void } {
  const inputs = options.map(([text, choose]) => {
    const input = h("input", { type: "radio", name, value: text });
    input.addEventListener("change", choose);
    return input;
  });
  const update = (): void => inputs.forEach((input, n) => (input.checked = n === checked()));
  update();
  return { element: h("fieldset", { class: "segments small" }, h("legend", { class: "sr-only" }, label), ...inputs.map((input) => h("label", {}, input, h("span", {}, input.value)))), update };
}

function createScaleSwitch({ store }: Context, isLog: () => boolean): HTMLElement {
  const { element, update } = createRadios("loss-scale", "Scale of the loss", [["linear", () => store.set({ logLoss: false })], ["log", () => store.set({ logLoss: true })]], () => Number(isLog()));
  store.on(["training", "logLoss"], update);
  return element;
}

function createQuantitySwitch({ store }: Context, show: (score: boolean) => void): HTMLElement {
  let score = 0;
  const choose = (n: number) => () => show(Boolean((score = n)));
  const { element } = createRadios("quantity", "Quantity", [["loss", choose(0)], ["accuracy", choose(1)]], () => score);
  store.on(["setup"], () => (element.querySelector("label:last-child span")!.textContent = store.get("setup")?.data.task === "numbers" ? "R²" : "accuracy"));
  return element;
}

function draw(drawing: DrawContext, history: History, log: boolean, pointerX: number | null): void {
  const area = plotArea(drawing);
  const x = createStepScale(history.steps, area);
  const columns = computeColumns(history.steps, x, area);
  const y = createLossScale(history, columns, area, log);
  drawLeftAxis(drawing, area, y, { log, grid: true });
  drawBottomAxis(drawing, area, x, "step");
  if (history.steps || history.validation.length) withClip(drawing.context, area, () => drawCurves(drawing, history, columns, x, y));
  drawFlags(drawing, history, area, x);
  if (pointerX !== null) drawCrosshair(drawing, area, pointerX);
}

function drawScores(drawing: DrawContext, history: History, task: Task, pointerX: number | null): void {
  const { context, palette } = drawing;
  const area = plotArea(drawing);
  const x = createStepScale(history.steps, area);
  const entries = thinOut(history.validation, area.right - area.left);
  const lowest = min(entries.flatMap(({ score, trainScore }) => [score, trainScore]).filter(Number.isFinite)) ?? 0;
  const y = scaleLinear([Math.max(-1, Math.min(task === "classes" ? 0.4 : 0, lowest)), 1], [area.bottom, area.top]);
  drawLeftAxis(drawing, area, y, { grid: true });
  drawBottomAxis(drawing, area, x, "step");
  withClip(context, area, () => {
    context.lineWidth = 2.25;
    for (const [color, dash, value] of [[palette.loss, [], "trainScore"], [palette.validation, [6, 4], "score"]] as const) {
      context.strokeStyle = color;
      context.setLineDash(dash);
      drawLine(context, entries.map((entry) => [x(entry.step), y(entry[value])]), color);
    }
  });
  drawFlags(drawing, history, area, x);
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
  drawLine(context, columns.map((column) => [column.x, toY(meanLoss(history, column))]), palette.loss);
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

/** The mean as it was at the column's last step; of all its batches where these are more. */
const meanLoss = (history: History, { from, to }: Column): number => (to - from > 1 ? history.means.mean(from, to) : history.means.at(to - 1));

/** A scale for the mean and the validation loss; the loss of single batches may exceed it. */
function createLossScale(history: History, columns: readonly Column[], area: PlotArea, log: boolean): Scale {
  const means = columns.map((column) => meanLoss(history, column)).filter(Number.isFinite);
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

function describeStep(history: History, width: number, pointerX: number, task: Task | null): string {
  const step = Math.round(createStepScale(history.steps, plotArea({ width, height: 200 })).invert(pointerX));
  if (step < 0 || step > history.steps) return "";
  const entry = least(history.validation, (one) => Math.abs(one.step - step));
  if (task) return entry ? `step ${formatCount(entry.step)}: ${formatScore(task, entry.trainScore)}, held out ${formatScore(task, entry.score)}` : "";
  // Step 0 has no batch.
  const losses = [step ? formatNumber(history.losses.at(step - 1), 3) : "", entry ? `held out ${formatNumber(entry.loss, 3)}` : ""];
  return `step ${formatCount(step)}: ${losses.filter(Boolean).join(", ")}`;
}

function describeChart({ history }: Context): string {
  if (history.steps === 0) return "Loss by step: no step yet.";
  const { steps, means, losses, validation } = history;
  return `Loss by step, ${formatCount(steps)} steps: the first batch ${formatNumber(losses.at(0))}, the last batch ${formatNumber(losses.at(steps - 1))}, the mean of the last ${history.window} ${formatNumber(means.at(steps - 1))}, held out ${formatLoss(validation.at(-1)?.loss)}.`;
}
