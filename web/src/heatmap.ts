/** One matrix on a canvas, with a frame around an example's column and a cursor on a cell. */

import { arrange, type Arrangement, type Box, type Source } from "./arrangement";
import { type ColorScale, drawPixels, inkOn } from "./color-scale";
import { h } from "./dom";
import { formatShortest } from "./format";
import type { Matrix } from "./batch-data";
import type { MatrixSpec } from "./matrix-spec";
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

/** To what part of its width a number may be drawn narrower. */
const NARROWEST = 0.75;
/** A part of the matrix's largest number that its colours do not tell from 0. */
const NEGLIGIBLE = 0.01;

export function createHeatmap(spec: MatrixSpec, cell: CellSize, scale: ColorScale, numbers: boolean): CanvasView {
  const { arrangement } = spec;
  const { rows, columns } = arrangement;
  const canvas = createSharpCanvas(columns * cell.width, rows * cell.height);
  const context = canvas.getContext("2d")!;
  drawMatrix(context, spec.matrix, scale, arrangement, cell);
  drawGrid(context, rows, columns, cell);
  if (numbers && !arrangement.image) drawNumbers(context, spec, cell, scale);
  const columnFrame = h("div", { class: "column-frame", hidden: true });
  const cursor = h("div", { class: "cell-cursor", hidden: true });
  const sourceFrame = h("div", { class: "source-frame", hidden: true });
  const element = h("div", { class: "canvas-view" }, canvas, columnFrame, sourceFrame, cursor);
  return {
    element,
    cellAt: (x, y) => {
      const place = arrangement.cellAt(Math.floor(y / cell.height), Math.floor(x / cell.width));
      return place && { matrix: spec.name, ...place };
    },
    mark: (example, ref) => {
      columnFrame.hidden = example === null || !(spec.columnsAreExamples || spec.rowsAreExamples);
      if (example !== null && spec.columnsAreExamples) setBox(columnFrame, [example, 0, 1, rows], cell);
      if (example !== null && spec.rowsAreExamples) setBox(columnFrame, [0, example, columns, 1], cell);
      const current = ref?.matrix === spec.name ? ref : null;
      cursor.hidden = current === null;
      if (current) setBox(cursor, arrangement.box(current), cell);
    },
    highlight: (source) => {
      sourceFrame.hidden = source === undefined;
      if (source) setBox(sourceFrame, arrangement.box(source), cell);
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

/** A matrix in its colours; between images, and where a last line has none, the page shows through. */
export function drawMatrix(context: CanvasRenderingContext2D, M: Matrix, scale: ColorScale, arrangement: Arrangement, cell: CellSize): void {
  const { rows, columns, image } = arrangement;
  drawCells(context, drawPixels(arrange(M, arrangement), scale), columns * cell.width, rows * cell.height);
  if (!image) return;
  const [height, width] = [image[0] * cell.height, image[1] * cell.width];
  for (let row = 0; row < rows / image[0]; row++) {
    for (let column = 0; column < columns / image[1]; column++) {
      const isEmpty = arrangement.cellAt(row * image[0], column * image[1]) === null;
      context.clearRect(column * width - 0.5, row * height - 0.5, isEmpty ? width + 1 : 1, height + 1);
      context.clearRect(column * width - 0.5, row * height - 0.5, width + 1, 1);
    }
  }
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
    // An empty cell would look as if it had no number: −0.07 is drawn narrower, and what is small beside the others as ≈0.
    const rest = Math.abs(value) < NEGLIGIBLE * Math.max(Math.abs(scale.range[0]), Math.abs(scale.range[1])) ? "≈0" : "";
    const within = (part: number): string => formatShortest(value, (candidate) => context.measureText(candidate).width * part <= width - 4);
    const text = within(1) || within(NARROWEST) || rest;
    context.fillStyle = inkOn(scale, value);
    context.fillText(text, ((n % matrix.columns) + 0.5) * width, (Math.floor(n / matrix.columns) + 0.5) * height, width - 4);
  });
}

function setBox(element: HTMLElement, [left, top, width, height]: Box, cell: CellSize): void {
  Object.assign(element.style, { left: `${left * cell.width}px`, top: `${top * cell.height}px`, width: `${width * cell.width}px`, height: `${height * cell.height}px` });
}
