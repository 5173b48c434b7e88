/** The network: each unit a picture of its H over the plane, each edge a weight, or its gradient. */

import { createColorScale, type ColorScale, type Theme } from "../color-scale";
import { button, h, setText } from "../dom";
import { formatNumber, pluralize, shortenNames } from "../format";
import { createAnnouncer, createCanvas, type DrawContext } from "./canvas";
import { createMicroscopeButton } from "./microscope-dialog";
import { classRamps } from "./decision-surface";
import { type LayerLayout, layoutNetwork, type NetworkLayout, type Place } from "./network-layout";
import type { Setup, TrainingState } from "./protocol";
import { createSettingSender } from "./setting-sender";
import { MAX_HIDDEN_LAYERS, MAX_UNITS } from "./settings";
import type { Context, EdgeMode, Unit } from "./state";
import { largestOf, toIndices } from "./unit-pixels";
import { FEATURES } from "./toy-datasets";
import { layerShapes, nParameters } from "../engine/network";

const MARGIN = { top: 6, bottom: 8 };
/** Room beside inputs and outputs for their names. */
const [MIN_NAME, MAX_NAME] = [30, 110];
const NAME_FONT_SIZE = 12;
/** For so many inputs the picture grows in height, by the pixels that a name takes. */
const [MIN_TALL, MAX_TALL, NAME_PITCH] = [16, 40, 15];
/** Edges that are drawn, the strongest: at most so many between two layers, and in all. */
const [MAX_EDGES, MAX_ALL_EDGES] = [500, 700];
/** Edges are drawn in so many strokes of one width. */
const N_WIDTHS = 10;
const MAX_WIDTH = 6;
/** The buttons above a layer, in pixels. */
const [ITEM_WIDTH, ITEM_HEIGHT] = [100, 32];
/** Pixels around the pointer in which an edge is found. */
const REACH = 7;

/** Weight from unit k of layer l to unit j of layer l + 1, all from 0. */
export interface Edge {
  l: number;
  j: number;
  k: number;
}

type Target = { kind: "unit"; l: number; j: number } | ({ kind: "edge" } & Edge);

interface Picture {
  setup: Setup;
  training: TrainingState;
  layout: NetworkLayout;
  edges: Edge[];
}

