/** What the page shows of a matrix: name, shape, what rows and columns are, and where each cell comes from. */

import type { Explanation, CellExplanation } from "./explanation-types";
import type { ScaleKind } from "./color-scale";
import { formatCount } from "./format";
import { featurePart, type Matrix } from "./batch-data";
import type { BatchState } from "./batch-state";
import { type Arrangement, asImages, asMatrix, type Source } from "./arrangement";

export interface MatrixSpec {
  /** In ASCII, for the page's addresses: "dZ2". */
  name: string;
  /** In plain text: "dZ²". */
  title: string;
  tex: string;
  matrix: Matrix;
  rowNames: readonly string[];
  columnNames: readonly string[];
  /** Names shown beside the rows where there is room: those of the outputs, and of the features in the batch. */
  rowLabels: readonly string[];
  /** Rows that come from one column of the table, with its name; they cover the rows in order. */
  rowGroups: readonly RowGroup[];
  /** Whether the rows of the table stand above. */
  showsSource: boolean;
  /** The weights of each row's unit, where these are the pixels of an image: its face. */
  faces: { matrix: Matrix; pixels: readonly [number, number] } | null;
  arrangement: Arrangement;
  columnsAreExamples: boolean;
  rowsAreExamples: boolean;
  axes: string;
  /** The same in short, for the eye: "units ↓ examples →". */
  axisTag: string;
  shape: string;
  /** Which part is drawn where not all is: "64 of 1,000 units". */
  subset: Subset | null;
  scale: ScaleKind;
  /** Matrices that share this matrix's colour scale, so that they can be compared by eye. */
  sharedScale: readonly Matrix[];
  explain: (row: number, column: number, slice?: number) => Explanation;
  /** The rows or cells of other matrices, by name, from which a cell is computed. */
  sources: (row: number, column: number) => Sources;
  /** The slices of a tensor, one per example; `matrix` is then their mean. */
  slices?: readonly Matrix[];
  /** The slice in front while no example is selected. */
  frontSlice?: number;
}

export interface RowGroup {
  name: string;
  count: number;
}

export interface Subset {
  short: string;
  full: string;
}

export type Sources = Readonly<Record<string, Source>>;

/** What differs between matrices. */
export interface MatrixOptions {
  name: string;
  title: string;
  tex: string;
  matrix: Matrix;
  /** A level of the network, the examples, or −1 for a single row. */
  rows: number | "examples";
  /** A level of the network, the examples, or a single column. */
  columns: number | "examples" | "one";
  axes: string;
  scale?: ScaleKind;
  sharedScale?: readonly Matrix[];
  slices?: readonly Matrix[];
  /** Draw each row as an image, where the inputs are images. */
  asImages?: boolean;
  /** Name the features beside the rows, and show the rows of the table above. */
  withSource?: boolean;
  explain: (row: number, column: number, slice?: number) => CellExplanation;
  sources?: (row: number, column: number) => Sources;
}

export function createMatrixSpec(batch: BatchState, options: MatrixOptions): MatrixSpec {
  const { rows, columns, matrix } = options;
  const examples = batch.data.examples.map(({ row }) => row);
  const rowNames = rows === "examples" ? examples : rows < 0 ? ["loss"] : batch.names(rows);
  const columnNames = columns === "examples" ? examples : columns === "one" ? ["value"] : batch.names(columns);
  return {
    name: options.name, title: options.title, tex: options.tex, matrix, rowNames, columnNames,
    rowLabels: rows === batch.outputLayer ? batch.data.levels[rows]!.names : options.withSource ? featureLabels(batch) : [],
    rowGroups: options.withSource ? featureGroups(batch) : [],
    showsSource: options.withSource ?? false,
    faces: rows === 1 && columns === "examples" && batch.pixels ? { matrix: batch.W(1), pixels: batch.pixels } : null,
    arrangement: options.asImages && batch.pixels ? asImages(matrix, batch.pixels) : asMatrix(matrix),
    columnsAreExamples: columns === "examples",
    rowsAreExamples: rows === "examples",
    axes: options.axes,
    axisTag: axisTag(batch, options),
    shape: formatShape(batch, options),
    subset: drawnSubset(batch, [rows, columns]),
    scale: options.scale ?? "signed",
    sharedScale: options.sharedScale ?? [],
    sources: options.sources ?? (() => ({})),
    explain: (row, column, slice) => ({
      title: [options.title, cellLabel(options, rowNames[row] ?? "", columnNames[column] ?? ""), batch.data.examples[slice ?? -1]?.row].filter(Boolean).join(", "),
      ...options.explain(row, column, slice),
    }),
    ...(options.slices ? { slices: options.slices, frontSlice: batch.largestGradient() } : {}),
  };
}

