/** Data, settings and training of one playground, and the commands on them; it lives in the worker. */

import { type Columns, encodeTable, parseTable, suggestTarget } from "./encode-table";
import { bestAxes, describeData, makePlane, type Plane, SurfaceMaker } from "./plane";
import type { Command, FileInfo, LogEntry, Opening, Recording, Settings, Setup, Table, TrainingState, View } from "./protocol";
import { changeSettings, DATA_SETTINGS, DEFAULTS, LOSSES, SettingError, SPEEDS, TABLE, TRAINING_SETTINGS, VIEW_SETTINGS } from "./settings";
import { FEATURES, makeToy, TOYS } from "./toy-datasets";
import { formatCount } from "../format";
import { type Dataset, Trainer } from "./trainer";

/** A table in numbers, and the file that it was read from, if the page read it. */
interface LoadedTable {
  name: string;
  table: Table;
  file: Columns | null;
}

/** What the page has received. */
interface Cursor {
  run: number;
  steps: number;
  nValidation: number;
}

/** How often, at most, the rows held out are evaluated on the way of a link. */
const MAX_REPLAY_VALIDATIONS = 200;

export class Session {
  running = false;
  stopReason: string | null = null;
  run = 0;
  /** Counts changes, so that the page asks for nothing twice. */
  version = 0;
  setupVersion = 0;
  settings!: Settings;
  trainer!: Trainer;
  dataset!: Dataset;
  private plane!: Plane;
  private surface!: SurfaceMaker;
  private view: View = { unit: null, example: null };
  private start!: Settings;
  private log: LogEntry[] = [];
  private replay: Recording | null = null;
  /** A file whose target is not chosen yet: the current data stay in use. */
  private candidate: Columns | null = null;
  private nextValidation = 0;
  private validationTime = Infinity;

  constructor(private loaded: LoadedTable | null, recording: Opening) {
    const settings = changeSettings({ ...DEFAULTS, ...(loaded ? { data: TABLE } : {}) }, recording.settings);
    this.restart(fitToData(settings, this.makeTable(settings)), !("axes" in recording.settings));
    if (recording.step) this.replay = { settings: this.settings, log: recording.log ?? [], step: recording.step };
  }

  get pauseBetween(): number {
    return this.replay ? 0 : SPEEDS[this.settings.speed]!.pause;
  }

  /** Whether there are steps to take. */
  get isBusy(): boolean {
    return this.running || this.replay !== null;
  }

  execute(command: Command): void {
    this.replay = null;
    if (command === "reset") this.restart(this.settings, false);
    else if (command === "pause") this.running = false;
    else {
      if (this.stopReason !== null) throw new SettingError(this.stopReason);
      this.running = command === "start";
      if (command === "step") this.advance();
    }
    this.version++;
  }

  /** Take one step; where it fails, pause and keep the reason. */
  advance(): void {
    try {
      if (this.replay) this.repeat(this.replay);
      else this.trainer.step();
    } catch (error) {
      if (!(error instanceof SettingError)) throw error;
      [this.running, this.replay, this.stopReason] = [false, null, error.message];
    }
    this.version++;
  }

  /** One step of a link, with the changes that were made before it. */
  private repeat(recording: Recording): void {
    const { steps } = this.trainer;
    // Many steps pass between two pictures: without this the curve would be a straight line between them.
    if (steps % Math.ceil(recording.step / MAX_REPLAY_VALIDATIONS) === 0) this.validate();
    for (const { step, settings, weight } of recording.log) {
      if (step !== steps) continue;
      if (settings) this.change(settings);
      if (weight) this.setWeight(weight);
    }
    if (steps < recording.step) this.trainer.step();
    else this.replay = null;
  }

