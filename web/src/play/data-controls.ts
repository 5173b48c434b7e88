/** The data settings: data set, number of points, noise, inputs; or a file, its target and the plane's axes. */

import { h } from "../dom";
import { createFilePicker } from "./file-picker";
import { createNumberInput } from "./number-input";
import type { Settings } from "./protocol";
import { createSelect, type Option } from "./select";
import { createSettingSender, errorOf, showError } from "./setting-sender";
import { LIMITS, TABLE } from "./settings";
import { FEATURES, TOYS } from "./toy-datasets";
import type { Context } from "./state";

export function createDataControls(context: Context): HTMLElement[] {
  const rows = createNumberInput(context, {
    id: "rows", label: "Points", log: true, integer: true, restartsTraining: true,
    range: () => LIMITS.rows,
    value: ({ settings }) => settings.rows,
    toSettings: (value) => ({ rows: value }),
  });
  const noise = createNumberInput(context, {
    id: "noise", label: "Noise", restartsTraining: true,
    range: () => LIMITS.noise,
    value: ({ settings }) => settings.noise,
    toSettings: (value) => ({ noise: value }),
  });
  const toyControls = h("div", { class: "toy-controls" }, rows, noise, createInputs(context));
  context.store.on(["setup"], () => (toyControls.hidden = context.store.get("setup")?.settings.data === TABLE));
  return [createDatasetSelect(context), toyControls, createTargetSelect(context), createFilePicker(context), createAxisSelects(context)];
}

function createDatasetSelect(context: Context): HTMLElement {
  return createSelect(context, {
    id: "data", label: "Data set",
    options: ({ table }) => [...Object.entries(TOYS).map(([name, { title }]): Option => ({ value: name, text: title })), ...(table ? [{ value: TABLE, text: `Your table: ${table.name}` }] : [])],
    value: ({ settings }) => settings.data,
    changes: (value) => ({ data: value }),
  });
}

/** Inputs made of x₁ and x₂, each a switch. */
function createInputs(context: Context): HTMLElement {
  const sender = createSettingSender(context, update);
  const boxes = FEATURES.map(({ name, label }) => {
    const box = h("input", { type: "checkbox", value: name });
    box.addEventListener("change", () => sender.send({ features: FEATURES.map((each) => each.name).filter((each) => boxes.find(({ input }) => input.value === each)!.input.checked) }));
    return { input: box, element: h("label", { class: "switch" }, box, h("span", {}, label)) };
  });

  function update(): void {
    const features = context.store.get("setup")?.settings.features ?? [];
    for (const { input } of boxes) input.checked = features.includes(input.value);
  }

  context.store.on(["setup"], () => {
    if (!sender.busy()) update();
  });
  return h("fieldset", { class: "field inputs-field" }, h("legend", {}, "Inputs"), h("div", { class: "switches" }, ...boxes.map(({ element }) => element)), sender.error);
}

/** Of a file that was read in the page; Python has encoded its own for one target. */
function createTargetSelect({ store, client }: Context): HTMLElement {
  const select = h("select", { id: "target" });
  const error = h("p", { class: "field-error", role: "alert" });
  const element = h("div", { class: "field", hidden: true }, h("div", { class: "field-row" }, h("label", { for: "target" }, "Target"), select), error);
  let listed = "";

  function update(): void {
    const setup = store.get("setup");
    const columns = setup?.settings.data === TABLE ? (setup.table?.columns ?? []) : [];
    if (listed !== columns.join("\n")) select.replaceChildren(...columns.map((name) => h("option", { value: name }, name)));
    listed = columns.join("\n");
    select.value = setup?.settings.target ?? "";
    element.hidden = columns.length === 0;
  }

  select.addEventListener("change", () => void client.target(select.value).then((result) => {
    showError(error, errorOf(result));
    if ("error" in result) update();
  }));
  store.on(["setup"], update);
  return element;
}

/** The two features that the plane shows, where there are more. */
function createAxisSelects(context: Context): HTMLElement {
  const axis = (index: 0 | 1, label: string): HTMLElement => createSelect(context, {
    id: `axis-${index}`, label,
    options: ({ data, settings }) => (settings.data === TABLE && data.features.length > 2 ? data.features.map((name, n) => ({ value: String(n), text: name })) : []),
    value: ({ settings }) => String(settings.axes[index] ?? ""),
    changes: (value, { settings }) => ({ axes: swapAxes(settings.axes, index, Number(value)) }),
  });
  return h("div", { class: "axes" }, axis(0, "Horizontal"), axis(1, "Vertical"));
}

/** Set an axis; if the other axis has that feature, swap them. */
function swapAxes([x, y]: Settings["axes"], index: 0 | 1, feature: number): Settings["axes"] {
  if (index === 0) return [feature, feature === y ? x : y];
  return [feature === x ? (y ?? x) : x, feature];
}
