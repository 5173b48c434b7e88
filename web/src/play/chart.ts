/** What both charts share: their panel, the place for the curves, the scale of steps, the crosshair. */

import { scaleLinear } from "d3-scale";
import { h } from "../dom";
import type { Area, Scale } from "./axes";
import { svg } from "./icons";

interface Parts {
  keys: HTMLElement;
  board: HTMLElement;
  recent: HTMLElement;
  said?: HTMLElement;
  more?: HTMLElement;
  below?: HTMLElement;
}

export function chartPanel(name: string, parts: Parts): HTMLElement {
  const head = h("div", { class: "panel-head" }, h("h2", {}, name), parts.said, parts.more);
  return h("section", { class: "panel chart", "aria-label": name }, head, parts.keys, parts.board, parts.below, parts.recent);
}

const DASHES: Record<string, string> = { held: "6 4", size: "2 3" };

/** An entry of a legend: a stroke as the curve has it. */
export function keyLine(kind: "batch" | "loss" | "held" | "noise" | "endless" | "size", name: string): HTMLElement {
  const stroke = svg("line", { x1: 0, x2: 24, y1: 6, y2: 6, class: `key-${kind}`, "stroke-dasharray": DASHES[kind] ?? "none" });
  const sign = svg("svg", { viewBox: "0 0 24 12", width: 24, height: 12, "aria-hidden": "true", class: "sign" }, stroke);
  return h("li", {}, sign, h("span", {}, name));
}

export const placeOf = ({ width, height }: { width: number; height: number }): Area => ({ left: 50, top: 8, right: width - 10, bottom: height - 44 });

/** From before the first step; at least some steps wide, so that the first do not jump across. */
export const stepScale = (steps: number, area: Area): Scale => scaleLinear([0, Math.max(20, steps) + 0.5], [area.left, area.right]);

export interface Crosshair {
  x: number | null;
  tell: () => void;
  follow: (canvas: HTMLCanvasElement) => void;
}

export function crosshair(moved: () => void): Crosshair {
  const self: Crosshair = { x: null, tell: () => undefined, follow };
  function set(x: number | null): void {
    self.x = x;
    self.tell();
    moved();
  }
  function follow(canvas: HTMLCanvasElement): void {
    canvas.addEventListener("pointermove", (event) => set(event.offsetX));
    canvas.addEventListener("pointerleave", () => set(null));
  }
  return self;
}
