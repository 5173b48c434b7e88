/** Light or dark: the system's preference, until the user chooses. */

import { button } from "./dom";
import type { Theme } from "./color-scale";

/** The store of any page that has a theme. */
interface ThemedStore {
  get: (key: "theme") => Theme;
  set: (patch: { theme: Theme }) => void;
  on: (keys: readonly "theme"[], listener: () => void) => void;
}

const PREFERS_DARK = "(prefers-color-scheme: dark)";

export const preferredTheme = (): Theme => (matchMedia(PREFERS_DARK).matches ? "dark" : "light");

/** Set the theme on the document. Call this before the first drawing: canvases read their colours from the stylesheet. */
export function followTheme(store: ThemedStore): void {
  const setTheme = (): void => void (document.documentElement.dataset["theme"] = store.get("theme"));
  store.on(["theme"], setTheme);
  setTheme();
}

export function createThemeButton(store: ThemedStore): HTMLButtonElement {
  let isChosen = false;
  const toggle = button("", () => {
    isChosen = true;
    store.set({ theme: store.get("theme") === "dark" ? "light" : "dark" });
  }, { class: "theme-button" });
  const update = (): void => void (toggle.textContent = store.get("theme") === "dark" ? "Light theme" : "Dark theme");
  store.on(["theme"], update);
  matchMedia(PREFERS_DARK).addEventListener("change", () => {
    if (!isChosen) store.set({ theme: preferredTheme() });
  });
  usePrintTheme(store);
  update();
  return toggle;
}

/** Print in the light theme: canvases must be redrawn for white paper, and back afterwards. */
function usePrintTheme(store: ThemedStore): void {
  let savedTheme: Theme | null = null;
  addEventListener("beforeprint", () => {
    savedTheme = store.get("theme");
    store.set({ theme: "light" });
  });
  addEventListener("afterprint", () => {
    if (savedTheme) store.set({ theme: savedTheme });
  });
}
