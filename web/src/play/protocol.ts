/** The messages between the server and the page. */

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

export type Range = [number, number];

export interface Limits {
  rows: Range;
  noise: Range;
  max_hidden_layers: number;
  max_units: number;
  learning_rate: Range;
  seed: Range;
  max_file_bytes: number;
}

export type Task = "classes" | "numbers";

export interface Choices {
  data: { name: string; description: string; task: Task }[];
  activations: string[];
  optimizers: string[];
  speeds: { name: string; description: string }[];
}

export interface Data {
  title: string;
  task: Task;
  features: string[];
  outputs: string[];
  n_train: number;
  n_validation: number;
  layer_sizes: number[];
  n_parameters: number;
  x: { name: string; range: Range };
  /** The name is null for a table with one feature; its points are spread evenly. */
  y: { name: string | null; range: Range };
  /** (2, n): a sample of the points of a large table. */
  points: EncodedMatrix;
  /** (1, n): the class, counted from 0, or the target's number. */
  values: EncodedMatrix;
  /** The drawn points of the validation rows. */
  validation_points: number[];
}

/** Everything but the training's progress: the settings, the choices and the data. */
export interface Setup {
  run: number;
  settings: Settings;
  choices: Choices;
  limits: Limits;
  file: { name: string; columns: string[]; rows: number } | null;
  data: Data;
}

export interface ClassSurface {
  grid_size: number;
  /** Base64, one byte per grid point, row by row from the lowest y. */
  labels: string;
  /** The probability of that class, in 255ths. */
  confidence: string;
}

export interface NumberSurface {
  grid_size: number;
  values: EncodedMatrix;
}

/** The progress of the training; losses, noise scales and batch sizes are those of steps first_step + 1 to step. */
export interface TrainingState {
  run: number;
  step: number;
  epoch: number;
  running: boolean;
  stop_reason: string | null;
  first_step: number;
  losses: EncodedMatrix;
  noise_scales: EncodedMatrix;
  batch_sizes: EncodedMatrix;
  /** Step, validation loss and score; null where they are not finite. */
  validation: [number, number | null, number | null][];
  current: {
    loss: number | null;
    noise_scale: number | null | "inf";
    validation_loss: number | null;
    score: number | null;
    batch_size: number;
    learning_rate: number;
  };
  surface: ClassSurface | NumberSurface;
    last_batch_size: number | null;
  /** The drawn points of the last batch, while the training is paused. */
  last_batch: number[] | null;
}

export type Command = "start" | "pause" | "step" | "reset";

export interface LoadedFile {
  columns: string[];
  rows: number;
  suggested_target: string;
}
