/** The page's state, and what its parts share. */

import type { Theme } from "../color-scale";
import type { Store } from "../state";
import type { Setup, TrainingState } from "./protocol";
import type { WorkerClient } from "./worker-client";
import type { History } from "./history";

/** What the edges of the network show. */
export type EdgeMode = "weights" | "batch" | "example";

/** A hidden unit: its layer and its place, both from 0. */
export type Unit = readonly [number, number];

export interface PlayState {
  theme: Theme;
  setup: Setup | null;
  /** The latest state of this run; null until it arrives. */
  training: TrainingState | null;
  /** The error of a command: start, pause, step or reset. */
  commandError: string;
  /** Whether the loss has a logarithmic axis; null for wherever it pays. */
  logLoss: boolean | null;
  /** The unit that the plane shows: the one pointed at, or chosen. */
  pointedUnit: Unit | null;
  chosenUnit: Unit | null;
  edges: EdgeMode;
  /** The example of the last batch whose gradient is shown. */
  example: number;
  /** How the plane is drawn. */
  discretize: boolean;
  showHeldOut: boolean;
}

export interface Context {
  store: Store<PlayState>;
  client: WorkerClient;
  history: History;
}

export const shownUnit = (store: Store<PlayState>): Unit | null => store.get("pointedUnit") ?? store.get("chosenUnit");
