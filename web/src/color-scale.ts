/** Two colour scales that are safe for the colour-blind: signed about 0, and amounts from 0; each in two themes. */

import { interpolateRgb, piecewise } from "d3-interpolate";
import { scaleDiverging, scaleSequential } from "d3-scale";
import { statistics } from "./algebra";
import type { Matrix } from "./batch-data";

export type Theme = "light" | "dark";
export type ScaleKind = "signed" | "amount";

/** Blue below 0, orange above: all common kinds of colour-blindness keep these two apart. */
const RAMPS: Record<ScaleKind, Record<Theme, string[]>> = {
  signed: {
    light: ["#08306b", "#2f75b5", "#9cc4e4", "#f1eee7", "#f5bd84", "#d06f14", "#7a3200"],
    dark: ["#b5dcff", "#4f9fe0", "#24507a", "#22272f", "#7a471c", "#e08a35", "#ffdcb0"],
  },
  amount: {
    light: ["#f1eee7", "#cbe1d2", "#86bfb2", "#3d8f98", "#1c5f7c", "#123a5c", "#0a1c38"],
    dark: ["#22272f", "#21404f", "#24656c", "#3f9079", "#86b56f", "#d3d377", "#fdf5c4"],
  },
};

/** The index past the ramp's end, grey: NaN and ±∞. */
const NON_FINITE = 256;
export const GREY = "rgb(128, 128, 128)";

/** The range that a legend states, and the 256 colours between its ends. */
export interface ColorScale {
  kind: ScaleKind;
  range: [number, number];
  /** The index of a value in the ramp, 0 to 255; 256 for NaN and ±∞. */
  index: (value: number) => number;
  /** Packed RGBA as canvas memory has it. */
  ramp: Uint32Array;
  colors: string[];
}

/** Amounts only where nothing is negative; a signed scale is symmetric about 0, so that equal sizes look equal. */
export function createColorScale(matrices: readonly Matrix[], requested: ScaleKind, theme: Theme): ColorScale {
  const ranges = matrices.map(statistics);
  const min = Math.min(...ranges.map((range) => range.min));
  const max = Math.max(...ranges.map((range) => range.max));
  const kind: ScaleKind = requested === "amount" && min >= 0 ? "amount" : "signed";
  const maxAbs = Math.max(Math.abs(min), Math.abs(max)) || 1;
  const range: [number, number] = [kind === "signed" ? -maxAbs : 0, maxAbs];
  const toIndex = (t: number): number => 255 * t;
  const index = kind === "signed" ? scaleDiverging([-maxAbs, 0, maxAbs], toIndex) : scaleSequential([0, maxAbs], toIndex);
  return {
    kind,
    range,
    index: (value) => (Number.isFinite(value) ? Math.round(index(value)) : NON_FINITE),
    ramp: getRamp(kind, theme),
    colors: RAMPS[kind][theme],
  };
}

const ramps = new Map<string, Uint32Array>();

function getRamp(kind: ScaleKind, theme: Theme): Uint32Array {
  const key = `${kind} ${theme}`;
  let ramp = ramps.get(key);
  if (!ramp) {
    const color = piecewise(interpolateRgb, RAMPS[kind][theme]);
    ramp = Uint32Array.from({ length: 257 }, (_, n) => rgba(n === NON_FINITE ? GREY : color(n / 255)));
    ramps.set(key, ramp);
  }
  return ramp;
}

/** Black or white, whichever is read better on a value's colour. */
export function inkOn(scale: ColorScale, value: number): string {
  const packed = scale.ramp[scale.index(value)] ?? 0;
  const luminance = 0.299 * (packed & 255) + 0.587 * ((packed >> 8) & 255) + 0.114 * ((packed >> 16) & 255);
  return luminance > 140 ? "#15181d" : "#fff";
}

function rgba(css: string): number {
  const [red = 0, green = 0, blue = 0] = (css.match(/\d+/g) ?? []).map(Number);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Draw a matrix with one pixel per cell, to be enlarged without smoothing. */
export function drawPixels(M: Matrix, scale: ColorScale): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = M.columns;
  canvas.height = M.rows;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(M.columns, M.rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let n = 0; n < pixels.length; n++) pixels[n] = scale.ramp[scale.index(M.values[n] ?? 0)] ?? 0;
  context.putImageData(image, 0, 0);
  return canvas;
}
