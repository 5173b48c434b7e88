/** The legend of the decision plot: the classes by colour and shape, or the colour scale of numbers. */

import type { Theme } from "../color-scale";
import { h } from "../dom";
import { formatShort } from "../format";
import { createDrawing } from "./icons";
import { classShape, markColor } from "./palette";
import type { Data } from "./protocol";
import { createNumberColors } from "./decision-surface";

/** Classes in the legend; colours and shapes repeat after ten. */
const MAX_CLASSES = 12;

export function createLegend(data: Data, theme: Theme): HTMLElement {
  const ringEntry = createEntry(createRingedMark(), "in the last batch");
  ringEntry.classList.add("ring-entry");
  if (data.task === "numbers") return h("ul", { class: "legend" }, createScaleBar(data, theme), createEntry(createOutline("M0,-4.5A4.5,4.5,0,1,1,0,4.5A4.5,4.5,0,1,1,0,-4.5Z"), "held out"), ringEntry);
  const classes = data.outputs.slice(0, MAX_CLASSES).map((name, label) => createEntry(createMark(label, theme), name));
  const overflow = data.outputs.length > MAX_CLASSES ? h("li", {}, `and ${data.outputs.length - MAX_CLASSES} more`) : null;
  return h("ul", { class: "legend" }, ...classes, overflow, createEntry(createOutline(classShape(0, 52)), "held out"), ringEntry);
}

const createEntry = (icon: SVGSVGElement, name: string): HTMLElement => h("li", {}, icon, h("span", { class: "legend-name", title: name }, name));

function createMark(label: number, theme: Theme): SVGSVGElement {
  return createDrawing(18, [{ d: classShape(label, 64), fill: markColor(label, theme) }]);
}

const createOutline = (path: string): SVGSVGElement => createDrawing(18, [{ d: path, fill: "none", stroke: "currentColor", "stroke-width": 2 }]);

function createRingedMark(): SVGSVGElement {
  return createDrawing(18, [
    { d: classShape(0, 30), fill: "currentColor" },
    { d: classShape(0, 180), fill: "none", stroke: "currentColor", "stroke-width": 1.6 },
  ]);
}

function createScaleBar(data: Data, theme: Theme): HTMLElement {
  const { range, colors } = createNumberColors(data.values, theme);
  const bar = h("span", { class: "scale-bar" });
  bar.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
  return h("li", { class: "scale" }, h("span", { class: "legend-name" }, data.outputs[0] ?? "value"), h("span", {}, formatShort(range[0])), bar, h("span", {}, formatShort(range[1])));
}
