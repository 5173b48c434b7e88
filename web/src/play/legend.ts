/** The legend of the plane: the classes by colour and shape, or the scale of numbers. */

import type { Theme } from "../color-scale";
import { h } from "../dom";
import { formatShort } from "../format";
import { drawing } from "./icons";
import { classShape, markColour } from "./palette";
import type { Data } from "./protocol";
import { numberColours } from "./decision-surface";

/** Classes that a legend names; the colours and shapes begin anew after ten. */
const MOST = 12;

export function createLegend(data: Data, theme: Theme): HTMLElement {
  const rings = entry(ringed(), "in the paused batch");
  rings.classList.add("ring-key");
  if (data.task === "numbers") return h("ul", { class: "keys" }, scaleBar(data, theme), entry(hollow("M0,-4.5A4.5,4.5,0,1,1,0,4.5A4.5,4.5,0,1,1,0,-4.5Z"), "held out"), rings);
  const classes = data.outputs.slice(0, MOST).map((name, label) => entry(mark(label, theme), name));
  const more = data.outputs.length > MOST ? h("li", {}, `and ${data.outputs.length - MOST} more`) : null;
  return h("ul", { class: "keys" }, ...classes, more, entry(hollow(classShape(0, 52)), "held out"), rings);
}

const entry = (sign: SVGSVGElement, name: string): HTMLElement => h("li", {}, sign, h("span", { class: "key-name", title: name }, name));

function mark(label: number, theme: Theme): SVGSVGElement {
  return drawing(18, [{ d: classShape(label, 64), fill: markColour(label, theme) }]);
}

const hollow = (path: string): SVGSVGElement => drawing(18, [{ d: path, fill: "none", stroke: "currentColor", "stroke-width": 2 }]);

function ringed(): SVGSVGElement {
  return drawing(18, [
    { d: classShape(0, 30), fill: "currentColor" },
    { d: classShape(0, 180), fill: "none", stroke: "currentColor", "stroke-width": 1.6 },
  ]);
}

function scaleBar(data: Data, theme: Theme): HTMLElement {
  const { ends, colours } = numberColours(data, theme);
  const bar = h("span", { class: "scale-bar" });
  bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  return h("li", { class: "scale" }, h("span", { class: "key-name" }, data.outputs[0] ?? "value"), h("span", {}, formatShort(ends[0])), bar, h("span", {}, formatShort(ends[1])));
}