  /** Change settings; the training starts again only where they ask for it. */
  change(changes: Partial<Settings>): void {
    const before = this.settings;
    const settings = changeSettings(before, changes);
    const changed = (Object.keys(changes) as (keyof Settings)[]).filter((name) => JSON.stringify(changes[name]) !== JSON.stringify(before[name]));
    if (changed.length === 0) return;
    const beyondView = changed.filter((name) => !includes(VIEW_SETTINGS, name));
    if (beyondView.every((name) => includes(TRAINING_SETTINGS, name))) {
      if (beyondView.length) this.applyToTraining(settings, beyondView);
      this.settings = settings;
      if (changed.includes("axes")) this.lookAt(settings);
      this.setupVersion++;
    } else {
      this.replay = null;
      const isOtherData = changed.some((name) => includes(DATA_SETTINGS, name));
      const table = isOtherData ? this.makeTable(settings) : this.dataset.table;
      this.restart(fitToData(settings, table), changed.includes("data") && !changes.axes, table);
    }
    this.version++;
  }

  private applyToTraining(settings: Settings, changed: readonly (keyof Settings)[]): void {
    const { trainer } = this;
    const nTrain = formatCount(trainer.train.length);
    if (typeof settings.batchSize === "number" && settings.batchSize > trainer.train.length)
      throw new SettingError(`${formatCount(settings.batchSize)} is no batch size: give a whole number from 1 to ${nTrain}, the training rows.`);
    trainer.apply(settings);
    // What is set before the first step is how the training begins.
    if (trainer.steps === 0) this.start = settings;
    else this.log.push({ step: trainer.steps, settings: Object.fromEntries(changed.map((name) => [name, settings[name]])) });
  }

  /** Set one weight by hand. */
  setWeight({ l, j, k, value }: { l: number; j: number; k: number; value: number }): void {
    const layer = this.trainer.network.layers[l];
    if (!layer || j >= layer.nOut || k > layer.nIn || !Number.isFinite(value)) throw new SettingError(`There is no weight ${j + 1}, ${k + 1} in layer ${l + 1}.`);
    this.trainer.network.theta[k === layer.nIn ? layer.b + j : layer.W + j * layer.nIn + k] = value;
    this.trainer.invalidate();
    // A drag is many values: the last one at a step counts.
    const { steps } = this.trainer;
    this.log = this.log.filter(({ step, weight }) => !(step === steps && weight?.l === l && weight.j === j && weight.k === k));
    this.log.push({ step: steps, weight: { l, j, k, value } });
    this.version++;
  }

  /** Read a file; it replaces the data once its target is chosen. */
  readFile(name: string, text: string): FileInfo {
    this.candidate = parseTable(name, text);
    const { names, lines } = this.candidate;
    return { columns: names, rows: lines.length, suggestedTarget: suggestTarget(this.candidate) };
  }

  /** Learn a column of the file that was read last. */
  chooseTarget(target: string): void {
    const file = this.candidate ?? this.loaded?.file;
    if (!file) throw new SettingError("There is no file yet: choose one, or drop one on the page.");
    const table = encodeTable(file, target);
    this.loaded = { name: file.name, table, file };
    this.candidate = null;
    this.replay = null;
    this.restart(fitToData({ ...this.settings, data: TABLE, target }, table), true, table);
    this.version++;
  }

  look(view: View): void {
    this.view = view;
    this.version++;
  }

  setup(): Setup {
    const { loaded } = this;
    return {
      run: this.run,
      settings: this.settings,
      table: loaded && { name: loaded.name, rows: loaded.table.rows.length, columns: loaded.file?.names ?? [] },
      data: describeData(this.dataset, this.plane, this.trainer),
    };
  }

  /** The state, with the steps since the cursor. */
  state(cursor: Cursor): TrainingState {
    const { trainer } = this;
    const from = cursor.run === this.run ? cursor.steps : 0;
    this.validate();
    const hidden = trainer.network.sizes.slice(1, -1);
    const unit = this.view.unit && this.view.unit[1] < (hidden[this.view.unit[0]] ?? 0) ? this.view.unit : null;
    const { lastBatch } = trainer;
    return {
      run: this.run,
      step: trainer.steps,
      epoch: trainer.nSeen / trainer.train.length,
      running: this.running,
      replayTo: this.replay?.step ?? 0,
      stopReason: this.stopReason,
      firstStep: from,
      losses: Float32Array.from(trainer.losses.slice(from)),
      noiseScales: Float32Array.from(trainer.noiseScales.slice(from)),
      batchSizes: Float32Array.from(trainer.batchSizes.slice(from)),
      // The last one again: a weight set by hand changes it.
      validation: trainer.validation.slice(cursor.run === this.run ? Math.min(cursor.nValidation, trainer.validation.length) - 1 : 0),
      batchSize: trainer.batchSize,
      surface: this.surface.make(!this.isBusy, unit),
      theta: trainer.network.theta.slice(),
      gradient: lastBatch && trainer.gradient.slice(),
      exampleGradient: lastBatch && this.view.example !== null && this.view.example < lastBatch.length ? trainer.exampleGradient(this.view.example) : null,
      lastBatchSize: lastBatch && lastBatch.length,
      lastBatch: this.running || !lastBatch ? null : this.placesOf(lastBatch),
      recording: { settings: { ...this.start, speed: this.settings.speed, axes: this.settings.axes }, log: this.log, step: trainer.steps },
    };
  }

