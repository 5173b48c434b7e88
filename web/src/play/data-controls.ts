/** The data settings: data set, number of points, noise; or a file, its target and the plot's axes. */

import { h } from "../dom";
import { createSelect, type Option } from "./select";
import { createFilePicker, FILE } from "./file-picker";
import { clampBatchSize } from "./validate-settings";
import { createNumberInput } from "./number-input";
import type { Settings } from "./protocol";
import type { Context } from "./state";

export function createDataControls(context: Context): HTMLElement[] {
  const rows = createNumberInput(context, {
    id: "rows", label: "Points", log: true, integer: true, restartsTraining: true,
    range: ({ limits }) => limits.rows,
    value: ({ settings }) => settings.rows,
    toSettings: (value, setup) => ({ rows: value, ...clampBatchSize(setup, value) }),
  });
  const noise = createNumberInput(context, {
    id: "noise", label: "Noise", restartsTraining: true,
    range: ({ limits }) => limits.noise,
    value: ({ settings }) => settings.noise,
    toSettings: (value) => ({ noise: value }),
  });
  const toyControls = h("div", {}, rows, noise);
  const target = createTargetSelect(context);
  context.store.on(["setup"], () => {
    const isFile = context.store.get("setup")?.settings.data === FILE;
    toyControls.hidden = isFile;
  });
  return [createDatasetSelect(context), toyControls, target, createFilePicker(context), createAxisSelects(context)];
}

function createDatasetSelect(context: Context): HTMLElement {
  return createSelect(context, {
    id: "data", label: "Data set",
    options: ({ choices, file }) => [
      ...choices.data.map(({ name, description: about }): Option => ({ value: name, text: about })),
      ...(file ? [{ value: FILE, text: `Your file: ${file.name}` }] : []),
    ],
    value: ({ settings }) => settings.data,
    changes: (value, setup) => ({ data: value, ...clampBatchSize(setup, value === FILE ? (setup.file?.rows ?? 0) : setup.settings.rows) }),
  });
}

function createTargetSelect(context: Context): HTMLElement {
  return createSelect(context, {
    id: "target", label: "Target",
    options: ({ settings, file }) => (settings.data === FILE && file ? file.columns.map((name) => ({ value: name, text: name })) : []),
    value: ({ settings }) => settings.target ?? "",
    // Only the target: with the data set named too, the server would take the file that was read last.
    changes: (value) => ({ target: value }),
  });
}

/** The two features that the plot shows, where there are more. */
function createAxisSelects(context: Context): HTMLElement {
  const axis = (index: 0 | 1, label: string): HTMLElement => createSelect(context, {
    id: `axis-${index}`, label,
    options: ({ data }) => (data.features.length > 2 ? data.features.map((name, n) => ({ value: String(n), text: name })) : []),
    value: ({ settings }) => String(settings.axes[index] ?? ""),
    changes: (value, { settings }) => ({ axes: swapAxes(settings.axes, index, Number(value)) }),
  });
  return h("div", {}, axis(0, "Horizontal axis"), axis(1, "Vertical axis"));
}

/** Set an axis; if the other axis has that feature, swap them. */
function swapAxes([x, y]: Settings["axes"], index: 0 | 1, feature: number): Settings["axes"] {
  if (index === 0) return [feature, feature === y ? x : y];
  return [feature === x ? (y ?? x) : x, feature];
}
