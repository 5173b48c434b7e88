/** How large the cells of an equation may be, and where it breaks. Pure. */

import type { Figure } from "./figures";
import type { CellSize } from "./heatmap";
import type { Item } from "./lines";
import { depthOf } from "./stack";

const LARGEST_CELL = 28;
const LEAST_CELL = 3;
/** Under this, an equation breaks over several rows rather than shrink further. */
const PLEASANT_CELL = 5;
const LEAST_PLATE = 96;
const LEAST_COLUMN = 76;
const TALLEST = 420;
/** What a figure's frame adds, both sides together. */
const FRAME = 24;
const GAP = 9;

/** One side of a cell for all figures of an equation, so that shapes that must agree look as if they do. */
export function cellSize(items: readonly Item[], available: number): number {
  const figures = items.filter((item): item is Figure => !("sign" in item));
  const signs = items.reduce((sum, item) => sum + ("sign" in item ? signWidth(item.sign) : 0), (items.length - 1) * GAP);
  const tallest = Math.max(...figures.map((figure) => figure.matrix.rows));
  const bound = Math.min(LARGEST_CELL, Math.floor(TALLEST / tallest));
  const inOneRow = largestFitting(bound, (size) => total(figures, size) + signs <= available);
  if (inOneRow >= Math.min(PLEASANT_CELL, bound)) return inOneRow;
  const widest = (size: number): number => Math.max(...figures.map((figure) => widthOf(figure, size)));
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

const total = (figures: readonly Figure[], size: number): number => figures.reduce((sum, figure) => sum + widthOf(figure, size), 0);

/** What a figure takes, its frame and a stack's depth included. */
const widthOf = (figure: Figure, size: number): number =>
  Math.max(leastWidth(figure), figure.matrix.columns * cellOf(figure, size).width) + (figure.sheets ? depthOf(figure.sheets.length) + 20 : 0) + FRAME;

const leastWidth = (figure: Figure): number => (figure.matrix.columns === 1 ? LEAST_COLUMN : LEAST_PLATE);

/** Narrow matrices are widened to their caption, so that a column of an example is easy to point at. */
export function cellOf(figure: Figure, size: number): CellSize {
  const wide = Math.floor(LEAST_PLATE / figure.matrix.columns);
  const height = figure.matrix.rows === 1 ? LARGEST_CELL : size;
  return { width: Math.max(size, Math.min(LARGEST_CELL, wide)), height };
}

/** Rows that fit; as on paper, a sign goes before what follows it, so it opens the next row. */
export function brokenRows(items: readonly Item[], size: number, available: number): Item[][] {
  const rows: Item[][] = [[]];
  let used = 0;
  let signs: Item[] = [];
  for (const item of items) {
    if ("sign" in item) {
      signs = [...signs, item];
      continue;
    }
    const width = itemsWidth([...signs, item], size);
    if (used > 0 && used + width > available) {
      rows.push([]);
      used = 0;
    }
    if (width > available && signs.length > 0) rows.splice(-1, 1, signs, [item]);
    else rows.at(-1)!.push(...signs, item);
    used += width;
    signs = [];
  }
  rows.at(-1)!.push(...signs);
  return rows;
}

const itemsWidth = (items: readonly Item[], size: number): number =>
  items.reduce((sum, item) => sum + GAP + ("sign" in item ? signWidth(item.sign) : widthOf(item, size)), 0);
