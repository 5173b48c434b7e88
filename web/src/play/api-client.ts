/** The connection to the server: its events, and requests. */

import type { Command, TrainingState, Setup, LoadedFile, Settings } from "./protocol";

export interface Connection {
  setup: (setup: Setup) => void;
  /** The first state of a connection has all steps so far. */
  state: (state: TrainingState, first: boolean) => void;
  /** `reason`: why the connection is lost, unless the playground has ended. */
  status: (state: "open" | "lost", reason?: string) => void;
}

/** The response, or an error message. */
export type Result<T = null> = { value: T } | { error: string };

const UNREACHABLE = "The playground does not answer. It may have been stopped in its terminal.";
const ENDED = "The playground has ended.";
const RETRY_AFTER = 1000;

export class ApiClient {
  private source: EventSource | null = null;
  /** One request at a time, so that settings arrive in the order in which they were made. */
  private queue: Promise<unknown> = Promise.resolve();
  /** Set once the connection is closed: requests that fail would fill the browser's console with errors. */
  private closedReason: string | null = null;

  constructor(private readonly connection: Connection) {}

  /** Connect; retry at most once, as EventSource itself would retry forever. */
  connect(retry = true): void {
    if (this.closedReason !== null) return;
    this.source?.close();
    const source = new EventSource("events");
    this.source = source;
    let received = false;
    source.addEventListener("open", () => this.connection.status("open"));
    source.addEventListener("setup", (event) => this.connection.setup(JSON.parse(event.data as string) as Setup));
    source.addEventListener("state", (event) => {
      const first = !received;
      received = true;
      this.connection.state(JSON.parse(event.data as string) as TrainingState, first);
    });
    source.addEventListener("full", (event) => this.disconnect((JSON.parse(event.data as string) as { error: string }).error));
    source.addEventListener("ended", () => this.disconnect());
    source.addEventListener("error", () => {
      source.close();
      if (received || retry) setTimeout(() => this.connect(false), RETRY_AFTER);
      else this.disconnect();
    });
  }

  /** Close the connection for good. */
  private disconnect(reason = ""): void {
    this.source?.close();
    this.closedReason = reason || ENDED;
    this.connection.status("lost", reason);
  }

  run(command: Command): Promise<Result> {
    return this.post("command", JSON.stringify({ command }));
  }

  settings(changes: Partial<Settings>): Promise<Result> {
    return this.post("settings", JSON.stringify(changes));
  }

  file(file: File): Promise<Result<LoadedFile>> {
    return this.post<LoadedFile>(`file?name=${encodeURIComponent(file.name)}`, file, "application/octet-stream");
  }

  end(): Promise<Result> {
    const result = this.post("end", "{}");
    this.disconnect();
    return result;
  }

  private post<T = null>(path: string, body: BodyInit, type = "application/json"): Promise<Result<T>> {
    if (this.closedReason !== null) return Promise.resolve({ error: this.closedReason });
    const result = this.queue.then(() => request<T>(path, { method: "POST", body, headers: { "Content-Type": type } }));
    this.queue = result;
    return result;
  }
}

async function request<T>(path: string, options: RequestInit): Promise<Result<T>> {
  try {
    const response = await fetch(path, options);
    if (!response.ok) return { error: await errorMessage(response) };
    const text = await response.text();
    const received: unknown = text ? JSON.parse(text) : null;
    const error = errorField(received);
    return error === null ? { value: received as T } : { error };
  } catch {
    return { error: UNREACHABLE };
  }
}

/** The server's message, or the status of a response that has none, such as a proxy's page. */
async function errorMessage(response: Response): Promise<string> {
  const received: unknown = await response.json().catch(() => null);
  return errorField(received) ?? `The playground answered ${response.status} ${response.statusText}.`;
}

function errorField(received: unknown): string | null {
  const error = received && typeof received === "object" ? (received as Record<string, unknown>)["error"] : null;
  return typeof error === "string" ? error : null;
}
