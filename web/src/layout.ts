/** How large the cells of an equation may be, and where it breaks. Pure. */

import type { Figure } from "./matrix-spec";
import type { CellSize } from "./heatmap";
import type { Item } from "./steps";
import { depthOf } from "./tensor-view";

const LARGEST_CELL = 28;
const LEAST_CELL = 3;
/** Under this, an equation breaks over several rows rather than shrink further. */
const PLEASANT_CELL = 5;
/** What narrow matrices are widened to, where there is room for it. */
const PLATES = [200, 150, 96];
const NARROWEST = 96;
/** What few rows are stretched to. */
const LEAST_HEIGHT = 96;
const LEAST_COLUMN = 76;
const TALLEST = 420;
/** What a figure's frame adds, both sides together. */
const FRAME = 20;
const GAP = 8;

/** How an equation's cells are drawn: side, height where few rows leave room, and how wide narrow matrices should be. */
export interface Fit {
  size: number;
  height: number;
  plate: number;
}

/** One height of a cell for all figures of an equation, so that shapes that must agree look as if they do. */
export function fitOf(items: readonly Item[], available: number): Fit {
  const figures = items.filter((item): item is Figure => !("sign" in item));
  const tallest = Math.max(...figures.map((figure) => figure.matrix.rows));
  const bound = Math.max(LEAST_CELL, Math.min(LARGEST_CELL, Math.floor(TALLEST / tallest)));
  const fit = (size: number, plate = NARROWEST): Fit => ({ size, plate, height: Math.max(size, Math.min(LARGEST_CELL, Math.floor(LEAST_HEIGHT / tallest))) });
  const inOneRow = largestFitting(bound, (size) => itemsWidth(items, fit(size)) <= available + GAP);
  const widest = (size: number): number => Math.max(...figures.map((figure) => widthOf(figure, fit(size))));
  const size = inOneRow >= Math.min(PLEASANT_CELL, bound) ? inOneRow : brokenSize(widest, bound, available);
  return fit(size, PLATES.find((plate) => itemsWidth(items, fit(size, plate)) <= available + GAP));
}

/** Of an equation over several rows: two figures beside each other, or else each as wide as the page allows. */
function brokenSize(widest: (size: number) => number, bound: number, available: number): number {
  const twoInARow = largestFitting(bound, (size) => 2 * widest(size) + 4 * GAP <= available);
  const broken = twoInARow >= PLEASANT_CELL ? twoInARow : largestFitting(PLEASANT_CELL + 3, (size) => widest(size) <= available);
  return Math.max(LEAST_CELL, Math.min(bound, broken));
}

/** A guess before it is typeset: a sign of one letter, or a few words. */
const signWidth = (tex: string): number => (tex.length <= 6 ? 20 : 78);

function largestFitting(bound: number, fits: (size: number) => boolean): number {
  for (let size = bound; size > 0; size--) if (fits(size)) return size;
  return 0;
}

/** What a figure takes, its frame and a stack's depth included. */
function widthOf(figure: Figure, fit: Fit): number {
  const { columns } = figure.matrix;
  const least = columns === 1 ? LEAST_COLUMN : NARROWEST;
  const depth = figure.sheets ? depthOf(figure.sheets.length) + 20 : 0;
  const cell = cellOf(figure, fit);
  return Math.max(least, columns * cell.width + depth + labelWidth(figure, cell)) + FRAME;
}

/** Under this many pixels a row has no room for its name. */
const LEAST_LABELLED = 13;
const LONGEST_LABEL = 12;

/** The names beside the rows, cut short; none where the rows are too low. */
export const labelsOf = (figure: Figure, cell: CellSize): string[] =>
  cell.height < LEAST_LABELLED ? [] : figure.labels.map((name) => (name.length > LONGEST_LABEL ? `${name.slice(0, LONGEST_LABEL - 1)}…` : name));

function labelWidth(figure: Figure, cell: CellSize): number {
  const longest = Math.max(0, ...labelsOf(figure, cell).map((name) => name.length));
  return longest > 0 ? 7 * longest + 8 : 0;
}

/** Narrow matrices are widened, so that a column of an example is easy to point at; but not out of all proportion. */
export function cellOf(figure: Figure, { size, height: rowHeight, plate }: Fit): CellSize {
  const { rows, columns } = figure.matrix;
  const height = rows === 1 ? LARGEST_CELL : rowHeight;
  const wide = Math.floor((columns === 1 ? LEAST_COLUMN : plate) / columns);
  const widened = Math.min(LARGEST_CELL, wide, 3 * height);
  return { width: Math.max(size, widened), height };
}

/** Rows that fit; as on paper, a sign goes before what follows it, so it opens the next row. */
export function brokenRows(items: readonly Item[], fit: Fit, available: number): Item[][] {
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
  items.reduce((sum, item) => sum + GAP + ("sign" in item ? signWidth(item.sign) : widthOf(item, fit)), 0);
