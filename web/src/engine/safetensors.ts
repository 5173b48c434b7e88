/** A network's weights as a file that `batchprop.export.load_weights` reads. */

import type { Network } from "./network";

/** The arrays `layers.0.W (n_1, n_0)`, `layers.0.b` and so on in float32, and in the metadata the activations and the head. */
export function encodeWeights({ layers, theta, activation, head }: Pick<Network, "layers" | "theta" | "activation" | "head">): Uint8Array<ArrayBuffer> {
  const arrays = layers.flatMap(({ nIn, nOut, W, b }, l) => [
    [`layers.${l}.W`, { dtype: "F32", shape: [nOut, nIn], data_offsets: [4 * W, 4 * b] }] as const,
    [`layers.${l}.b`, { dtype: "F32", shape: [nOut], data_offsets: [4 * b, 4 * (b + nOut)] }] as const,
  ]);
  const description = { format: 1, activations: layers.slice(1).map(() => activation.name), head: { name: head.name } };
  const header = JSON.stringify({ __metadata__: { batchprop: JSON.stringify(description) }, ...Object.fromEntries(arrays) });
  // The arrays begin at a multiple of 8.
  const text = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
  const file = new Uint8Array(8 + text.length + 4 * theta.length);
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  theta.forEach((value, n) => view.setFloat32(8 + text.length + 4 * n, value, true));
  return file;
}
