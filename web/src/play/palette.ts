/** The colours of canvases: the stylesheet's tokens, and a colour and a shape for each class. */

import type { Theme } from "../color-scale";
import { symbol, symbolCircle, symbolCross, symbolDiamond, symbolSquare, symbolStar, symbolTriangle, symbolWye, type SymbolType } from "d3-shape";

export interface Inks {
  panel: string;
  ink: string;
  quiet: string;
  line: string;
  loss: string;
  held: string;
  noise: string;
  text: string;
}

export function readInks(): Inks {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    panel: token("panel"), ink: token("ink"), quiet: token("quiet"), line: token("line"),
    loss: token("loss"), held: token("held"), noise: token("noise"), text: token("text"),
  };
}

/** Okabe and Ito's, which the colour-blind tell apart; then four more, which their shapes set apart from these. */
const CLASS_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6f4bb0", "#8a5a3c", "#7b8087", "#9aa800"];

export const classColour = (label: number): string => CLASS_COLOURS[label % CLASS_COLOURS.length]!;

/** Of a mark: on dark ground lighter than the plane behind it. */
export function markColour(label: number, theme: Theme): string {
  if (theme === "light") return classColour(label);
  const lighter = channels(classColour(label)).map((channel) => Math.round(channel + 0.38 * (255 - channel)));
  return `rgb(${lighter.join(", ")})`;
}

/** Red, green and blue of `#rrggbb` or of the stylesheet's `#rgb`. */
export function channels(hex: string): [number, number, number] {
  const long = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join("") : hex.slice(1);
  const whole = Number.parseInt(long, 16);
  return [whole >> 16, (whole >> 8) & 255, whole & 255];
}

const polygon = (corners: number, turn: number): SymbolType => ({
  draw(context, size) {
    const radius = Math.sqrt((2 * size) / (corners * Math.sin((2 * Math.PI) / corners)));
    for (let corner = 0; corner < corners; corner++) {
      const angle = turn + (2 * Math.PI * corner) / corners;
      context[corner ? "lineTo" : "moveTo"](radius * Math.sin(angle), -radius * Math.cos(angle));
    }
    context.closePath();
  },
});

const SHAPES = [symbolCircle, symbolTriangle, symbolSquare, symbolDiamond, symbolCross, polygon(3, Math.PI), symbolStar, polygon(5, 0), symbolWye, polygon(6, 0)];

/** The outline of a class's mark about (0, 0), as a path of SVG; `area` in square pixels. */
export const classShape = (label: number, area: number): string => symbol(SHAPES[label % SHAPES.length], area)() ?? "";
