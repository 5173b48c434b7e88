/** The network over the plane: probabilities are interpolated between grid points, and then coloured. */

import { createColorScale, type Theme } from "../color-scale";
import type { Matrix } from "../batch-data";
import { parseHex, classColor } from "./palette";
import type { Data, Range, Surface } from "./protocol";

/** The opacity of a class's colour: at chance level, and where it is certain. */
const MIN_OPACITY = 0.06;
const MAX_OPACITY: Record<Theme, number> = { light: 0.56, dark: 0.55 };
/** Bands of a number's colours, and of a certainty's, where the plane is drawn in steps. */
const N_BANDS = 8;

/** The colours of a number target, and the range for the legend. */
export interface NumberColors {
  range: Range;
  colors: string[];
  toRgba: (value: number) => number;
  toCss: (value: number) => string;
}

/** Signed about 0 where values have both signs, else about their middle; fixed for a run, so that colours keep their meaning. */
export function createNumberColors(values: ArrayLike<number>, theme: Theme): NumberColors {
  let [min, max] = [Infinity, -Infinity];
  for (let n = 0; n < values.length; n++) [min, max] = [Math.min(min, values[n]!), Math.max(max, values[n]!)];
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

/** A grid's values at a point, from the four around it; the grid begins with the lowest row. */
export function interpolate(values: Float32Array, side: number, xFraction: number, yFraction: number, offset = 0): number {
  const [x, y] = [xFraction * (side - 1), yFraction * (side - 1)];
  const [column, row] = [Math.min(side - 2, Math.floor(x)), Math.min(side - 2, Math.floor(y))];
  const [dx, dy] = [x - column, y - row];
  const n = offset + row * side + column;
  return (1 - dy) * ((1 - dx) * values[n]! + dx * values[n + 1]!) + dy * ((1 - dx) * values[n + side]! + dx * values[n + side + 1]!);
}

/** Draws the plane into a canvas that is kept, as its colours are made for every pixel. */
export class SurfaceRenderer {
  private readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d")!;
  private image: ImageData | null = null;

  render(surface: Surface, data: Data, theme: Theme, panel: string, width: number, height: number, discretize: boolean): HTMLCanvasElement {
    if (this.canvas.width !== width || this.canvas.height !== height || !this.image) {
      [this.canvas.width, this.canvas.height] = [width, height];
      this.image = this.context.createImageData(width, height);
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    if (surface.shown) this.fillNumbers(pixels, surface.shown, surface.side, createNumberColors([-1, 1, ...rangeOf(surface.shown)], theme), width, height, false);
    else if (data.task === "numbers") this.fillNumbers(pixels, surface.P, surface.side, createNumberColors(data.values, theme), width, height, discretize);
    else fillClasses(pixels, surface, data.outputs.length, classRamps(data.outputs.length, theme, panel), width, height, discretize);
    this.context.putImageData(this.image, 0, 0);
    return this.canvas;
  }

  private fillNumbers(pixels: Uint32Array, values: Float32Array, side: number, { range, toRgba }: NumberColors, width: number, height: number, discretize: boolean): void {
    const [low, high] = range;
    const ramp = Uint32Array.from({ length: 256 }, (_, n) => toRgba(low + ((high - low) * n) / 255));
    const row = new Float32Array(side);
    const places = placePixels(width, side);
    for (let y = 0; y < height; y++) {
      blendRows(values, side, 1 - y / (height - 1), 0, row);
      for (let x = 0; x < width; x++) {
        let t = (across(row, places, x) - low) / (high - low);
        if (discretize) t = (Math.floor(t * N_BANDS) + 0.5) / N_BANDS;
        pixels[y * width + x] = ramp[Math.max(0, Math.min(255, Math.round(255 * t)))]!;
      }
    }
  }
}

/** A row of the plane between two rows of the grid. */
function blendRows(values: Float32Array, side: number, yFraction: number, offset: number, row: Float32Array): void {
  const y = yFraction * (side - 1);
  const below = Math.min(side - 2, Math.floor(y));
  const dy = y - below;
  const at = offset + below * side;
  for (let column = 0; column < side; column++) row[column] = (1 - dy) * values[at + column]! + dy * values[at + side + column]!;
}

/** Where each pixel of a row lies in the grid: the column before it, and how far it is beyond. */
interface Places {
  columns: Uint16Array;
  beyond: Float32Array;
}

function placePixels(width: number, side: number): Places {
  const at = (x: number): number => (x * (side - 1)) / (width - 1);
  const columns = Uint16Array.from({ length: width }, (_, x) => Math.min(side - 2, Math.floor(at(x))));
  return { columns, beyond: Float32Array.from(columns, (column, x) => at(x) - column) };
}

function across(row: Float32Array, { columns, beyond }: Places, x: number): number {
  const column = columns[x]!;
  return row[column]! + beyond[x]! * (row[column + 1]! - row[column]!);
}

const rampCache = new Map<string, Uint32Array[]>();

/** The colours of each class, from chance level to certainty. */
export function classRamps(nClasses: number, theme: Theme, panel: string): Uint32Array[] {
  const key = `${nClasses} ${theme} ${panel}`;
  let ramps = rampCache.get(key);
  if (!ramps) {
    const background = parseHex(panel);
    ramps = Array.from({ length: nClasses }, (_, label) => {
      const color = parseHex(classColor(label));
      return Uint32Array.from({ length: 256 }, (_, n) => {
        const opacity = MIN_OPACITY + ((MAX_OPACITY[theme] - MIN_OPACITY) * n) / 255;
        const [red, green, blue] = background.map((channel, k) => Math.round(channel + opacity * (color[k]! - channel)));
        return ((255 << 24) | (blue! << 16) | (green! << 8) | red!) >>> 0;
      });
    });
    rampCache.set(key, ramps);
  }
  return ramps;
}

function fillClasses(pixels: Uint32Array, { P, side }: Surface, K: number, ramps: Uint32Array[], width: number, height: number, discretize: boolean): void {
  const rows = Array.from({ length: K }, () => new Float32Array(side));
  const chance = 1 / Math.max(2, K);
  const places = placePixels(width, side);
  for (let y = 0; y < height; y++) {
    for (let k = 0; k < K; k++) blendRows(P, side, 1 - y / (height - 1), k * side * side, rows[k]!);
    for (let x = 0; x < width; x++) {
      let [label, best] = [0, across(rows[0]!, places, x)];
      for (let k = 1; k < K; k++) {
        // Of two classes the second has what the first lacks.
        const p = K === 2 ? 1 - best : across(rows[k]!, places, x);
        if (p > best) [label, best] = [k, p];
      }
      const certainty = discretize ? 1 : Math.max(0, Math.min(1, (best - chance) / (1 - chance)));
      pixels[y * width + x] = ramps[label]![Math.round(255 * certainty)]!;
    }
  }
}

function rangeOf(values: Float32Array): Range {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}

type Point = [number, number];

/** Where a class's probability passes the largest of the others: line pieces in fractions of the plane, from the bottom left. */
export function findBorder({ P, side }: Surface, K: number, label: number): [Point, Point][] {
  const size = side * side;
  const field = new Float32Array(size);
  for (let n = 0; n < size; n++) {
    let other = -Infinity;
    for (let k = 0; k < K; k++) if (k !== label) other = Math.max(other, P[k * size + n]!);
    field[n] = P[label * size + n]! - other;
  }
  return marchSquares(field, side);
}

/** The zero line of a field, cell by cell. */
function marchSquares(field: Float32Array, side: number): [Point, Point][] {
  const pieces: [Point, Point][] = [];
  const last = side - 1;
  for (let row = 0; row < last; row++) {
    for (let column = 0; column < last; column++) {
      const n = row * side + column;
      const [a, b, c, d] = [field[n]!, field[n + 1]!, field[n + side + 1]!, field[n + side]!];
      if (a > 0 === b > 0 && b > 0 === c > 0 && c > 0 === d > 0) continue;
      const crossings: Point[] = [];
      if (a > 0 !== b > 0) crossings.push([(column + a / (a - b)) / last, row / last]);
      if (b > 0 !== c > 0) crossings.push([(column + 1) / last, (row + b / (b - c)) / last]);
      if (c > 0 !== d > 0) crossings.push([(column + d / (d - c)) / last, (row + 1) / last]);
      if (d > 0 !== a > 0) crossings.push([column / last, (row + a / (a - d)) / last]);
      // At a saddle, two pieces.
      for (let i = 0; i + 1 < crossings.length; i += 2) pieces.push([crossings[i]!, crossings[i + 1]!]);
    }
  }
  return pieces;
}

/** The prediction at a point of the plane. */
export function predictionAt({ P, side }: Surface, data: Data, xFraction: number, yFraction: number): { label: number; confidence: number } | { value: number } {
  if (data.task === "numbers") return { value: interpolate(P, side, xFraction, yFraction) };
  const each = data.outputs.map((_, k) => interpolate(P, side, xFraction, yFraction, k * side * side));
  const confidence = Math.max(...each);
  return { label: each.indexOf(confidence), confidence };
}
