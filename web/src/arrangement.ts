/** Where a matrix's cells lie on its canvas: as in the matrix, or each of its rows as an image. Pure. */

import { build, cell } from "./algebra";
import type { Matrix } from "./batch-data";

/** A row, a column or a cell of a matrix. */
export interface Source {
  row?: number;
  column?: number;
}

/** Left, top, width and height, in cells. */
export type Box = readonly [number, number, number, number];

export interface Arrangement {
  rows: number;
  columns: number;
  /** The cell at a place of the canvas; null where none is. */
  cellAt: (y: number, x: number) => { row: number; column: number } | null;
  /** The box of a row, a column or a cell. */
  box: (source: Source) => Box;
  /** Height and width of an image; null where the cells lie as in the matrix. */
  image: readonly [number, number] | null;
}

export const asMatrix = ({ rows, columns }: Pick<Matrix, "rows" | "columns">): Arrangement => ({
  rows, columns, image: null,
  cellAt: (row, column) => (row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : null),
  box: ({ row, column }) => [column ?? 0, row ?? 0, column === undefined ? columns : 1, row === undefined ? rows : 1],
});

/** Twice as wide as high, as a figure on a page. */
const ASPECT = 2;

/** Each row of a matrix, which holds the pixels of an image, as that image; the images stand side by side in lines. */
export function asImages({ rows }: Pick<Matrix, "rows">, [height, width]: readonly [number, number]): Arrangement {
  const perLine = Math.min(rows, Math.ceil(Math.sqrt((ASPECT * rows * height) / width)));
  const corner = (row: number): [number, number] => [(row % perLine) * width, Math.floor(row / perLine) * height];
  return {
    rows: Math.ceil(rows / perLine) * height,
    columns: perLine * width,
    image: [height, width],
    cellAt: (y, x) => {
      const row = Math.floor(y / height) * perLine + Math.floor(x / width);
      const isInside = y >= 0 && x >= 0 && x < perLine * width && row < rows;
      return isInside ? { row, column: (y % height) * width + (x % width) } : null;
    },
    box: ({ row = 0, column }) => {
      const [left, top] = corner(row);
      return column === undefined ? [left, top, width, height] : [left + (column % width), top + Math.floor(column / width), 1, 1];
    },
  };
}

/** The matrix as it is drawn; 0 where no cell lies. */
export const arrange = (M: Matrix, arrangement: Arrangement): Matrix =>
  arrangement.image
    ? build(arrangement.rows, arrangement.columns, (y, x) => {
        const place = arrangement.cellAt(y, x);
        return place ? cell(M, place.row, place.column) : 0;
      })
    : M;
