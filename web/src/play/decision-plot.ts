/** The plane: what the network answers everywhere, and the points that it learns from. */

import { scaleLinear } from "d3-scale";
import { h } from "../dom";
import { decode } from "../batch-data";
import { formatShort, pluralize } from "../format";
import { type Area, drawBottomAxis, drawLeftAxis, roomForLeftAxis, type Scale } from "./axes";
import { type Board, createBoard, createTeller, type Sheet } from "./canvas";
import { createLegend } from "./legend";
import { drawPoints, drawRings, ringed, tookAll } from "./scatter";
import type { Data, Frame } from "./protocol";
import { count, counted, scoreText } from "./format";
import type { Context } from "./state";
import { answerAt, surfacePicture } from "./decision-surface";

const MARGIN = { left: 54, top: 6, right: 6, bottom: 46 };

interface Geometry {
  area: Area;
  x: Scale;
  y: Scale;
}

export function createPlane(context: Context): HTMLElement {
  const { store } = context;
  const title = h("h2", { class: "plane-title" });
  const about = h("p", { class: "plane-about" });
  const pointed = h("p", { class: "pointed", "aria-hidden": "true" });
  const legend = h("div", { class: "plane-legend" });
  const painter = createPainter(context);
  const board = createBoard("plane", painter.paint);
  const tell = createTeller(board.canvas, () => described(context));

  function renew(): void {
    const data = store.get("lesson")?.data;
    if (!data) return;
    title.textContent = data.title;
    about.textContent = shown(data);
    legend.replaceChildren(createLegend(data, store.get("theme")));
  }

  store.on(["lesson", "theme"], renew);
  store.on(["lesson", "theme", "frame"], () => {
    board.redraw();
    const [lesson, rings] = [store.get("lesson"), legend.querySelector<HTMLElement>(".ring-key")];
    if (lesson && rings) rings.hidden = tookAll(store.get("frame"), lesson.data);
    tell(!store.get("frame")?.running);
  });
  follow(context, board, painter, pointed);
  return h("section", { class: "panel plane", "aria-label": "The plane" }, h("div", { class: "panel-head" }, title, pointed), about, board.element, legend);
}

/** What is learned from, and what the plane shows of it. */
function shown(data: Data): string {
  const [all, drawn] = [data.train + data.held_out, decode(data.points).columns];
  const parts = [`${counted(data.train, "point")} to learn from, ${count(data.held_out)} held out`];
  if (drawn < all) parts.push(`${count(drawn)} of ${counted(all, "point")} are drawn`);
  if (data.features.length > 2) parts.push("other columns at their means");
  return parts.join("; ");
}

function geometryOf(data: Data, { context, inks, width, height }: Sheet): Geometry {
  const [top, right, bottom] = [MARGIN.top, width - MARGIN.right, height - MARGIN.bottom];
  const y = scaleLinear(data.y.ends, [bottom, top]);
  const left = data.y.name === null ? 20 : Math.max(MARGIN.left, roomForLeftAxis(context, inks, y));
  return { area: { left, top, right, bottom }, x: scaleLinear(data.x.ends, [left, right]), y };
}

interface Painter {
  paint: (sheet: Sheet) => void;
  /** Where the plane was drawn last. */
  area: () => Area | null;
}

/** Points change seldom and are many: they are drawn once, and laid over each new surface. */
function createPainter({ store }: Context): Painter {
  let drawn: Area | null = null;
  let points: { canvas: HTMLCanvasElement; key: readonly unknown[] } | null = null;

  function pointsOn(sheet: Sheet, data: Data, places: Geometry): HTMLCanvasElement {
    const key = [data, sheet.width, sheet.height, sheet.density, store.get("theme")];
    if (points && points.key.every((part, n) => part === key[n])) return points.canvas;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [sheet.context.canvas.width, sheet.context.canvas.height];
    const context = canvas.getContext("2d")!;
    context.scale(sheet.density, sheet.density);
    drawPoints(context, data, places, store.get("theme"), sheet.inks);
    points = { canvas, key };
    return canvas;
  }

  function paint(sheet: Sheet): void {
    const data = store.get("lesson")?.data;
    if (!data) return;
    const places = geometryOf(data, sheet);
    drawn = places.area;
    const frame = store.get("frame");
    if (frame) drawSurface(sheet, places.area, surfacePicture(frame.surface, data, store.get("theme"), sheet.inks.panel));
    drawFrame(sheet, places, data);
    sheet.context.drawImage(pointsOn(sheet, data, places), 0, 0, sheet.width, sheet.height);
    drawRings(sheet.context, data, ringed(frame, data), places, sheet.inks);
  }

  return { paint, area: () => drawn };
}

