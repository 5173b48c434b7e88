/** The gradient noise scale and the batch size by step, and what they say together. */

import { scaleLog } from "d3-scale";
import { h, setText } from "../dom";
import { type PlotArea, drawBottomAxis, drawLeftAxis, leftAxisWidth, type Scale } from "./axes";
import { batchSizeHint } from "./batch-size-hint";
import { createCanvas, createAnnouncer, type DrawContext } from "./canvas";
import { CHART_INTERVAL, chartPanel, createLegendEntry, drawFlags, plotArea, createStepScale } from "./chart";
import { withClip, type Column, computeColumns, drawDot, drawPolyline, drawRange } from "./line-renderer";
import { formatCount } from "../format";
import { formatNoiseScale } from "./format";
import { createHistoryTable } from "./history-table";
import type { Context } from "./state";
import type { History } from "./history";

export function createNoiseChart(context: Context): HTMLElement {
  const { store, history } = context;
  const canvas = createCanvas("noise", (drawing) => draw(drawing, history, store.get("setup")?.data.nTrain ?? 100), CHART_INTERVAL);
  const announce = createAnnouncer(canvas.canvas, () => describeChart(context));
  const hint = h("p", { class: "batch-size-hint" });
  const infiniteEntry = createLegendEntry("infinite", "infinite");

  store.on(["training", "setup", "theme"], () => {
    const [setup, training] = [store.get("setup"), store.get("training")];
    if (setup && training) setText(hint, batchSizeHint(training.batchSize, history.noiseScales.at(training.step - 1), setup.data.nTrain, training.step, isAboveStart(history)));
    infiniteEntry.hidden = !history.hasInfinite;
    canvas.redraw();
    announce(!training?.running);
  });
  const legend = h("ul", { class: "legend" }, createLegendEntry("noise", "noise scale (examples)"), createLegendEntry("batchSize", "batch size"), infiniteEntry);
  return chartPanel("Gradient noise scale", { legend, canvas: canvas.element, footer: hint, historyTable: createHistoryTable(context, "noise") });
}

/** Whether the loss on the rows held out is above where it began. */
const isAboveStart = ({ validation }: History): boolean => validation.length > 1 && validation.at(-1)!.loss > 1.05 * validation[0]!.loss;

function draw(drawing: DrawContext, history: History, nTrain: number): void {
  const area = plotArea(drawing);
  const y = createExamplesScale(history, nTrain, area);
  area.left = Math.max(area.left, leftAxisWidth(drawing, y, { log: true }));
  const x = createStepScale(history.steps, area);
  const columns = computeColumns(history.steps, x, area);
  drawLeftAxis(drawing, area, y, { log: true, grid: true });
  drawBottomAxis(drawing, area, x, "step");
  if (history.steps) withClip(drawing.context, area, () => drawCurves(drawing, history, columns, y));
  drawFlags(drawing, history, area, x);
}

/** A scale for both curves; a noise scale above 100 data sets is drawn as infinite. */
function createExamplesScale(history: History, nTrain: number, area: PlotArea): Scale {
  const noiseScales = history.noiseScales.range(0, history.steps) ?? [1, nTrain];
  const batchSizes = history.batchSizes.range(0, history.steps) ?? [1, nTrain];
  const low = Math.max(1e-3, Math.min(noiseScales[0] > 0 ? noiseScales[0] : 1, batchSizes[0]));
  const high = Math.min(100 * nTrain, Math.max(noiseScales[1], batchSizes[1], 10 * low));
  return scaleLog([low / 1.3, Math.max(high, 2 * low) * 1.3], [area.bottom, area.top]);
}

function drawCurves({ context, palette }: DrawContext, history: History, columns: Column[], y: Scale): void {
  const [floor, ceiling] = y.domain() as [number, number];
  const toY = (value: number): number => (value > ceiling ? NaN : y(Math.max(floor, value)));
  const noiseScales = columns.map(({ to, x }): [number, number] => [x, history.noiseScales.at(to - 1)]);
  context.strokeStyle = palette.text;
  context.lineWidth = 1.5;
  context.setLineDash([2, 3]);
  drawRange(context, history.batchSizes, columns, toY);
  context.setLineDash([]);
  context.strokeStyle = palette.noise;
  context.fillStyle = palette.noise;
  context.lineWidth = 2.25;
  // The line breaks where the noise scale is unknown, after a batch of one, or infinite.
  drawPolyline(context, noiseScales.map(([x, value]) => [x, toY(value)]));
  markInfinite(context, noiseScales.filter(([, value]) => value > ceiling).map(([x]) => x), columns, y(ceiling));
  const [first, ...rest] = noiseScales;
  if (!first || rest.length) return;
  drawDot(context, first[0], toY(history.batchSizes.at(0)), palette.text);
  drawDot(context, first[0], toY(first[1]), palette.noise);
}

/** A strip along the top where the noise scale is too large to draw, for example where gradients cancel. */
function markInfinite(context: CanvasRenderingContext2D, xs: readonly number[], columns: readonly Column[], top: number): void {
  const stripWidth = columns.length > 1 ? columns[1]!.x - columns[0]!.x : 4;
  context.globalAlpha = 0.45;
  context.beginPath();
  // One path for all: separate rectangles would overlap and look darker.
  for (const x of xs) context.rect(x - stripWidth / 2, top, stripWidth + 0.5, 5);
  context.fill();
  context.globalAlpha = 1;
}

function describeChart({ store, history }: Context): string {
  const training = store.get("training");
  if (!training || history.steps === 0) return "Gradient noise scale by step: no step yet.";
  return `Gradient noise scale by step, ${formatCount(history.steps)} steps: now ${formatNoiseScale(history.noiseScales.at(history.steps - 1))} examples, batch size ${formatCount(training.batchSize)}.`;
}
