/** The decision plot: the network's predictions over two features, and the points; or one of its units. */

import { scaleLinear } from "d3-scale";
import { h } from "../dom";
import { formatCount, formatShort, pluralize } from "../format";
import { describeScore } from "./format";
import { type PlotArea, drawBottomAxis, drawLeftAxis, leftAxisWidth, type Scale } from "./axes";
import { type Canvas, createCanvas, createAnnouncer, type DrawContext } from "./canvas";
import { createLegend } from "./legend";
import { drawPoints, drawRings, ringedPoints, isFullBatch } from "./scatter";
import type { Data, Surface, TrainingState } from "./protocol";
import { type Context, shownUnit } from "./state";
import { findBorder, interpolate, predictionAt, SurfaceRenderer } from "./decision-surface";

const MARGIN = { left: 40, top: 4, right: 4, bottom: 44 };

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
    const unit = shownUnit(store);
    title.textContent = unit ? `Unit ${unit[1] + 1} of hidden layer ${unit[0] + 1}` : data.title;
    description.textContent = describeData(data);
    legend.replaceChildren(createLegend(data, store.get("theme")));
  }

  store.on(["setup", "theme", "pointedUnit", "chosenUnit"], updateText);
  store.on(["setup", "theme", "training", "discretize", "showHeldOut", "example", "edges"], () => {
    canvas.redraw();
    const [setup, ringEntry] = [store.get("setup"), legend.querySelector<HTMLElement>(".ring-entry")];
    if (setup && ringEntry) ringEntry.hidden = isFullBatch(store.get("training"), setup.data);
    announce(!store.get("training")?.running);
  });
  trackPointer(context, canvas, painter, readout);
  const switches = h("div", { class: "switches" }, createSwitch(context, "discretize", "Discretise"), createSwitch(context, "showHeldOut", "Held-out points"));
  return h("section", { class: "panel decision-plot", "aria-label": "Decision plot" }, h("div", { class: "panel-head" }, title, readout), description, canvas.element, h("div", { class: "plot-footer" }, legend, switches));
}

function createSwitch({ store }: Context, key: "discretize" | "showHeldOut", name: string): HTMLElement {
  const box = h("input", { type: "checkbox", name: key, checked: store.get(key) });
  box.addEventListener("change", () => store.set({ [key]: box.checked }));
  return h("label", { class: "switch" }, box, h("span", {}, name));
}

/** The numbers of points, and what the plot leaves out. */
function describeData(data: Data): string {
  const [nPoints, nDrawn] = [data.nTrain + data.nValidation, data.values.length];
  const sentences = [`${pluralize(data.nTrain, "training point")}, ${pluralize(data.nValidation, "held-out point")}`];
  if (nDrawn < nPoints) sentences.push(`${formatCount(nDrawn)} of ${pluralize(nPoints, "point")} drawn`);
  if (data.features.length > 2 && data.x.name !== "x₁") sentences.push("other features at their means");
  sentences.push(...data.notes);
  return sentences.join("; ");
}

