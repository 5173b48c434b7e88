/** The connection to the worker: requests with their answers, and a frame at a time. */

import type { Command, FileInfo, FormulaTable, FromWorker, Opening, Requests, Settings, Setup, Table, ToWorker, TrainingState, View } from "./protocol";
import type { BatchData } from "../batch-data";

export interface Listener {
  setup: (setup: Setup) => void;
  state: (state: TrainingState) => void;
}

/** The answer, or an error message. */
export type Result<T = null> = { value: T } | { error: string };

export class WorkerClient {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, (result: Result<never>) => void>();
  private lastId = 0;

  /** `script`: the worker's text, as nothing is loaded from elsewhere. */
  constructor(script: string, private readonly listener: Listener) {
    const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.worker = new Worker(address);
    this.worker.addEventListener("message", (event: MessageEvent<FromWorker>) => this.receive(event.data));
  }

  open(table: Table | null, formulas: FormulaTable, recording: Opening): Promise<Result> {
    const result = this.expect<null>(0);
    this.post({ kind: "open", table, formulas, recording });
    this.askForFrame();
    return result;
  }

  run = (command: Command): Promise<Result> => this.request("command", command);
  settings = (changes: Partial<Settings>): Promise<Result> => this.request("settings", changes);
  weight = (weight: Requests["weight"]["payload"]): Promise<Result> => this.request("weight", weight);
  file = (name: string, text: string): Promise<Result<FileInfo>> => this.request("file", { name, text });
  target = (target: string): Promise<Result> => this.request("target", target);
  microscope = (): Promise<Result<BatchData>> => this.request("microscope", null);
  look = (view: View): void => this.post({ kind: "view", view });

  private request<K extends keyof Requests>(name: K, payload: Requests[K]["payload"]): Promise<Result<Requests[K]["result"]>> {
    const id = ++this.lastId;
    const result = this.expect<Requests[K]["result"]>(id);
    this.post({ kind: "request", id, name, payload });
    return result;
  }

  private expect<T>(id: number): Promise<Result<T>> {
    return new Promise((resolve) => this.waiting.set(id, resolve as (result: Result<never>) => void));
  }

  private post = (message: ToWorker): void => this.worker.postMessage(message);

  /** Ask when there is something to draw on: a hidden page gets no animation frames, so its training pauses. */
  private askForFrame = (): void => void requestAnimationFrame(() => this.post({ kind: "frame" }));

  private receive(message: FromWorker): void {
    if (message.kind === "setup") this.listener.setup(message.setup);
    else if (message.kind === "state") {
      this.listener.state(message.state);
      this.askForFrame();
    } else {
      this.waiting.get(message.id)?.((message.kind === "error" ? { error: message.error } : { value: message.value }) as Result<never>);
      this.waiting.delete(message.id);
    }
  }
}
