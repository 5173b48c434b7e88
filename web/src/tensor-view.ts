/** The tensor as a stack of sheets, one an example, and how they slide onto each other into their mean. */

import { easeCubicInOut } from "d3-ease";
import { interpolateNumber } from "d3-interpolate";
import { timer } from "d3-timer";
import { type ColourScale, picture } from "./color-scale";
import { h, reducedMotion } from "./dom";
import type { Figure } from "./matrix-spec";
import { type CellSize, type Plate, sharpCanvas } from "./heatmap";
import type { CellRef } from "./state";

/** How far the rearmost sheet lies behind the front one, in pixels, and how much smaller it looks. */
export const depthOf = (sheets: number): number => Math.min(84, 12 * Math.max(0, sheets - 1));
const SHRINK = 0.14;
/** How far the chosen sheet is pulled out towards the reader. */
const PULL = 10;
const DURATION = 900;
/** From here on the way from 0 to 1 the mean is drawn over the sheets. */
const FOLDED = 0.6;

interface Placed {
  sheet: number;
  x: number;
  y: number;
  scale: number;
}

export interface StackPlate extends Plate {
  /** `turned` hears whether the mean is drawn, at once and whenever that changes on the way. */
  collapse: (collapsed: boolean, animate: boolean, turned: (folded: boolean) => void) => void;
}

/** `scale` colours the sheets, `meanScale` their mean, which is paler than most of them. */
export function createStack(figure: Figure, cell: CellSize, scale: ColourScale, meanScale: ColourScale, shares: readonly number[]): StackPlate {
  const sheets = figure.sheets ?? [];
  const pictures = sheets.map((sheet) => picture(sheet, scale));
  const mean = picture(figure.matrix, meanScale);
  const { rows, columns } = figure.matrix;
  const size = { width: columns * cell.width, height: rows * cell.height };
  const depth = depthOf(sheets.length);
  // Edges that lie close together would merge into a block.
  const edge = Math.min(1, Math.max(0.12, depth / Math.max(1, sheets.length - 1) / 8));
  const canvas = sharpCanvas(size.width + depth + 2 * PULL, size.height + depth + 2 * PULL);
  const context = canvas.getContext("2d")!;
  const cursor = h("div", { class: "cell-cursor", hidden: true });
  const element = h("div", { class: "plate stack-plate" }, canvas, cursor);
  const order = ordered(sheets.length, figure.front ?? 0);
  let folded = 0;
  let front: number | null = null;
  let stop = (): void => {};

  const isFolded = (): boolean => folded > FOLDED;
  const places = (): Placed[] => arrange(order, front, folded, depth);

  function draw(): void {
    const style = getComputedStyle(document.documentElement);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const place of places()) drawSheet(place, style);
    if (isFolded()) drawPicture(mean, { sheet: -1, x: PULL, y: PULL + depth, scale: 1 }, (folded - FOLDED) / (1 - FOLDED), style, true);
  }

  function drawSheet(place: Placed, style: CSSStyleDeclaration): void {
    const left = (shares[place.sheet] ?? 0) === 0;
    const dimmed = front !== null && place.sheet !== front;
    drawPicture(pictures[place.sheet]!, place, left ? 0.12 : dimmed ? 0.45 : 1, style, place.sheet === front);
  }

  function drawPicture(pixels: HTMLCanvasElement, { x, y, scale: shrink }: Placed, alpha: number, style: CSSStyleDeclaration, lit: boolean): void {
    const [width, height] = [size.width * shrink, size.height * shrink];
    context.globalAlpha = 1;
    context.fillStyle = style.getPropertyValue("--panel");
    context.fillRect(x, y, width, height);
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = false;
    context.drawImage(pixels, x, y, width, height);
    context.globalAlpha = lit ? 1 : edge;
    context.lineWidth = lit ? 2 : 1;
    context.strokeStyle = style.getPropertyValue(lit ? "--accent" : "--edge");
    context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
    context.globalAlpha = 1;
  }

  function collapse(collapsed: boolean, animate: boolean, turned: (folded: boolean) => void): void {
    stop();
    const target = collapsed ? 1 : 0;
    if (!animate || reducedMotion()) {
      folded = target;
      draw();
      turned(collapsed);
      return;
    }
    const between = interpolateNumber(folded, target);
    turned(isFolded());
    const running = timer((elapsed) => {
      const done = elapsed >= DURATION || !element.isConnected;
      const before = isFolded();
      folded = between(easeCubicInOut(Math.min(1, elapsed / DURATION)));
      draw();
      if (isFolded() !== before) turned(isFolded());
      if (done) running.stop();
    });
    stop = () => running.stop();
  }

  /** From front to back. The pulled sheet keeps the place that it left as well, or pointing there would choose what lies behind it. */
  function pointable(): Placed[] {
    if (isFolded()) return [{ sheet: -1, x: PULL, y: PULL + depth, scale: 1 }];
    const pulled = front === null ? [] : places().slice(-1);
    return [...pulled, ...arrange(order, null, folded, depth).reverse()];
  }

  function cellAt(x: number, y: number): CellRef | null {
    for (const place of pointable()) {
      const column = Math.floor((x - place.x) / place.scale / cell.width);
      const row = Math.floor((y - place.y) / place.scale / cell.height);
      if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
      return { figure: figure.name, row, column, ...(place.sheet >= 0 ? { sheet: place.sheet } : {}) };
    }
    return null;
  }

  function mark(example: number | null, marked: CellRef | null): void {
    if (example !== front) {
      front = example;
      draw();
    }
    const here = marked?.figure === figure.name ? marked : null;
    const place = isFolded() ? { x: PULL, y: PULL + depth, scale: 1 } : places().find(({ sheet }) => sheet === here?.sheet);
    cursor.hidden = !here || !place;
    if (!here || !place) return;
    Object.assign(cursor.style, {
      left: `${place.x + here.column * cell.width * place.scale}px`,
      top: `${place.y + here.row * cell.height * place.scale}px`,
      width: `${cell.width * place.scale}px`,
      height: `${cell.height * place.scale}px`,
    });
  }

  draw();
  return { element, cellAt, mark, collapse, trace: () => {} };
}

/** The sheets from front to back: `first`, then the others as they come. */
const ordered = (count: number, first: number): number[] => [first, ...Array.from({ length: count }, (_, n) => n).filter((n) => n !== first)];

/** From back to front, as they lie in `order`, unless one is pulled out before the others. */
function arrange(order: readonly number[], front: number | null, folded: number, depth: number): Placed[] {
  const open = 1 - folded;
  const last = Math.max(1, order.length - 1);
  const behind = order.map((sheet, n): Placed => {
    const back = (n / last) * open;
    return { sheet, x: PULL + depth * back, y: PULL + depth - depth * back, scale: 1 - SHRINK * back };
  }).reverse();
  if (front === null) return behind;
  const pulled: Placed = { sheet: front, x: PULL - (PULL - 2) * open, y: PULL + depth + (PULL - 2) * open, scale: 1 };
  return [...behind.filter(({ sheet }) => sheet !== front), pulled];
}
