/** The size of an equation's cells, and where the equation breaks. Pure. */

import type { MatrixSpec } from "./matrix-spec";
import type { CellSize } from "./heatmap";
import { shortenNames } from "./format";
import type { Item } from "./steps";

const MAX_CELL = 56;
const MAX_CELL_HEIGHT = 32;
const MIN_CELL = 2;
/** Below this, an equation breaks over several lines instead of shrinking further. */
const MIN_ROW_CELL = 3;
/** Below this, an equation of several lines has one matrix a line rather than two. */
const MIN_COMFORTABLE_CELL = 5;
/** Widths to which narrow matrices are widened, where there is room. */
const CANVAS_WIDTHS = [200, 150, 96];
const MIN_CANVAS_WIDTH = 96;
/** Height to which few rows are stretched. */
const MIN_HEIGHT = 96;
const MIN_COLUMN_WIDTH = 76;
/** Heights of the highest matrix, the first that fits is taken. */
const HEIGHTS = [420, 320, 240, 180, 130, 96, 64];
/** Height of a figure without its drawing. */
const CAPTION_HEIGHT = 128;
/** Height of the faces or labels above the examples. */
const HEADS_HEIGHT = 20;
/** Below this height, cells are not widened for their numbers. */
const MIN_WIDENED_HEIGHT = 18;
/** Width of a figure's frame, both sides together. */
const FRAME_WIDTH = 20;
const GAP = 8;

/** The cells of an equation: side, height where few rows leave room, and the width of narrow matrices. */
export interface Fit {
  size: number;
  height: number;
  canvasWidth: number;
}

/** The largest cells with which an equation fits the width and, with its captions, the height of the screen. */
export function fitEquation(items: readonly Item[], available: number, screen: number): Fit {
  const fits = HEIGHTS.map((height) => fitWithin(items, available, height));
  return fits.find((fit) => equationHeight(items, fit, available) <= screen) ?? fits.at(-1)!;
}

function equationHeight(items: readonly Item[], fit: Fit, available: number): number {
  const lineHeight = (line: readonly Item[]): number =>
    Math.max(0, ...line.map((item) => ("sign" in item ? 0 : item.arrangement.rows * cellSize(item, fit).height + CAPTION_HEIGHT + (item.columnsAreExamples ? HEADS_HEIGHT : 0))));
  return breakRows(items, fit, available).reduce((sum, line) => sum + lineHeight(line), 0);
}

/** One cell height for all matrices of an equation, so that shapes that must agree look as if they do. */
function fitWithin(items: readonly Item[], available: number, limit: number): Fit {
  const specs = items.filter((item): item is MatrixSpec => !("sign" in item));
  const maxRows = Math.max(...specs.map((spec) => spec.arrangement.rows));
  const maxHeight = Math.max(MIN_CELL, Math.min(MAX_CELL_HEIGHT, Math.floor(limit / maxRows)));
  // Only high cells may be wider than high: the pattern of a large matrix keeps its proportions.
  const maxSize = maxHeight < MIN_WIDENED_HEIGHT ? maxHeight : MAX_CELL;
  const fit = (size: number, canvasWidth = MIN_CANVAS_WIDTH): Fit => ({
    size, canvasWidth, height: Math.min(maxHeight, Math.max(2 * size, Math.min(MAX_CELL_HEIGHT, Math.floor(MIN_HEIGHT / maxRows)))),
  });
  const oneRowSize = largestThat(maxSize, (size) => itemsWidth(items, fit(size)) <= available + GAP);
  const maxWidth = (size: number): number => Math.max(...specs.map((spec) => specWidth(spec, fit(size))));
  const size = oneRowSize >= Math.min(MIN_ROW_CELL, maxSize) ? oneRowSize : fitBrokenEquation(maxWidth, maxSize, available);
  return fit(size, CANVAS_WIDTHS.find((canvasWidth) => itemsWidth(items, fit(size, canvasWidth)) <= available + GAP));
}

/** For an equation over several rows: two matrices side by side, or else each as wide as the page allows. */
function fitBrokenEquation(maxWidth: (size: number) => number, maxSize: number, available: number): number {
  const twoPerRow = largestThat(maxSize, (size) => 2 * maxWidth(size) + 4 * GAP <= available);
  const size = twoPerRow >= MIN_COMFORTABLE_CELL ? twoPerRow : largestThat(MIN_COMFORTABLE_CELL + 3, (size) => maxWidth(size) <= available);
  return Math.max(MIN_CELL, Math.min(maxSize, size));
}

/** An estimate before the sign is typeset: one letter, or a few words. */
const signWidth = (tex: string): number => (tex.length <= 6 ? 20 : 78);

function largestThat(maxSize: number, predicate: (size: number) => boolean): number {
  for (let size = maxSize; size > 0; size--) if (predicate(size)) return size;
  return 0;
}

