/** A canvas that fills its holder, is sharp on every screen, and is drawn at most once for each picture of it. */

import { h } from "../dom";
import { type Inks, readInks } from "./palette";

export interface Board {
  element: HTMLElement;
  canvas: HTMLCanvasElement;
  redraw: () => void;
}

export interface Sheet {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  density: number;
  inks: Inks;
}

export function createBoard(name: string, draw: (sheet: Sheet) => void): Board {
  const canvas = h("canvas", { role: "img", "aria-label": name });
  const element = h("div", { class: `board ${name}-board` }, canvas);
  let waiting = false;

  function paint(): void {
    waiting = false;
    const [width, height] = [element.clientWidth, element.clientHeight];
    if (width < 20 || height < 20) return;
    const density = Math.max(1, window.devicePixelRatio || 1);
    const [wide, high] = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const context = canvas.getContext("2d")!;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    draw({ context, width, height, density, inks: readInks() });
  }

  function redraw(): void {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(paint);
  }

  new ResizeObserver(redraw).observe(element);
  return { element, canvas, redraw };
}

/** Tell a screen reader what a canvas shows, at most once a second: it would never come to an end otherwise. */
export function createTeller(canvas: HTMLCanvasElement, tell: () => string): (atOnce: boolean) => void {
  let last = -Infinity;
  return (atOnce) => {
    if (!atOnce && performance.now() - last < 1000) return;
    last = performance.now();
    canvas.setAttribute("aria-label", tell());
  };
}
