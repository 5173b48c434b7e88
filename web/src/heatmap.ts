/** One matrix on a canvas, with a frame around an example's column and a cursor on a cell. */

import { type ColorScale, drawPixels, inkOn } from "./color-scale";
import { h } from "./dom";
import { formatShortest } from "./format";
import type { MatrixSpec, Source } from "./matrix-spec";
import type { CellRef } from "./state";

export interface CellSize {
  width: number;
  height: number;
}

/** A matrix's drawing: which cell is at a point, and what is highlighted. */
export interface CanvasView {
  element: HTMLElement;
  cellAt: (x: number, y: number) => CellRef | null;
  mark: (example: number | null, cell: CellRef | null) => void;
  /** Frame the row, column or cell that the selected cell is computed from. */
  highlight: (source: Source | undefined) => void;
}

/** Below this many pixels, grid lines would hide the cells. */
const MIN_GRID_CELL = 7;
/** Cells of this size have room for a number. */
const MIN_NUMBER_CELL: CellSize = { width: 26, height: 17 };

export function createHeatmap(spec: MatrixSpec, cell: CellSize, scale: ColorScale, numbers: boolean): CanvasView {
  const { rows, columns } = spec.matrix;
  const canvas = createSharpCanvas(columns * cell.width, rows * cell.height);
  const context = canvas.getContext("2d")!;
  drawCells(context, drawPixels(spec.matrix, scale), columns * cell.width, rows * cell.height);
  drawGrid(context, rows, columns, cell);
  if (numbers) drawNumbers(context, spec, cell, scale);
  const columnFrame = h("div", { class: "column-frame", hidden: true });
  const cursor = h("div", { class: "cell-cursor", hidden: true });
  const sourceFrame = h("div", { class: "source-frame", hidden: true });
  const element = h("div", { class: "canvas-view" }, canvas, columnFrame, sourceFrame, cursor);
  return {
    element,
    cellAt: (x, y) => {
      const [row, column] = [Math.floor(y / cell.height), Math.floor(x / cell.width)];
      return row >= 0 && row < rows && column >= 0 && column < columns ? { matrix: spec.name, row, column } : null;
    },
    mark: (example, ref) => {
      columnFrame.hidden = example === null || !(spec.columnsAreExamples || spec.rowsAreExamples);
      if (example !== null && spec.columnsAreExamples) setBox(columnFrame, example * cell.width, 0, cell.width, rows * cell.height);
      if (example !== null && spec.rowsAreExamples) setBox(columnFrame, 0, example * cell.height, columns * cell.width, cell.height);
      const current = ref?.matrix === spec.name ? ref : null;
      cursor.hidden = current === null;
      if (current) setBox(cursor, current.column * cell.width, current.row * cell.height, cell.width, cell.height);
    },
    highlight: (source) => {
      sourceFrame.hidden = source === undefined;
      if (!source) return;
      const [left, width] = source.column === undefined ? [0, columns] : [source.column, 1];
      const [top, height] = source.row === undefined ? [0, rows] : [source.row, 1];
      setBox(sourceFrame, left * cell.width, top * cell.height, width * cell.width, height * cell.height);
    },
  };
}

/** A canvas of this size in CSS pixels, at the screen's resolution. */
export function createSharpCanvas(width: number, height: number): HTMLCanvasElement {
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
  if (Math.min(width, height) < MIN_GRID_CELL) return;
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--panel") || "#fff";
  for (let column = 1; column < columns; column++) context.fillRect(column * width - 0.5, 0, 1, rows * height);
  for (let row = 1; row < rows; row++) context.fillRect(0, row * height - 0.5, columns * width, 1);
}

/** Print each number in its cell, with as many digits as fit. */
function drawNumbers(context: CanvasRenderingContext2D, { matrix }: MatrixSpec, { width, height }: CellSize, scale: ColorScale): void {
  if (width < MIN_NUMBER_CELL.width || height < MIN_NUMBER_CELL.height) return;
  context.font = `${Math.min(12, Math.floor(height * 0.6))}px ${getComputedStyle(document.body).fontFamily}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  matrix.values.forEach((value, n) => {
    const text = formatShortest(value, (candidate) => context.measureText(candidate).width <= width - 4);
    context.fillStyle = inkOn(scale, value);
    context.fillText(text, ((n % matrix.columns) + 0.5) * width, (Math.floor(n / matrix.columns) + 0.5) * height);
  });
}

function setBox(element: HTMLElement, left: number, top: number, width: number, height: number): void {
  Object.assign(element.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
}
