/** The decision plot: the network's predictions over two features, and the points. */

import { scaleLinear } from "d3-scale";
import { h } from "../dom";
import { decode } from "../batch-data";
import { formatCount, formatShort, pluralize } from "../format";
import { describeScore } from "./format";
import { type PlotArea, drawBottomAxis, drawLeftAxis, leftAxisWidth, type Scale } from "./axes";
import { type Canvas, createCanvas, createAnnouncer, type DrawContext } from "./canvas";
import { createLegend } from "./legend";
import { drawPoints, drawRings, ringedPoints, isFullBatch } from "./scatter";
import type { Data, TrainingState } from "./protocol";
import type { Context } from "./state";
import { predictionAt, renderSurface } from "./decision-surface";

const MARGIN = { left: 54, top: 6, right: 6, bottom: 46 };

interface Geometry {
  area: PlotArea;
  x: Scale;
  y: Scale;
}

export function createDecisionPlot(context: Context): HTMLElement {
  const { store } = context;
  const title = h("h2", { class: "plot-title" });
  const description = h("p", { class: "plot-description" });
  const readout = h("p", { class: "pointer-readout", "aria-hidden": "true" });
  const legend = h("div", { class: "plot-legend" });
  const painter = createPainter(context);
  const canvas = createCanvas("decision", painter.draw);
  const announce = createAnnouncer(canvas.canvas, () => describePlot(context));

  function updateText(): void {
    const data = store.get("setup")?.data;
    if (!data) return;
    title.textContent = data.title;
    description.textContent = describeData(data);
    legend.replaceChildren(createLegend(data, store.get("theme")));
  }

  store.on(["setup", "theme"], updateText);
  store.on(["setup", "theme", "training"], () => {
    canvas.redraw();
    const [setup, ringEntry] = [store.get("setup"), legend.querySelector<HTMLElement>(".ring-entry")];
    if (setup && ringEntry) ringEntry.hidden = isFullBatch(store.get("training"), setup.data);
    announce(!store.get("training")?.running);
  });
  trackPointer(context, canvas, painter, readout);
  return h("section", { class: "panel decision-plot", "aria-label": "Decision plot" }, h("div", { class: "panel-head" }, title, readout), description, canvas.element, legend);
}

/** The numbers of points, and what the plot leaves out. */
function describeData(data: Data): string {
  const [nPoints, nDrawn] = [data.n_train + data.n_validation, decode(data.points).columns];
  const sentences = [`${pluralize(data.n_train, "training point")}, ${pluralize(data.n_validation, "validation point")}`];
  if (nDrawn < nPoints) sentences.push(`${formatCount(nDrawn)} of ${pluralize(nPoints, "point")} drawn`);
  if (data.features.length > 2) sentences.push("other features at their means");
  return sentences.join("; ");
}

function createGeometry(data: Data, { context, palette, width, height }: DrawContext): Geometry {
  const [top, right, bottom] = [MARGIN.top, width - MARGIN.right, height - MARGIN.bottom];
  const y = scaleLinear(data.y.range, [bottom, top]);
  const left = data.y.name === null ? 20 : Math.max(MARGIN.left, leftAxisWidth(context, palette, y));
  return { area: { left, top, right, bottom }, x: scaleLinear(data.x.range, [left, right]), y };
}

interface Painter {
  draw: (drawing: DrawContext) => void;
  /** Where the plot was last drawn. */
  area: () => PlotArea | null;
}

/** Points are many and seldom change: they are drawn once, and copied over each new surface. */
function createPainter({ store }: Context): Painter {
  let lastArea: PlotArea | null = null;
  let cachedPoints: { canvas: HTMLCanvasElement; key: readonly unknown[] } | null = null;

  function renderPoints(drawing: DrawContext, data: Data, geometry: Geometry): HTMLCanvasElement {
    const key = [data, drawing.width, drawing.height, drawing.density, store.get("theme")];
    if (cachedPoints && cachedPoints.key.every((part, n) => part === key[n])) return cachedPoints.canvas;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [drawing.context.canvas.width, drawing.context.canvas.height];
    const context = canvas.getContext("2d")!;
    context.scale(drawing.density, drawing.density);
    drawPoints(context, data, geometry, store.get("theme"), drawing.palette);
    cachedPoints = { canvas, key };
    return canvas;
  }

  function draw(drawing: DrawContext): void {
    const data = store.get("setup")?.data;
    if (!data) return;
    const geometry = createGeometry(data, drawing);
    lastArea = geometry.area;
    const training = store.get("training");
    if (training) copySurface(drawing, geometry.area, renderSurface(training.surface, data, store.get("theme"), drawing.palette.panel));
    drawAxes(drawing, geometry, data);
    drawing.context.drawImage(renderPoints(drawing, data, geometry), 0, 0, drawing.width, drawing.height);
    drawRings(drawing.context, data, ringedPoints(training, data), geometry, drawing.palette);
  }

  return { draw, area: () => lastArea };
}

