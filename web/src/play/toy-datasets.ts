/** Toy data sets on a plane; `batchprop.playground.toy_datasets` makes the same points. */

import { normals, STREAMS, uniforms } from "../engine/random";
import type { Table, Task } from "./protocol";

interface Points {
  /** Both coordinates, and the class or the number. */
  x: ArrayLike<number>;
  y: ArrayLike<number>;
  values: ArrayLike<number>;
}

interface Toy {
  title: string;
  task: Task;
  sample: (rows: number, noise: number, random: Random) => Points;
}

/** The columns of random numbers of a data set. */
interface Random {
  uniform: (column: number) => Float64Array;
  normal: (column: number) => Float64Array;
}

const TURNS = 1.5;
const CENTERS = [[-2, -1], [0, 2], [2, -1]] as const;

const moons: Toy["sample"] = (rows, noise, { uniform, normal }) => {
  const [t, dx, dy] = [uniform(0), normal(1), normal(2)];
  return points(rows, (i) => {
    const [angle, label] = [Math.PI * t[i]!, i % 2];
    const [x, y] = label ? [1 - Math.cos(angle), 0.5 - Math.sin(angle)] : [Math.cos(angle), Math.sin(angle)];
    return [x + noise * dx[i]!, y + noise * dy[i]!, label];
  });
};

const circles: Toy["sample"] = (rows, noise, { uniform, normal }) => {
  const [t, dx, dy] = [uniform(0), normal(1), normal(2)];
  return points(rows, (i) => {
    const [angle, label] = [2 * Math.PI * t[i]!, i % 2];
    const radius = label ? 0.5 : 1;
    return [radius * Math.cos(angle) + (noise / 2) * dx[i]!, radius * Math.sin(angle) + (noise / 2) * dy[i]!, label];
  });
};

const blobs: Toy["sample"] = (rows, noise, { normal }) => {
  const [dx, dy] = [normal(1), normal(2)];
  const spread = 0.2 + 2 * noise;
  return points(rows, (i) => {
    const center = CENTERS[i % 3]!;
    return [center[0] + spread * dx[i]!, center[1] + spread * dy[i]!, i % 3];
  });
};

const spirals: Toy["sample"] = (rows, noise, { uniform, normal }) => {
  const [u, dx, dy] = [uniform(0), normal(1), normal(2)];
  return points(rows, (i) => {
    const [t, label] = [Math.sqrt(0.02 + 0.98 * u[i]!), i % 2];
    const angle = 2 * Math.PI * TURNS * t + Math.PI * label;
    return [3 * t * Math.cos(angle) + noise * dx[i]!, 3 * t * Math.sin(angle) + noise * dy[i]!, label];
  });
};

/** Squares of a chessboard; a point that strays keeps the class of its square. */
const squares = (side: number): Toy["sample"] => (rows, noise, { uniform, normal }) => {
  const [u, v, dx, dy] = [uniform(0), uniform(3), normal(1), normal(2)];
  return points(rows, (i) => {
    const [x, y] = [side * u[i]!, side * v[i]!];
    return [x + (noise / 2) * dx[i]!, y + (noise / 2) * dy[i]!, (Math.floor(x) + Math.floor(y)) % 2];
  });
};

const hills: Toy["sample"] = (rows, noise, { uniform, normal }) => {
  const [u, v, dz] = [uniform(0), uniform(3), normal(1)];
  return points(rows, (i) => {
    const [x, y] = [4 * u[i]! - 2, 4 * v[i]! - 2];
    return [x, y, Math.sin(2 * x) * Math.cos(1.5 * y) + x / 3 + noise * dz[i]!];
  });
};

function points(rows: number, point: (i: number) => [number, number, number]): Points {
  const [x, y, values] = [new Float64Array(rows), new Float64Array(rows), new Float64Array(rows)];
  for (let i = 0; i < rows; i++) [x[i], y[i], values[i]] = point(i);
  return { x, y, values };
}

export const TOYS: Record<string, Toy> = {
  moons: { title: "Two moons", task: "classes", sample: moons },
  circles: { title: "Two circles", task: "classes", sample: circles },
  blobs: { title: "Three clouds", task: "classes", sample: blobs },
  spirals: { title: "Two spirals", task: "classes", sample: spirals },
  quarters: { title: "Four quarters", task: "classes", sample: squares(2) },
  chessboard: { title: "A chessboard", task: "classes", sample: squares(4) },
  hills: { title: "Hills (numbers)", task: "numbers", sample: hills },
};

/** What may be made of the two coordinates of a toy data set, as inputs of the network. */
export const FEATURES: readonly { name: string; label: string; python: string; value: (x: number, y: number) => number }[] = [
  { name: "x1", label: "x₁", python: "x1", value: (x) => x },
  { name: "x2", label: "x₂", python: "x2", value: (_, y) => y },
  { name: "x1²", label: "x₁²", python: "x1**2", value: (x) => x * x },
  { name: "x2²", label: "x₂²", python: "x2**2", value: (_, y) => y * y },
  { name: "x1x2", label: "x₁x₂", python: "x1 * x2", value: (x, y) => x * y },
  { name: "sin x1", label: "sin x₁", python: "np.sin(x1)", value: (x) => Math.sin(x) },
  { name: "sin x2", label: "sin x₂", python: "np.sin(x2)", value: (_, y) => Math.sin(y) },
];

/** Sample a toy data set, standardised: its plane has mean 0 and deviation 1, and so have its numbers. */
export function makeToy(name: string, rows: number, noise: number, seed: number): Table {
  const toy = TOYS[name]!;
  const random: Random = {
    uniform: (column) => uniforms(rows, seed, STREAMS.data, column),
    normal: (column) => normals(rows, seed, STREAMS.data, column),
  };
  const { x, y, values } = toy.sample(rows, noise, random);
  const [xs, ys] = [standardize(x), standardize(y)];
  const isClasses = toy.task === "classes";
  const X = new Float32Array(2 * rows);
  for (let i = 0; i < rows; i++) [X[2 * i], X[2 * i + 1]] = [xs[i]!, ys[i]!];
  return {
    title: toy.title,
    task: toy.task,
    features: ["x₁", "x₂"],
    outputs: isClasses ? Array.from({ length: 1 + Math.max(...Array.from(values)) }, (_, k) => `class ${k + 1}`) : ["height"],
    notes: [],
    rows: Array.from({ length: rows }, (_, i) => `point ${i + 1}`),
    X,
    values: Float32Array.from(isClasses ? Array.from(values) : standardize(values)),
  };
}

/** Subtract the mean and divide by the deviation; a constant column becomes 0. */
export function standardize(values: ArrayLike<number>): Float64Array {
  const n = values.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += values[i]! / n;
  let variance = 0;
  for (let i = 0; i < n; i++) variance += (values[i]! - mean) ** 2 / n;
  const deviation = Math.sqrt(variance) || 1;
  return Float64Array.from({ length: n }, (_, i) => (values[i]! - mean) / deviation);
}
