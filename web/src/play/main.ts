/** The playground: a training of the library's own, live, to be played with. */

import { h } from "../dom";
import { Store } from "../state";
import { createThemeButton, followTheme, preferredTheme } from "../theme";
import { createCloser } from "./microscope-dialog";
import { createDataControls } from "./data-controls";
import { listenToKeys } from "./shortcuts";
import { createLive } from "./live-region";
import { createLossChart } from "./loss-chart";
import { createNetworkControls } from "./network-controls";
import { createNoiseChart } from "./noise-chart";
import { createPlane } from "./decision-plot";
import type { Frame, Lesson } from "./protocol";
import { Server } from "./api-client";
import type { Context, PlayState } from "./state";
import { Trace } from "./history";
import { createTrainingControls } from "./training-controls";
import { actor, createTransport } from "./toolbar";
import { createMasthead } from "./header";

/** Where the controls stand beside the plane, they are open; below it they are folded. */
const WIDE = "(min-width: 1000px)";

function start(root: HTMLElement): void {
  const store = new Store<PlayState>({ theme: preferredTheme(), lesson: null, frame: null, link: "opening", farewell: "", trouble: "", logLoss: false });
  followTheme(store);
  const trace = new Trace();
  const server: Server = new Server({
    lesson: (lesson) => learn(store, trace, lesson),
    frame: (frame, first) => advance(store, trace, server, frame, first),
    link: (link, farewell = "") => store.set({ link, farewell }),
  });
  const context: Context = { store, server, trace };
  const act = actor(context);
  const controls = h(
    "section",
    { class: "controls-column", "aria-label": "Settings" },
    group("Data", createDataControls(context)),
    group("Network", createNetworkControls(context)),
    group("Training", createTrainingControls(context)),
  );
  root.replaceChildren(
    createMasthead(context, createThemeButton(store)),
    createTransport(context, act),
    h("div", { class: "playground" }, h("div", { class: "plane-column" }, createPlane(context), createCloser(context)), controls, h("div", { class: "charts-column" }, createLossChart(context), createNoiseChart(context))),
    createLive(context),
  );
  listenToKeys(context, act);
  server.connect();
}

function group(name: string, controls: HTMLElement[]): HTMLElement {
  return h("details", { class: "panel group", open: matchMedia(WIDE).matches }, h("summary", {}, h("h2", {}, name)), h("div", { class: "group-body" }, ...controls));
}

/** Another run begins with nothing; the same one goes on with what it has. */
function learn(store: Store<PlayState>, trace: Trace, lesson: Lesson): void {
  const anew = store.get("lesson")?.run !== lesson.run;
  if (anew) trace.begin(lesson.data.train);
  store.set({ lesson, trouble: "", ...(anew ? { frame: null } : {}) });
}

/** The first frame of a connection tells all from the first step. */
function advance(store: Store<PlayState>, trace: Trace, server: Server, frame: Frame, first: boolean): void {
  const lesson = store.get("lesson");
  if (frame.run !== lesson?.run) return;
  if (first) trace.begin(lesson.data.train);
  if (trace.take(frame)) store.set({ frame });
  // Steps are missing: a new connection brings all of them.
  else server.connect();
}

const root = document.getElementById("playground");
if (root) start(root);
