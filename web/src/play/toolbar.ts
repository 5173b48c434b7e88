/** The toolbar: start and pause, one batch, reset, speed, and the current numbers. */

import { button, h, setText } from "../dom";
import { icon } from "./icons";
import type { Command } from "./protocol";
import { formatCount } from "../format";
import { formatEpoch, formatLoss, formatNoiseScale, formatScore } from "./format";
import type { Context } from "./state";
import { SPEEDS } from "./settings";
import { createSettingSender, clearErrors, errorOf } from "./setting-sender";

export type RunCommand = (command: Command) => Promise<void>;

/** Send a command; its error is shown below the toolbar. */
export const createCommandRunner = ({ client, store }: Context): RunCommand => async (command) => {
  clearErrors();
  store.set({ commandError: errorOf(await client.run(command)) });
};

export function createToolbar(context: Context, runCommand: RunCommand): HTMLElement {
  const buttons = h("div", { class: "toolbar-buttons" }, createStartButton(context, runCommand), ...createStepButtons(context, runCommand));
  return h("section", { class: "panel toolbar", "aria-label": "Training" }, buttons, createSpeedControl(context), createReadouts(context), createNotice(context));
}

function createStartButton({ store }: Context, runCommand: RunCommand): HTMLElement {
  const startButton = button("", () => void runCommand(store.get("training")?.running ? "pause" : "start"), { class: "start", "aria-keyshortcuts": "Space" });
  let shownRunning: boolean | null = null;
  function update(): void {
    const running = store.get("training")?.running ?? false;
    startButton.disabled = store.get("training")?.stopReason != null;
    if (running === shownRunning) return;
    shownRunning = running;
    startButton.replaceChildren(icon(running ? "pause" : "start"), running ? "Pause" : "Start");
  }
  store.on(["training"], update);
  update();
  return startButton;
}

function createStepButtons({ store }: Context, runCommand: RunCommand): HTMLElement[] {
  const stepButton = button("", () => void runCommand("step"), { class: "step", "aria-keyshortcuts": "ArrowRight", title: "One batch: forward, backward, update (→)" });
  stepButton.append(icon("step"), "Step one batch");
  const resetButton = button("", () => void runCommand("reset"), { class: "reset", title: "Back to the initial weights" });
  resetButton.append(icon("reset"), "Reset");
  store.on(["training"], () => (stepButton.disabled = store.get("training")?.stopReason != null));
  return [stepButton, resetButton];
}

function createSpeedControl(context: Context): HTMLElement {
  const legend = h("legend", { class: "sr-only" }, "Speed");
  const fieldset = h("fieldset", { class: "segments speeds" }, legend);
  const sender = createSettingSender(context, show);

  function show(): void {
    const setup = context.store.get("setup");
    if (!setup) return;
    for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === setup.settings.speed;
  }

  function createOption(name: string, description: string): HTMLElement {
    const input = h("input", { type: "radio", name: "speed", value: name, "aria-label": `${name}: ${description}` });
    input.addEventListener("change", () => sender.send({ speed: name }));
    return h("label", { title: description }, input, h("span", {}, name));
  }

  fieldset.append(...Object.entries(SPEEDS).map(([name, { description }]) => createOption(name, description)));
  context.store.on(["setup"], () => {
    if (!sender.busy()) show();
  });
  return h("div", { class: "speed-field" }, fieldset, sender.error);
}

type Readout = [name: string, value: string];

function createReadouts({ store, history }: Context): HTMLElement {
  const list = h("dl", { class: "readouts" });
  const values = new Map<string, HTMLElement>();

  function readValues(): Readout[] {
    const [setup, training] = [store.get("setup"), store.get("training")];
    const task = setup?.data.task ?? "classes";
    const last = history.validation.at(-1);
    return [
      ["step", formatCount(training?.step ?? 0)],
      ["epoch", formatEpoch(training?.epoch ?? 0)],
      ["loss", formatLoss(training ? history.losses.at(history.steps - 1) : NaN)],
      ["held-out loss", formatLoss(training ? last?.loss : NaN)],
      [task === "classes" ? "held-out accuracy" : "held-out R²", formatScore(task, training ? (last?.score ?? NaN) : NaN)],
      ["noise scale", formatNoiseScale(training ? history.noiseScales.at(history.steps - 1) : NaN)],
    ];
  }

  function update(): void {
    const readouts = readValues();
    if (readouts.some(([name]) => !values.has(name))) {
      values.clear();
      list.replaceChildren(...readouts.map(([name]) => {
        const value = h("dd", { "data-name": name });
        values.set(name, value);
        return h("div", {}, h("dt", {}, name), value);
      }));
    }
    for (const [name, value] of readouts) setText(values.get(name)!, value);
  }

  store.on(["training", "setup"], update);
  update();
  return list;
}

/** Why the training has stopped, or the error of a command. */
function createNotice({ store }: Context): HTMLElement {
  const notice = h("p", { class: "notice", role: "alert" });
  store.on(["training", "commandError"], () => {
    const training = store.get("training");
    const replay = training?.replayTo ? `Repeating the link: step ${formatCount(training.step)} of ${formatCount(training.replayTo)}.` : "";
    const message = training?.stopReason ? `Training stopped. ${training.stopReason}` : store.get("commandError") || replay;
    setText(notice, message);
  });
  return notice;
}
