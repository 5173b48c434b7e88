/** The network's predictions over the plot, as an image with one pixel per grid point. */

import { createColorScale, type Theme } from "../color-scale";
import { decode, type Matrix } from "../batch-data";
import { parseHex, classColor } from "./palette";
import type { ClassSurface, Data, Range, NumberSurface } from "./protocol";

/** The opacity of a class's colour: at chance level, and where it is certain. */
const MIN_OPACITY = 0.07;
const MAX_OPACITY: Record<Theme, number> = { light: 0.5, dark: 0.48 };

/** The colours of a number target, and the range for the legend. */
export interface NumberColors {
  range: Range;
  colors: string[];
  toRgba: (value: number) => number;
  toCss: (value: number) => string;
}

/** Signed about 0 where values have both signs, else about their middle; fixed for a run, so that colours keep their meaning. */
export function createNumberColors(data: Data, theme: Theme): NumberColors {
  const values = decode(data.values).values;
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) [min, max] = [Math.min(min, value), Math.max(max, value)];
  const middle = min < 0 && max > 0 ? 0 : (min + max) / 2;
  const scale = createColorScale([createSignedRow(min - middle, max - middle)], "signed", theme);
  const halfRange = scale.range[1];
  const toRgba = (value: number): number => scale.ramp[scale.index(Math.max(-halfRange, Math.min(halfRange, value - middle)))] ?? 0;
  const toCss = (value: number): string => {
    const color = toRgba(value);
    return `rgb(${color & 255}, ${(color >> 8) & 255}, ${(color >> 16) & 255})`;
  };
  return { range: [middle - halfRange, middle + halfRange], colors: scale.colors, toRgba, toCss };
}

/** A negative number and one that is not, so that the colour scale is signed. */
const createSignedRow = (min: number, max: number): Matrix => ({ rows: 1, columns: 2, values: Float64Array.of(Math.min(min, -1e-12), max) });

export function renderSurface(surface: ClassSurface | NumberSurface, data: Data, theme: Theme, panel: string): HTMLCanvasElement {
  const { grid_size: gridSize } = surface;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [gridSize, gridSize];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(gridSize, gridSize);
  const pixels = new Uint32Array(image.data.buffer);
  const pixelAt = "values" in surface ? numberPixels(surface, createNumberColors(data, theme)) : classPixels(surface, data.outputs.length, theme, panel);
  for (let n = 0; n < pixels.length; n++) {
    // The grid begins with the lowest row, an image with the highest.
    const [row, column] = [Math.floor(n / gridSize), n % gridSize];
    pixels[(gridSize - 1 - row) * gridSize + column] = pixelAt(n);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function numberPixels(surface: NumberSurface, colors: NumberColors): (index: number) => number {
  const values = decode(surface.values).values;
  return (n) => colors.toRgba(values[n] ?? NaN);
}

function classPixels(surface: ClassSurface, classes: number, theme: Theme, panel: string): (index: number) => number {
  const [labels, confidence] = [atob(surface.labels), atob(surface.confidence)];
  const background = parseHex(panel);
  const colors = Array.from({ length: classes }, (_, label) => parseHex(classColor(label)));
  const chanceLevel = 1 / Math.max(2, classes);
  return (n) => {
    const certainty = Math.max(0, (confidence.charCodeAt(n) / 255 - chanceLevel) / (1 - chanceLevel));
    const opacity = MIN_OPACITY + (MAX_OPACITY[theme] - MIN_OPACITY) * certainty;
    const color = colors[labels.charCodeAt(n)] ?? background;
    const [red, green, blue] = background.map((channel, k) => Math.round(channel + opacity * (color[k]! - channel)));
    return ((255 << 24) | (blue! << 16) | (green! << 8) | red!) >>> 0;
  };
}

/** The prediction at the grid point nearest to a point. */
export function predictionAt(surface: ClassSurface | NumberSurface, data: Data, xFraction: number, yFraction: number): { label: number; confidence: number } | { value: number } {
  const last = surface.grid_size - 1;
  const n = Math.round(yFraction * last) * surface.grid_size + Math.round(xFraction * last);
  if ("values" in surface) return { value: decode(surface.values).values[n] ?? NaN };
  return { label: Math.min(data.outputs.length - 1, atob(surface.labels).charCodeAt(n)), confidence: atob(surface.confidence).charCodeAt(n) / 255 };
}
