/** A matrix on the page: name, shape, drawing, legend, numbers; pointer and keyboard move its cursor. */

import { type Statistics, statistics } from "./algebra";
import { type ColorScale, createColorScale } from "./color-scale";
import { button, h } from "./dom";
import type { MatrixSpec, Sources } from "./matrix-spec";
import { formula } from "./formula";
import { type CellSize, createHeatmap, type CanvasView } from "./heatmap";
import { createExampleHeads } from "./example-heads";
import { createSourceRows } from "./source-rows";
import { createFace } from "./thumbnails";
import { hasFaces, visibleRowLabels } from "./layout";
import { formatCount, formatNumber, formatShort } from "./format";
import { createNumbers } from "./numbers-table";
import type { Context } from "./batch-state";
import { createSheetHead } from "./sheet-head";
import { createTensorView, type TensorView } from "./tensor-view";
import type { CellRef, Store } from "./state";

export interface MatrixView {
  spec: MatrixSpec;
  element: HTMLElement;
  /** Show the current selection. */
  update: (sources: Sources) => void;
  /** Collapse or expand the slices, where the matrix is a tensor. */
  updateCollapsed: () => void;
}

export function createMatrixView(spec: MatrixSpec, size: CellSize, context: Context, open: boolean): MatrixView {
  const { store } = context;
  // The sheets of a tensor and their mean are on the sheets' scale.
  const scale = createColorScale(spec.slices ?? [spec.matrix, ...spec.sharedScale], spec.scale, store.get("theme"));
  const tensor = spec.slices ? createSheets(spec, size, scale, context) : null;
  const canvas: CanvasView = tensor ?? createHeatmap(spec, size, scale, store.get("numbers"));
  const table = createNumbers(spec, context.data.examples, open, visibleSlice(spec, store));
  const width = spec.slices ? Infinity : spec.arrangement.columns * size.width;
  const collapseControl = tensor && createCollapseControl(tensor, context);
  const { nonFinite } = rangeStatistics(spec, false);
  const footer = h("div", { class: "figure-footer" }, legend(scale, nonFinite, width), collapseControl?.element, table.element);
  const element = h(
    "figure",
    { class: tensor ? "figure tensor" : "figure", "data-name": spec.name, tabindex: 0, role: "group", "aria-label": ariaLabel(spec, store.get("collapsed")) },
    caption(spec),
    h("div", { class: "canvas-holder" }, createExampleHeads(context, spec, size), ...createSourceRows(context, spec, size), rowLabels(context, spec, size), canvas.element),
    footer,
  );
  const select = (ref: CellRef): void => store.set({ cell: ref, example: exampleAt(spec, ref) ?? store.get("example") });
  trackPointer(canvas, select);
  handleKeys(element, spec, store, select);
  return {
    spec,
    element,
    update: (sources) => {
      canvas.highlight(sources[spec.name]);
      canvas.mark(store.get("example"), store.get("cell"));
      table.update(visibleSlice(spec, store));
    },
    updateCollapsed: () => {
      if (!collapseControl) return;
      collapseControl.updateCollapsed(true);
      element.setAttribute("aria-label", ariaLabel(spec, store.get("collapsed")));
      table.update(visibleSlice(spec, store));
    },
  };
}

function createSheets(spec: MatrixSpec, size: CellSize, scale: ColorScale, context: Context): TensorView {
  const { weights, shares, collapseName } = context.batch();
  return createTensorView(spec, size, scale, { head: (i) => createSheetHead(context, i), weights, shares: shares(), result: collapseName });
}

/** The button that collapses the sheets into their mean. */
function createCollapseControl(tensor: TensorView, { store, batch }: Context): { element: HTMLElement; updateCollapsed: (animate: boolean) => void } {
  const element = button("", () => store.set({ collapsed: !store.get("collapsed") }), { class: "collapse-button" });
  function updateCollapsed(animate: boolean): void {
    const collapsed = store.get("collapsed");
    tensor.collapse(collapsed, animate);
    element.textContent = collapsed ? "Expand the slices" : `Collapse to the ${batch().collapseName}`;
  }
  updateCollapsed(false);
  return { element, updateCollapsed };
}

/** The slice of the selected example, or the one in front; null for the mean, and for a matrix. */
const visibleSlice = (spec: MatrixSpec, store: Store): number | null =>
  spec.slices && !store.get("collapsed") ? (store.get("example") ?? spec.frontSlice ?? 0) : null;

/** The example that a cell belongs to: its column, or its slice. */
const exampleAt = (spec: MatrixSpec, ref: CellRef): number | null => (spec.columnsAreExamples ? ref.column : spec.rowsAreExamples ? ref.row : (ref.slice ?? null));

function caption(spec: MatrixSpec): HTMLElement {
  return h(
    "figcaption",
    {},
    h("span", { class: "figure-name" }, formula(spec.tex)),
    h("span", { class: "figure-shape" }, ...shapeParts(spec.shape)),
    h("span", { class: "figure-axes", title: spec.axes }, spec.axisTag),
    spec.subset && h("span", { class: "figure-subset" }, spec.matrix.columns === 1 ? spec.subset.short : spec.subset.full),
  );
}

/** A narrow figure may break "1,000 × 8, 64 × 8 drawn" only after "× 8,". */
const shapeParts = (shape: string): (Node | string)[] => shape.split(/(?<=,) /).flatMap((part, n) => [n > 0 ? " " : "", h("span", {}, part)]);

