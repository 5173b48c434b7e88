/** The page's state, and what its parts share. */

import type { Theme } from "../color-scale";
import type { Store } from "../state";
import type { TrainingState, Setup } from "./protocol";
import type { ApiClient } from "./api-client";
import type { History } from "./history";

export interface PlayState {
  theme: Theme;
  setup: Setup | null;
  /** The latest state of this run; null until it arrives. */
  training: TrainingState | null;
  connection: "opening" | "open" | "lost";
  /** Why the connection is lost, unless the playground has ended. */
  disconnectReason: string;
  /** The error of a command: start, pause, step or reset. */
  commandError: string;
  logLoss: boolean;
}

export interface Context {
  store: Store<PlayState>;
  client: ApiClient;
  history: History;
}
