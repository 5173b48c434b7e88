/** A matrix as a figure: its names, its shape, what a row and a column are, and where each cell comes from. */

import type { Arithmetic, Explained } from "./explanation-types";
import type { ScaleKind } from "./color-scale";
import type { Matrix } from "./batch-data";
import type { Scene } from "./batch-state";

export interface Figure {
  /** In ASCII, for the page's addresses: "dZ2". */
  name: string;
  /** In plain text: "dZ²". */
  title: string;
  tex: string;
  matrix: Matrix;
  rowNames: readonly string[];
  columnNames: readonly string[];
  /** Names to stand beside the rows where there is room: those of the outputs. */
  labels: readonly string[];
  columnsAreExamples: boolean;
  units: string;
  shape: string;
  /** What is drawn where not all is: "64 of 1000 units", and which those are. */
  part: Part | null;
  scale: ScaleKind;
  /** Matrices that share this figure's colour scale, so that the eye may compare them. */
  alike: readonly Matrix[];
  explain: (row: number, column: number, sheet?: number) => Arithmetic;
  /** Which rows or cells of other figures a cell is made of, by their names. */
  sources: (row: number, column: number) => Sources;
  /** The sheets of a tensor, one an example; `matrix` is then their mean. */
  sheets?: readonly Matrix[];
  /** The sheet that lies in front while no example is pointed at. */
  front?: number;
}

export interface Part {
  count: string;
  full: string;
}

export type Sources = Readonly<Record<string, { row: number; column?: number }>>;

/** What differs from figure to figure; rows and columns are levels of the network where they are numbers. */
export interface Recipe {
  name: string;
  title: string;
  tex: string;
  matrix: Matrix;
  /** A level, or −1 for a single row. */
  rows: number;
  /** A level of the network, the examples, or a single column. */
  columns: number | "examples" | "one";
  units: string;
  scale?: ScaleKind;
  alike?: readonly Matrix[];
  sheets?: readonly Matrix[];
  cell: (row: number, column: number, sheet?: number) => Explained;
  sources?: (row: number, column: number) => Sources;
}

/** Make the figure of a recipe. */
export function figure(scene: Scene, recipe: Recipe): Figure {
  const { rows, columns, matrix } = recipe;
  const rowNames = rows < 0 ? ["loss"] : scene.names(rows);
  const columnNames = columns === "examples" ? scene.doc.examples.map(({ row }) => row) : columns === "one" ? ["value"] : scene.names(columns);
  return {
    name: recipe.name, title: recipe.title, tex: recipe.tex, matrix, rowNames, columnNames,
    labels: rows === scene.last ? scene.doc.levels[rows]!.names : [],
    columnsAreExamples: columns === "examples",
    units: recipe.units,
    shape: shapeOf(scene, recipe),
    part: partsDrawn(scene, [rows, columns]),
    scale: recipe.scale ?? "signed",
    alike: recipe.alike ?? [],
    sources: recipe.sources ?? (() => ({})),
    explain: (row, column, sheet) => ({
      title: [recipe.title, placeOf(recipe, rowNames[row] ?? "", columnNames[column] ?? ""), scene.doc.examples[sheet ?? -1]?.row].filter(Boolean).join(", "),
      ...recipe.cell(row, column, sheet),
    }),
    ...(recipe.sheets ? { sheets: recipe.sheets, front: scene.longest() } : {}),
  };
}

/** "4 × 7"; "1000 × 1000, 64 × 64 drawn" where not all is. */
function shapeOf(scene: Scene, { rows, columns, matrix, sheets }: Recipe): string {
  const more = sheets ? [sheets.length] : [];
  const whole = [rows < 0 ? matrix.rows : scene.size(rows), typeof columns === "number" ? scene.size(columns) : matrix.columns, ...more].join(" × ");
  const drawn = [matrix.rows, matrix.columns, ...more].join(" × ");
  return whole === drawn ? whole : `${whole}, ${drawn} drawn`;
}

/** "unit 3, row 17" of an example; "unit 3 from pixel 12" of a weight, "to" where it is read backwards. */
function placeOf({ rows, columns }: Recipe, row: string, column: string): string {
  if (columns === "one") return row;
  if (columns === "examples") return rows < 0 ? column : `${row}, ${column}`;
  return `${row} ${rows > columns ? "from" : "to"} ${column}`;
}

/** "64 of 1000 units, those that differ most between examples", for each level that is not drawn whole. */
function partsDrawn(scene: Scene, axes: readonly (number | string)[]): Part | null {
  const levels = [...new Set(axes)].filter((axis): axis is number => typeof axis === "number" && axis >= 0);
  const parts = levels.filter((l) => scene.drawn(l) < scene.size(l)).map((l) => partOf(scene, l));
  const sorts = [...new Set(parts.map(({ which }) => which))];
  const counts = (which: string): string => [...new Set(parts.filter((part) => part.which === which).map(({ count }) => count))].join(" and ");
  if (parts.length === 0) return null;
  return { count: sorts.map(counts).join("; "), full: sorts.map((which) => `${counts(which)}, ${which}`).join("; ") };
}

function partOf(scene: Scene, l: number): { count: string; which: string } {
  const what = l === 0 ? "features" : l === scene.last ? "outputs" : "units";
  const count = `${scene.drawn(l)} of ${scene.size(l)} ${what}`;
  const which = l === scene.last ? "those with the largest gradients" : "those that differ most between examples";
  return { count, which };
}
