/** Two colour scales that the colour-blind can read: signed about 0, and amounts from 0; each in two themes. */

import { interpolateRgb, piecewise } from "d3-interpolate";
import { scaleDiverging, scaleSequential } from "d3-scale";
import { statistics } from "./algebra";
import type { Matrix } from "./batch-data";

export type Theme = "light" | "dark";
export type ScaleKind = "signed" | "amount";

/** Blue below 0, orange above: the pair that every common kind of colour-blindness keeps apart. */
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

/** The place past the ramp's end, a grey: NaN and ±∞. */
const NO_NUMBER = 256;
export const GREY = "rgb(128, 128, 128)";

/** The range that a legend states, and the 256 colours between its ends. */
export interface ColourScale {
  kind: ScaleKind;
  ends: [number, number];
  /** The place of a value in the ramp, 0..255, or 256 where it is no number. */
  place: (value: number) => number;
  /** Packed RGBA as canvas memory has it. */
  ramp: Uint32Array;
  colours: string[];
}

/** Amounts only where nothing is negative; a signed scale is symmetric about 0, so that equal sizes look equal. */
export function scaleFor(matrices: readonly Matrix[], wanted: ScaleKind, theme: Theme): ColourScale {
  const ranges = matrices.map(statistics);
  const least = Math.min(...ranges.map((range) => range.least));
  const most = Math.max(...ranges.map((range) => range.most));
  const kind: ScaleKind = wanted === "amount" && least >= 0 ? "amount" : "signed";
  const largest = Math.max(Math.abs(least), Math.abs(most)) || 1;
  const ends: [number, number] = [kind === "signed" ? -largest : 0, largest];
  const along = (t: number): number => 255 * t;
  const place = kind === "signed" ? scaleDiverging([-largest, 0, largest], along) : scaleSequential([0, largest], along);
  return {
    kind,
    ends,
    place: (value) => (Number.isFinite(value) ? Math.round(place(value)) : NO_NUMBER),
    ramp: packed(kind, theme),
    colours: RAMPS[kind][theme],
  };
}

const ramps = new Map<string, Uint32Array>();

function packed(kind: ScaleKind, theme: Theme): Uint32Array {
  const key = `${kind} ${theme}`;
  let ramp = ramps.get(key);
  if (!ramp) {
    const colour = piecewise(interpolateRgb, RAMPS[kind][theme]);
    ramp = Uint32Array.from({ length: 257 }, (_, n) => rgba(n === NO_NUMBER ? GREY : colour(n / 255)));
    ramps.set(key, ramp);
  }
  return ramp;
}

function rgba(css: string): number {
  const [red = 0, green = 0, blue = 0] = (css.match(/\d+/g) ?? []).map(Number);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** A matrix as a picture of one pixel a cell, to be enlarged without smoothing. */
export function picture(M: Matrix, scale: ColourScale): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = M.columns;
  canvas.height = M.rows;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(M.columns, M.rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let n = 0; n < pixels.length; n++) pixels[n] = scale.ramp[scale.place(M.values[n] ?? 0)] ?? 0;
  context.putImageData(image, 0, 0);
  return canvas;
}
