/** A strip of small pictures, the result of each step of the algorithm: where we are, and where to go. */

import { arrange } from "./arrangement";
import { createColorScale, drawPixels } from "./color-scale";
import { h } from "./dom";
import { createSharpCanvas, drawCells } from "./heatmap";
import type { MatrixSpec } from "./matrix-spec";
import { type AlgorithmStep, algorithmSteps } from "./steps";
import type { Context } from "./batch-state";

const SIDE = 44;
const MIN_SIDE = 10;

/** For the pointer only: the keyboard has the list of steps and the arrow keys. */
export function createMiniatures(context: Context): HTMLElement {
  const { store } = context;
  const element = h("div", { class: "miniatures", "aria-hidden": "true" });

  function render(): void {
    const steps = algorithmSteps(context.batch());
    element.replaceChildren(...steps.map((step, n) => createMiniature(context, step, () => store.set({ step: n, playing: false }))));
    showCurrent();
  }

  function showCurrent(): void {
    [...element.children].forEach((part, n) => part.classList.toggle("current", n === store.get("step")));
    const current = element.children[store.get("step")];
    if (!(current instanceof HTMLElement)) return;
    element.scrollLeft = current.offsetLeft - element.offsetLeft - (element.clientWidth - current.clientWidth) / 2;
  }

  store.on(["snapshot", "included", "clip", "theme"], render);
  store.on(["step"], showCurrent);
  // Before it stands in the page it has no width to scroll by.
  new ResizeObserver(showCurrent).observe(element);
  render();
  return element;
}

function createMiniature({ batch, store }: Context, step: AlgorithmStep, choose: () => void): HTMLElement {
  const spec = resultOf(step, batch());
  const { rows, columns } = spec.arrangement;
  const unit = SIDE / Math.max(rows, columns);
  const [width, height] = [Math.max(MIN_SIDE, columns * unit), Math.max(MIN_SIDE, rows * unit)];
  const canvas = createSharpCanvas(width, height);
  drawCells(canvas.getContext("2d")!, drawPixels(arrange(spec.matrix, spec.arrangement), createColorScale([spec.matrix], spec.scale, store.get("theme"))), width, height);
  const element = h("div", { class: `miniature ${step.phase}`, title: `${step.phase}: ${step.title}` }, h("span", { class: "miniature-picture" }, canvas), h("span", { class: "miniature-name" }, shortName(spec)));
  element.addEventListener("click", choose);
  return element;
}

/** The matrix that a step computes: the last one of its first equation, or of its second where that ends in it. */
function resultOf(step: AlgorithmStep, batch: ReturnType<Context["batch"]>): MatrixSpec {
  const equations = step.equations(batch);
  const specs = (n: number): MatrixSpec[] => (equations[n]?.items ?? []).filter((item): item is MatrixSpec => !("sign" in item));
  const candidates = step.phase === "update" ? specs(0) : [...specs(0), ...specs(1)];
  return candidates.at(-1)!;
}

const shortName = (spec: MatrixSpec): string => spec.title.replace(" after the update", "");
