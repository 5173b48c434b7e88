/** What both charts share: the panel, the plot area, the scale of steps, the crosshair. */

import { scaleLinear } from "d3-scale";
import { h } from "../dom";
import type { DrawContext } from "./canvas";
import { FONT_SIZE, type PlotArea, type Scale } from "./axes";
import type { History } from "./history";
import type { LogEntry } from "./protocol";
import { formatNumber } from "../format";
import { svg } from "./icons";

interface ChartParts {
  legend: HTMLElement;
  canvas: HTMLElement;
  historyTable: HTMLElement;
  readout?: HTMLElement;
  controls?: HTMLElement;
  footer?: HTMLElement;
}

export function chartPanel(name: string, parts: ChartParts): HTMLElement {
  const header = h("div", { class: "panel-head" }, h("h2", {}, name), parts.controls);
  // Over the curves, where it takes no room while there is nothing to read.
  if (parts.readout) parts.canvas.append(parts.readout);
  return h("section", { class: "panel chart", "aria-label": name }, header, parts.legend, parts.canvas, parts.footer, parts.historyTable);
}

/** Milliseconds between two drawings of a chart: nobody reads faster, and the network has the time. */
export const CHART_INTERVAL = 50;

const DASHES: Record<string, string> = { validation: "6 4", heldOutScore: "6 4", batchSize: "2 3" };

/** A legend entry, with a stroke like the curve's. */
export function createLegendEntry(kind: "batch" | "loss" | "trainScore" | "heldOutScore" | "validation" | "noise" | "infinite" | "batchSize", name: string): HTMLElement {
  const line = svg("line", { x1: 0, x2: 24, y1: 6, y2: 6, class: `key-${kind}`, "stroke-dasharray": DASHES[kind] ?? "none" });
  const icon = svg("svg", { viewBox: "0 0 24 12", width: 24, height: 12, "aria-hidden": "true", class: "icon" }, line);
  return h("li", {}, icon, h("span", {}, name));
}

export const plotArea = ({ width, height }: { width: number; height: number }): PlotArea => ({ left: 54, top: 8, right: width - 10, bottom: height - 42 });

/** From step 0; at least 20 steps wide, so that the first steps do not jump across the chart. */
export const createStepScale = (steps: number, area: PlotArea): Scale => scaleLinear([0, Math.max(20, steps) + 0.5], [area.left, area.right]);

export interface Crosshair {
  x: number | null;
  update: () => void;
  follow: (canvas: HTMLCanvasElement) => void;
}

export function createCrosshair(onMove: () => void): Crosshair {
  const crosshair: Crosshair = { x: null, update: () => undefined, follow };
  function set(x: number | null): void {
    crosshair.x = x;
    crosshair.update();
    onMove();
  }
  function follow(canvas: HTMLCanvasElement): void {
    canvas.addEventListener("pointermove", (event) => set(event.offsetX));
    canvas.addEventListener("pointerleave", () => set(null));
  }
  return crosshair;
}

/** Flags on the axis of steps, where a setting was changed; a run of flags shows as many as there is room for. */
export function drawFlags({ context, palette }: DrawContext, { log }: History, area: PlotArea, x: Scale): void {
  context.font = `${FONT_SIZE - 1}px ${palette.font}`;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.strokeStyle = palette.panel;
  context.lineWidth = 3;
  context.lineJoin = "round";
  let free = -Infinity;
  for (const entry of log) {
    const [at, text] = [Math.round(x(entry.step + 0.5)), describeChange(entry)];
    context.fillStyle = palette.mutedText;
    context.globalAlpha = 0.6;
    context.fillRect(at, area.top, 1, area.bottom - area.top);
    context.globalAlpha = 1;
    const width = context.measureText(text).width;
    if (at < free || at + width > area.right) continue;
    free = at + width + 10;
    // Below the strip of infinite noise scales, and legible over a curve.
    context.strokeText(text, at + 4, area.top + 7);
    context.fillText(text, at + 4, area.top + 7);
  }
}

const SHORT_NAMES: Record<string, string> = { batchSize: "batch", learningRate: "α", optimizer: "", l2: "L2", dropout: "dropout", maxNorm: "‖g‖ ≤" };

function describeChange({ settings, weight }: LogEntry): string {
  if (weight) return "a weight set";
  return Object.entries(settings ?? {}).map(([name, value]) => `${SHORT_NAMES[name] ?? name} ${typeof value === "number" ? formatNumber(value, 3) : value === "full" ? "all" : String(value)}`.trim()).join(", ");
}
