/** A recording in the address's fragment: `#data=spirals&batchSize=1&step=200`; what it lacks is as usual. */

import type { LogEntry, Opening, Recording, Settings } from "./protocol";
import { DEFAULTS, settingError, TABLE } from "./settings";

type Value = Settings[keyof Settings];

const LISTS = new Set(["features", "hidden", "axes"]);
const TEXTS = new Set(["data", "target", "activation", "loss", "optimizer", "speed"]);

const write = (value: Value): string => (Array.isArray(value) ? value.map((part) => part ?? "none").join(",") : String(value ?? ""));

function read(name: string, text: string): unknown {
  if (LISTS.has(name)) {
    const parts = text === "" ? [] : text.split(",");
    return name === "features" ? parts : parts.map((part) => (part === "none" ? null : Number(part)));
  }
  return TEXTS.has(name) || text === "full" ? text : Number(text);
}

const isSame = (a: Value, b: Value): boolean => JSON.stringify(a) === JSON.stringify(b);

/** `usual`: what the page would begin with. */
export function toFragment({ settings, log, step }: Recording, usual: Partial<Settings> = {}): string {
  const base = { ...DEFAULTS, ...usual };
  const parts = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS) as (keyof Settings)[]) {
    // The axes and the loss follow from the data, unless they were chosen; a name of a column means nothing elsewhere.
    if (!isSame(settings[name], base[name]) && name !== "target") parts.set(name, write(settings[name]));
  }
  if (step) parts.set("step", String(step));
  if (log.length) parts.set("log", log.map(writeEntry).join(";"));
  return parts.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
}

function writeEntry({ step, settings, weight }: LogEntry): string {
  if (weight) return `${step}:w,${weight.l},${weight.j},${weight.k},${Math.fround(weight.value)}`;
  return `${step}:${Object.entries(settings ?? {}).map(([name, value]) => `${name},${write(value)}`).join(",")}`;
}

/** What a fragment holds that may stand in one; the rest is named, to be told. */
export function fromFragment(fragment: string): { opening: Opening; errors: string[] } {
  const settings: Record<string, unknown> = {};
  const errors: string[] = [];
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  for (const [name, text] of parts) {
    if (name === "step" || name === "log") continue;
    const value = read(name, text);
    const error = settingError(name, value);
    if (error) errors.push(error);
    else settings[name] = value;
  }
  const step = Number(parts.get("step") ?? 0);
  if (!Number.isInteger(step) || step < 0) errors.push(`“${parts.get("step")}” is no number of steps.`);
  const log = (parts.get("log") ?? "").split(";").filter(Boolean).flatMap((text) => readEntry(text) ?? []);
  return { opening: { settings: settings as Partial<Settings>, log, step: Number.isInteger(step) && step > 0 ? step : 0 }, errors };
}

function readEntry(text: string): LogEntry | null {
  const [step = "", rest = ""] = text.split(":");
  const words = rest.split(",");
  if (!/^\d+$/.test(step)) return null;
  if (words[0] === "w") {
    const [l, j, k, value] = words.slice(1).map(Number);
    return [l, j, k].every(Number.isInteger) && Number.isFinite(value) ? { step: Number(step), weight: { l: l!, j: j!, k: k!, value: value! } } : null;
  }
  const settings: Record<string, unknown> = {};
  for (let n = 0; n + 1 < words.length; n += 2) {
    const value = read(words[n]!, words[n + 1]!);
    if (settingError(words[n]!, value) !== null) return null;
    settings[words[n]!] = value;
  }
  return { step: Number(step), settings: settings as Partial<Settings> };
}

/** Whether a link says everything: a table from a file stays with its page. */
export const isComplete = ({ settings }: Recording): boolean => settings.data !== TABLE;
