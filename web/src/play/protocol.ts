/** What the server tells and takes. */

import type { EncodedMatrix } from "../batch-data";

export interface Settings {
  data: string;
  rows: number;
  noise: number;
  target: string | null;
  hidden: number[];
  activation: string;
  batch_size: number | "full";
  learning_rate: number;
  optimizer: string;
  seed: number;
  speed: string;
  axes: [number, number | null];
}

export type Ends = [number, number];

export interface Limits {
  rows: Ends;
  noise: Ends;
  hidden_layers: number;
  units: number;
  learning_rate: Ends;
  seed: Ends;
  file_bytes: number;
}

export type Task = "classes" | "numbers";

export interface Choices {
  data: { name: string; about: string; task: Task }[];
  activations: string[];
  optimizers: string[];
  speeds: { name: string; about: string }[];
}

export interface Data {
  title: string;
  task: Task;
  features: string[];
  outputs: string[];
  train: number;
  held_out: number;
  sizes: number[];
  parameters: number;
  x: { name: string; ends: Ends };
  /** Without a name where the table has one feature: points are spread evenly then. */
  y: { name: string | null; ends: Ends };
  /** (2, n): of a large table fewer than it has. */
  points: EncodedMatrix;
  /** (1, n): the class from 0, or the number that is learnt. */
  values: EncodedMatrix;
  held: number[];
}

/** Everything but the training: what is learnt, and what can be chosen. */
export interface Lesson {
  run: number;
  settings: Settings;
  choices: Choices;
  limits: Limits;
  file: { name: string; columns: string[]; rows: number } | null;
  data: Data;
}

export interface ClassSurface {
  side: number;
  /** Base64 of a byte a cell, row by row from the lowest y. */
  labels: string;
  /** How probable that class is, in 255ths. */
  sure: string;
}

export interface NumberSurface {
  side: number;
  values: EncodedMatrix;
}

/** Where the training is; the losses are those of steps first + 1 to step. */
export interface Frame {
  run: number;
  step: number;
  epoch: number;
  running: boolean;
  ended: string | null;
  first: number;
  losses: EncodedMatrix;
  noise: EncodedMatrix;
  sizes: EncodedMatrix;
  /** Step, loss and score on the rows held out, where they are finite. */
  held: [number, number | null, number | null][];
  now: {
    loss: number | null;
    noise_scale: number | null | "inf";
    held_loss: number | null;
    score: number | null;
    batch_size: number;
    learning_rate: number;
  };
  surface: ClassSurface | NumberSurface;
  /** How many examples the last batch had. */
  taken: number | null;
  /** Those of them that are drawn, while it is paused: of a large table only some points are. */
  batch: number[] | null;
}

export type Action = "start" | "pause" | "step" | "reset";

export interface Loaded {
  columns: string[];
  rows: number;
  suggested: string;
}