/** The outermost places lie on the edges, so that half of each of their pixels is cut away. */
function drawSurface({ context }: Sheet, area: Area, picture: HTMLCanvasElement): void {
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  const places = picture.width - 1;
  context.drawImage(picture, 0.5, 0.5, places, places, area.left, area.top, area.right - area.left, area.bottom - area.top);
}

function drawFrame(sheet: Sheet, { area, x, y }: Geometry, data: Data): void {
  sheet.context.strokeStyle = sheet.inks.line;
  sheet.context.lineWidth = 1;
  sheet.context.strokeRect(area.left + 0.5, area.top + 0.5, area.right - area.left - 1, area.bottom - area.top - 1);
  drawBottomAxis(sheet, area, x, data.x.name);
  if (data.y.name !== null) drawLeftAxis(sheet, area, y, { name: data.y.name });
}

/** Say what the network answers where the pointer is; what it says is in the canvas's own colours too. */
function follow({ store }: Context, board: Board, painter: Painter, pointed: HTMLElement): void {
  let at: [number, number] | null = null;
  function update(): void {
    const [data, frame, area] = [store.get("lesson")?.data, store.get("frame"), painter.area()];
    pointed.textContent = at && data && frame && area ? answered(data, frame, area, at) : "";
  }
  board.canvas.addEventListener("pointermove", (event) => {
    at = [event.offsetX, event.offsetY];
    update();
  });
  board.canvas.addEventListener("pointerleave", () => {
    at = null;
    update();
  });
  store.on(["frame", "lesson"], update);
}

function answered(data: Data, frame: Frame, area: Area, [left, top]: [number, number]): string {
  const across = (left - area.left) / (area.right - area.left);
  const up = (area.bottom - top) / (area.bottom - area.top);
  if (across < 0 || across > 1 || up < 0 || up > 1) return "";
  const answer = answerAt(frame.surface, data, across, up);
  if ("value" in answer) return `here: ${formatShort(answer.value)}`;
  return `here: ${data.outputs[answer.label] ?? ""}, ${Math.round(100 * answer.sure)} % sure`;
}

function described({ store }: Context): string {
  const [lesson, frame] = [store.get("lesson"), store.get("frame")];
  if (!lesson) return "The plane";
  const { data } = lesson;
  const axes = data.y.name === null ? data.x.name : `${data.x.name} and ${data.y.name}`;
  const what = data.task === "classes" ? `in ${pluralize(data.outputs.length, "class", "classes")}` : "coloured by their number";
  const where = `What the network answers over ${axes}: ${counted(data.train, "point")} to learn from and ${count(data.held_out)} held out, ${what}.`;
  if (!frame) return where;
  return `${where} After step ${count(frame.step)}: ${scoreText(data.task, frame.now.score)} on the held-out points.${batchDescribed(frame, data)}`;
}

function batchDescribed(frame: Frame, data: Data): string {
  if (!frame.batch || frame.taken === null) return "";
  if (tookAll(frame, data)) return " The last batch took all of them, and none is ringed.";
  const rings = ringed(frame, data).length;
  const which = rings < frame.taken ? `${count(rings)} of the ${counted(frame.taken, "point")}` : counted(rings, "point");
  return ` ${which} of the last batch ${rings === 1 ? "is" : "are"} ringed.`;
}
