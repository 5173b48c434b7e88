/** The playground page: a training in a worker, and all that is to be seen and set of it. */

import { decode, type EncodedMatrix } from "../batch-data";
import { h } from "../dom";
import { Store } from "../state";
import { createThemeButton, followTheme, preferredTheme } from "../theme";
import { followAddress } from "./address-sync";
import { createDataControls } from "./data-controls";
import { createDecisionPlot } from "./decision-plot";
import { createHeader } from "./header";
import { History } from "./history";
import { createLiveRegion } from "./live-region";
import { createLossChart } from "./loss-chart";
import { createNetworkPicture } from "./network-picture";
import { createNoiseChart } from "./noise-chart";
import { createPresets } from "./presets";
import type { FormulaTable, Settings, Setup, Table, TrainingState } from "./protocol";
import { listenToShortcuts } from "./shortcuts";
import { type Context, type PlayState, shownUnit } from "./state";
import { TABLE } from "./settings";
import { createCommandRunner, createToolbar } from "./toolbar";
import { createTrainingControls } from "./training-controls";
import { WorkerClient } from "./worker-client";

/** The settings are open if they are beside the plot, and closed if they are below it. */
const WIDE = "(min-width: 1000px)";

/** What Python writes into the page. */
interface PageData {
  formulas: FormulaTable;
  table: (Omit<Table, "X" | "values"> & { X: EncodedMatrix; values: EncodedMatrix }) | null;
  settings: Partial<Settings>;
}

function start(root: HTMLElement, page: PageData): void {
  const store = new Store<PlayState>({
    theme: preferredTheme(), setup: null, training: null, commandError: "", logLoss: null,
    pointedUnit: null, chosenUnit: null, edges: "weights", example: 0, discretize: false, showHeldOut: true,
  });
  followTheme(store);
  const history = new History();
  const client = new WorkerClient(textOf("playground-worker"), {
    setup: (setup) => applySetup(store, history, setup),
    state: (training) => applyState(store, history, training),
  });
  const context: Context = { store, client, history };
  const runCommand = createCommandRunner(context);
  const table = page.table && { ...page.table, X: floats(page.table.X), values: floats(page.table.values) };
  const usual: Partial<Settings> = { ...(table ? { data: TABLE } : {}), ...page.settings };
  const links = followAddress(context, usual);
  root.replaceChildren(
    createHeader(context, links, createThemeButton(store)),
    createPresets(context, table),
    createToolbar(context, runCommand),
    h(
      "div",
      { class: "playground" },
      h("section", { class: "controls-column", "aria-label": "Settings" }, createGroup("Data", createDataControls(context)), createGroup("Training", createTrainingControls(context))),
      createNetworkPicture(context),
      createDecisionPlot(context),
      createLossChart(context),
      createNoiseChart(context),
    ),
    createLiveRegion(context),
  );
  listenToShortcuts(context, runCommand);
  store.on(["pointedUnit", "chosenUnit", "edges", "example"], () =>
    client.look({ unit: shownUnit(store), example: store.get("edges") === "example" ? store.get("example") : null }),
  );
  links.open(table, page.formulas);
}

function createGroup(name: string, controls: HTMLElement[]): HTMLElement {
  return h("details", { class: "panel group", open: matchMedia(WIDE).matches }, h("summary", {}, h("h2", {}, name)), h("div", { class: "group-body" }, ...controls));
}

/** A new run starts with an empty history; the same run keeps its own. */
function applySetup(store: Store<PlayState>, history: History, setup: Setup): void {
  const isNewRun = store.get("setup")?.run !== setup.run;
  if (isNewRun) history.reset(setup.data.nTrain);
  store.set({ setup, ...(store.get("setup") ? { commandError: "" } : {}), ...(isNewRun ? { training: null, pointedUnit: null, chosenUnit: null, example: 0 } : {}) });
}

function applyState(store: Store<PlayState>, history: History, training: TrainingState): void {
  history.append(training);
  store.set({ training });
}

const floats = (encoded: EncodedMatrix): Float32Array => decode(encoded).values as Float32Array;

function textOf(id: string): string {
  const text = document.getElementById(id)?.textContent;
  if (!text) throw new Error(`the page has no element with the id "${id}"`);
  return text;
}

const root = document.getElementById("playground");
if (root) start(root, JSON.parse(textOf("playground-data")) as PageData);
