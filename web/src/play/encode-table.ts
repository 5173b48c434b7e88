/** A file of the user's as numbers: columns of numbers standardised, words one-hot, gaps said. */

import { dsvFormat } from "d3-dsv";
import { permutation } from "../engine/random";
import { formatCount, pluralize } from "../format";
import type { Table, Task } from "./protocol";
import { SettingError } from "./settings";
import { standardize } from "./toy-datasets";

export const MAX_ROWS = 5000;
const [MIN_ROWS, MAX_INPUTS, MAX_CLASSES, MAX_WORDS] = [5, 500, 10, 20];
const GAPS = new Set(["", "na", "n/a", "nan", "null", "none", "?"]);
const TARGETS = new Set(["target", "label", "class", "y"]);
/** Numbers such as 1.315,19 or 1,5. */
const COMMA_NUMBER = /^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$/;
/** Days such as 27.06.2022, 6/27/22 or 2022-06-27, with the time of day or without. */
const DATE = /^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ]\d{1,2}:\d{2}.*)?$/;

/** The text of a file, divided into columns. */
export interface Columns {
  name: string;
  names: readonly string[];
  /** One list of cells for each column; a gap is "". */
  cells: readonly (readonly string[])[];
  lines: readonly number[];
  nRows: number;
}

/** Read a file's text; throws where it is no table. */
export function parseTable(name: string, text: string): Columns {
  if (text.includes("\0")) throw new SettingError(`${name} is not text: give a table as CSV or TSV.`);
  const header = text.slice(0, text.search(/\r?\n|$/));
  const delimiter = [",", ";", "\t"].map((each) => [each, header.split(each).length] as const).sort((a, b) => b[1] - a[1])[0]![0];
  const [names, ...rows] = dsvFormat(delimiter).parseRows(text.replace(/^\ufeff/, ""));
  const full = rows.map((cells, i) => ({ cells, line: i + 2 })).filter(({ cells }) => cells.some((cell) => cell.trim() !== ""));
  if (!names?.length || full.length === 0) throw new SettingError(`${name} is empty: choose a table with column names in its first row.`);
  const wrong = full.find(({ cells }) => cells.length !== names.length);
  if (wrong) throw new SettingError(`${name}, line ${formatCount(wrong.line)}: ${pluralize(wrong.cells.length, "cell")}, where the first line names ${pluralize(names.length, "column")}.`);
  if (new Set(names).size < names.length) throw new SettingError(`${name} has two columns of one name: rename one.`);
  const chosen = full.length <= MAX_ROWS ? full : Array.from(permutation(full.length, 0).slice(0, MAX_ROWS).sort(), (i) => full[i]!);
  const clean = (cell: string): string => (GAPS.has(cell.trim().toLowerCase()) ? "" : cell.trim());
  const cells = names.map((_, k) => chosen.map((row) => clean(row.cells[k]!)));
  return { name, names, cells: delimiter === ";" ? readCommas(cells) : cells, lines: chosen.map(({ line }) => line), nRows: full.length };
}

/**
 * Where a column of decimal commas tells how the file writes numbers, write all columns of such numbers with points: by
 * themselves whole numbers with points between their thousands would look like fractions.
 */
function readCommas(columns: readonly string[][]): readonly (readonly string[])[] {
  if (!columns.some((cells) => haveCommas(cells))) return columns;
  return columns.map((cells) => (fitAll(cells, COMMA_NUMBER) ? cells.map((cell) => cell.replaceAll(".", "").replace(",", ".")) : cells));
}

const haveCommas = (cells: readonly string[]): boolean => fitAll(cells, COMMA_NUMBER) && cells.some((cell) => cell.includes(","));

const fitAll = (cells: readonly string[], pattern: RegExp): boolean => cells.some(Boolean) && cells.every((cell) => cell === "" || pattern.test(cell));

/** What a column of words holds that Python reads and this page does not; null where it is nothing of that kind. */
const unreadKind = (cells: readonly string[]): string | null => (haveCommas(cells) ? "numbers with decimal commas" : fitAll(cells, DATE) ? "dates" : null);

/** In most tables without one of the usual names the last column is the target. */
export const suggestTarget = ({ names }: Columns): string => names.find((name) => TARGETS.has(name.toLowerCase())) ?? names.at(-1)!;

const isNumeric = (cells: readonly string[]): boolean => cells.some(Boolean) && cells.every((cell) => cell === "" || Number.isFinite(Number(cell)));

interface Target {
  task: Task;
  outputs: string[];
  values: Float32Array;
}