/** Names or faces beside the rows; features of one column of the table stand in a bracket with its name. */
function rowLabels({ store }: Context, spec: MatrixSpec, size: CellSize): HTMLElement | null {
  if (spec.slices || spec.arrangement.image) return null;
  const { faces } = spec;
  const names = visibleRowLabels(spec, size);
  const labels = faces && hasFaces(spec, size)
    ? spec.rowNames.map((_, j) => createFace(store, faces.matrix, faces.pixels, j, size.height - 1))
    : names.map((name, j) => h("span", { title: spec.rowLabels[j] ?? "" }, name));
  if (labels.length === 0) return null;
  const element = h("div", { class: spec.rowGroups.length > 0 ? "row-labels grouped" : "row-labels", "aria-hidden": "true" }, ...groupLabels(spec), ...labels);
  element.style.gridAutoRows = `${size.height}px`;
  return element;
}

function groupLabels({ rowGroups }: MatrixSpec): HTMLElement[] {
  return rowGroups.map(({ name, count }) => {
    const label = h("span", { class: count > 1 ? "row-group several" : "row-group", title: name }, name);
    label.style.gridRow = `span ${count}`;
    return label;
  });
}

function ariaLabel(spec: MatrixSpec, collapsed: boolean): string {
  const { min, max, mean, nonFinite } = rangeStatistics(spec, collapsed);
  const range = `from ${formatShort(min)} to ${formatShort(max)}, mean ${formatShort(mean)}`;
  return [`${spec.title}, ${spec.shape}`, spec.slices && collapsed && "collapsed to the mean", spec.axes, spec.subset?.full, range, nonFinite > 0 && formatNonFinite(nonFinite)].filter(Boolean).join("; ");
}

/** The statistics over all slices of a tensor; when collapsed, of their mean. */
function rangeStatistics(spec: MatrixSpec, collapsed: boolean): Statistics {
  const all = ((!collapsed && spec.slices) || [spec.matrix]).map(statistics);
  const sum = (key: "mean" | "nonFinite"): number => all.reduce((total, each) => total + each[key], 0);
  return {
    min: Math.min(...all.map(({ min }) => min)),
    max: Math.max(...all.map(({ max }) => max)),
    mean: sum("mean") / all.length,
    nonFinite: sum("nonFinite"),
  };
}

const formatNonFinite = (count: number): string => `${formatCount(count)} not finite (grey)`;

/** The ends and middle of the range, with fewer digits where a figure is narrow. */
function legend(scale: ColorScale, nonFinite: number, width: number): HTMLElement {
  const [min, max] = scale.range;
  const bar = h("span", { class: "legend-bar" });
  bar.style.background = `linear-gradient(to right, ${scale.colors.join(", ")})`;
  const middle = scale.kind === "signed" ? 0 : max / 2;
  const digits = width < 130 ? 2 : 3;
  const numbers = [min, middle, max].map((value) => formatNumber(value, digits));
  const labels = width < 90 && scale.kind === "signed" ? [`±${formatNumber(max, digits)}`] : numbers;
  return h(
    "div",
    { class: "legend" },
    bar,
    h("span", { class: "legend-numbers" }, ...labels.map((text) => h("span", {}, text))),
    nonFinite > 0 && h("span", { class: "legend-non-finite" }, formatNonFinite(nonFinite)),
  );
}

function trackPointer(canvas: CanvasView, select: (ref: CellRef) => void): void {
  const track = (event: PointerEvent): void => {
    const box = canvas.element.getBoundingClientRect();
    const ref = canvas.cellAt(event.clientX - box.left, event.clientY - box.top);
    if (ref) select(ref);
  };
  canvas.element.addEventListener("pointermove", track);
  canvas.element.addEventListener("pointerdown", track);
}

const MOVES: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Arrow keys move the cursor over the cells; Page Up and Page Down go through the slices of a tensor. */
function handleKeys(element: HTMLElement, spec: MatrixSpec, store: Store, select: (ref: CellRef) => void): void {
  element.addEventListener("keydown", (event) => {
    if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") store.set({ cell: null, example: null });
    const next = event.key === "Escape" ? null : moveCursor(spec, store.get("cell"), store.get("example"), store.get("collapsed"), event.key);
    if (next) select(next);
    if (next || event.key === "Escape") event.preventDefault();
    if (event.key === "Escape") element.blur();
  });
}

function moveCursor(spec: MatrixSpec, cell: CellRef | null, example: number | null, collapsed: boolean, key: string): CellRef | null {
  const sliceOffset = spec.slices && !collapsed ? { PageUp: -1, PageDown: 1 }[key] : undefined;
  const offset = MOVES[key] ?? (sliceOffset === undefined ? undefined : ([0, 0] as const));
  if (!offset) return null;
  const current = cell?.matrix === spec.name ? cell : null;
  const start = current ?? { row: spec.rowsAreExamples ? (example ?? 0) : 0, column: spec.columnsAreExamples ? (example ?? 0) : 0 };
  const [down, right] = current ? offset : [0, 0];
  const row = clamp(start.row + down, spec.matrix.rows);
  const column = clamp(start.column + right, spec.matrix.columns);
  const slice = spec.slices && !collapsed ? { slice: clamp((example ?? spec.frontSlice ?? 0) + (sliceOffset ?? 0), spec.slices.length) } : {};
  return { matrix: spec.name, row, column, ...slice };
}

const clamp = (value: number, count: number): number => Math.max(0, Math.min(count - 1, value));
