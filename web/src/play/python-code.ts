/** The lines of Python that train the same network with the library, step by step. */

import { formatCount } from "../format";
import type { LogEntry, Recording, Settings, Setup } from "./protocol";
import { FEATURES } from "./toy-datasets";
import { TABLE } from "./settings";

const quote = (text: string): string => JSON.stringify(text);

/** The steps with unchanged settings, and what is set by hand before them. */
interface Segment {
  settings: Settings;
  weights: NonNullable<LogEntry["weight"]>[];
  from: number;
  to: number;
}

function divide({ settings, log, step }: Recording): Segment[] {
  const marks = [...new Set([0, ...log.map((entry) => entry.step).filter((at) => at <= step)])].sort((a, b) => a - b);
  let current = settings;
  return marks.map((from, n) => {
    const entries = log.filter((entry) => entry.step === from);
    for (const entry of entries) current = { ...current, ...entry.settings };
    return { settings: current, weights: entries.flatMap(({ weight }) => weight ?? []), from, to: marks[n + 1] ?? step };
  });
}

/** Each step by hand, as the algorithm has it; `backprop` and the optimisers are the library's. */
export function pythonCode(recording: Recording, { data }: Setup): string {
  const { settings, step } = recording;
  const segments = divide(recording);
  const uses = (name: "dropout" | "l2" | "maxNorm"): boolean => segments.some((each) => each.settings[name] > 0);
  const numpy = !isPlain(settings);
  const imports = ["make_network", ...(settings.data === TABLE ? [] : ["make_toy"]), ...(uses("dropout") ? ["make_masks"] : []), "minibatches", "split_rows"].sort();
  const made = [
    ...(numpy ? ["import numpy as np", ""] : []),
    "import batchprop as bp",
    ...(uses("maxNorm") ? ["from batchprop.clipping import clip_by_global_norm"] : []),
    `from batchprop.playground import ${imports.join(", ")}`,
    "",
    ...dataLines(settings, data.title),
    `train, held_out = split_rows(len(X), seed=${settings.seed})`,
    "",
    `net = make_network(${JSON.stringify(data.sizes).replaceAll(",", ", ")}, ${quote(settings.activation)}, ${quote(settings.loss)}, seed=${settings.seed})`,
    "",
    ...segments.flatMap((segment, n) => segmentLines(segment, segments[n - 1] ?? null, data, countEpochs(segments.slice(0, n), data.nTrain))),
    "",
    "step = bp.backprop(net, X[held_out].T, Y[held_out].T)",
    `print(f"loss on the rows held out: {step.loss:.4f}")`,
  ];
  return `# ${formatCount(step)} steps of the playground, with batchprop.\n${made.join("\n")}\n`;
}

const isPlain = ({ data, features }: Settings): boolean => data === TABLE || features.join() === "x1,x2";

function dataLines(settings: Settings, title: string): string[] {
  if (settings.data === TABLE) return [`# X (n, k) and Y (n, K), in float32: the rows of ${quote(title)} as the page encoded them, in its order.`];
  const lines = [`X, Y = make_toy(${quote(settings.data)}, rows=${settings.rows}, noise=${settings.noise}, seed=${settings.seed})`];
  if (isPlain(settings)) return lines;
  const columns = settings.features.map((name) => FEATURES.find((each) => each.name === name)!.python);
  return [...lines, "x1, x2 = X.T", `X = np.column_stack([${columns.join(", ")}])`];
}

/** How many epochs began in earlier segments: every one has its own order. */
function countEpochs(segments: readonly Segment[], nTrain: number): number {
  let [epochs, size, position] = [0, 0, Infinity];
  for (const { settings, from, to } of segments) {
    const next = settings.batchSize === "full" ? nTrain : settings.batchSize;
    if (next !== size) [size, position] = [next, Infinity];
    for (let step = from; step < to; step++) {
      if (position >= nTrain) [epochs, position] = [epochs + 1, 0];
      position += size;
    }
  }
  return epochs;
}

function segmentLines({ settings, weights, from, to }: Segment, before: Segment | null, { nTrain, sizes }: Setup["data"], epoch: number): string[] {
  const lines: string[] = [];
  for (const { l, j, k, value } of weights) {
    const place = k < sizes[l]! ? `W[${j}, ${k}]` : `b[${j}]`;
    lines.push(`net.layers[${l}].${place} = ${Math.fround(value)}  # set by hand`);
  }
  if (to === from) return lines;
  const batchSize = (one: Settings): string => (one.batchSize === "full" ? String(nTrain) : String(one.batchSize));
  if (!before || before.settings.optimizer !== settings.optimizer) lines.push(`optimizer = bp.optimizers.${settings.optimizer}()`, "state = optimizer.init(net.layers)");
  if (!before || batchSize(before.settings) !== batchSize(settings)) {
    lines.push(`batches = minibatches(train, ${batchSize(settings)}, seed=${settings.seed}${epoch ? `, first_epoch=${epoch}` : ""})`);
  }
  const { l2, dropout, maxNorm } = settings;
  const start = from ? `${from}, ${to}` : String(to);
  lines.push(`for ${dropout ? "number" : "_"} in range(${start}):`, "    rows = next(batches)");
  if (dropout) lines.push(`    masks = make_masks(net, len(rows), ${dropout}, seed=${settings.seed}, step=number)`);
  lines.push(`    step = bp.backprop(net, X[rows].T, Y[rows].T${dropout ? ", masks=masks" : ""})`, "    gradient = step.gradient.mean()");
  if (l2) {
    lines.push(
      "    gradient = tuple(",
      `        bp.Layer(g.W + ${l2} / len(rows) * layer.W, g.b) for g, layer in zip(gradient, net.layers)`,
      "    )",
    );
  }
  if (maxNorm) lines.push(`    gradient = clip_by_global_norm(gradient, ${maxNorm})`);
  lines.push(`    layers, state = optimizer.update(net.layers, gradient, state, ${settings.learningRate})`, "    net = net.replace_layers(layers)");
  return lines;
}
