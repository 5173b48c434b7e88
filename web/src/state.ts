/** The selection, and its listeners. */

import type { Theme } from "./color-scale";

/** A cell of a matrix; in a tensor, `slice` is the example. */
export interface CellRef {
  matrix: string;
  row: number;
  column: number;
  slice?: number;
}

export interface State {
  step: number;
  snapshot: number;
  playing: boolean;
  example: number | null;
  cell: CellRef | null;
  included: readonly boolean[];
  clip: number | null;
  collapsed: boolean;
  /** Print numbers in cells that have room for them. */
  numbers: boolean;
  theme: Theme;
}

type Listener = () => void;

/** The state of a page, the microscope's by default. */
export class Store<S extends object = State> {
  private readonly listeners: { keys: readonly (keyof S)[]; listener: Listener }[] = [];

  constructor(private state: S) {}

  get<K extends keyof S>(key: K): S[K] {
    return this.state[key];
  }

  /** Call back after any of these keys changed, once per `set`. */
  on(keys: readonly (keyof S)[], listener: Listener): void {
    this.listeners.push({ keys, listener });
  }

  set(patch: Partial<S>): void {
    const changed = (Object.keys(patch) as (keyof S)[]).filter((key) => patch[key] !== this.state[key]);
    if (changed.length === 0) return;
    this.state = { ...this.state, ...patch };
    for (const { keys, listener } of this.listeners) if (keys.some((key) => changed.includes(key))) listener();
  }
}
