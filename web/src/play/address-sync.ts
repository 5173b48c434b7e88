/** Keeps the address's fragment at what the page shows, and makes links, Python and files of it. */

import { fromFragment, toFragment } from "./address";
import { joinWidget } from "../embedding";
import { encodeWeights } from "../engine/safetensors";
import { layerShapes } from "../engine/network";
import { getActivation } from "../engine/activations";
import { getHead } from "../engine/heads";
import { pythonCode } from "./python-code";
import type { FormulaTable, Recording, Settings, Table } from "./protocol";
import type { Context } from "./state";

export interface Links {
  /** Begin with what the address holds. */
  open: (table: Table | null, formulas: FormulaTable) => void;
  link: () => string;
  python: () => string;
  /** The weights as a file, and its name. */
  weights: () => { name: string; file: Blob };
  recording: () => Recording | null;
}

/** `usual`: the settings with which this page begins. */
export function followAddress({ store, client }: Context, usual: Partial<Settings>): Links {
  const recording = (): Recording | null => store.get("training")?.recording ?? null;
  const fragment = (): string => {
    const one = recording();
    return one ? toFragment(one, usual) : "";
  };

  function write(): void {
    const training = store.get("training");
    // A browser refuses many changes a second, and a link to where a training just runs by says little.
    if (!training || training.running || training.replayTo) return;
    if (isOpen) pending = null;
    tell();
    const address = `#${fragment()}`;
    if (location.hash === address || (address === "#" && location.hash === "")) return;
    try {
      history.replaceState(null, "", address === "#" ? location.pathname + location.search : address);
    } catch {
      // Inside a notebook's frame the page has no address of its own.
    }
  }

  // In a notebook, Python sets the address. Until the page shows what it names, it stands for the page's own.
  let pending: string | null = null;
  let isOpen = false;
  let reopen: ((address: string) => Promise<void>) | null = null;
  const tell = joinWidget(() => ({ address: pending ?? fragment() }), ({ address }) => {
    if (address === undefined || address === (pending ?? fragment())) return;
    pending = address;
    isOpen = false;
    void reopen?.(address);
  });

  async function open(table: Table | null, formulas: FormulaTable, address: string): Promise<void> {
    reopen = (next) => open(table, formulas, next);
    // Python may have been faster than the page.
    const wanted = pending ?? address;
    const { opening, errors } = fromFragment(wanted);
    const result = await client.open(table, formulas, { ...opening, settings: { ...usual, ...opening.settings } });
    const all = [...errors, ...("error" in result ? [result.error] : [])];
    if (all.length) store.set({ commandError: `The address is not understood in full. ${all.join(" ")}` });
    if (pending !== wanted) return;
    isOpen = true;
    if ("error" in result) {
      pending = null;
      tell();
    }
  }

  store.on(["training"], write);
  return {
    open: (table, formulas) => void open(table, formulas, location.hash),
    link: () => `${location.href.replace(/#.*/, "")}#${fragment()}`,
    python: () => pythonCode(recording()!, store.get("setup")!),
    recording,
    weights: () => {
      const [{ data, settings }, { theta, step }] = [store.get("setup")!, store.get("training")!];
      const network = { layers: layerShapes(data.sizes), theta, activation: getActivation(settings.activation), head: getHead(settings.loss) };
      return { name: `playground-step-${step}.safetensors`, file: new Blob([encodeWeights(network)], { type: "application/octet-stream" }) };
    },
  };
}
