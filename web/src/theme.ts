/** Light or dark: as the page that frames this one, as the user chose, or as the system prefers. */

import { button } from "./dom";
import type { Theme } from "./color-scale";

/** The store of any page that has a theme. */
interface ThemedStore {
  get: (key: "theme") => Theme;
  set: (patch: { theme: Theme }) => void;
  on: (keys: readonly "theme"[], listener: () => void) => void;
}

const PREFERS_DARK = "(prefers-color-scheme: dark)";

const STORED = "batchprop theme";

const asTheme = (text: string | null | undefined): Theme | null => (text === "light" || text === "dark" ? text : null);

/** What was chosen before; a browser may keep nothing for a file or a frame. */
function storedTheme(): Theme | null {
  try {
    return asTheme(localStorage.getItem(STORED));
  } catch {
    return null;
  }
}

function storeTheme(theme: Theme): void {
  try {
    localStorage.setItem(STORED, theme);
  } catch {
    // Then the choice lasts as long as the page.
  }
}

/** That of the page around this one, which writes it into its frame. */
const givenTheme = asTheme(document.documentElement.dataset["theme"]);

export const preferredTheme = (): Theme => givenTheme ?? storedTheme() ?? (matchMedia(PREFERS_DARK).matches ? "dark" : "light");

/** Set the theme on the document. Call this before the first drawing: canvases read their colours from the stylesheet. */
export function followTheme(store: ThemedStore): void {
  const setTheme = (): void => void (document.documentElement.dataset["theme"] = store.get("theme"));
  store.on(["theme"], setTheme);
  setTheme();
}

export function createThemeButton(store: ThemedStore): HTMLButtonElement {
  const toggle = button("", () => {
    const theme = store.get("theme") === "dark" ? "light" : "dark";
    storeTheme(theme);
    store.set({ theme });
  }, { class: "theme-button" });
  const update = (): void => void (toggle.textContent = store.get("theme") === "dark" ? "Light theme" : "Dark theme");
  store.on(["theme"], update);
  matchMedia(PREFERS_DARK).addEventListener("change", () => store.set({ theme: preferredTheme() }));
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
