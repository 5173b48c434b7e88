/** What the network answers over the plane, as a picture of one pixel a place. */

import { createColorScale, type Theme } from "../color-scale";
import { decode, type Matrix } from "../batch-data";
import { channels, classColour } from "./palette";
import type { ClassSurface, Data, Ends, NumberSurface } from "./protocol";

/** How strongly a class colours the plane: where it is hardly more probable than others, and where it is certain. */
const FAINTEST = 0.07;
const STRONGEST: Record<Theme, number> = { light: 0.5, dark: 0.48 };

/** Colours of numbers: what they are for a value, and the ends that the legend states. */
export interface NumberColours {
  ends: Ends;
  colours: string[];
  packed: (value: number) => number;
  css: (value: number) => string;
}

/** Signed about 0 where the values lie on both sides of it, else about their middle; fixed for a run, so that colours keep their meaning. */
export function numberColours(data: Data, theme: Theme): NumberColours {
  const values = decode(data.values).values;
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const middle = least < 0 && most > 0 ? 0 : (least + most) / 2;
  const scale = createColorScale([row(least - middle, most - middle)], "signed", theme);
  const half = scale.range[1];
  const packed = (value: number): number => scale.ramp[scale.index(Math.max(-half, Math.min(half, value - middle)))] ?? 0;
  const css = (value: number): string => {
    const colour = packed(value);
    return `rgb(${colour & 255}, ${(colour >> 8) & 255}, ${(colour >> 16) & 255})`;
  };
  return { ends: [middle - half, middle + half], colours: scale.colors, packed, css };
}

/** At least one number that is not negative and one that is, so that the scale stays signed. */
const row = (least: number, most: number): Matrix => ({ rows: 1, columns: 2, values: Float64Array.of(Math.min(least, -1e-12), most) });

export function surfacePicture(surface: ClassSurface | NumberSurface, data: Data, theme: Theme, panel: string): HTMLCanvasElement {
  const { side } = surface;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [side, side];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(side, side);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = "values" in surface ? numbersOf(surface, numberColours(data, theme)) : classesOf(surface, data.outputs.length, theme, panel);
  for (let n = 0; n < pixels.length; n++) {
    // The lowest row comes first, and pictures begin at the top.
    const [line, column] = [Math.floor(n / side), n % side];
    pixels[(side - 1 - line) * side + column] = colours(n);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function numbersOf(surface: NumberSurface, colours: NumberColours): (place: number) => number {
  const values = decode(surface.values).values;
  return (n) => colours.packed(values[n] ?? NaN);
}

function classesOf(surface: ClassSurface, classes: number, theme: Theme, panel: string): (place: number) => number {
  const [labels, sure] = [atob(surface.labels), atob(surface.sure)];
  const ground = channels(panel);
  const tints = Array.from({ length: classes }, (_, label) => channels(classColour(label)));
  const chance = 1 / Math.max(2, classes);
  return (n) => {
    const certainty = Math.max(0, (sure.charCodeAt(n) / 255 - chance) / (1 - chance));
    const share = FAINTEST + (STRONGEST[theme] - FAINTEST) * certainty;
    const tint = tints[labels.charCodeAt(n)] ?? ground;
    const [red, green, blue] = ground.map((channel, k) => Math.round(channel + share * (tint[k]! - channel)));
    return ((255 << 24) | (blue! << 16) | (green! << 8) | red!) >>> 0;
  };
}

/** What the network answers nearest to a point: for those who point at it. */
export function answerAt(surface: ClassSurface | NumberSurface, data: Data, across: number, up: number): { label: number; sure: number } | { value: number } {
  const last = surface.side - 1;
  const n = Math.round(up * last) * surface.side + Math.round(across * last);
  if ("values" in surface) return { value: decode(surface.values).values[n] ?? NaN };
  return { label: Math.min(data.outputs.length - 1, atob(surface.labels).charCodeAt(n)), sure: atob(surface.sure).charCodeAt(n) / 255 };
}