  /** Evaluate; while a large network trains, it takes no more than a tenth of the time, and of a link's steps a third. */
  private validate(): void {
    const began = performance.now();
    if (this.isBusy && this.trainer.validation.length && began < this.nextValidation) return;
    this.trainer.validate();
    const took = performance.now() - began;
    // The shortest so far: what else the machine did meanwhile is no price.
    this.validationTime = Math.min(this.validationTime, took);
    this.nextValidation = began + took + (this.replay ? 2 : 9) * this.validationTime;
  }

  private placesOf(rows: Uint32Array): number[] {
    const places = new Map(Array.from(this.plane.rows, (row, place) => [row, place]));
    return Array.from(rows, (row) => places.get(row) ?? -1);
  }

  private makeTable(settings: Settings): Table {
    if (settings.data !== TABLE) return makeToy(settings.data, settings.rows, settings.noise, settings.seed);
    if (!this.loaded) throw new SettingError("There is no table yet: choose a file, or drop one on the page.");
    return this.loaded.table;
  }

  private restart(settings: Settings, findAxes: boolean, table = this.makeTable(settings)): void {
    const dataset = makeDataset(table, settings);
    const trainer = new Trainer(dataset, settings);
    const axes = findAxes || !fits(settings.axes, table) ? bestAxes(table) : settings.axes;
    [this.dataset, this.trainer, this.settings] = [dataset, trainer, { ...settings, axes }];
    this.start = this.settings;
    this.log = [];
    this.lookAt(this.settings);
    [this.running, this.stopReason, this.validationTime] = [false, null, Infinity];
    this.run++;
    this.setupVersion++;
  }

  private lookAt(settings: Settings): void {
    this.plane = makePlane(this.dataset.table, settings.axes);
    this.surface = new SurfaceMaker(this.trainer.network, this.dataset, this.plane);
  }
}

const includes = (names: readonly string[], name: string): boolean => names.includes(name);

const fits = ([x, y]: Settings["axes"], { features: { length } }: Table): boolean => x < length && (y === null ? length === 1 : y < length);

/** Settings that do not go with a table become those that do. */
function fitToData(settings: Settings, { task, rows }: Table): Settings {
  const nTrain = rows.length - Math.max(1, Math.floor(rows.length / 5));
  const losses = LOSSES[task];
  return {
    ...settings,
    loss: losses.includes(settings.loss) ? settings.loss : losses[0]!,
    batchSize: typeof settings.batchSize === "number" && settings.batchSize > nTrain ? "full" : settings.batchSize,
  };
}

function makeDataset(table: Table, { data, features }: Settings): Dataset {
  const n = table.rows.length;
  const K = table.task === "classes" ? table.outputs.length : 1;
  const Y = new Float32Array(n * K);
  for (let i = 0; i < n; i++) {
    if (table.task === "classes") Y[i * K + table.values[i]!] = 1;
    else Y[i] = table.values[i]!;
  }
  if (!(data in TOYS) || features.join() === "x1,x2") return { table, X: table.X, Y, inputs: table.features };
  const made = features.map((name) => FEATURES.find((each) => each.name === name)!);
  const X = new Float32Array(n * made.length);
  for (let i = 0; i < n; i++) made.forEach(({ value }, k) => (X[i * made.length + k] = value(table.X[2 * i]!, table.X[2 * i + 1]!)));
  return { table, X, Y, inputs: made.map(({ label }) => label) };
}