/** Beside the column's name, the part of it that a feature holds; a feature's whole name where no table is known; none for pixels. */
function featureLabels(batch: BatchState): string[] {
  const { source, images, levels } = batch.data;
  if (images) return [];
  return levels[0]!.names.map((name, k) => (source ? featurePart(name, source.columns[source.owners[k]!]!.name) : name));
}

/** Neighbouring features of the same column. */
function featureGroups({ data: { source, images } }: BatchState): RowGroup[] {
  if (!source || images) return [];
  const starts = source.owners.map((_, k) => k).filter((k) => source.owners[k] !== source.owners[k - 1]);
  return starts.map((k, n) => ({ name: source.columns[source.owners[k]!]!.name, count: (starts[n + 1] ?? source.owners.length) - k }));
}

function axisTag(batch: BatchState, { rows, columns, slices, asImages }: MatrixOptions): string {
  if (asImages && batch.pixels) return slices ? "a slice for each example: an image for each unit" : "an image for each unit";
  const name = (axis: number | string): string => (typeof axis === "string" ? axis : axis === 0 ? "features" : axis === batch.outputLayer ? "outputs" : "units");
  const down = rows === -1 ? "" : `${name(rows)}\u00a0↓`;
  const right = columns === "one" ? "" : `${name(columns)}\u00a0→`;
  return [slices ? "a slice for each example:" : "", down, right].filter(Boolean).join(" ");
}

/** "4 × 7"; "1,000 × 1,000, 64 × 64 drawn" where not all is. */
function formatShape(batch: BatchState, { rows, columns, matrix, slices }: MatrixOptions): string {
  const more = slices ? [slices.length] : [];
  const join = (shape: number[]): string => [...shape, ...more].map(formatCount).join(" × ");
  const full = join([rows === "examples" || rows < 0 ? matrix.rows : batch.nUnits(rows), typeof columns === "number" ? batch.nUnits(columns) : matrix.columns]);
  const drawn = join([matrix.rows, matrix.columns]);
  return full === drawn ? full : `${full}, ${drawn} drawn`;
}

/** "unit 3, row 17" for an example; "unit 3 from pixel 12" for a weight, with "to" in the backward pass. */
function cellLabel({ rows, columns }: MatrixOptions, row: string, column: string): string {
  if (columns === "one") return row;
  if (rows === "examples") return `${column}, ${row}`;
  if (columns === "examples") return rows < 0 ? column : `${row}, ${column}`;
  return `${row} ${rows > columns ? "from" : "to"} ${column}`;
}

/** "64 of 1,000 units, those that differ most between examples", for each level that is drawn in part. */
function drawnSubset(batch: BatchState, axes: readonly (number | string)[]): Subset | null {
  const levels = [...new Set(axes)].filter((axis): axis is number => typeof axis === "number" && axis >= 0);
  const parts = levels.filter((l) => batch.nDrawn(l) < batch.nUnits(l)).map((l) => levelSubset(batch, l));
  const criteria = [...new Set(parts.map(({ criterion }) => criterion))];
  const joinCounts = (criterion: string): string => [...new Set(parts.filter((subset) => subset.criterion === criterion).map(({ short }) => short))].join(" and ");
  if (parts.length === 0) return null;
  return { short: criteria.map(joinCounts).join("; "), full: criteria.map((criterion) => `${joinCounts(criterion)}, ${criterion}`).join("; ") };
}

function levelSubset(batch: BatchState, l: number): { short: string; criterion: string } {
  const noun = l === 0 ? "features" : l === batch.outputLayer ? "outputs" : "units";
  const short = `${formatCount(batch.nDrawn(l))} of ${formatCount(batch.nUnits(l))} ${noun}`;
  const criterion = l === batch.outputLayer ? "those with the largest gradients" : "those that differ most between examples";
  return { short, criterion };
}
