/** The plane: what the network answers everywhere, and the points that it learns from. */

import { scaleLinear } from "d3-scale";
import { h } from "../dom";
import { brief, plural } from "../numbers";
import { type Area, drawBottomAxis, drawLeftAxis, type Scale } from "./axes";
import { type Board, createBoard, createTeller, type Sheet } from "./board";
import { createLegend } from "./legend";
import { drawPoints, drawRings } from "./points";
import type { Data, Frame } from "./protocol";
import { count, scoreText } from "./readout";
import type { Context } from "./state";
import { answerAt, surfacePicture } from "./surface";

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
  const board = createBoard("plane", createPainter(context));
  const tell = createTeller(board.canvas, () => described(context));

  function renew(): void {
    const data = store.get("lesson")?.data;
    if (!data) return;
    title.textContent = data.title;
    about.textContent = `${count(data.train)} points to learn from, ${count(data.held_out)} held out${data.features.length > 2 ? "; other columns at their means" : ""}`;
    legend.replaceChildren(createLegend(data, store.get("theme")));
  }

  store.on(["lesson", "theme"], renew);
  store.on(["lesson", "theme", "frame"], () => {
    board.redraw();
    tell(!store.get("frame")?.running);
  });
  follow(context, board, pointed);
  return h("section", { class: "panel plane", "aria-label": "The plane" }, h("div", { class: "panel-head" }, h("div", {}, title, about), pointed), board.element, legend);
}

function geometryOf(data: Data, width: number, height: number): Geometry {
  const left = data.y.name === null ? 20 : MARGIN.left;
  const area = { left, top: MARGIN.top, right: width - MARGIN.right, bottom: height - MARGIN.bottom };
  return {
    area,
    x: scaleLinear(data.x.ends, [area.left, area.right]),
    y: scaleLinear(data.y.ends, [area.bottom, area.top]),
  };
}

/** Points change seldom and are many: they are drawn once, and laid over each new surface. */
function createPainter({ store }: Context): (sheet: Sheet) => void {
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

  return (sheet) => {
    const data = store.get("lesson")?.data;
    if (!data) return;
    const places = geometryOf(data, sheet.width, sheet.height);
    const frame = store.get("frame");
    if (frame) drawSurface(sheet, places.area, surfacePicture(frame.surface, data, store.get("theme"), sheet.inks.panel));
    drawFrame(sheet, places, data);
    sheet.context.drawImage(pointsOn(sheet, data, places), 0, 0, sheet.width, sheet.height);
    if (frame?.batch) drawRings(sheet.context, data, frame.batch, places, sheet.inks);
  };
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
function follow({ store }: Context, board: Board, pointed: HTMLElement): void {
  let at: [number, number] | null = null;
  function update(): void {
    const [data, frame] = [store.get("lesson")?.data, store.get("frame")];
    pointed.textContent = at && data && frame ? answered(data, frame, board, at) : "";
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

function answered(data: Data, frame: Frame, board: Board, [left, top]: [number, number]): string {
  const { area } = geometryOf(data, board.element.clientWidth, board.element.clientHeight);
  const across = (left - area.left) / (area.right - area.left);
  const up = (area.bottom - top) / (area.bottom - area.top);
  if (across < 0 || across > 1 || up < 0 || up > 1) return "";
  const answer = answerAt(frame.surface, data, across, up);
  if ("value" in answer) return `here: ${brief(answer.value)}`;
  return `here: ${data.outputs[answer.label] ?? ""}, ${Math.round(100 * answer.sure)} % sure`;
}

function described({ store }: Context): string {
  const [lesson, frame] = [store.get("lesson"), store.get("frame")];
  if (!lesson) return "The plane";
  const { data } = lesson;
  const axes = data.y.name === null ? data.x.name : `${data.x.name} and ${data.y.name}`;
  const what = data.task === "classes" ? `in ${plural(data.outputs.length, "class", "classes")}` : "coloured by their number";
  const where = `What the network answers over ${axes}: ${data.train} points to learn from and ${data.held_out} held out, ${what}.`;
  const batch = frame?.batch ? ` ${plural(frame.batch.length, "point")} of the last batch ${frame.batch.length === 1 ? "is" : "are"} ringed.` : "";
  return `${where} ${frame ? `After step ${frame.step}: ${scoreText(data.task, frame.now.score)} on the held-out points.` : ""}${batch}`;
}
