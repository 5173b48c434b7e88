/** The messages between the page and the worker that trains. */

import type { BatchData, Formulas } from "../batch-data";

/** The formulas of activations and heads, as Python writes them into the page. */
export interface FormulaTable {
  activations: Record<string, Formulas & { derivativeTex: string }>;
  heads: Record<string, Formulas & { lossTex: string; dZTex: string }>;
}

export interface Settings {
  data: string;
  rows: number;
  noise: number;
  /** The column to learn, of a table that was read in the page. */
  target: string | null;
  /** The inputs made of x₁ and x₂ of a toy data set. */
  features: readonly string[];
  hidden: readonly number[];
  activation: string;
  loss: string;
  batchSize: number | "full";
  learningRate: number;
  optimizer: string;
  l2: number;
  dropout: number;
  maxNorm: number;
  seed: number;
  speed: string;
  axes: readonly [number, number | null];
}

/** A change while the training went on: of settings, or of one weight; k is the number of inputs for the bias. */
export interface LogEntry {
  step: number;
  settings?: Partial<Settings>;
  weight?: { l: number; j: number; k: number; value: number };
}

/** All that makes a training: from the settings at its start, the changes and the steps, everything can be repeated. */
export interface Recording {
  settings: Settings;
  log: readonly LogEntry[];
  step: number;
}

/** What an address holds: a recording whose missing settings are the usual ones. */
export interface Opening {
  settings: Partial<Settings>;
  log?: readonly LogEntry[];
  step?: number;
}

export type Range = readonly [number, number];
export type Task = "classes" | "numbers";

/** A table in numbers, as Python writes it into the page, or the page encodes a file. */
export interface Table {
  title: string;
  task: Task;
  features: readonly string[];
  outputs: readonly string[];
  /** What was left out or filled. */
  notes: readonly string[];
  /** The names of the rows. */
  rows: readonly string[];
  /** (n, features) row by row, standardised. */
  X: Float32Array;
  /** The class, counted from 0, or the target's number, standardised. */
  values: Float32Array;
}

export interface Data {
  title: string;
  task: Task;
  /** The network's inputs. */
  features: readonly string[];
  outputs: readonly string[];
  notes: readonly string[];
  nTrain: number;
  nValidation: number;
  sizes: readonly number[];
  x: { name: string; range: Range };
  /** The name is null for a table with one feature; its points are spread evenly. */
  y: { name: string | null; range: Range };
  /** (2, n): a sample of the points of a large table. */
  points: Float32Array;
  values: Float32Array;
  /** Of each drawn point, whether it is held out. */
  isValidation: readonly boolean[];
}

/** Everything but the training's progress. */
export interface Setup {
  run: number;
  settings: Settings;
  /** The table that was given to the page, or read in it. */
  table: { name: string; rows: number; columns: readonly string[] } | null;
  data: Data;
}

/** The network over the plane, on a grid that begins with the lowest row. */
export interface Surface {
  side: number;
  /** (K, side²): the outputs. */
  P: Float32Array;
  /** (units, unitSide²): H of every hidden unit, layer by layer, as indices of a colour scale about 0 for each layer. */
  unitSide: number;
  units: Uint8Array;
  /** (side²): H of the unit that the page shows on the plane. */
  shown: Float32Array | null;
}

export interface ValidationEntry {
  step: number;
  loss: number;
  score: number;
  trainScore: number;
}

/** The progress of the training; losses, noise scales and batch sizes are those of steps firstStep + 1 to step. */
export interface TrainingState {
  run: number;
  step: number;
  epoch: number;
  running: boolean;
  /** The step up to which a link is being repeated; 0 if none is. */
  replayTo: number;
  stopReason: string | null;
  firstStep: number;
  losses: Float32Array;
  noiseScales: Float32Array;
  batchSizes: Float32Array;
  validation: readonly ValidationEntry[];
  /** The size of the next batch. */
  batchSize: number;
  surface: Surface;
  theta: Float32Array;
  /** What was followed in the last step, and one example's own gradient; both in the order of theta. */
  gradient: Float32Array | null;
  exampleGradient: Float32Array | null;
  lastBatchSize: number | null;
  /** The drawn points of the last batch, in its order, -1 for one that is not drawn; while the training is paused. */
  lastBatch: readonly number[] | null;
  recording: Recording;
}

/** A file that was read in the page, before its target is chosen. */
export interface FileInfo {
  columns: readonly string[];
  rows: number;
  suggestedTarget: string;
}

export type Command = "start" | "pause" | "step" | "reset";

/** What the page looks at. */
export interface View {
  unit: readonly [number, number] | null;
  example: number | null;
}

export interface Requests {
  command: { payload: Command; result: null };
  settings: { payload: Partial<Settings>; result: null };
  weight: { payload: { l: number; j: number; k: number; value: number }; result: null };
  file: { payload: { name: string; text: string }; result: FileInfo };
  target: { payload: string; result: null };
  microscope: { payload: null; result: BatchData };
}

export type ToWorker =
  | { kind: "open"; table: Table | null; formulas: FormulaTable; recording: Opening }
  | { kind: "request"; id: number; name: keyof Requests; payload: unknown }
  | { kind: "view"; view: View }
  /** The page is ready to draw, once there is something new. */
  | { kind: "frame" };

export type FromWorker =
  | { kind: "setup"; setup: Setup }
  | { kind: "state"; state: TrainingState }
  | { kind: "result"; id: number; value: unknown }
  | { kind: "error"; id: number; error: string };