export function createNetworkPicture(context: Context): HTMLElement {
  const { store, client } = context;
  let picture: Picture | null = null;
  let pointed: Target | null = null;
  /** Where the keyboard is. */
  let focused: Target | null = null;
  let drag: { edge: Edge; y: number; value: number } | null = null;
  const atlas = new Atlas();

  const readout = h("p", { class: "pointer-readout network-readout", "aria-hidden": "true" });
  const live = h("p", { class: "sr-only", "aria-live": "polite" });
  const note = h("p", { class: "network-note" });
  const canvas = createCanvas("network", draw);
  const wrapper = canvas.element;
  canvas.canvas.setAttribute("role", "application");
  canvas.canvas.setAttribute("aria-roledescription", "network diagram");
  canvas.canvas.setAttribute("aria-describedby", "network-help");
  canvas.canvas.tabIndex = 0;
  const announce = createAnnouncer(canvas.canvas, () => describeNetwork(store.get("setup")));
  const layerBar = createLayerBar(context, () => picture?.layout ?? null);

  function draw(drawing: DrawContext): void {
    const [setup, training] = [store.get("setup"), store.get("training")];
    if (!setup || !training) return;
    const [left, right] = [roomFor(drawing, setup.data.features), roomFor(drawing, setup.data.outputs)];
    const layout = layoutNetwork(setup.data.sizes, drawing.width - left - right, drawing.height - MARGIN.top - MARGIN.bottom);
    for (const layer of layout.layers) {
      layer.x += left;
      for (const place of layer.units) [place.x, place.y] = [place.x + left, place.y + MARGIN.top];
    }
    const values = edgeValues(training, store.get("edges"));
    picture = { setup, training, layout, edges: values ? strongest(setup, layout, values) : [] };
    const signed = createColorScale([], "signed", store.get("theme"));
    if (values) drawEdges(drawing, picture, values, signed, pointed ?? focused, store.get("edges") === "weights");
    drawUnits(drawing, picture, atlas, signed, store.get("theme"), store.get("chosenUnit"), pointed ?? focused);
    drawNames(drawing, picture, left, right);
    layerBar.place(layout);
    updateText();
  }

  function updateText(): void {
    const target = pointed ?? focused;
    setText(readout, picture && target ? describeTarget(picture, target) : "");
    setText(note, picture ? describePicture(picture, store.get("edges")) : "");
  }

  function point(target: Target | null): void {
    if (same(target, pointed)) return;
    pointed = target;
    store.set({ pointedUnit: hiddenUnit(target) });
    // Of an input the name beside it may be cut.
    canvas.canvas.title = picture && target?.kind === "unit" && target.l === 0 ? (picture.setup.data.features[target.j] ?? "") : "";
    canvas.canvas.style.cursor = target === null ? "" : target.kind === "unit" ? "pointer" : "ns-resize";
    canvas.redraw();
  }

  const hiddenUnit = (target: Target | null): Unit | null => (target?.kind === "unit" && picture && target.l > 0 && target.l < picture.layout.layers.length - 1 ? [target.l - 1, target.j] : null);

  function setWeight(edge: Edge, value: number): void {
    void client.weight({ ...edge, value });
  }

  canvas.canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      // 100 pixels are a weight of 2, so that a hand can reach all that is usual.
      const value = drag.value - (event.offsetY - drag.y) / 50;
      setWeight(drag.edge, value);
    } else if (picture) point(find(picture, { x: event.offsetX, y: event.offsetY }));
  });
  canvas.canvas.addEventListener("pointerleave", () => {
    if (!drag) point(null);
  });
  canvas.canvas.addEventListener("pointerdown", (event) => {
    if (!picture) return;
    const target = find(picture, { x: event.offsetX, y: event.offsetY });
    point(target);
    if (target?.kind === "unit") {
      const unit = hiddenUnit(target);
      const chosen = store.get("chosenUnit");
      store.set({ chosenUnit: unit && chosen && unit[0] === chosen[0] && unit[1] === chosen[1] ? null : unit });
    } else if (target && store.get("edges") === "weights") {
      canvas.canvas.setPointerCapture(event.pointerId);
      drag = { edge: { l: target.l, j: target.j, k: target.k }, y: event.offsetY, value: weightAt(picture, target) };
      event.preventDefault();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.canvas.addEventListener(name, () => (drag = null));

  canvas.canvas.addEventListener("focus", () => focus(focused ?? { kind: "unit", l: 0, j: 0 }));
  canvas.canvas.addEventListener("blur", () => {
    store.set({ pointedUnit: null });
    canvas.redraw();
  });

  function focus(target: Target): void {
    if (!picture) return;
    focused = target;
    store.set({ pointedUnit: hiddenUnit(target) });
    live.textContent = describeTarget(picture, target);
    canvas.redraw();
  }

  canvas.canvas.addEventListener("keydown", (event) => {
    if (!picture || !focused || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = moveFocus(picture, focused, event.key);
    if (target) focus(target);
    else if (event.key === "Enter" && focused.kind === "unit") store.set({ chosenUnit: hiddenUnit(focused) });
    else if ((event.key === "+" || event.key === "=" || event.key === "-") && focused.kind === "edge") {
      const value = weightAt(picture, focused) + (event.key === "-" ? -0.1 : 0.1);
      setWeight(focused, value);
      live.textContent = `w = ${formatNumber(value, 3)}`;
    } else if (event.key === "Escape" && store.get("chosenUnit")) store.set({ chosenUnit: null });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  store.on(["setup"], () => {
    focused = null;
    pointed = null;
    // Inputs in one column have their names beside them.
    const nInputs = store.get("setup")?.data.features.length ?? 0;
    wrapper.style.minHeight = nInputs > MIN_TALL && nInputs <= MAX_TALL ? `${nInputs * NAME_PITCH + MARGIN.top + MARGIN.bottom}px` : "";
    announce(true);
  });
  store.on(["setup", "training", "theme", "edges", "chosenUnit"], canvas.redraw);
  const help = h("p", { class: "sr-only", id: "network-help" }, "Arrow keys move between units and layers. E goes through the weights into a unit, U back to it; plus and minus change a weight. Enter shows a unit on the plane, Escape the prediction.");
  return h(
    "section",
    { class: "panel network", "aria-label": "Network" },
    h("div", { class: "panel-head" }, h("h2", {}, "The network"), createEdgeSwitch(context)),
    createExamplePicker(context),
    layerBar.element,
    wrapper,
    h("div", { class: "network-footer" }, readout, note, createMicroscopeButton(context)),
    live,
    help,
  );
}

function createEdgeSwitch({ store }: Context): HTMLElement {
  const options: readonly [EdgeMode, string][] = [["weights", "weights"], ["batch", "this batch’s gradient"], ["example", "one example’s gradient"]];
  const inputs = options.map(([value, text]) => {
    const input = h("input", { type: "radio", name: "edges", value, checked: store.get("edges") === value });
    input.addEventListener("change", () => store.set({ edges: value }));
    return h("label", {}, input, h("span", {}, text));
  });
  return h("fieldset", { class: "segments small edge-switch" }, h("legend", { class: "sr-only" }, "Edges show"), ...inputs);
}

/** Which example of the last batch has its gradient shown. */
function createExamplePicker({ store }: Context): HTMLElement {
  const slider = h("input", { type: "range", id: "example", min: 1, max: 1, step: 1 });
  const output = h("output", { for: "example" });
  const element = h("div", { class: "example-picker", hidden: true }, h("label", { for: "example" }, "Example"), slider, output);
  slider.addEventListener("input", () => store.set({ example: Number(slider.value) - 1 }));
  store.on(["training", "edges", "example"], () => {
    const [training, setup] = [store.get("training"), store.get("setup")];
    const count = training?.lastBatchSize ?? 0;
    element.hidden = store.get("edges") !== "example" || count === 0;
    if (element.hidden || !training || !setup) return;
    slider.max = String(count);
    if (store.get("example") >= count) store.set({ example: 0 });
    const [n, place] = [store.get("example"), training.lastBatch?.[store.get("example")] ?? -1];
    slider.value = String(n + 1);
    const label = place < 0 ? "" : setup.data.task === "classes" ? `, ${setup.data.outputs[setup.data.values[place]!] ?? ""}` : `, ${formatNumber(setup.data.values[place]!, 3)}`;
    const text = `${n + 1} of ${count}${label}`;
    setText(output, text);
  });
  return element;
}

/** Above each hidden layer its width, to type and to step, and a button that takes the layer away; one that adds a layer. */
function createLayerBar(context: Context, layoutOf: () => NetworkLayout | null): { element: HTMLElement; place: (layout: NetworkLayout) => void } {
  const { store } = context;
  // The widths that were sent last, until the worker answers: the next change builds on them.
  let pending: readonly number[] | null = null;
  const sender = createSettingSender(context, () => (pending = null));
  const widths = (): readonly number[] => pending ?? store.get("setup")?.settings.hidden ?? [];
  const send = (next: readonly number[]): void => {
    pending = next;
    sender.send({ hidden: [...next] });
  };
  const addButton = button("+ layer", () => send([...widths(), widths().at(-1) ?? 8]), { class: "add-layer", title: "Add a hidden layer" });
  const description = h("p", { class: "field-description layers-description" });
  const bar = h("div", { class: "layer-bar" });
  const element = h("div", { class: "layers" }, h("div", { class: "layers-head" }, description, addButton), sender.error, bar);
  let items: { item: HTMLElement; number: HTMLElement; minus: HTMLButtonElement; plus: HTMLButtonElement }[] = [];

  function makeItem(n: number): (typeof items)[number] {
    const name = `hidden layer ${n + 1}`;
    const change = (by: number) => () => send(widths().map((width, l) => (l === n ? Math.max(1, Math.min(MAX_UNITS, width + by)) : width)));
    const [minus, plus] = [button("−", change(-1), { "aria-label": `One unit less in ${name}`, class: "fewer" }), button("+", change(1), { "aria-label": `One unit more in ${name}`, class: "more-units" })];
    const number = h("span", { class: "layer-width" });
    const remove = button("×", () => {
      send(widths().filter((_, l) => l !== n));
      // The button goes with its layer; the focus stays on the page.
      addButton.focus();
    }, { class: "remove", "aria-label": `Remove ${name}`, title: `Remove ${name}` });
    return { item: h("div", { class: "layer-item", role: "group", "aria-label": name }, minus, number, plus, remove), number, minus, plus };
  }

  function place({ layers }: NetworkLayout): void {
    // Where layers stand close, every second or third one has its buttons a row lower.
    const distance = layers.length > 1 ? (layers.at(-1)!.x - layers[0]!.x) / (layers.length - 1) : ITEM_WIDTH;
    const nRows = Math.max(1, Math.min(items.length, Math.ceil(ITEM_WIDTH / distance)));
    items.forEach(({ item }, n) => {
      const layer = layers[n + 1];
      if (layer) [item.style.left, item.style.top] = [`${layer.x}px`, `${(n % nRows) * ITEM_HEIGHT}px`];
    });
    bar.style.height = `${nRows * ITEM_HEIGHT}px`;
  }

  store.on(["setup"], () => {
    const setup = store.get("setup");
    if (!setup) return;
    if (!sender.busy()) pending = null;
    const hidden = setup.settings.hidden;
    while (items.length > hidden.length) items.pop()!.item.remove();
    while (items.length < hidden.length) {
      items.push(makeItem(items.length));
      bar.append(items.at(-1)!.item);
    }
    hidden.forEach((width, n) => {
      const { number, minus, plus } = items[n]!;
      number.textContent = String(width);
      [minus.disabled, plus.disabled] = [width <= 1, width >= MAX_UNITS];
    });
    addButton.disabled = hidden.length >= MAX_HIDDEN_LAYERS;
    const { sizes } = setup.data;
    description.textContent = `${sizes.join("–")} units, ${pluralize(nParameters(layerShapes(sizes)), "parameter")}`;
    const layout = layoutOf();
    if (layout) place(layout);
  });
  return { element, place };
}

/** The numbers of all edges in the order of θ; null while there is no batch. */
function edgeValues({ theta, gradient, exampleGradient }: TrainingState, mode: EdgeMode): Float32Array | null {
  return mode === "weights" ? theta : mode === "batch" ? gradient : exampleGradient;
}

function weightAt(picture: Picture, { l, j, k }: Edge): number {
  const { W, nIn } = layerShapes(picture.setup.data.sizes)[l]!;
  return picture.training.theta[W + j * nIn + k]!;
}

/** Between each two layers the edges that are drawn. */
function strongest({ data: { sizes } }: Setup, layout: NetworkLayout, values: Float32Array): Edge[] {
  const shapes = layerShapes(sizes);
  const limit = Math.min(MAX_EDGES, Math.ceil(MAX_ALL_EDGES / shapes.length));
  const edges: Edge[] = [];
  shapes.forEach(({ W, nIn }, l) => {
    const [from, to] = [layout.layers[l]!.units.length, layout.layers[l + 1]!.units.length];
    const threshold = from * to <= limit ? 0 : findThreshold(values.subarray(W, W + nIn * to), limit);
    for (let j = 0; j < to; j++) for (let k = 0; k < from; k++) if (Math.abs(values[W + j * nIn + k]!) >= threshold) edges.push({ l, j, k });
  });
  return edges;
}

/** A size that about so many values reach: by counting, as sorting thousands of weights would take half of a frame. */
function findThreshold(values: Float32Array, count: number): number {
  const nBins = 512;
  let largest = 0;
  for (let n = 0; n < values.length; n++) largest = Math.max(largest, Math.abs(values[n]!));
  if (largest === 0) return Infinity;
  const bins = new Uint32Array(nBins + 1);
  for (let n = 0; n < values.length; n++) bins[Math.floor((nBins * Math.abs(values[n]!)) / largest)]!++;
  let [bin, seen] = [nBins, 0];
  while (bin > 0 && seen + bins[bin]! <= count) seen += bins[bin--]!;
  return ((bin + 1) * largest) / nBins;
}

/** An edge leaves and arrives level, as in a diagram drawn by hand. */
function control(from: Place, to: Place): number {
  return (to.x - from.x) / 2;
}

function drawEdges({ context }: DrawContext, { setup, layout, edges }: Picture, values: Float32Array, { colors }: ColorScale, marked: Target | null, isWeights: boolean): void {
  const shapes = layerShapes(setup.data.sizes);
  const valueOf = ({ l, j, k }: Edge): number => values[shapes[l]!.W + j * shapes[l]!.nIn + k]!;
  let largest = isWeights ? 1 : 1e-12;
  for (const edge of edges) largest = Math.max(largest, Math.abs(valueOf(edge)));
  const paths = new Map<number, Path2D>();
  for (const edge of edges) {
    const value = valueOf(edge);
    const width = Math.ceil((N_WIDTHS * Math.abs(value)) / largest);
    const key = value < 0 ? -width : width;
    let path = paths.get(key);
    if (!path) paths.set(key, (path = new Path2D()));
    addCurve(path, layout, edge);
  }
  const [negative, positive] = [colors[1]!, colors.at(-2)!];
  for (const [key, path] of [...paths].sort((a, b) => Math.abs(a[0]) - Math.abs(b[0]))) {
    const strength = Math.abs(key) / N_WIDTHS;
    context.strokeStyle = key < 0 ? negative : positive;
    context.globalAlpha = 0.12 + 0.78 * strength;
    context.lineWidth = 0.6 + (MAX_WIDTH - 0.6) * strength;
    context.stroke(path);
  }
  context.globalAlpha = 1;
  if (marked?.kind !== "edge") return;
  const path = new Path2D();
  addCurve(path, layout, marked);
  const value = valueOf(marked);
  context.strokeStyle = value < 0 ? negative : positive;
  context.lineWidth = 3 + (MAX_WIDTH * Math.abs(value)) / largest;
  context.stroke(path);
}

function addCurve(path: Path2D, { layers, tile }: NetworkLayout, { l, j, k }: Edge): void {
  const [from, to] = [layers[l]!.units[k]!, layers[l + 1]!.units[j]!];
  const [x1, x2] = [from.x + tile / 2, to.x - tile / 2];
  const bend = control(from, to) - tile / 2;
  path.moveTo(x1, from.y);
  path.bezierCurveTo(x1 + bend, from.y, x2 - bend, to.y, x2, to.y);
}

/** The unit at a place, or the nearest edge. */
function find({ layout, edges }: Picture, { x, y }: Place): Target | null {
  const half = layout.tile / 2 + 2;
  for (const [l, { units, width }] of layout.layers.entries()) {
    // An input's name stands to the left of it, unless there are several columns.
    const reach = l === 0 && width <= layout.tile ? Infinity : half;
    const j = units.findIndex((unit) => x <= unit.x + half && x >= unit.x - reach && Math.abs(unit.y - y) <= half);
    if (j >= 0) return { kind: "unit", l, j };
  }
  let [best, distance]: [Edge | null, number] = [null, REACH];
  for (const edge of edges) {
    const [from, to] = [layout.layers[edge.l]!.units[edge.k]!, layout.layers[edge.l + 1]!.units[edge.j]!];
    const [x1, x2] = [from.x + layout.tile / 2, to.x - layout.tile / 2];
    if (x < x1 || x > x2 || x2 <= x1) continue;
    // The curve's height at x: level ends and the bend at its middle make it nearly 3t² − 2t³ in x.
    const t = solveCurve((x - x1) / (x2 - x1));
    const away = Math.abs(from.y + (to.y - from.y) * t * t * (3 - 2 * t) - y);
    if (away < distance) [best, distance] = [edge, away];
  }
  return best && { kind: "edge", ...best };
}

/** The t of a curve whose x is 1.5 t (1 − t) + t³ in parts of its width. */
function solveCurve(x: number): number {
  let [low, high] = [0, 1];
  for (let n = 0; n < 12; n++) {
    const t = (low + high) / 2;
    if (1.5 * t * (1 - t) + t ** 3 < x) low = t;
    else high = t;
  }
  return (low + high) / 2;
}

function drawUnits({ context, palette }: DrawContext, picture: Picture, atlas: Atlas, scale: ColorScale, theme: Theme, chosen: Unit | null, marked: Target | null): void {
  const { layout, setup } = picture;
  // An output has the colour that its class has on the plane.
  const classes = setup.data.task === "classes" ? classRamps(setup.data.outputs.length, theme, palette.panel) : null;
  fillAtlas(atlas, picture, scale, classes);
  const side = picture.training.surface.unitSide;
  const { tile } = layout;
  context.imageSmoothingEnabled = true;
  let at = 0;
  layout.layers.forEach(({ units }, l) => {
    units.forEach(({ x, y }, j) => {
      const [left, top] = [x - tile / 2, y - tile / 2];
      context.drawImage(atlas.canvas, 0, at * side, side, side, left, top, tile, tile);
      at++;
      const isMarked = marked?.kind === "unit" && marked.l === l && marked.j === j;
      const isChosen = chosen?.[0] === l - 1 && chosen[1] === j;
      context.strokeStyle = isMarked || isChosen ? palette.text : palette.mutedText;
      context.lineWidth = isChosen ? 3 : isMarked ? 2 : 1;
      if (tile > 10 || isMarked || isChosen) context.strokeRect(left, top, tile, tile);
    });
  });
}

/** All units' pictures, one below the other: drawn from there, hundreds of units take a millisecond. */
function fillAtlas(atlas: Atlas, { setup, training, layout }: Picture, { ramp: signed }: ColorScale, classes: Uint32Array[] | null): void {
  const { surface } = training;
  const [side, size] = [surface.unitSide, surface.unitSide ** 2];
  const pixels = atlas.resize(side, layout.layers.reduce((sum, { units }) => sum + units.length, 0));
  const last = layout.layers.length - 1;
  const indices = new Uint8Array(size);
  let [at, hidden] = [0, 0];
  layout.layers.forEach(({ units, size: width }, l) => {
    units.forEach((_, j) => {
      if (l === 0) fillInput(indices, setup, j, side);
      else if (l === last) fillOutput(indices, training, setup, j, side);
      else indices.set(surface.units.subarray((hidden + j) * size, (hidden + j + 1) * size));
      const ramp = l === last && classes ? classes[j]! : signed;
      for (let row = 0; row < side; row++) {
        // The grid begins with the lowest row, an image with the highest.
        const to = (at * side + side - 1 - row) * side;
        for (let column = 0; column < side; column++) pixels[to + column] = ramp[indices[row * side + column]!]!;
      }
      at++;
    });
    if (l > 0 && l < last) hidden += width;
  });
  atlas.draw();
}

/** The canvas of all units' pictures, and its pixels; kept from frame to frame. */
class Atlas {
  readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d")!;
  private image: ImageData | null = null;

  resize(side: number, count: number): Uint32Array {
    if (this.canvas.width !== side || this.canvas.height !== side * count || !this.image) {
      [this.canvas.width, this.canvas.height] = [side, side * count];
      this.image = this.context.createImageData(side, side * count);
    }
    return new Uint32Array(this.image.data.buffer);
  }

  draw(): void {
    this.context.putImageData(this.image!, 0, 0);
  }
}

/** An input over the plane, as indices of the ramp; one that the plane does not show is level. */
function fillInput(indices: Uint8Array, { data, settings }: Setup, j: number, side: number): void {
  const feature = FEATURES.find(({ label }) => label === data.features[j]);
  const [[x0, x1], [y0, y1]] = [data.x.range, data.y.range];
  const values = Float32Array.from(indices, (_, n) => {
    const [x, y] = [x0 + ((x1 - x0) * (n % side)) / (side - 1), y0 + ((y1 - y0) * Math.floor(n / side)) / (side - 1)];
    return feature ? feature.value(x, y) : j === settings.axes[0] ? x : j === settings.axes[1] ? y : 0;
  });
  toIndices(values, largestOf(values), indices, 0);
}

/** An output over the plane: a class's probability, or a number about 0. */
function fillOutput(indices: Uint8Array, { surface: { P, side: fine } }: TrainingState, { data }: Setup, k: number, side: number): void {
  const stride = fine / side;
  const values = Float32Array.from(indices, (_, n) => P[k * fine * fine + Math.floor(n / side) * stride * fine + (n % side) * stride]!);
  if (data.task === "classes") values.forEach((p, n) => (indices[n] = Math.round(255 * p)));
  else toIndices(values, largestOf(values), indices, 0);
}

/** The names of inputs and outputs, beside their pictures. */
function drawNames({ context, palette }: DrawContext, { setup, layout }: Picture, left: number, right: number): void {
  if (layout.tile < 10) return;
  context.font = `${NAME_FONT_SIZE}px ${palette.font}`;
  context.textBaseline = "middle";
  context.fillStyle = palette.text;
  const [first, last] = [layout.layers[0]!, layout.layers.at(-1)!];
  const write = (layer: LayerLayout, names: readonly string[], side: "left" | "right"): void => {
    // Beside several columns a name would stand for none of them.
    if (layer.width > 1.6 * layout.tile) return;
    context.textAlign = side === "left" ? "right" : "left";
    const room = (side === "left" ? left : right) - 8;
    const texts = shortenNames(names.slice(0, layer.units.length), (text) => context.measureText(text).width <= room);
    layer.units.forEach(({ x, y }, j) => context.fillText(texts[j] ?? "", side === "left" ? x - layout.tile / 2 - 5 : x + layout.tile / 2 + 5, y));
  };
  write(first, setup.data.features, "left");
  write(last, setup.data.outputs, "right");
}

/** As much room as the longest name takes, within bounds, and less on a narrow screen. */
function roomFor({ context, palette, width }: DrawContext, names: readonly string[]): number {
  context.font = `${NAME_FONT_SIZE}px ${palette.font}`;
  const longest = Math.max(0, ...names.slice(0, 100).map((name) => context.measureText(name.slice(0, 40)).width));
  return Math.max(MIN_NAME, Math.min(MAX_NAME, width / 6, longest + 12));
}

const nameOf = ({ setup: { data }, layout }: Picture, l: number, j: number): string =>
  l === 0 ? `input ${data.features[j] ?? ""}` : l === layout.layers.length - 1 ? `output ${data.outputs[j] ?? ""}` : `unit ${j + 1} of hidden layer ${l}`;

function describeTarget(picture: Picture, target: Target): string {
  const { setup, training } = picture;
  const shapes = layerShapes(setup.data.sizes);
  const numbers = (at: number, w: string): string => [
    `${w} = ${formatNumber(training.theta[at]!, 3)}`,
    ...(training.gradient ? [`d${w} = ${formatNumber(training.gradient[at]!, 3)}`] : []),
    ...(training.exampleGradient ? [`this example’s ${formatNumber(training.exampleGradient[at]!, 3)}`] : []),
  ].join(", ");
  if (target.kind === "unit") {
    const name = nameOf(picture, target.l, target.j);
    return target.l === 0 ? name : `${name}: ${numbers(shapes[target.l - 1]!.b + target.j, "b")}`;
  }
  const { W, nIn } = shapes[target.l]!;
  return `${nameOf(picture, target.l, target.k)} → ${nameOf(picture, target.l + 1, target.j)}: ${numbers(W + target.j * nIn + target.k, "w")}`;
}

function describePicture({ setup, training, edges, layout }: Picture, mode: EdgeMode): string {
  if (mode !== "weights" && !training.gradient) return "There is no gradient yet: press → for one batch.";
  const nEdges = layerShapes(setup.data.sizes).reduce((sum, { nIn, nOut }) => sum + nIn * nOut, 0);
  const inputs = layout.layers[0]!.units.length < layout.layers[0]!.size ? ` The first ${layout.layers[0]!.units.length} of ${pluralize(layout.layers[0]!.size, "input")}.` : "";
  const few = edges.length < nEdges ? ` The ${pluralize(edges.length, "strongest edge")} of ${pluralize(nEdges, "edge")}.` : "";
  const colors = mode === "weights" ? "Blue weights are negative, orange positive. Point at a unit to see it on the plane; drag an edge up or down to change it." : "Blue: this weight’s derivative is negative, so it grows; orange: it shrinks.";
  return `${colors}${few}${inputs}`;
}

function describeNetwork(setup: Setup | null): string {
  return setup ? `Network with ${setup.data.sizes.join("–")} units` : "Network";
}

const same = (a: Target | null, b: Target | null): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Where a key leads from a unit or an edge; null if nowhere. */
function moveFocus({ layout, edges }: Picture, from: Target, key: string): Target | null {
  const count = (l: number): number => layout.layers[l]?.units.length ?? 0;
  if (from.kind === "unit") {
    const { l, j } = from;
    if (key === "ArrowDown") return { kind: "unit", l, j: Math.min(count(l) - 1, j + 1) };
    if (key === "ArrowUp") return { kind: "unit", l, j: Math.max(0, j - 1) };
    if (key === "ArrowLeft" && l > 0) return { kind: "unit", l: l - 1, j: Math.min(j, count(l - 1) - 1) };
    if (key === "ArrowRight" && l < layout.layers.length - 1) return { kind: "unit", l: l + 1, j: Math.min(j, count(l + 1) - 1) };
    const first = edges.find((edge) => edge.l === l - 1 && edge.j === j);
    return key.toLowerCase() === "e" && first ? { kind: "edge", ...first } : null;
  }
  const into = edges.filter((edge) => edge.l === from.l && edge.j === from.j);
  const at = into.findIndex((edge) => edge.k === from.k);
  if (key === "ArrowDown" || key.toLowerCase() === "e") return { kind: "edge", ...into[(at + 1) % into.length]! };
  if (key === "ArrowUp") return { kind: "edge", ...into[(at - 1 + into.length) % into.length]! };
  return key.toLowerCase() === "u" || key === "ArrowRight" ? { kind: "unit", l: from.l + 1, j: from.j } : key === "ArrowLeft" ? { kind: "unit", l: from.l, j: from.k } : null;
}
