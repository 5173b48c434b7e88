/** The settings of the playground, what they may be, and what is wrong with one. */

import { ACTIVATIONS } from "../engine/activations";
import { OPTIMIZERS } from "../engine/optimizers";
import { formatCount } from "../format";
import type { Range, Settings, Task } from "./protocol";
import { FEATURES, TOYS } from "./toy-datasets";

/** The name of a table among the data sets. */
export const TABLE = "table";

export const LIMITS = {
  rows: [20, 5000],
  noise: [0, 1],
  learningRate: [1e-6, 100],
  l2: [0, 10],
  dropout: [0, 0.9],
  maxNorm: [0, 1000],
  seed: [0, 2 ** 32 - 1],
} as const satisfies Record<string, Range>;

export const MAX_HIDDEN_LAYERS = 6;
export const MAX_UNITS = 64;
export const MAX_STEPS = 1_000_000;

export const SPEEDS: Record<string, { description: string; pause: number }> = {
  slow: { description: "2 batches a second", pause: 500 },
  steady: { description: "20 batches a second", pause: 50 },
  fast: { description: "as fast as possible", pause: 0 },
};

export const LOSSES: Record<Task, readonly string[]> = { classes: ["softmax"], numbers: ["squared_error", "absolute_error", "huber"] };

export const DEFAULTS: Settings = {
  data: "moons",
  rows: 300,
  noise: 0.2,
  target: null,
  features: ["x1", "x2"],
  hidden: [8, 8],
  activation: "tanh",
  loss: "softmax",
  batchSize: 16,
  learningRate: 0.1,
  optimizer: "sgd",
  l2: 0,
  dropout: 0,
  maxNorm: 0,
  seed: 0,
  speed: "steady",
  axes: [0, 1],
};

/** These continue with the weights; the others start a new training, but for the view's. */
export const TRAINING_SETTINGS = ["batchSize", "learningRate", "optimizer", "l2", "dropout", "maxNorm"] as const satisfies readonly (keyof Settings)[];
/** These make other data. */
export const DATA_SETTINGS = ["data", "rows", "noise", "target", "seed"] as const satisfies readonly (keyof Settings)[];
export const VIEW_SETTINGS = ["speed", "axes"] as const satisfies readonly (keyof Settings)[];

type Check = (value: unknown) => string | null;

const oneOf = (known: readonly string[]): Check => (value) => (typeof value === "string" && known.includes(value) ? null : `one of ${known.join(", ")}`);

const number = ([low, high]: Range): Check => (value) =>
  typeof value === "number" && value >= low && value <= high ? null : `a number from ${plain(low)} to ${plain(high)}`;

const integer = ([low, high]: Range): Check => (value) =>
  Number.isInteger(value) && (value as number) >= low && (value as number) <= high ? null : `a whole number from ${formatCount(low)} to ${formatCount(high)}`;

/** As one writes it: 0.000001 rather than 1e-6. */
const plain = (value: number): string => value.toLocaleString("en", { maximumFractionDigits: 9 });

const isPair = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 && Number.isInteger(value[0]) && (value[1] === null || Number.isInteger(value[1])) && value[0] !== value[1];

const CHECKS: Record<keyof Settings, Check> = {
  data: oneOf([...Object.keys(TOYS), TABLE]),
  rows: integer(LIMITS.rows),
  noise: number(LIMITS.noise),
  target: (value) => (value === null || typeof value === "string" ? null : "the name of a column"),
  features: (value) =>
    Array.isArray(value) && value.length > 0 && new Set(value).size === value.length && value.every((name) => FEATURES.some((each) => each.name === name)) ? null : `at least one of ${FEATURES.map(({ name }) => name).join(", ")}`,
  hidden: (value) =>
    Array.isArray(value) && value.length <= MAX_HIDDEN_LAYERS && value.every((width) => integer([1, MAX_UNITS])(width) === null)
      ? null
      : `up to ${MAX_HIDDEN_LAYERS} widths, each from 1 to ${MAX_UNITS}`,
  activation: oneOf(ACTIVATIONS.map(({ name }) => name)),
  loss: oneOf(Object.values(LOSSES).flat()),
  batchSize: (value) => (value === "full" || (Number.isInteger(value) && (value as number) >= 1) ? null : "a whole number from 1, or all rows"),
  learningRate: number(LIMITS.learningRate),
  optimizer: oneOf(OPTIMIZERS),
  l2: number(LIMITS.l2),
  dropout: number(LIMITS.dropout),
  maxNorm: number(LIMITS.maxNorm),
  seed: integer(LIMITS.seed),
  speed: oneOf(Object.keys(SPEEDS)),
  axes: (value) => (isPair(value) ? null : "two of the features"),
};

const LABELS: Record<keyof Settings, string> = {
  data: "data set", rows: "number of points", noise: "noise", target: "target", features: "inputs", hidden: "hidden layers", activation: "activation", loss: "loss",
  batchSize: "batch size", learningRate: "learning rate", optimizer: "optimiser", l2: "L2 penalty", dropout: "dropout", maxNorm: "largest norm", seed: "seed", speed: "speed", axes: "axes",
};

/** What is wrong with a setting, with what is allowed; null where nothing is. */
export function settingError(name: string, value: unknown): string | null {
  if (!(name in CHECKS)) return `The setting “${name.slice(0, 40)}” is unknown.`;
  const key = name as keyof Settings;
  const allowed = CHECKS[key](value);
  return allowed === null ? null : `${JSON.stringify(value)?.slice(0, 60)} is no ${LABELS[key]}: give ${allowed}.`;
}

/** The settings with some changed; throws on the first that is wrong. */
export function changeSettings(settings: Settings, changes: Partial<Settings>): Settings {
  for (const [name, value] of Object.entries(changes)) {
    const error = settingError(name, value);
    if (error) throw new SettingError(error);
  }
  return { ...settings, ...changes };
}

/** An error that the page shows as it is. */
export class SettingError extends Error {}
