/** The playground page: a live training of the library, with its settings, plot and charts. */

import { h } from "../dom";
import { Store } from "../state";
import { createThemeButton, followTheme, preferredTheme } from "../theme";
import { createMicroscopePanel } from "./microscope-dialog";
import { createDataControls } from "./data-controls";
import { listenToShortcuts } from "./shortcuts";
import { createLiveRegion } from "./live-region";
import { createLossChart } from "./loss-chart";
import { createNetworkControls } from "./network-controls";
import { createNoiseChart } from "./noise-chart";
import { createDecisionPlot } from "./decision-plot";
import type { TrainingState, Setup } from "./protocol";
import { ApiClient } from "./api-client";
import type { Context, PlayState } from "./state";
import { History } from "./history";
import { createTrainingControls } from "./training-controls";
import { createCommandRunner, createToolbar } from "./toolbar";
import { createHeader } from "./header";

/** The settings are open if they are beside the plot, and closed if they are below it. */
const WIDE = "(min-width: 1000px)";

function start(root: HTMLElement): void {
  const store = new Store<PlayState>({ theme: preferredTheme(), setup: null, training: null, connection: "opening", disconnectReason: "", commandError: "", logLoss: false });
  followTheme(store);
  const history = new History();
  const client: ApiClient = new ApiClient({
    setup: (setup) => applySetup(store, history, setup),
    state: (training, first) => applyState(store, history, client, training, first),
    status: (connection, disconnectReason = "") => store.set({ connection, disconnectReason }),
  });
  const context: Context = { store, client, history };
  const runCommand = createCommandRunner(context);
  const settingsColumn = h(
    "section",
    { class: "controls-column", "aria-label": "Settings" },
    createGroup("Data", createDataControls(context)),
    createGroup("Network", createNetworkControls(context)),
    createGroup("Training", createTrainingControls(context)),
  );
  root.replaceChildren(
    createHeader(context, createThemeButton(store)),
    createToolbar(context, runCommand),
    h("div", { class: "playground" }, h("div", { class: "plot-column" }, createDecisionPlot(context), createMicroscopePanel(context)), settingsColumn, h("div", { class: "charts-column" }, createLossChart(context), createNoiseChart(context))),
    createLiveRegion(context),
  );
  listenToShortcuts(context, runCommand);
  client.connect();
}

function createGroup(name: string, controls: HTMLElement[]): HTMLElement {
  return h("details", { class: "panel group", open: matchMedia(WIDE).matches }, h("summary", {}, h("h2", {}, name)), h("div", { class: "group-body" }, ...controls));
}

/** A new run starts with an empty history; the same run keeps its own. */
function applySetup(store: Store<PlayState>, history: History, setup: Setup): void {
  const isNewRun = store.get("setup")?.run !== setup.run;
  if (isNewRun) history.reset(setup.data.n_train);
  store.set({ setup, commandError: "", ...(isNewRun ? { training: null } : {}) });
}

/** The first state of a connection has all steps from the first. */
function applyState(store: Store<PlayState>, history: History, client: ApiClient, training: TrainingState, first: boolean): void {
  const setup = store.get("setup");
  if (training.run !== setup?.run) return;
  if (first) history.reset(setup.data.n_train);
  if (history.append(training)) store.set({ training });
  // Steps are missing: a new connection sends all of them.
  else client.connect();
}

const root = document.getElementById("playground");
if (root) start(root);
