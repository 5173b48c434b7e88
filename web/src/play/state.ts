/** What the page knows, and who talks to whom. */

import type { Theme } from "../color-scale";
import type { Store } from "../state";
import type { Frame, Lesson } from "./protocol";
import type { Server } from "./api-client";
import type { Trace } from "./history";

export interface PlayState {
  theme: Theme;
  lesson: Lesson | null;
  /** The newest of this run; null until it comes. */
  frame: Frame | null;
  link: "opening" | "open" | "lost";
  /** Why the link is lost, where it is not that the playground has ended. */
  farewell: string;
  /** A refusal that no single control caused. */
  trouble: string;
  logLoss: boolean;
}

export interface Context {
  store: Store<PlayState>;
  server: Server;
  trace: Trace;
}
