/** A unit's numbers as indices of a colour scale with 256 colours, 0 in the middle. */

export function largestOf(values: Float32Array): number {
  let largest = 0;
  for (let n = 0; n < values.length; n++) largest = Math.max(largest, Math.abs(values[n]!));
  return largest;
}

export function toIndices(values: Float32Array, largest: number, indices: Uint8Array, at: number): void {
  const scale = largest > 0 ? 127.5 / largest : 0;
  for (let n = 0; n < values.length; n++) indices[at + n] = Math.max(0, Math.min(255, Math.round(127.5 + scale * values[n]!)));
}
