/** The colours of canvases: the stylesheet's tokens, and a colour and a shape per class. */

import type { Theme } from "../color-scale";
import { symbol, symbolCircle, symbolCross, symbolDiamond, symbolSquare, symbolStar, symbolTriangle, symbolWye, type SymbolType } from "d3-shape";

export interface Palette {
  panel: string;
  text: string;
  mutedText: string;
  line: string;
  loss: string;
  validation: string;
  noise: string;
  font: string;
}

let cached: { theme: string | undefined; palette: Palette } | null = null;

/** Cached for each theme: to read a style in every frame would make the browser lay out the page in every frame. */
export function readPalette(): Palette {
  const theme = document.documentElement.dataset["theme"];
  if (cached?.theme !== theme) cached = { theme, palette: readTokens() };
  return cached!.palette;
}

function readTokens(): Palette {
  const style = getComputedStyle(document.documentElement);
  const readToken = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    panel: readToken("panel"), text: readToken("ink"), mutedText: readToken("quiet"), line: readToken("line"),
    loss: readToken("loss"), validation: readToken("validation"), noise: readToken("noise"), font: readToken("text"),
  };
}

/** Okabe and Ito's palette for the colour-blind; then four more colours, which differ by their shapes. */
const CLASS_COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6f4bb0", "#8a5a3c", "#7b8087", "#9aa800"];

export const classColor = (label: number): string => CLASS_COLORS[label % CLASS_COLORS.length]!;

/** The colour of a mark: on a dark background lighter than the surface behind it. */
export function markColor(label: number, theme: Theme): string {
  if (theme === "light") return classColor(label);
  const lightened = parseHex(classColor(label)).map((channel) => Math.round(channel + 0.38 * (255 - channel)));
  return `rgb(${lightened.join(", ")})`;
}

/** Red, green and blue of `#rrggbb` or `#rgb`. */
export function parseHex(hex: string): [number, number, number] {
  const digits = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join("") : hex.slice(1);
  const value = Number.parseInt(digits, 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

const polygon = (nCorners: number, rotation: number): SymbolType => ({
  draw(context, size) {
    const radius = Math.sqrt((2 * size) / (nCorners * Math.sin((2 * Math.PI) / nCorners)));
    for (let corner = 0; corner < nCorners; corner++) {
      const angle = rotation + (2 * Math.PI * corner) / nCorners;
      context[corner ? "lineTo" : "moveTo"](radius * Math.sin(angle), -radius * Math.cos(angle));
    }
    context.closePath();
  },
});

const SHAPES = [symbolCircle, symbolTriangle, symbolSquare, symbolDiamond, symbolCross, polygon(3, Math.PI), symbolStar, polygon(5, 0), symbolWye, polygon(6, 0)];

/** The outline of a class's mark about (0, 0), as a path of SVG; `area` in square pixels. */
export const classShape = (label: number, area: number): string => symbol(SHAPES[label % SHAPES.length], area)() ?? "";
