/** The presets as cards: a question, and the settings that answer it. */

import { h } from "../dom";
import { createErrorElement, errorOf, showError } from "./setting-sender";
import { classColor } from "./palette";
import { createDrawing } from "./icons";
import type { Settings, Table } from "./protocol";
import { DEFAULTS, TABLE } from "./settings";
import { makeToy } from "./toy-datasets";
import type { Context } from "./state";

interface Preset {
  name: string;
  question: string;
  settings: Partial<Settings>;
}

const PRESETS: readonly Preset[] = [
  { name: "Two moons", question: "How does a border bend?", settings: {} },
  { name: "One at a time", question: "A batch of one point?", settings: { batchSize: 1, learningRate: 0.03 } },
  { name: "All at once", question: "A batch of all points?", settings: { batchSize: "full", learningRate: 0.3 } },
  { name: "A straight line", question: "Without a hidden layer?", settings: { data: "circles", hidden: [] } },
  { name: "Spirals", question: "When does depth pay?", settings: { data: "spirals", noise: 0.1, hidden: [8, 8, 8], optimizer: "adam", learningRate: 0.01 } },
  { name: "Too fast", question: "Too large a step?", settings: { data: "blobs", activation: "relu", learningRate: 3 } },
  { name: "Hills", question: "Numbers, not classes?", settings: { data: "hills", noise: 0.1, loss: "squared_error", learningRate: 0.03 } },
];

/** They change everything that a preset is about, and leave the speed. */
const reset = ({ settings }: Preset, seed: number): Partial<Settings> => {
  const { speed, target, axes, ...others } = DEFAULTS;
  return { ...others, seed, ...settings };
};

export function createPresets(context: Context, table: Table | null): HTMLElement {
  const { store, client } = context;
  const error = createErrorElement();
  const own: Preset[] = table ? [{ name: table.title, question: "Your own table", settings: { data: TABLE } }] : [];
  const cards = [...own, ...PRESETS].map((preset) => {
    const card = h("button", { type: "button", class: "preset", "aria-pressed": false }, createIcon(preset, table), h("span", { class: "preset-text" }, h("span", { class: "preset-name" }, preset.name), h("span", { class: "preset-question" }, preset.question)));
    card.addEventListener("click", () => void choose(preset));
    return { preset, card };
  });

  async function choose(preset: Preset): Promise<void> {
    const message = errorOf(await client.settings(reset(preset, store.get("setup")?.settings.seed ?? 0)));
    // Another training of the same settings begins anew, too.
    if (!message && isChosen(preset)) await client.run("reset");
    showError(error, message);
  }

  const isChosen = (preset: Preset): boolean => {
    const settings = store.get("setup")?.settings;
    if (!settings) return false;
    if (preset.settings.data === TABLE) return settings.data === TABLE;
    return Object.entries(reset(preset, settings.seed)).every(([name, value]) => JSON.stringify(value) === JSON.stringify(settings[name as keyof Settings]));
  };

  store.on(["setup"], () => {
    for (const { preset, card } of cards) card.setAttribute("aria-pressed", String(isChosen(preset)));
  });
  return h("nav", { class: "presets", "aria-label": "Experiments" }, ...cards.map(({ card }) => card), error);
}

/** The points of a preset, small. */
function createIcon({ settings }: Preset, table: Table | null): SVGSVGElement {
  const { data = DEFAULTS.data } = settings;
  const points = data === TABLE && table ? table : makeToy(data, 90, data === "blobs" ? 0.15 : 0.05, 1);
  const n = Math.min(120, points.values.length);
  const d = points.features.length;
  const paths = new Map<string, string>();
  for (let i = 0; i < n; i++) {
    const [x, y] = [points.X[i * d]!, d > 1 ? points.X[i * d + 1]! : 0];
    const color = points.task === "classes" ? classColor(points.values[i]!) : points.values[i]! < 0 ? "#2f75b5" : "#d06f14";
    const place = [10 * clamp(x), -10 * clamp(y)].map((value) => value.toFixed(1)).join(",");
    paths.set(color, `${paths.get(color) ?? ""}M${place}h0`);
  }
  return createDrawing(36, [...paths].map(([stroke, path]) => ({ d: path, stroke, fill: "none", "stroke-width": 3, "stroke-linecap": "round" })));
}

const clamp = (value: number): number => Math.max(-1.7, Math.min(1.7, value));
