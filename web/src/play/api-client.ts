/** The server behind the page: what it pushes, and what it is asked. */

import type { Action, Frame, Lesson, Loaded, Settings } from "./protocol";

export interface Heard {
  lesson: (lesson: Lesson) => void;
  /** `first` of a connection, which tells all steps so far. */
  frame: (frame: Frame, first: boolean) => void;
  /** `why` it is lost, where it is not that the playground has ended. */
  link: (state: "open" | "lost", why?: string) => void;
}

/** Done, with what came back, or refused, with the reason in a sentence. */
export type Answer<T = null> = { done: T } | { refused: string };

const UNREACHABLE = "The playground does not answer: it may have ended in its terminal.";
const OVER = "The playground has ended.";
const RETRY_AFTER = 1000;

export class Server {
  private source: EventSource | null = null;
  /** One request at a time, in the order of the controls that were touched. */
  private queue: Promise<unknown> = Promise.resolve();
  /** Why nothing is asked any more: requests that fail would litter the browser's console. */
  private over: string | null = null;

  constructor(private readonly heard: Heard) {}

  /** Listen; a connection that told nothing is tried once more, as the browser's own tries would go on for ever. */
  connect(again = true): void {
    if (this.over !== null) return;
    this.source?.close();
    const source = new EventSource("events");
    this.source = source;
    let told = false;
    source.addEventListener("open", () => this.heard.link("open"));
    source.addEventListener("lesson", (event) => this.heard.lesson(JSON.parse(event.data as string) as Lesson));
    source.addEventListener("frame", (event) => {
      const first = !told;
      told = true;
      this.heard.frame(JSON.parse(event.data as string) as Frame, first);
    });
    source.addEventListener("full", (event) => this.leave((JSON.parse(event.data as string) as { error: string }).error));
    source.addEventListener("ended", () => this.leave());
    source.addEventListener("error", () => {
      source.close();
      if (told || again) setTimeout(() => this.connect(false), RETRY_AFTER);
      else this.leave();
    });
  }

  /** Neither listen nor ask again. */
  private leave(why = ""): void {
    this.source?.close();
    this.over = why || OVER;
    this.heard.link("lost", why);
  }

  run(action: Action): Promise<Answer> {
    return this.post("run", JSON.stringify({ action }));
  }

  settings(changes: Partial<Settings>): Promise<Answer> {
    return this.post("settings", JSON.stringify(changes));
  }

  file(file: File): Promise<Answer<Loaded>> {
    return this.post<Loaded>(`file?name=${encodeURIComponent(file.name)}`, file, "application/octet-stream");
  }

  end(): Promise<Answer> {
    const answer = this.post("end", "{}");
    this.leave();
    return answer;
  }

  private post<T = null>(path: string, body: BodyInit, type = "application/json"): Promise<Answer<T>> {
    if (this.over !== null) return Promise.resolve({ refused: this.over });
    const answer = this.queue.then(() => ask<T>(path, { method: "POST", body, headers: { "Content-Type": type } }));
    this.queue = answer;
    return answer;
  }
}

async function ask<T>(path: string, request: RequestInit): Promise<Answer<T>> {
  try {
    const response = await fetch(path, request);
    if (!response.ok) return { refused: await reason(response) };
    const text = await response.text();
    const told: unknown = text ? JSON.parse(text) : null;
    const refused = sentence(told, "refused");
    return refused === null ? { done: told as T } : { refused };
  } catch {
    return { refused: UNREACHABLE };
  }
}

/** The server's sentence; a body that is none (a proxy's page) is told by its status. */
async function reason(response: Response): Promise<string> {
  const told: unknown = await response.json().catch(() => null);
  return sentence(told, "error") ?? `The playground answered ${response.status} ${response.statusText}.`;
}

/** What an object says under a name, where it does. */
function sentence(told: unknown, name: "refused" | "error"): string | null {
  const words = told && typeof told === "object" ? (told as Record<string, unknown>)[name] : null;
  return typeof words === "string" ? words : null;
}
