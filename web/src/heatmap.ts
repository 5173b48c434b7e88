/** One matrix on a canvas, with a frame round an example's column and a cursor on a cell. */

import { type ColourScale, picture } from "./color-scale";
import { h } from "./dom";
import type { Figure } from "./matrix-spec";
import type { CellRef } from "./state";

export interface CellSize {
  width: number;
  height: number;
}

/** A figure's drawing: where a pointer is in it, and what is marked. */
export interface Plate {
  element: HTMLElement;
  cellAt: (x: number, y: number) => CellRef | null;
  mark: (example: number | null, cell: CellRef | null) => void;
  /** Frame the row or cell that the cell under the cursor is made of. */
  trace: (source: { row: number; column?: number } | undefined) => void;
}

/** Below this many pixels, lines between the cells would hide them. */
const LEAST_GRID = 7;

export function createHeatmap(figure: Figure, cell: CellSize, scale: ColourScale): Plate {
  const { rows, columns } = figure.matrix;
  const canvas = sharpCanvas(columns * cell.width, rows * cell.height);
  const context = canvas.getContext("2d")!;
  drawCells(context, picture(figure.matrix, scale), columns * cell.width, rows * cell.height);
  drawGrid(context, rows, columns, cell);
  const frame = h("div", { class: "column-frame", hidden: true });
  const cursor = h("div", { class: "cell-cursor", hidden: true });
  const traced = h("div", { class: "source-frame", hidden: true });
  const element = h("div", { class: "plate" }, canvas, frame, traced, cursor);
  return {
    element,
    cellAt: (x, y) => {
      const [row, column] = [Math.floor(y / cell.height), Math.floor(x / cell.width)];
      return row >= 0 && row < rows && column >= 0 && column < columns ? { figure: figure.name, row, column } : null;
    },
    mark: (example, marked) => {
      frame.hidden = example === null || !figure.columnsAreExamples;
      if (example !== null) place(frame, example * cell.width, 0, cell.width, rows * cell.height);
      const here = marked?.figure === figure.name ? marked : null;
      cursor.hidden = here === null;
      if (here) place(cursor, here.column * cell.width, here.row * cell.height, cell.width, cell.height);
    },
    trace: (source) => {
      traced.hidden = source === undefined;
      if (!source) return;
      const [from, count] = source.column === undefined ? [0, columns] : [source.column, 1];
      place(traced, from * cell.width, source.row * cell.height, count * cell.width, cell.height);
    },
  };
}

/** A canvas of CSS pixels, backed by as many of the screen's as it has. */
export function sharpCanvas(width: number, height: number): HTMLCanvasElement {
  const density = Math.max(1, window.devicePixelRatio || 1);
  const canvas = h("canvas", { width: Math.round(width * density), height: Math.round(height * density), "aria-hidden": "true" });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.getContext("2d")!.scale(density, density);
  return canvas;
}

export function drawCells(context: CanvasRenderingContext2D, pixels: HTMLCanvasElement, width: number, height: number): void {
  context.imageSmoothingEnabled = false;
  context.drawImage(pixels, 0, 0, width, height);
}

function drawGrid(context: CanvasRenderingContext2D, rows: number, columns: number, { width, height }: CellSize): void {
  if (Math.min(width, height) < LEAST_GRID) return;
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--panel") || "#fff";
  for (let column = 1; column < columns; column++) context.fillRect(column * width - 0.5, 0, 1, rows * height);
  for (let row = 1; row < rows; row++) context.fillRect(0, row * height - 0.5, columns * width, 1);
}

function place(element: HTMLElement, left: number, top: number, width: number, height: number): void {
  Object.assign(element.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
}
