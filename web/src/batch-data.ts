/** The document that Python writes into the page, and its matrices as numbers, decoded when first asked for. */

export interface PackedMatrix {
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

export interface Checkpoint {
  name: string;
  layers: { W: PackedMatrix; b: PackedMatrix }[];
  Z: PackedMatrix[];
  H: PackedMatrix[];
  P: PackedMatrix;
  dZ: PackedMatrix[];
  slopes: PackedMatrix[];
  dH: PackedMatrix[];
  losses: PackedMatrix;
  answers: string[];
  gram: PackedMatrix;
}

export interface Formulas {
  name: string;
  tex: string;
}

/** Everything of one batch at every checkpoint; layer l of the text is `layers[l - 1]`. */
export interface BatchDocument {
  title: string;
  about: string[];
  sizes: number[];
  activations: (Formulas & { slopeTex: string })[];
  head: Formulas & { lossTex: string; dZTex: string };
  learningRate: number;
  levels: Level[];
  image: [number, number] | null;
  /** (height · width, m): what examples look like where rows are images; what enters the network may be encoded otherwise. */
  pictures: PackedMatrix | null;
  features: string[];
  outputs: string[];
  examples: Example[];
  inputs: PackedMatrix;
  /** (1, m): how much each example counts in a mean, before anything is left out. */
  weights: PackedMatrix;
  Y: PackedMatrix;
  checkpoints: Checkpoint[];
}

/** A matrix, row by row. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array | Float64Array;
}

const decoded = new WeakMap<PackedMatrix, Matrix>();

/** The numbers of a packed matrix; a second call costs nothing. */
export function decode(packed: PackedMatrix): Matrix {
  let matrix = decoded.get(packed);
  if (!matrix) {
    const [rows, columns] = packed.shape;
    matrix = { rows, columns, values: floats(packed.data, rows * columns) };
    decoded.set(packed, matrix);
  }
  return matrix;
}

function floats(base64: string, count: number): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: count }, (_, i) => view.getFloat32(4 * i, true));
}

/** Read the document from the page. */
export function readDocument(id: string): BatchDocument {
  const holder = document.getElementById(id);
  if (!holder?.textContent) throw new Error(`the page has no document: a script element with the id "${id}" is missing`);
  return JSON.parse(holder.textContent) as BatchDocument;
}
