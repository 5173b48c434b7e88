/** The tensor as small sheets, one per example, which fly one by one into their running mean. */

import { runningMeans } from "./algebra";
import type { ColorScale } from "./color-scale";
import { h, reducedMotion } from "./dom";
import { type CellSize, type CanvasView, createSharpCanvas, drawMatrix } from "./heatmap";
import type { Matrix } from "./batch-data";
import type { MatrixSpec } from "./matrix-spec";
import type { CellRef } from "./state";

/** All sheets have arrived after so many milliseconds; one takes so many at most. */
const DURATION = 2400;
const MAX_FLIGHT = 420;

export interface TensorView extends CanvasView {
  /** Let the sheets fly into the mean, or take them back. */
  collapse: (collapsed: boolean, animate: boolean) => void;
}

/** What the sheets say of their examples. */
export interface SheetOptions {
  /** The head of an example's sheet. */
  head: (example: number) => HTMLElement;
  /** c, each example's weight in the mean. */
  weights: readonly number[];
  /** The same weights without clipping, of sum 1. */
  shares: readonly number[];
  /** "mean" or "weighted sum". */
  result: string;
}

interface Sheet {
  element: HTMLElement;
  canvas: HTMLCanvasElement;
}

/** The sheets and their mean are on one colour scale, so that the mean looks as small as it is. */
export function createTensorView(spec: MatrixSpec, cell: CellSize, scale: ColorScale, options: SheetOptions): TensorView {
  const slices = spec.slices ?? [];
  const { arrangement } = spec;
  const size = { width: arrangement.columns * cell.width, height: arrangement.rows * cell.height };
  const sheets = slices.map((slice, i): Sheet => {
    const canvas = drawSheet(slice);
    const classes = ["sheet", (options.weights[i] ?? 0) === 0 && "excluded"].filter(Boolean).join(" ");
    return { canvas, element: h("div", { class: classes, "data-slice": i }, options.head(i), canvas) };
  });
  const means = runningMeans(slices, options.weights, options.shares);
  const meanCanvas = createSharpCanvas(size.width, size.height);
  const count = h("span", { class: "mean-count" });
  const mean = h("div", { class: "sheet mean" }, h("div", { class: "sheet-head" }, h("strong", {}, `their ${options.result}`), count), meanCanvas);
  const cursor = h("div", { class: "cell-cursor", hidden: true });
  const element = h("div", { class: "canvas-view tensor-view" }, ...sheets.map((sheet) => sheet.element), mean, cursor);
  element.style.setProperty("--sheet-width", `${size.width}px`);
  const flying = slices.map((_, i) => i).filter((i) => options.weights[i]);
  let stop = (): void => {};

  function drawSheet(slice: Matrix): HTMLCanvasElement {
    const canvas = createSharpCanvas(size.width, size.height);
    drawMatrix(canvas.getContext("2d")!, slice, scale, arrangement, cell);
    return canvas;
  }

  /** Show the mean of the first sheets that have arrived. */
  function showMean(arrived: number): void {
    const context = meanCanvas.getContext("2d")!;
    context.clearRect(0, 0, size.width, size.height);
    if (arrived > 0) drawMatrix(context, means[arrived - 1]!, scale, arrangement, cell);
    count.textContent = `${arrived} of ${flying.length}`;
    flying.forEach((i, n) => sheets[i]!.element.classList.toggle("collapsed", n < arrived));
    element.classList.toggle("shows-mean", arrived === flying.length);
  }

  function collapse(collapsed: boolean, animate: boolean): void {
    stop();
    const steps = animate && collapsed && !reducedMotion() ? flying.length : 0;
    if (steps === 0) return showMean(collapsed ? flying.length : 0);
    showMean(0);
    const duration = Math.min(MAX_FLIGHT, DURATION / steps);
    const flights = flying.map((i, n) => fly(sheets[i]!, duration, n * duration, () => showMean(n + 1)));
    stop = () => flights.forEach((cancel) => cancel());
  }

  /** Move a copy of a sheet to the mean; returns how to take it away before its end. */
  function fly(sheet: Sheet, duration: number, delay: number, arrive: () => void): () => void {
    const copy = h("div", { class: "flying-sheet", "aria-hidden": "true" }, drawCopy(sheet.canvas));
    const [from, to] = [boxOf(sheet.canvas), boxOf(meanCanvas)];
    Object.assign(copy.style, { left: `${from.left}px`, top: `${from.top}px` });
    element.append(copy);
    const end = `translate(${to.left - from.left}px, ${to.top - from.top}px)`;
    const animation = copy.animate([{ transform: "none", opacity: 1 }, { transform: end, opacity: 0.6 }], { duration, delay, easing: "ease-in-out" });
    animation.onfinish = () => {
      copy.remove();
      arrive();
    };
    return () => {
      animation.cancel();
      copy.remove();
    };
  }

  function drawCopy(canvas: HTMLCanvasElement): HTMLCanvasElement {
    const copy = createSharpCanvas(size.width, size.height);
    copy.getContext("2d")!.drawImage(canvas, 0, 0, size.width, size.height);
    return copy;
  }

  const boxOf = (canvas: HTMLElement): { left: number; top: number } => {
    const [inner, outer] = [canvas.getBoundingClientRect(), element.getBoundingClientRect()];
    return { left: inner.left - outer.left, top: inner.top - outer.top };
  };

  function cellAt(x: number, y: number): CellRef | null {
    const targets = [...sheets.map(({ canvas }, slice) => ({ canvas, slice })), ...(element.classList.contains("shows-mean") ? [{ canvas: meanCanvas, slice: -1 }] : [])];
    for (const { canvas, slice } of targets) {
      const { left, top } = boxOf(canvas);
      const place = arrangement.cellAt(Math.floor((y - top) / cell.height), Math.floor((x - left) / cell.width));
      if (place) return { matrix: spec.name, ...place, ...(slice >= 0 ? { slice } : {}) };
    }
    return null;
  }

  function mark(example: number | null, ref: CellRef | null): void {
    sheets.forEach((sheet, i) => sheet.element.classList.toggle("front", i === example));
    const current = ref?.matrix === spec.name ? ref : null;
    cursor.hidden = current === null;
    if (!current) return;
    const { left, top } = boxOf(current.slice === undefined ? meanCanvas : sheets[current.slice]!.canvas);
    const [column, row] = arrangement.box(current);
    Object.assign(cursor.style, {
      left: `${left + column * cell.width}px`, top: `${top + row * cell.height}px`,
      width: `${cell.width}px`, height: `${cell.height}px`,
    });
  }

  showMean(0);
  return { element, cellAt, mark, collapse, highlight: () => {} };
}
