/** The tensor as a stack of slices, one per example, which collapse into their mean. */

import { easeCubicInOut } from "d3-ease";
import { interpolateNumber } from "d3-interpolate";
import { timer } from "d3-timer";
import { type ColorScale, drawPixels } from "./color-scale";
import { h, reducedMotion } from "./dom";
import type { MatrixSpec } from "./matrix-spec";
import { type CellSize, type CanvasView, createSharpCanvas } from "./heatmap";
import type { CellRef } from "./state";

/** The distance from the front slice to the last one in pixels; SHRINK is how much smaller the last one is drawn. */
export const stackDepth = (slices: number): number => Math.min(84, 12 * Math.max(0, slices - 1));
const SHRINK = 0.14;
/** How far the selected slice is pulled out of the stack. */
const PULL_DISTANCE = 10;
const DURATION = 900;
/** From this progress on, between 0 and 1, the mean is drawn over the slices. */
const MEAN_THRESHOLD = 0.6;

interface PlacedSlice {
  slice: number;
  x: number;
  y: number;
  scale: number;
}

export interface TensorView extends CanvasView {
  /** Calls `onChange` with whether the mean is shown: at once, and whenever that changes. */
  collapse: (collapsed: boolean, animate: boolean, onChange: (showsMean: boolean) => void) => void;
}