/** The outermost grid points lie on the plot's edges, so half of each of their pixels is cut off. */
function copySurface({ context }: DrawContext, area: PlotArea, image: HTMLCanvasElement): void {
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  const size = image.width - 1;
  context.drawImage(image, 0.5, 0.5, size, size, area.left, area.top, area.right - area.left, area.bottom - area.top);
}

function drawAxes(drawing: DrawContext, { area, x, y }: Geometry, data: Data): void {
  drawing.context.strokeStyle = drawing.palette.line;
  drawing.context.lineWidth = 1;
  drawing.context.strokeRect(area.left + 0.5, area.top + 0.5, area.right - area.left - 1, area.bottom - area.top - 1);
  drawBottomAxis(drawing, area, x, data.x.name);
  if (data.y.name !== null) drawLeftAxis(drawing, area, y, { name: data.y.name });
}

/** Show the prediction at the pointer; for the mouse only, as screen readers get a description of the canvas. */
function trackPointer({ store }: Context, canvas: Canvas, painter: Painter, readout: HTMLElement): void {
  let pointer: [number, number] | null = null;
  function update(): void {
    const [data, training, area] = [store.get("setup")?.data, store.get("training"), painter.area()];
    readout.textContent = pointer && data && training && area ? describePointer(data, training, area, pointer) : "";
  }
  canvas.canvas.addEventListener("pointermove", (event) => {
    pointer = [event.offsetX, event.offsetY];
    update();
  });
  canvas.canvas.addEventListener("pointerleave", () => {
    pointer = null;
    update();
  });
  store.on(["training", "setup"], update);
}

function describePointer(data: Data, training: TrainingState, area: PlotArea, [left, top]: [number, number]): string {
  const xFraction = (left - area.left) / (area.right - area.left);
  const yFraction = (area.bottom - top) / (area.bottom - area.top);
  if (xFraction < 0 || xFraction > 1 || yFraction < 0 || yFraction > 1) return "";
  const prediction = predictionAt(training.surface, data, xFraction, yFraction);
  if ("value" in prediction) return `prediction ${formatShort(prediction.value)}`;
  return `prediction ${data.outputs[prediction.label] ?? ""}, probability ${Math.round(100 * prediction.confidence)}%`;
}

function describePlot({ store }: Context): string {
  const [setup, training] = [store.get("setup"), store.get("training")];
  if (!setup) return "Decision plot";
  const { data } = setup;
  const axes = data.y.name === null ? data.x.name : `${data.x.name} and ${data.y.name}`;
  const targets = data.task === "classes" ? `in ${pluralize(data.outputs.length, "class", "classes")}` : "coloured by their value";
  const summary = `The network's predictions over ${axes}: ${pluralize(data.n_train, "training point")} and ${pluralize(data.n_validation, "validation point")}, ${targets}.`;
  if (!training) return summary;
  return `${summary} After step ${formatCount(training.step)}: ${describeScore(data.task, training.current.score)} on the validation points.${describeBatch(training, data)}`;
}

function describeBatch(training: TrainingState, data: Data): string {
  if (!training.last_batch || training.last_batch_size === null) return "";
  if (isFullBatch(training, data)) return " The last batch has all training points; none is ringed.";
  const nRinged = ringedPoints(training, data).length;
  const subject = nRinged < training.last_batch_size ? `${formatCount(nRinged)} of the ${pluralize(training.last_batch_size, "point")}` : pluralize(nRinged, "point");
  return ` ${subject} of the last batch ${nRinged === 1 ? "is" : "are"} ringed.`;
}
