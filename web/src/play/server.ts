/** The server behind the page: what it pushes, and what it is asked. */

import type { Action, Frame, Lesson, Loaded, Settings } from "./protocol";

export interface Heard {
  lesson: (lesson: Lesson) => void;
  frame: (frame: Frame) => void;
  link: (state: "open" | "lost") => void;
}

/** Done, with what came back, or refused, with the reason in a sentence. */
export type Answer<T = null> = { done: T } | { refused: string };

const UNREACHABLE = "The playground does not answer: it may have ended in its terminal.";
const RETRY_AFTER = 1000;

export class Server {
  private source: EventSource | null = null;
  /** One request at a time, in the order of the controls that were touched. */
  private queue: Promise<unknown> = Promise.resolve();

  constructor(private readonly heard: Heard) {}

  /** Listen; a connection that told nothing is tried once more, as the browser's own tries would go on for ever. */
  connect(again = true): void {
    this.source?.close();
    const source = new EventSource("events");
    this.source = source;
    let told = false;
    source.addEventListener("open", () => this.heard.link("open"));
    source.addEventListener("lesson", (event) => this.heard.lesson(JSON.parse(event.data as string) as Lesson));
    source.addEventListener("frame", (event) => {
      told = true;
      this.heard.frame(JSON.parse(event.data as string) as Frame);
    });
    source.addEventListener("error", () => {
      source.close();
      if (told || again) setTimeout(() => this.connect(false), RETRY_AFTER);
      else this.heard.link("lost");
    });
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
    this.source?.close();
    this.heard.link("lost");
    return this.post("end", "{}");
  }

  private post<T = null>(path: string, body: BodyInit, type = "application/json"): Promise<Answer<T>> {
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
    return { done: (text ? JSON.parse(text) : null) as T };
  } catch {
    return { refused: UNREACHABLE };
  }
}

/** The server's sentence; a body that is none (a proxy's page) is told by its status. */
export async function reason(response: Response): Promise<string> {
  const told: unknown = await response.json().catch(() => null);
  const error = told && typeof told === "object" && "error" in told ? told.error : null;
  return typeof error === "string" ? error : `The playground answered ${response.status} ${response.statusText}.`;
}