/** `scale` colours the slices, `meanScale` their mean: its numbers are smaller than most of theirs. */
export function createTensorView(spec: MatrixSpec, cellSize: CellSize, scale: ColorScale, meanScale: ColorScale, weights: readonly number[]): TensorView {
  const slices = spec.slices ?? [];
  const images = slices.map((slice) => drawPixels(slice, scale));
  const meanImage = drawPixels(spec.matrix, meanScale);
  const { rows, columns } = spec.matrix;
  const size = { width: columns * cellSize.width, height: rows * cellSize.height };
  const depth = stackDepth(slices.length);
  // Edges that lie close together would merge into a block.
  const edgeAlpha = Math.min(1, Math.max(0.12, depth / Math.max(1, slices.length - 1) / 8));
  const canvas = createSharpCanvas(size.width + depth + 2 * PULL_DISTANCE, size.height + depth + 2 * PULL_DISTANCE);
  const context = canvas.getContext("2d")!;
  const cursor = h("div", { class: "cell-cursor", hidden: true });
  const element = h("div", { class: "canvas-view tensor-view" }, canvas, cursor);
  const order = stackOrder(slices.length, spec.frontSlice ?? 0);
  let progress = 0;
  let front: number | null = null;
  let stop = (): void => {};

  const showsMean = (): boolean => progress > MEAN_THRESHOLD;
  const placements = (): PlacedSlice[] => arrangeSlices(order, front, progress, depth);

  function draw(): void {
    const style = getComputedStyle(document.documentElement);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const placement of placements()) drawSlice(placement, style);
    if (showsMean()) drawImage(meanImage, { slice: -1, x: PULL_DISTANCE, y: PULL_DISTANCE + depth, scale: 1 }, (progress - MEAN_THRESHOLD) / (1 - MEAN_THRESHOLD), style, true);
  }

  function drawSlice(placement: PlacedSlice, style: CSSStyleDeclaration): void {
    const isExcluded = (weights[placement.slice] ?? 0) === 0;
    const isDimmed = front !== null && placement.slice !== front;
    drawImage(images[placement.slice]!, placement, isExcluded ? 0.12 : isDimmed ? 0.45 : 1, style, placement.slice === front);
  }

  function drawImage(pixels: HTMLCanvasElement, { x, y, scale: shrink }: PlacedSlice, alpha: number, style: CSSStyleDeclaration, isHighlighted: boolean): void {
    const [width, height] = [size.width * shrink, size.height * shrink];
    context.globalAlpha = 1;
    context.fillStyle = style.getPropertyValue("--panel");
    context.fillRect(x, y, width, height);
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = false;
    context.drawImage(pixels, x, y, width, height);
    context.globalAlpha = isHighlighted ? 1 : edgeAlpha;
    context.lineWidth = isHighlighted ? 2 : 1;
    context.strokeStyle = style.getPropertyValue(isHighlighted ? "--accent" : "--edge");
    context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
    context.globalAlpha = 1;
  }

  function collapse(collapsed: boolean, animate: boolean, onChange: (showsMean: boolean) => void): void {
    stop();
    const end = collapsed ? 1 : 0;
    if (!animate || reducedMotion()) {
      progress = end;
      draw();
      onChange(collapsed);
      return;
    }
    const interpolate = interpolateNumber(progress, end);
    onChange(showsMean());
    const animation = timer((elapsed) => {
      const isDone = elapsed >= DURATION || !element.isConnected;
      const wasMean = showsMean();
      progress = interpolate(easeCubicInOut(Math.min(1, elapsed / DURATION)));
      draw();
      if (showsMean() !== wasMean) onChange(showsMean());
      if (isDone) animation.stop();
    });
    stop = () => animation.stop();
  }

  /** From front to back. The slice that is pulled out also keeps its old place: pointing there must not select the slice behind it. */
  function hitTargets(): PlacedSlice[] {
    if (showsMean()) return [{ slice: -1, x: PULL_DISTANCE, y: PULL_DISTANCE + depth, scale: 1 }];
    const pulledOut = front === null ? [] : placements().slice(-1);
    return [...pulledOut, ...arrangeSlices(order, null, progress, depth).reverse()];
  }

  function cellAt(x: number, y: number): CellRef | null {
    for (const placement of hitTargets()) {
      const column = Math.floor((x - placement.x) / placement.scale / cellSize.width);
      const row = Math.floor((y - placement.y) / placement.scale / cellSize.height);
      if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
      return { matrix: spec.name, row, column, ...(placement.slice >= 0 ? { slice: placement.slice } : {}) };
    }
    return null;
  }

  function mark(example: number | null, ref: CellRef | null): void {
    if (example !== front) {
      front = example;
      draw();
    }
    const current = ref?.matrix === spec.name ? ref : null;
    const placement = showsMean() ? { x: PULL_DISTANCE, y: PULL_DISTANCE + depth, scale: 1 } : placements().find(({ slice }) => slice === current?.slice);
    cursor.hidden = !current || !placement;
    if (!current || !placement) return;
    Object.assign(cursor.style, {
      left: `${placement.x + current.column * cellSize.width * placement.scale}px`,
      top: `${placement.y + current.row * cellSize.height * placement.scale}px`,
      width: `${cellSize.width * placement.scale}px`,
      height: `${cellSize.height * placement.scale}px`,
    });
  }

  draw();
  return { element, cellAt, mark, collapse, highlight: () => {} };
}

/** The slices from front to back: `first`, then the others in order. */
const stackOrder = (count: number, first: number): number[] => [first, ...Array.from({ length: count }, (_, n) => n).filter((n) => n !== first)];

/** From back to front in `order`; the slice that is pulled out comes last. */
function arrangeSlices(order: readonly number[], front: number | null, progress: number, depth: number): PlacedSlice[] {
  const spread = 1 - progress;
  const last = Math.max(1, order.length - 1);
  const others = order.map((slice, n): PlacedSlice => {
    const distance = (n / last) * spread;
    return { slice, x: PULL_DISTANCE + depth * distance, y: PULL_DISTANCE + depth - depth * distance, scale: 1 - SHRINK * distance };
  }).reverse();
  if (front === null) return others;
  const pulledOut: PlacedSlice = { slice: front, x: PULL_DISTANCE - (PULL_DISTANCE - 2) * spread, y: PULL_DISTANCE + depth + (PULL_DISTANCE - 2) * spread, scale: 1 };
  return [...others.filter(({ slice }) => slice !== front), pulledOut];
}
