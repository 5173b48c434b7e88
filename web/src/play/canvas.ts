/** A canvas that fills its container, at the screen's resolution, drawn at most once per animation frame. */

import { h } from "../dom";
import { type Palette, readPalette } from "./palette";

export interface Canvas {
  element: HTMLElement;
  canvas: HTMLCanvasElement;
  redraw: () => void;
}

export interface DrawContext {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  density: number;
  palette: Palette;
}

/** `interval`: the fewest milliseconds between two drawings. */
export function createCanvas(name: string, draw: (drawing: DrawContext) => void, interval = 0): Canvas {
  const canvas = h("canvas", { role: "img", "aria-label": name });
  const element = h("div", { class: `canvas-frame ${name}-canvas` }, canvas);
  let isScheduled = false;
  let lastTime = -Infinity;
  // As the observer tells it: to ask the element would lay out the page once more in each frame.
  let [width, height] = [0, 0];

  function paint(now: number): void {
    if (now - lastTime < interval) {
      requestAnimationFrame(paint);
      return;
    }
    [isScheduled, lastTime] = [false, now];
    if (width < 20 || height < 20) return;
    const density = Math.max(1, window.devicePixelRatio || 1);
    const [pixelWidth, pixelHeight] = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) [canvas.width, canvas.height] = [pixelWidth, pixelHeight];
    const context = canvas.getContext("2d")!;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    draw({ context, width, height, density, palette: readPalette() });
  }

  function redraw(): void {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(paint);
  }

  new ResizeObserver(() => {
    [width, height] = [element.clientWidth, element.clientHeight];
    redraw();
  }).observe(element);
  return { element, canvas, redraw };
}

/** Describe a canvas to screen readers, at most once a second, so that they can finish reading. */
export function createAnnouncer(canvas: HTMLCanvasElement, describe: () => string): (immediately: boolean) => void {
  let lastTime = -Infinity;
  return (immediately) => {
    if (!immediately && performance.now() - lastTime < 1000) return;
    lastTime = performance.now();
    canvas.setAttribute("aria-label", describe());
  };
}
