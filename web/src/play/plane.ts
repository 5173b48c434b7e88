/** The plane that the page draws: two features, the points on it, and the network over it. */

import { forward, makePass, type Pass } from "../engine/backprop";
import type { Network } from "../engine/network";
import { permutation, uniforms } from "../engine/random";
import type { Data, Range, Surface, Table } from "./protocol";
import { FEATURES } from "./toy-datasets";
import { largestOf, toIndices } from "./unit-pixels";
import type { Dataset, Trainer } from "./trainer";

export const MAX_POINTS = 5000;
/** Part of the points' range, on each side. */
const MARGIN = 0.08;
/** Part of the distance of a feature's two values over which their points are drawn. */
const BAND = 0.12;
/** Beyond as many places on an axis, what a feature tells counts more than more places. */
const ENOUGH_PLACES = 10;
/** From this squared correlation on, two features would draw the points as a line. */
const SAME_R2 = 0.95;
/** Points of the grid that go through the network at once. */
const CHUNK = 256;
/** Multiplications a frame, from which on the grid is coarser while the training runs. */
const FINE_WORK = 12e6;

export type Axes = readonly [number, number | null];

/**
 * The two features that tell most about the target, by their F statistics, of those that spread the points, and that are
 * not the same but for their scale; one where there is only one.
 */
export function bestAxes(table: Table): Axes {
  const d = table.features.length;
  if (d === 1) return [0, null];
  const scores = table.features.map((_, k) => fStatistic(table, k));
  const spreads = table.features.map((_, k) => spreadOf(table, k));
  const order = scores.map((_, k) => k).sort((a, b) => spreads[b]! - spreads[a]! || scores[b]! - scores[a]! || a - b);
  const [best, ...rest] = order as [number, ...number[]];
  const other = rest.find((k) => squaredCorrelation(table.values.length, featureOf(table, best), featureOf(table, k)) < SAME_R2) ?? rest[0]!;
  return [Math.min(best, other), Math.max(best, other)];
}

/**
 * At how many places its points stand, as if each held as many (Simpson 1949), up to ENOUGH_PLACES: a feature of few
 * values, such as the 0 and 1 of a word, would draw all rows as a few dots.
 */
function spreadOf({ X, features: { length: d }, values: { length: n } }: Table, k: number): number {
  const counts = new Map<number, number>();
  for (let i = 0; i < n; i++) counts.set(X[i * d + k]!, (counts.get(X[i * d + k]!) ?? 0) + 1);
  let squares = 0;
  for (const count of counts.values()) squares += count ** 2;
  return Math.min(ENOUGH_PLACES, Math.round(n ** 2 / squares));
}

type Column = (i: number) => number;

const featureOf = ({ X, features: { length: d } }: Table, k: number): Column => (i) => X[i * d + k]!;

function squaredCorrelation(n: number, first: Column, second: Column): number {
  let [xy, xx, yy] = [0, 0, 0];
  const [mx, my] = [meanOf(n, first), meanOf(n, second)];
  for (let i = 0; i < n; i++) {
    const [x, y] = [first(i) - mx, second(i) - my];
    [xy, xx, yy] = [xy + x * y, xx + x * x, yy + y * y];
  }
  return xx * yy > 0 ? xy ** 2 / (xx * yy) : 0;
}

/** Of the classes' means, or of a straight line through the numbers. */
function fStatistic(table: Table, k: number): number {
  const { X, features, values, task, outputs } = table;
  const [n, d] = [values.length, features.length];
  if (task === "numbers") {
    const r2 = squaredCorrelation(n, featureOf(table, k), (i) => values[i]!);
    return r2 / Math.max(1e-12, 1 - r2);
  }
  const [sums, squares, counts] = [new Float64Array(outputs.length), new Float64Array(outputs.length), new Float64Array(outputs.length)];
  for (let i = 0; i < n; i++) {
    const [x, label] = [X[i * d + k]!, values[i]!];
    sums[label]! += x;
    squares[label]! += x * x;
    counts[label]! += 1;
  }
  const mean = meanOf(n, (i) => X[i * d + k]!);
  let [between, within] = [0, 0];
  for (let label = 0; label < outputs.length; label++) {
    if (!counts[label]) continue;
    const center = sums[label]! / counts[label]!;
    between += counts[label]! * (center - mean) ** 2;
    within += squares[label]! - counts[label]! * center ** 2;
  }
  return between / Math.max(1e-12, within);
}

function meanOf(n: number, value: Column): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += value(i);
  return sum / n;
}

export interface Plane {
  axes: Axes;
  /** Features of two values: their points are drawn apart. */
  bands: readonly number[];
  /** The rows that are drawn. */
  rows: Uint32Array;
  points: Float32Array;
  xRange: Range;
  yRange: Range;
}

/** Lay out the rows by two of their features; of very many rows a random sample. */
export function makePlane({ X, features, values }: Table, axes: Axes): Plane {
  const [n, d] = [values.length, features.length];
  const [first, second] = axes;
  const bands: number[] = [];
  const feature = (k: number): Float64Array => {
    const column = Float64Array.from({ length: n }, (_, i) => X[i * d + k]!);
    const distinct = [...new Set(column)];
    if (distinct.length !== 2) return column;
    bands.push(k);
    // Points of a word would hide one another: they stand in a band about each of its two values.
    const width = BAND * Math.abs(distinct[0]! - distinct[1]!);
    return uniforms(n, 0, k).map((u, i) => column[i]! + width * (u - 0.5));
  };
  const xs = feature(first);
  // Without a second feature the points are spread, so that each can be seen.
  const ys = second === null ? Float64Array.from({ length: n }, (_, i) => (n > 1 ? (2 * i) / (n - 1) - 1 : 0)) : feature(second);
  const rows = permutation(n, 0).slice(0, MAX_POINTS).sort();
  const points = new Float32Array(2 * rows.length);
  rows.forEach((row, i) => ([points[i], points[rows.length + i]] = [xs[row]!, ys[row]!]));
  return { axes, bands, rows, points, xRange: paddedRange(xs), yRange: paddedRange(ys) };
}

