/** Icons, as SVG. */

const SVG = "http://www.w3.org/2000/svg";

type Attributes = Record<string, string | number>;

export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes, ...children: SVGElement[]): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Paths about (0, 0), in a square of `size` pixels. */
export function createDrawing(size: number, paths: Attributes[]): SVGSVGElement {
  const viewBox = `${-size / 2} ${-size / 2} ${size} ${size}`;
  return svg("svg", { viewBox, width: size, height: size, "aria-hidden": "true", class: "icon" }, ...paths.map((path) => svg("path", path)));
}

const ICONS = {
  start: "M-5,-7L8,0L-5,7Z",
  pause: "M-6,-7H-2V7H-6ZM2,-7H6V7H2Z",
  step: "M-7,-7L3,0L-7,7ZM4,-7H7V7H4Z",
  reset: "M0,-7A7,7,0,1,1,-6.6,-2.4L-4.7,-1.7A5,5,0,1,0,0,-5V-2L-5,-6L0,-10Z",
} as const;

export const icon = (name: keyof typeof ICONS): SVGSVGElement => createDrawing(20, [{ d: ICONS[name], fill: "currentColor" }]);
