/** From a control to the server: not at every letter or pixel, and with the refusal beside the control. */

import { h } from "../dom";
import type { Settings } from "./protocol";
import type { Answer } from "./api-client";
import type { Context } from "./state";

/** While somebody types, wait for the end of the number; while a slider moves, send now and then. */
export const TYPING = 500;
export const SLIDING = 120;

export interface Wisher {
  /** Where a refusal is told. */
  error: HTMLElement;
  /** Whether something was asked for that the server has not answered. */
  busy: () => boolean;
  wish: (changes: Partial<Settings>, how?: { after: number; restart: boolean }) => void;
}

/**
 * Ask for changes. `restore` shows what is in force, once a wish was refused.
 */
export function createWisher({ server }: Context, restore: () => void): Wisher {
  const error = refusal();
  let timer: ReturnType<typeof setTimeout> | null = null;
  let newest: Partial<Settings> = {};
  let waiting = 0;

  async function send(): Promise<void> {
    timer = null;
    waiting++;
    const refused = told(await server.settings(newest));
    waiting--;
    tell(error, refused);
    if (refused && !timer) restore();
  }

  function wish(changes: Partial<Settings>, { after, restart } = { after: 0, restart: true }): void {
    forget();
    newest = changes;
    if (timer && !restart) return;
    if (timer) clearTimeout(timer);
    timer = setTimeout(() => void send(), after);
  }

  return { error, wish, busy: () => timer !== null || waiting > 0 };
}

/** An empty place that a screen reader listens to. */
export const refusal = (): HTMLElement => h("p", { class: "refused", role: "alert" });

const refusing = new Set<HTMLElement>();

export function tell(error: HTMLElement, words: string): void {
  error.textContent = words;
  if (words) refusing.add(error);
}

/** Something else is asked for: what was refused before is over. */
export function forget(): void {
  for (const error of refusing) error.textContent = "";
  refusing.clear();
}

export const told = (answer: Answer<unknown>): string => ("refused" in answer ? answer.refused : "");
