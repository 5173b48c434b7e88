/** The controls of the data: which set, how many points, how noisy; or a file, its target and its axes. */

import { h } from "../dom";
import { createChoice, type Option } from "./select";
import { createFilePicker, FILE } from "./file-picker";
import { fittingBatch } from "./validate-settings";
import { createQuantity } from "./number-input";
import type { Settings } from "./protocol";
import type { Context } from "./state";

export function createDataControls(context: Context): HTMLElement[] {
  const rows = createQuantity(context, {
    id: "rows", label: "Points", log: true, whole: true, anew: true,
    ends: ({ limits }) => limits.rows,
    value: ({ settings }) => settings.rows,
    changes: (value, lesson) => ({ rows: value, ...fittingBatch(lesson, value) }),
  });
  const noise = createQuantity(context, {
    id: "noise", label: "Noise", anew: true,
    ends: ({ limits }) => limits.noise,
    value: ({ settings }) => settings.noise,
    changes: (value) => ({ noise: value }),
  });
  const drawn = h("div", {}, rows, noise);
  const target = createTarget(context);
  context.store.on(["lesson"], () => {
    const fromFile = context.store.get("lesson")?.settings.data === FILE;
    drawn.hidden = fromFile;
  });
  return [createSet(context), drawn, target, createFilePicker(context), createAxes(context)];
}

function createSet(context: Context): HTMLElement {
  return createChoice(context, {
    id: "data", label: "Set",
    options: ({ choices, file }) => [
      ...choices.data.map(({ name, about }): Option => ({ value: name, text: about })),
      ...(file ? [{ value: FILE, text: `Your file: ${file.name}` }] : []),
    ],
    value: ({ settings }) => settings.data,
    changes: (value, lesson) => ({ data: value, ...fittingBatch(lesson, value === FILE ? (lesson.file?.rows ?? 0) : lesson.settings.rows) }),
  });
}

function createTarget(context: Context): HTMLElement {
  return createChoice(context, {
    id: "target", label: "Target",
    options: ({ settings, file }) => (settings.data === FILE && file ? file.columns.map((name) => ({ value: name, text: name })) : []),
    value: ({ settings }) => settings.target ?? "",
    // Of the file in force: naming the set as well would take the one that was read last.
    changes: (value) => ({ target: value }),
  });
}

/** Which two features the plane shows, where there are more. */
function createAxes(context: Context): HTMLElement {
  const axis = (place: 0 | 1, label: string): HTMLElement => createChoice(context, {
    id: `axis-${place}`, label,
    options: ({ data }) => (data.features.length > 2 ? data.features.map((name, n) => ({ value: String(n), text: name })) : []),
    value: ({ settings }) => String(settings.axes[place] ?? ""),
    changes: (value, { settings }) => ({ axes: exchanged(settings.axes, place, Number(value)) }),
  });
  return h("div", {}, axis(0, "Across"), axis(1, "Up"));
}

/** A feature that the other axis has: the two change places. */
function exchanged([x, y]: Settings["axes"], place: 0 | 1, feature: number): Settings["axes"] {
  if (place === 0) return [feature, feature === y ? x : y];
  return [feature === x ? (y ?? x) : x, feature];
}
