/** A network: its layers' W and b lie one after the other in one array, so that an optimiser is a loop over numbers. */

import { type Activation, getActivation } from "./activations";
import { getHead, type Head } from "./heads";
import { STREAMS, uniforms } from "./random";

/** `W` begins at `W`, row by row, `b` at `b`: `z_j = Σ_k W[j · nIn + k] h_k + b_j`. */
export interface LayerShape {
  readonly nIn: number;
  readonly nOut: number;
  readonly W: number;
  readonly b: number;
}

export interface Network {
  readonly sizes: readonly number[];
  readonly layers: readonly LayerShape[];
  readonly activation: Activation;
  readonly head: Head;
  readonly theta: Float32Array;
}

export function layerShapes(sizes: readonly number[]): LayerShape[] {
  let position = 0;
  return sizes.slice(1).map((nOut, l) => {
    const nIn = sizes[l]!;
    const shape = { nIn, nOut, W: position, b: position + nIn * nOut };
    position = shape.b + nOut;
    return shape;
  });
}

export const nParameters = (layers: readonly LayerShape[]): number => layers.reduce((sum, { nIn, nOut }) => sum + (nIn + 1) * nOut, 0);

export function makeNetwork(sizes: readonly number[], activation: string, head: string, theta?: Float32Array): Network {
  const layers = layerShapes(sizes);
  return { sizes, layers, activation: getActivation(activation), head: getHead(head), theta: theta ?? new Float32Array(nParameters(layers)) };
}

/** Glorot's uniform weights: `W, b ~ U(−r, r)`, `r = √(6 / (nIn + nOut))`, with 2 in place of 6 for the sigmoid. */
export function initialize(network: Network, seed: number): void {
  const gain = network.activation.name === "sigmoid" ? 2 : 6;
  network.layers.forEach(({ nIn, nOut, W }, l) => {
    const bound = Math.sqrt(gain / (nIn + nOut));
    uniforms((nIn + 1) * nOut, seed, STREAMS.weights, l).forEach((u, n) => (network.theta[W + n] = bound * (2 * u - 1)));
  });
}