function paddedRange(values: Float64Array): Range {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const margin = MARGIN * (high - low) || 1;
  return [low - margin, high + margin];
}

export function describeData(dataset: Dataset, plane: Plane, trainer: Trainer): Data {
  const { table } = dataset;
  const [first, second] = plane.axes;
  const validation = new Set(trainer.validationRows);
  return {
    title: table.title,
    task: table.task,
    features: dataset.inputs,
    outputs: table.outputs,
    notes: [...table.notes, ...plane.bands.map((k) => `the two values of “${table.features[k]!}” drawn as bands`)],
    nTrain: trainer.train.length,
    nValidation: trainer.validationRows.length,
    sizes: trainer.network.sizes,
    x: { name: table.features[first]!, range: plane.xRange },
    y: { name: second === null ? null : table.features[second]!, range: plane.yRange },
    points: plane.points,
    values: Float32Array.from(plane.rows, (row) => table.values[row]!),
    isValidation: Array.from(plane.rows, (row) => validation.has(row)),
  };
}

/** The inputs of a point on the plane; other features of a table stay at their means. */
type Inputs = (x: number, y: number, B: Float32Array, at: number) => void;

function makeInputs(dataset: Dataset, { axes: [first, second] }: Plane): Inputs {
  const { table, inputs } = dataset;
  if (inputs !== table.features) {
    const features = inputs.map((name) => FEATURES.find((each) => each.label === name)!);
    return (x, y, B, at) => features.forEach(({ value }, k) => (B[at + k] = value(x, y)));
  }
  const [n, d] = [table.values.length, inputs.length];
  const means = inputs.map((_, k) => meanOf(n, (i) => table.X[i * d + k]!));
  return (x, y, B, at) => {
    for (let k = 0; k < d; k++) B[at + k] = k === first ? x : k === second ? y : means[k]!;
  };
}

/** Draws the network over the plane; keeps its memory between two frames. */
export class SurfaceMaker {
  private readonly pass: Pass;
  private readonly inputs: Inputs;

  constructor(private readonly network: Network, dataset: Dataset, private readonly plane: Plane) {
    this.pass = makePass(network, CHUNK);
    this.inputs = makeInputs(dataset, plane);
  }

  /** `fine`: as sharp as it gets, for a plane that stands still. */
  make(fine: boolean, shownUnit: readonly [number, number] | null): Surface {
    const { network, plane } = this;
    const work = network.theta.length;
    const side = fine || work * 64 ** 2 <= FINE_WORK ? 64 : 32;
    const hidden = network.sizes.slice(1, -1);
    const nUnits = hidden.reduce((sum, width) => sum + width, 0);
    const unitSide = nUnits > 96 ? 16 : 32;
    const K = network.sizes.at(-1)!;
    const surface: Surface = {
      side,
      P: new Float32Array(K * side * side),
      unitSide,
      units: new Uint8Array(nUnits * unitSide * unitSide),
      shown: shownUnit ? new Float32Array(side * side) : null,
    };
    const at = ([low, high]: Range, place: number): number => low + ((high - low) * place) / (side - 1);
    const units = new Float32Array(surface.units.length);
    for (let from = 0; from < side * side; from += CHUNK) {
      this.pass.m = Math.min(CHUNK, side * side - from);
      for (let i = 0; i < this.pass.m; i++) {
        const n = from + i;
        this.inputs(at(plane.xRange, n % side), at(plane.yRange, Math.floor(n / side)), this.pass.H[0]!, i * network.sizes[0]!);
      }
      forward(network, this.pass);
      this.copy(surface, units, from, hidden, K, shownUnit);
    }
    let start = 0;
    for (const width of hidden) {
      const layer = units.subarray(start, start + width * unitSide * unitSide);
      toIndices(layer, largestOf(layer), surface.units, start);
      start += layer.length;
    }
    return surface;
  }

  private copy(surface: Surface, units: Float32Array, from: number, hidden: readonly number[], K: number, shownUnit: readonly [number, number] | null): void {
    const { side, unitSide, P, shown } = surface;
    const stride = side / unitSide;
    for (let i = 0; i < this.pass.m; i++) {
      const n = from + i;
      for (let k = 0; k < K; k++) P[k * side * side + n] = this.pass.P[i * K + k]!;
      const [row, column] = [Math.floor(n / side), n % side];
      if (row % stride === 0 && column % stride === 0) {
        let unit = 0;
        const place = (row / stride) * unitSide + column / stride;
        hidden.forEach((width, l) => {
          const H = this.pass.H[l + 1]!;
          for (let j = 0; j < width; j++) units[unit++ * unitSide * unitSide + place] = H[i * width + j]!;
        });
      }
      if (shown && shownUnit) shown[n] = this.pass.H[shownUnit[0] + 1]![i * hidden[shownUnit[0]]! + shownUnit[1]]!;
    }
  }
}
