/** What is selected, and who wants to hear of it. */

import type { Theme } from "./colours";

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

type Key = keyof State;
type Listener = () => void;

export class Store {
  private readonly listeners: { keys: readonly Key[]; listener: Listener }[] = [];

  constructor(private state: State) {}

  get<K extends Key>(key: K): State[K] {
    return this.state[key];
  }

  /** Call back after any of these changed; once for a `set`, however many it changes. */
  on(keys: readonly Key[], listener: Listener): void {
    this.listeners.push({ keys, listener });
  }

  set(patch: Partial<State>): void {
    const changed = (Object.keys(patch) as Key[]).filter((key) => patch[key] !== this.state[key]);
    if (changed.length === 0) return;
    this.state = { ...this.state, ...patch };
    for (const { keys, listener } of this.listeners) if (keys.some((key) => changed.includes(key))) listener();
  }
}