function createGeometry(data: Data, drawing: DrawContext): Geometry {
  const { width, height } = drawing;
  const [top, right, bottom] = [MARGIN.top, width - MARGIN.right, height - MARGIN.bottom];
  const y = scaleLinear(data.y.range, [bottom, top]);
  const left = data.y.name === null ? 12 : Math.max(MARGIN.left, leftAxisWidth(drawing, y, { named: true }));
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
  const renderer = new SurfaceRenderer();

  function renderPoints(drawing: DrawContext, data: Data, geometry: Geometry): HTMLCanvasElement {
    const key = [data, drawing.width, drawing.height, drawing.density, store.get("theme"), store.get("showHeldOut")];
    if (cachedPoints && cachedPoints.key.every((part, n) => part === key[n])) return cachedPoints.canvas;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [drawing.context.canvas.width, drawing.context.canvas.height];
    const context = canvas.getContext("2d")!;
    context.scale(drawing.density, drawing.density);
    drawPoints(context, data, geometry, store.get("theme"), drawing.palette, store.get("showHeldOut"));
    cachedPoints = { canvas, key };
    return canvas;
  }

  function draw(drawing: DrawContext): void {
    const data = store.get("setup")?.data;
    if (!data) return;
    const geometry = createGeometry(data, drawing);
    lastArea = geometry.area;
    const training = store.get("training");
    if (training) drawSurface(drawing, geometry.area, training.surface, data);
    drawAxes(drawing, geometry, data);
    drawing.context.drawImage(renderPoints(drawing, data, geometry), 0, 0, drawing.width, drawing.height);
    const example = store.get("edges") === "example" ? training?.lastBatch?.[store.get("example")] : undefined;
    const ringed = example === undefined ? ringedPoints(training, data) : example >= 0 ? [example] : [];
    drawRings(drawing.context, data, ringed, geometry, drawing.palette);
  }

  function drawSurface({ context, palette }: DrawContext, area: PlotArea, surface: Surface, data: Data): void {
    const [width, height] = [Math.round(area.right - area.left), Math.round(area.bottom - area.top)];
    if (width < 2 || height < 2) return;
    context.drawImage(renderer.render(surface, data, store.get("theme"), palette.panel, width, height, store.get("discretize")), area.left, area.top, width, height);
    if (data.task === "classes") drawBorders(context, area, surface, data.outputs.length, palette.text);
  }

  return { draw, area: () => lastArea };
}

/** A crisp line where two classes are equally likely. */
function drawBorders(context: CanvasRenderingContext2D, area: PlotArea, surface: Surface, K: number, color: string): void {
  const [width, height] = [area.right - area.left, area.bottom - area.top];
  context.beginPath();
  // Between two classes there is one border.
  for (let label = K === 2 ? 1 : 0; label < K; label++) {
    for (const [from, to] of findBorder(surface, K, label)) {
      context.moveTo(area.left + width * from[0], area.bottom - height * from[1]);
      context.lineTo(area.left + width * to[0], area.bottom - height * to[1]);
    }
  }
  context.strokeStyle = color;
  context.globalAlpha = 0.75;
  context.lineWidth = 1.5;
  context.stroke();
  context.globalAlpha = 1;
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
  const { surface } = training;
  if (surface.shown) return `H = ${formatShort(interpolate(surface.shown, surface.side, xFraction, yFraction))}`;
  const prediction = predictionAt(surface, data, xFraction, yFraction);
  if ("value" in prediction) return `prediction ${formatShort(prediction.value)}`;
  return `prediction ${data.outputs[prediction.label] ?? ""}, probability ${Math.round(100 * prediction.confidence)}%`;
}

function describePlot({ store, history }: Context): string {
  const [setup, training] = [store.get("setup"), store.get("training")];
  if (!setup) return "Decision plot";
  const { data } = setup;
  const axes = data.y.name === null ? data.x.name : `${data.x.name} and ${data.y.name}`;
  const targets = data.task === "classes" ? `in ${pluralize(data.outputs.length, "class", "classes")}` : "coloured by their value";
  const summary = `The network's predictions over ${axes}: ${pluralize(data.nTrain, "training point")} and ${pluralize(data.nValidation, "held-out point")}, ${targets}.`;
  if (!training) return summary;
  return `${summary} After step ${formatCount(training.step)}: ${describeScore(data.task, history.validation.at(-1)?.score ?? NaN)} on the points held out.${describeBatch(training, data)}`;
}

function describeBatch(training: TrainingState, data: Data): string {
  if (!training.lastBatch || training.lastBatchSize === null) return "";
  if (isFullBatch(training, data)) return " The last batch has all training points; none is ringed.";
  const nRinged = ringedPoints(training, data).length;
  const subject = nRinged < training.lastBatchSize ? `${formatCount(nRinged)} of the ${pluralize(training.lastBatchSize, "point")}` : pluralize(nRinged, "point");
  return ` ${subject} of the last batch ${nRinged === 1 ? "is" : "are"} ringed.`;
}
