/** The last batch for the microscope: the page data that `batchprop.microscope.document` writes, computed here. */

import type { FormulaTable } from "./protocol";
import type { BatchData, EncodedMatrix, Snapshot } from "../batch-data";
import { argmax } from "./trainer";
import { backward, forward, loadBatch, makePass, type Pass } from "../engine/backprop";
import { gram } from "../engine/gradient";
import { makeNetwork, type Network } from "../engine/network";
import { formatCount, pluralize } from "../format";
import type { Session } from "./session";
import { SettingError } from "./settings";

/** Examples in the microscope: more columns are indistinguishable. */
const MAX_EXAMPLES = 64;
/** Inputs that are drawn, of a wide table: those that differ most between the examples. */
const MAX_DRAWN = 64;

export function microscopeDocument(session: Session, formulas: FormulaTable): BatchData {
  const { trainer, dataset, settings } = session;
  const { table } = dataset;
  if (session.running) throw new SettingError("The training is running: pause it, then open the microscope.");
  if (!trainer.lastBatch) throw new SettingError("There is no batch yet: take a step, then open the microscope.");
  const rows = trainer.lastBatch.slice(0, MAX_EXAMPLES);
  const { sizes, activation, head } = trainer.network;
  const before = makeSnapshot(`before step ${formatCount(trainer.steps)}`, trainer.thetaBefore);
  const first = makeSnapshot("before the first step", trainer.initialTheta);
  const drawn = drawnInputs(before.pass, sizes[0]!);

  function makeSnapshot(name: string, theta: Float32Array): { name: string; network: Network; pass: Pass } {
    const network = makeNetwork(sizes, activation.name, head.name, theta);
    const pass = makePass(network, rows.length);
    loadBatch(network, pass, dataset.X, dataset.Y, rows);
    forward(network, pass);
    backward(network, pass);
    return { name, network, pass };
  }

  const label = (values: Float32Array, i: number, K: number): string => (table.task === "classes" ? table.outputs[argmax(values, i * K, K)]! : String(Number(values[i]!.toPrecision(4))));
  const K = sizes.at(-1)!;
  const describe = [
    `The network is shown as it was before step ${formatCount(trainer.steps)}.`,
    ...(settings.optimizer === "sgd" ? [] : [`The page shows plain gradient descent; the step itself used ${settings.optimizer}.`]),
    ...(settings.dropout > 0 ? ["Dropout is left out here: all units are on."] : []),
    ...(settings.l2 > 0 || settings.maxNorm > 0 ? ["The L2 penalty and the limit of the norm are left out here."] : []),
    ...(rows.length < trainer.lastBatch.length ? [`Shown are ${rows.length} of the ${pluralize(trainer.lastBatch.length, "example")} of the batch.`] : []),
    ...(drawn.length < sizes[0]! ? [`Shown are ${drawn.length} of ${formatCount(sizes[0]!)} inputs: those that differ most between the examples.`] : []),
  ];
  const everything = (n: number): number[] => Array.from({ length: n }, (_, j) => j);
  const snapshots = trainer.steps > 1 ? [first, before] : [before];
  return {
    title: `Batch ${formatCount(trainer.steps)} of ${table.title}`,
    description: describe,
    sizes: [...sizes],
    activations: sizes.slice(1, -1).map(() => formulas.activations[activation.name]!),
    head: formulas.heads[head.name]!,
    learningRate: settings.learningRate,
    levels: sizes.map((n, l) => ({
      index: l === 0 ? drawn : everything(n),
      names: l === 0 ? drawn.map((k) => dataset.inputs[k]!) : l === sizes.length - 1 ? [...table.outputs] : everything(n).map((j) => `unit ${j + 1}`),
    })),
    imageShape: null,
    images: null,
    source: null,
    features: [...dataset.inputs],
    outputs: [...table.outputs],
    examples: Array.from(rows, (row, i) => ({ row: table.rows[row]!, label: label(before.pass.Y, i, K) })),
    inputs: encode(before.pass.H[0]!, sizes[0]!, rows.length),
    weights: encode(new Float32Array(rows.length).fill(1), 1, rows.length),
    Y: encode(before.pass.Y, K, rows.length),
    snapshots: snapshots.map(({ name, network, pass }) => encodeSnapshot(name, network, pass, drawn, everything(rows.length).map((i) => label(pass.P, i, K)))),
  };
}

function drawnInputs({ m, H }: Pass, n: number): number[] {
  const deviation = (k: number): number => {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < m; i++) [sum, squares] = [sum + H[0]![i * n + k]!, squares + H[0]![i * n + k]! ** 2];
    return squares / m - (sum / m) ** 2;
  };
  const all = Array.from({ length: n }, (_, k) => k);
  return n <= MAX_DRAWN ? all : all.sort((a, b) => deviation(b) - deviation(a)).slice(0, MAX_DRAWN).sort((a, b) => a - b);
}

function encodeSnapshot(name: string, network: Network, pass: Pass, drawn: readonly number[], predictions: string[]): Snapshot {
  const { layers, theta, sizes } = network;
  const { m } = pass;
  const hidden = layers.slice(0, -1);
  return {
    name,
    layers: layers.map(({ nIn, nOut, W, b }, l) => {
      const columns = l === 0 ? drawn : Array.from({ length: nIn }, (_, k) => k);
      const weights = Float32Array.from({ length: nOut * columns.length }, (_, n) => theta[W + Math.floor(n / columns.length) * nIn + columns[n % columns.length]!]!);
      return { W: encodeRows(weights, nOut, columns.length), b: encodeRows(theta.slice(b, b + nOut), nOut, 1) };
    }),
    Z: pass.Z.map((Z, l) => encode(Z, sizes[l + 1]!, m)),
    H: hidden.map(({ nOut }, l) => encode(pass.H[l + 1]!, nOut, m)),
    P: encode(pass.P, sizes.at(-1)!, m),
    dZ: pass.dZ.map((dZ, l) => encode(dZ, sizes[l + 1]!, m)),
    derivatives: hidden.map(({ nOut }, l) => encode(pass.Z[l]!.slice(0, nOut * m).map((z, n) => network.activation.slope(z, pass.H[l + 1]![n]!)), nOut, m)),
    dH: hidden.map(({ nOut }, l) => encode(backToInputs(network, pass, l + 1), nOut, m)),
    losses: encode(Float32Array.from(pass.losses), 1, m),
    predictions,
    gram: encodeRows(gram(network, pass), m, m),
  };
}

/** `Wᵀ dZ` of a layer. */
function backToInputs({ layers, theta }: Network, { m, dZ }: Pass, l: number): Float32Array {
  const { nIn, nOut, W } = layers[l]!;
  return Float32Array.from({ length: nIn * m }, (_, n) => {
    const [i, k] = [Math.floor(n / nIn), n % nIn];
    let sum = 0;
    for (let j = 0; j < nOut; j++) sum += theta[W + j * nIn + k]! * dZ[l]![i * nOut + j]!;
    return sum;
  });
}

/** A matrix (n, m) whose columns lie one after the other, row by row in base64. */
function encode(columns: Float32Array, n: number, m: number): EncodedMatrix {
  return encodeRows(Float32Array.from({ length: n * m }, (_, at) => columns[(at % m) * n + Math.floor(at / m)]!), n, m);
}

function encodeRows(values: Float32Array, rows: number, columns: number): EncodedMatrix {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return { shape: [rows, columns], data: btoa(text) };
}