function readTarget(file: string, name: string, cells: readonly string[]): Target {
  const distinct = [...new Set(cells)];
  const numeric = isNumeric(cells);
  const isClasses = !numeric || (distinct.length <= MAX_CLASSES && distinct.every((cell) => Number.isInteger(Number(cell))));
  if (distinct.length < 2) throw new SettingError(`The column “${name}” holds one ${isClasses ? "class" : "number"} only: choose another target.`);
  if (!isClasses) return { task: "numbers", outputs: [name], values: Float32Array.from(standardize(cells.map(Number))) };
  const kind = unreadKind(cells);
  if (distinct.length > MAX_CLASSES && kind) throw new SettingError(`The column “${name}” looks like ${kind}, which the page does not read${kind === "dates" ? ": choose another target" : `: \`batchprop play ${file} --target ${name}\` does`}.`);
  if (distinct.length > MAX_CLASSES) throw new SettingError(`The column “${name}” holds ${pluralize(distinct.length, "class", "classes")}: the playground takes up to ${MAX_CLASSES}. Choose another target.`);
  const outputs = distinct.sort((a, b) => (numeric ? Number(a) - Number(b) : a < b ? -1 : 1));
  return { task: "classes", outputs, values: Float32Array.from(cells, (cell) => outputs.indexOf(cell)) };
}

interface Inputs {
  names: string[];
  columns: ArrayLike<number>[];
  notes: string[];
}

function encodeColumn(file: string, name: string, cells: readonly string[]): Inputs {
  const [present, nGaps] = [cells.filter(Boolean), cells.filter((cell) => !cell).length];
  const distinct = [...new Set(present)];
  if (distinct.length + (nGaps ? 1 : 0) < 2) return { names: [], columns: [], notes: [`“${name}” is constant and left out`] };
  if (isNumeric(cells)) {
    const scaled = standardize(present.map(Number));
    let at = 0;
    const column = Float64Array.from(cells, (cell) => (cell ? scaled[at++]! : 0));
    return { names: [name], columns: [column], notes: nGaps ? [`${pluralize(nGaps, "gap")} in “${name}” ${nGaps === 1 ? "stands" : "stand"} at its mean`] : [] };
  }
  const kind = unreadKind(cells);
  if (distinct.length > MAX_WORDS && kind) return { names: [], columns: [], notes: [`“${name}” looks like ${kind} and is left out: \`batchprop play ${file}\` reads them`] };
  if (distinct.length > MAX_WORDS && distinct.length > 0.5 * present.length) return { names: [], columns: [], notes: [`“${name}” has ${formatCount(distinct.length)} different words and is left out`] };
  const counts = new Map<string, number>();
  for (const cell of present) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  const words = distinct.sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1)).slice(0, MAX_WORDS).sort();
  const rest = distinct.length - words.length;
  return {
    names: words.map((word) => `${name} = ${word}`),
    columns: words.map((word) => Float64Array.from(cells, (cell) => (cell === word ? 1 : 0))),
    notes: [
      ...(rest ? [`the ${pluralize(rest, "rarest word")} of “${name}” share no input`] : []),
      ...(nGaps ? [`${pluralize(nGaps, "gap")} in “${name}” ${nGaps === 1 ? "is" : "are"} none of its words`] : []),
    ],
  };
}

/** Encode a table for a target; throws where it cannot be learned. */
export function encodeTable({ name, names, cells, lines, nRows }: Columns, target: string): Table {
  const place = names.indexOf(target);
  if (place < 0) throw new SettingError(`${name} has no column “${target}”: it has ${names.join(", ")}.`);
  const rows = lines.map((_, i) => i).filter((i) => cells[place]![i] !== "");
  if (rows.length < MIN_ROWS) throw new SettingError(`${name} has too few rows with a target (${rows.length}): the playground needs at least ${MIN_ROWS}.`);
  const { task, outputs, values } = readTarget(name, target, rows.map((i) => cells[place]![i]!));
  const encoded = names.flatMap((each, k) => (k === place ? [] : [encodeColumn(name, each, rows.map((i) => cells[k]![i]!))]));
  const columns = encoded.flatMap((each) => each.columns);
  if (columns.length === 0) throw new SettingError(`Beside “${target}” no column of ${name} is left to predict from: ${encoded.flatMap(({ notes }) => notes).join("; ")}.`);
  if (columns.length > MAX_INPUTS) throw new SettingError(`${name} has ${formatCount(columns.length)} columns once encoded: the playground takes up to ${MAX_INPUTS}.`);
  const X = new Float32Array(rows.length * columns.length);
  columns.forEach((column, k) => rows.forEach((_, i) => (X[i * columns.length + k] = column[i]!)));
  const dropped = lines.length - rows.length;
  return {
    title: `${name}: ${target}${task === "numbers" ? ", standardised" : ""}`,
    task,
    features: encoded.flatMap((each) => each.names),
    outputs,
    rows: rows.map((i) => `line ${lines[i]!}`),
    X,
    values,
    notes: [
      ...(nRows > lines.length ? [`${formatCount(lines.length)} of ${formatCount(nRows)} rows, drawn at random`] : []),
      ...(dropped ? [`${pluralize(dropped, "row")} without a target left out`] : []),
      ...encoded.flatMap((each) => each.notes),
    ],
  };
}