/** The width of a matrix, with its frame and a tensor's depth. */
function specWidth(spec: MatrixSpec, fit: Fit): number {
  const { columns } = spec.arrangement;
  const minWidth = columns === 1 ? MIN_COLUMN_WIDTH : MIN_CANVAS_WIDTH;
  const cell = cellSize(spec, fit);
  return Math.max(minWidth, columns * cell.width + labelWidth(spec, cell)) + FRAME_WIDTH;
}

/** Below this many pixels, a row has no room for its name. */
const MIN_LABEL_HEIGHT = 13;
const MAX_LABEL_LENGTH = 12;

/** The names beside the rows, truncated; none where the rows are too low. */
export const visibleRowLabels = (spec: MatrixSpec, cell: CellSize): string[] =>
  cell.height < MIN_LABEL_HEIGHT ? [] : shortenNames(spec.rowLabels, ({ length }) => length <= MAX_LABEL_LENGTH);

/** Below this many pixels, a face is not seen. */
const MIN_FACE = 11;

/** Whether the faces of the units stand beside their rows. */
export const hasFaces = (spec: MatrixSpec, cell: CellSize): boolean => spec.faces !== null && cell.height >= MIN_FACE;

function labelWidth(spec: MatrixSpec, cell: CellSize): number {
  if (spec.arrangement.image) return 0;
  if (hasFaces(spec, cell)) return cell.height + 6;
  const longest = (names: readonly string[]): number => Math.max(0, ...names.map((name) => name.length));
  const maxLength = longest(visibleRowLabels(spec, cell)) + Math.min(MAX_LABEL_LENGTH, longest(spec.rowGroups.map(({ name }) => name)));
  return maxLength > 0 ? 7 * maxLength + 8 : 0;
}

/** Narrow matrices are widened so that an example's column is easy to point at, within limits. */
export function cellSize(spec: MatrixSpec, { size, height: rowHeight, canvasWidth }: Fit): CellSize {
  const { rows, columns } = spec.arrangement;
  const height = rows === 1 ? MAX_CELL_HEIGHT : rowHeight;
  const preferred = Math.floor((columns === 1 ? MIN_COLUMN_WIDTH : canvasWidth) / columns);
  const width = Math.max(size, Math.min(MAX_CELL_HEIGHT, preferred, 3 * height));
  // The pixels of an image are square.
  return spec.arrangement.image ? { width: Math.min(width, height), height: Math.min(width, height) } : { width, height };
}

/** Height of a tensor's figure without its sheets. */
const SHEETS_CAPTION_HEIGHT = 150;
const MAX_SHEETS_HEIGHT = 460;
const SHEET_HEAD = 30;
const SHEET_GAP = 12;
/** Room for an example's name and norm. */
const MIN_SHEET_WIDTH = 92;

/** The cells of a tensor's sheets and of their mean, as large as the width and the height at hand allow. */
export function fitSheets({ arrangement, slices = [] }: MatrixSpec, available: number, screen: number): CellSize {
  const height = Math.min(MAX_SHEETS_HEIGHT, screen - SHEETS_CAPTION_HEIGHT);
  const count = slices.length + 1;
  const sizes = Array.from({ length: count }, (_, n) => {
    const lines = Math.ceil(count / (n + 1));
    const width = ((available - FRAME_WIDTH) / (n + 1) - SHEET_GAP) / arrangement.columns;
    return Math.min(MAX_CELL_HEIGHT, width, (height / lines - SHEET_HEAD) / arrangement.rows);
  });
  const largest = Math.max(1, ...sizes);
  const size = largest >= MIN_CELL ? Math.floor(largest) : largest;
  return { width: Math.max(size, Math.min(MAX_CELL_HEIGHT, arrangement.image ? 0 : MIN_SHEET_WIDTH / arrangement.columns)), height: size };
}

/** Break an equation into rows that fit; as on paper, a sign opens the next row. */
export function breakRows(items: readonly Item[], fit: Fit, available: number): Item[][] {
  const rows: Item[][] = [[]];
  let used = 0;
  let signs: Item[] = [];
  for (const item of items) {
    if ("sign" in item) {
      signs = [...signs, item];
      continue;
    }
    const width = itemsWidth([...signs, item], fit);
    if (used > 0 && used + width > available + GAP) {
      rows.push([]);
      used = 0;
    }
    if (width > available + GAP && signs.length > 0) rows.splice(-1, 1, signs, [item]);
    else rows.at(-1)!.push(...signs, item);
    used += width;
    signs = [];
  }
  rows.at(-1)!.push(...signs);
  return rows;
}

const itemsWidth = (items: readonly Item[], fit: Fit): number =>
  items.reduce((sum, item) => sum + GAP + ("sign" in item ? signWidth(item.sign) : specWidth(item, fit)), 0);
