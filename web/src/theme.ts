/** Light or dark: what the system prefers, until the reader chooses. */

import { button } from "./dom";
import type { Theme } from "./color-scale";

/** The store of any page that has a theme. */
interface Themed {
  get: (key: "theme") => Theme;
  set: (patch: { theme: Theme }) => void;
  on: (keys: readonly "theme"[], listener: () => void) => void;
}

const PREFERS_DARK = "(prefers-color-scheme: dark)";

export const preferredTheme = (): Theme => (matchMedia(PREFERS_DARK).matches ? "dark" : "light");

/** Carry the theme to the stylesheet; before the first drawing, as canvases read its colours. */
export function followTheme(store: Themed): void {
  const apply = (): void => void (document.documentElement.dataset["theme"] = store.get("theme"));
  store.on(["theme"], apply);
  apply();
}

export function createThemeButton(store: Themed): HTMLButtonElement {
  let chosen = false;
  const made = button("", () => {
    chosen = true;
    store.set({ theme: store.get("theme") === "dark" ? "light" : "dark" });
  }, { class: "theme-button" });
  const update = (): void => void (made.textContent = store.get("theme") === "dark" ? "Light theme" : "Dark theme");
  store.on(["theme"], update);
  matchMedia(PREFERS_DARK).addEventListener("change", () => {
    if (!chosen) store.set({ theme: preferredTheme() });
  });
  printInLight(store);
  update();
  return made;
}

/** Paper is white: canvases are drawn anew for it, and back again after. */
function printInLight(store: Themed): void {
  let before: Theme | null = null;
  addEventListener("beforeprint", () => {
    before = store.get("theme");
    store.set({ theme: "light" });
  });
  addEventListener("afterprint", () => {
    if (before) store.set({ theme: before });
  });
}
