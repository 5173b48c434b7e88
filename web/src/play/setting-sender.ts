/** Sends a control's settings to the worker, debounced, and shows errors beside the control. */

import { h } from "../dom";
import type { Settings } from "./protocol";
import type { Result } from "./worker-client";
import type { Context } from "./state";

/** Milliseconds: while the user types, wait for the end of the number; while a slider moves, send now and then. */
export const TYPING_DELAY = 500;
export const SLIDING_DELAY = 120;

export interface SettingSender {
  /** Shows the worker's error message. */
  error: HTMLElement;
  /** Whether a setting waits for the worker's answer. */
  busy: () => boolean;
  send: (changes: Partial<Settings>, options?: { delay: number; restart: boolean }) => void;
}

/** `restore` shows the settings in force again after an error. */
export function createSettingSender({ client }: Context, restore: () => void): SettingSender {
  const error = createErrorElement();
  let timer: ReturnType<typeof setTimeout> | null = null;
  let pending: Partial<Settings> = {};
  let nRequests = 0;

  async function flush(): Promise<void> {
    timer = null;
    nRequests++;
    const message = errorOf(await client.settings(pending));
    nRequests--;
    showError(error, message);
    if (message && !timer) restore();
  }

  function send(changes: Partial<Settings>, { delay, restart } = { delay: 0, restart: true }): void {
    clearErrors();
    pending = changes;
    if (timer && !restart) return;
    if (timer) clearTimeout(timer);
    timer = setTimeout(() => void flush(), delay);
  }

  return { error, send, busy: () => timer !== null || nRequests > 0 };
}

/** An empty element; screen readers announce what it gets. */
export const createErrorElement = (): HTMLElement => h("p", { class: "field-error", role: "alert" });

const visibleErrors = new Set<HTMLElement>();

export function showError(error: HTMLElement, message: string): void {
  error.textContent = message;
  if (message) visibleErrors.add(error);
}

/** Clear all errors: they belong to an earlier request. */
export function clearErrors(): void {
  for (const error of visibleErrors) error.textContent = "";
  visibleErrors.clear();
}

export const errorOf = (result: Result<unknown>): string => ("error" in result ? result.error : "");
