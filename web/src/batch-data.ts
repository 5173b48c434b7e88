/** The data that Python writes into the page; matrices are decoded when first used. */

export interface EncodedMatrix {
  shape: [number, number];
  /** Base64 of little-endian float32, row by row. */
  data: string;
}

export interface Level {
  index: number[];
  names: string[];
}

export interface Example {
  row: string;
  label: string;
}

export interface Snapshot {
  name: string;
  layers: { W: EncodedMatrix; b: EncodedMatrix }[];
  Z: EncodedMatrix[];
  H: EncodedMatrix[];
  P: EncodedMatrix;
  dZ: EncodedMatrix[];
  derivatives: EncodedMatrix[];
  dH: EncodedMatrix[];
  losses: EncodedMatrix;
  predictions: string[];
  gram: EncodedMatrix;
}

export interface Formulas {
  name: string;
  tex: string;
}

/** The table that the inputs were encoded from. */
export interface SourceTable {
  /** Those columns that the drawn features come from, with a cell for each example; null where it is missing. */
  columns: { name: string; cells: (string | number | null)[] }[];
  /** The column of each drawn feature. */
  owners: number[];
}

/** One batch at every snapshot of the training; layer l of the text is `layers[l - 1]`. */
export interface BatchData {
  title: string;
  description: string[];
  sizes: number[];
  activations: (Formulas & { derivativeTex: string })[];
  head: Formulas & { lossTex: string; dZTex: string };
  learningRate: number;
  levels: Level[];
  imageShape: [number, number] | null;
  /** (height · width, m): the examples as images; the network's inputs may be encoded otherwise. */
  images: EncodedMatrix | null;
  source: SourceTable | null;
  features: string[];
  outputs: string[];
  examples: Example[];
  inputs: EncodedMatrix;
  /** (1, m): the examples' weights in a mean, before any is excluded or clipped. */
  weights: EncodedMatrix;
  Y: EncodedMatrix;
  snapshots: Snapshot[];
}

/** A matrix, row by row. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array | Float64Array;
}

/** Whether the head predicts numbers, which are near their targets or far from them, not correct or wrong. */
export const predictsNumbers = ({ head }: BatchData): boolean => !/softmax|sigmoid/.test(head.name);

/** What a feature holds of its column: a word, a part of a date, whether it is missing; nothing where it is the column's number. */
export function featurePart(feature: string, column: string): string {
  if (feature === column) return "";
  if (feature === `missingindicator_${column}`) return "is missing";
  if (feature === `${column}_infrequent_sklearn`) return "rare";
  return feature.startsWith(`${column}_`) ? feature.slice(column.length + 1) : feature;
}

const cache = new WeakMap<EncodedMatrix, Matrix>();

/** Decode a matrix; cached. */
export function decode(encoded: EncodedMatrix): Matrix {
  let matrix = cache.get(encoded);
  if (!matrix) {
    const [rows, columns] = encoded.shape;
    matrix = { rows, columns, values: decodeFloats(encoded.data, rows * columns) };
    cache.set(encoded, matrix);
  }
  return matrix;
}

function decodeFloats(base64: string, count: number): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: count }, (_, i) => view.getFloat32(4 * i, true));
}

/** Read the data from the page. */
export function readBatchData(id: string): BatchData {
  const element = document.getElementById(id);
  if (!element?.textContent) throw new Error(`the page has no data: the script element with the id "${id}" is missing`);
  return JSON.parse(element.textContent) as BatchData;
}
