/** The bar at the top: start and pause, one batch, reset, the speed; and the numbers of now. */

import { button, h } from "../dom";
import { icon } from "./icons";
import type { Action } from "./protocol";
import { count, epochText, lossText, scaleText, scoreValue } from "./format";
import type { Context } from "./state";
import { createWisher, forget, told } from "./setting-sender";

export type Act = (action: Action) => Promise<void>;

/** Ask for an action; a refusal is told under the bar. */
export const actor = ({ server, store }: Context): Act => async (action) => {
  forget();
  store.set({ trouble: told(await server.run(action)) });
};

export function createTransport(context: Context, act: Act): HTMLElement {
  const buttons = h("div", { class: "transport-buttons" }, createStart(context, act), ...createOthers(context, act));
  return h("section", { class: "panel transport", "aria-label": "Training" }, buttons, createSpeeds(context), createReadouts(context), createNotice(context));
}

function createStart({ store }: Context, act: Act): HTMLElement {
  const made = button("", () => void act(store.get("frame")?.running ? "pause" : "start"), { class: "start", "aria-keyshortcuts": "Space" });
  let shown: boolean | null = null;
  function update(): void {
    const running = store.get("frame")?.running ?? false;
    made.disabled = store.get("link") === "lost" || store.get("frame")?.ended != null;
    if (running === shown) return;
    shown = running;
    made.replaceChildren(icon(running ? "pause" : "start"), running ? "Pause" : "Start");
  }
  store.on(["frame", "link"], update);
  update();
  return made;
}

function createOthers({ store }: Context, act: Act): HTMLElement[] {
  const step = button("", () => void act("step"), { class: "step", "aria-keyshortcuts": "ArrowRight", title: "One batch: forward, backward, update (→)" });
  step.append(icon("step"), "Step one batch");
  const reset = button("", () => void act("reset"), { class: "reset", title: "Back to the first weights" });
  reset.append(icon("reset"), "Reset");
  store.on(["link", "frame"], () => {
    const lost = store.get("link") === "lost";
    step.disabled = lost || store.get("frame")?.ended != null;
    reset.disabled = lost;
  });
  return [step, reset];
}

function createSpeeds(context: Context): HTMLElement {
  const legend = h("legend", { class: "sr-only" }, "Speed");
  const set = h("fieldset", { class: "segments speeds" }, legend);
  const wisher = createWisher(context, show);

  function show(): void {
    const lesson = context.store.get("lesson");
    if (!lesson) return;
    if (set.children.length === 1) set.append(...lesson.choices.speeds.map(({ name, about }) => option(name, about)));
    for (const input of set.querySelectorAll("input")) input.checked = input.value === lesson.settings.speed;
  }

  function option(name: string, about: string): HTMLElement {
    const input = h("input", { type: "radio", name: "speed", value: name, "aria-label": `${name}: ${about}` });
    input.addEventListener("change", () => wisher.wish({ speed: name }));
    return h("label", { title: about }, input, h("span", {}, name));
  }

  context.store.on(["lesson"], () => {
    if (!wisher.busy()) show();
  });
  return h("div", { class: "speed-field" }, set, wisher.error);
}

type Readout = [name: string, value: string];

function createReadouts({ store }: Context): HTMLElement {
  const list = h("dl", { class: "readouts" });
  const values = new Map<string, HTMLElement>();

  function read(): Readout[] {
    const [lesson, frame] = [store.get("lesson"), store.get("frame")];
    const task = lesson?.data.task ?? "classes";
    return [
      ["step", count(frame?.step ?? 0)],
      ["epoch", epochText(frame?.epoch ?? 0)],
      ["loss", lossText(frame?.now.loss)],
      ["held-out loss", lossText(frame?.now.held_loss)],
      [task === "classes" ? "held-out accuracy" : "held-out R²", scoreValue(task, frame?.now.score ?? null)],
      ["noise scale", scaleText(frame?.now.noise_scale ?? null)],
    ];
  }

  function update(): void {
    const readouts = read();
    if (readouts.some(([name]) => !values.has(name))) {
      values.clear();
      list.replaceChildren(...readouts.map(([name]) => {
        const value = h("dd", { "data-name": name });
        values.set(name, value);
        return h("div", {}, h("dt", {}, name), value);
      }));
    }
    for (const [name, value] of readouts) values.get(name)!.textContent = value;
  }

  store.on(["frame", "lesson"], update);
  update();
  return list;
}

/** What keeps the training from going on, or why a button was refused. */
function createNotice({ store }: Context): HTMLElement {
  const notice = h("p", { class: "notice", role: "alert" });
  store.on(["frame", "trouble"], () => {
    const ended = store.get("frame")?.ended;
    const words = ended ? `Training stopped: ${ended}` : store.get("trouble");
    if (notice.textContent !== words) notice.textContent = words;
  });
  return notice;
}
