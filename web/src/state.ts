/** What is selected, and who wants to hear of it. */

import type { Theme } from "./color-scale";

/** A cell of a figure; `sheet` names the example whose sheet of a tensor it lies in. */
export interface CellRef {
  figure: string;
  row: number;
  column: number;
  sheet?: number;
}

export interface State {
  line: number;
  checkpoint: number;
  playing: boolean;
  example: number | null;
  cell: CellRef | null;
  kept: readonly boolean[];
  clip: number | null;
  collapsed: boolean;
  theme: Theme;
}

type Listener = () => void;

/** What a page shows, the microscope's unless said otherwise. */
export class Store<S extends object = State> {
  private readonly listeners: { keys: readonly (keyof S)[]; listener: Listener }[] = [];

  constructor(private state: S) {}

  get<K extends keyof S>(key: K): S[K] {
    return this.state[key];
  }

  /** Call back after any of these changed; once for a `set`, however many it changes. */
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
