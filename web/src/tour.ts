/** A short tour of one example, from its column to its gradient: a card at the side, and a ring around what it speaks of. */

import { cell } from "./algebra";
import { predictsNumbers } from "./batch-data";
import type { BatchState, Context } from "./batch-state";
import { button, h, reducedMotion } from "./dom";
import { formatNumber, formatShort } from "./format";
import { formatLabel } from "./source-rows";
import type { AlgorithmStep } from "./steps";
import { createImage } from "./thumbnails";

const FACE = 52;

interface Stop {
  /** The step of the algorithm that it shows. */
  step: string;
  title: string;
  text: string;
  /** What the ring is around, the first of these that is there. */
  targets: string[];
}

export interface Tour {
  card: HTMLElement;
  /** Opens the card again. */
  opener: HTMLButtonElement;
}

/** Opened at once, unless the address asks for a step; closed, it stays so as long as the page. */
export function createTour(context: Context, steps: readonly AlgorithmStep[], view: HTMLElement): Tour {
  const { store } = context;
  const card = h("section", { class: "tour", "aria-labelledby": "tour-title", tabindex: -1 });
  const heading = h("h2", { id: "tour-title" });
  const face = h("div", { class: "tour-face" });
  const text = h("p", { role: "status" });
  const position = h("span", { class: "tour-position" });
  const back = button("Back", () => go(at - 1), { class: "tour-back" });
  const next = button("", () => (at + 1 < stops().length ? go(at + 1) : close()), { class: "tour-next" });
  const dismiss = button("×", () => close(), { class: "tour-close", "aria-label": "Close the tour" });
  const opener = button("Tour", () => start(), { class: "tour-opener" });
  card.append(dismiss, h("div", { class: "tour-head" }, face, heading), text, h("div", { class: "tour-buttons" }, next, back, position));
  let at = 0;
  let example = hardestExample(context.batch());

  const stops = (): Stop[] => describeStops(context.batch(), example);

  function render(): void {
    const all = stops();
    const stop = all[at]!;
    heading.textContent = stop.title;
    text.textContent = stop.text;
    position.textContent = `${at + 1} of ${all.length}`;
    next.textContent = at === 0 ? "Show me" : at + 1 < all.length ? "Next" : "Done";
    back.hidden = at === 0;
    card.classList.toggle("floating", at === all.length - 1);
    face.replaceChildren(...[createImage(context, example, FACE)].filter((image) => image !== null));
    point();
  }

  /** Ring what the stop speaks of, where it is on the page. */
  function point(): HTMLElement | null {
    document.querySelectorAll(".tour-target").forEach((element) => element.classList.remove("tour-target"));
    const target = card.hidden ? null : findTarget(stops()[at]!.targets);
    target?.classList.add("tour-target");
    return target;
  }

  function go(n: number): void {
    at = n;
    const step = steps.findIndex(({ id }) => id === stops()[n]!.step);
    store.set({ step, example, cell: null, playing: false, collapsed: false });
    render();
    point()?.scrollIntoView({ block: "center", inline: "nearest", behavior: reducedMotion() ? "auto" : "smooth" });
  }

  function start(): void {
    card.hidden = false;
    example = hardestExample(context.batch());
    go(0);
    card.focus({ preventScroll: true });
  }

  function close(): void {
    const hadFocus = card.contains(document.activeElement);
    card.hidden = true;
    point();
    if (hadFocus) opener.focus({ preventScroll: true });
  }

  card.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  });
  store.on(["snapshot", "included", "clip", "theme"], render);
  // Every drawing of the matrices takes the ring with the old ones.
  new MutationObserver(() => void point()).observe(view, { childList: true });
  card.hidden = steps.some(({ id }) => location.hash === `#${id}`);
  render();
  return { card, opener };
}

function findTarget(targets: readonly string[]): HTMLElement | null {
  const found = targets.map((selector) => document.querySelector<HTMLElement>(selector));
  return found.find((element) => element !== null && element.getClientRects().length > 0) ?? null;
}

/** The one with the largest loss, of those that the network gets wrong where there are any. */
function hardestExample(batch: BatchState): number {
  const losses = Array.from(batch.losses().values, (loss) => (Number.isFinite(loss) ? loss : -Infinity));
  const anyWrong = losses.some((_, i) => batch.isWrong(i));
  const candidates = losses.map((loss, i) => (anyWrong && !batch.isWrong(i) ? -Infinity : loss));
  return candidates.indexOf(Math.max(...candidates));
}

function describeStops(batch: BatchState, i: number): Stop[] {
  const { data, snapshot } = batch;
  const last = batch.outputLayer;
  const label = formatLabel(data, data.examples[i]!.label, 4);
  const answer = formatLabel(data, snapshot.predictions[i] ?? "", 4);
  const isNumber = predictsNumbers(data);
  const verdict = isNumber ? `answers ${answer} where the label is ${label}` : batch.isWrong(i) ? `takes this ${label} for ${answer}` : `gets this ${label} right, with the largest loss`;
  const title = isNumber ? `Why ${answer}, and not ${label}?` : batch.isWrong(i) ? `Why is this ${label} taken for ${answer}?` : `What does this ${label} teach?`;
  const when = snapshot.name.startsWith("as fitted") ? "The" : `${snapshot.name.replace(/^./, (letter) => letter.toUpperCase()).replace(/, the last$/, "")}, the`;
  return [
    {
      step: "forward-0", title,
      text: `Each column of a matrix is one example; this is ${data.examples[i]!.row}. ${when} network ${verdict}. Follow it to the answer, and back to the gradient that corrects it.`,
      targets: [`.thumbnail[data-example="${i}"]`, `.source-value.target[data-example="${i}"]`, `figure[data-name="B"] .example-head:nth-child(${i + 1})`],
    },
    {
      step: `forward-${last}`, title: "The answer",
      text: `${describeAnswer(batch, i)} Its loss is ${formatShort(cell(batch.losses(), 0, i))}, the largest ${batch.isWrong(i) ? "of the mistakes" : `of ${batch.m}`}.`,
      targets: ['figure[data-name="P"] .column-frame'],
    },
    {
      step: `backward-${last}`, title: "What should change",
      text: describeChange(batch, i),
      targets: [`figure[data-name="dZ${last}"] .column-frame`],
    },
    {
      step: "collapse-1", title: "Its own gradient",
      text: `Its column of dZ¹ times its column of inputs: a gradient of its own, one slice of ${batch.m}. Only the mean of the slices trains the network: press “Collapse” to see it form.`,
      targets: [`figure[data-name="DW1"] .sheet[data-slice="${i}"]`],
    },
    {
      step: "collapse-1", title: "Who pulls which way",
      text: `Each arrow is an example's gradient, the thick one their mean; this one has norm ${formatShort(batch.norms()[i] ?? NaN)}. Press its mark to leave it out: the mean, the slices and the update follow. Then step through the rest, and point at any cell to see how its number is made.`,
      targets: [`.map-marker[data-example="${i}"]`],
    },
  ];
}

/** Two outputs that a mistake mixes up, among those that are drawn; null where the classes are no outputs. */
function mixedUp(batch: BatchState, i: number): { label: string; answer: string; right: number; wrong: number } | null {
  const names = batch.data.levels[batch.outputLayer]!.names;
  const [label, answer] = [batch.data.examples[i]!.label, batch.snapshot.predictions[i] ?? ""];
  const [right, wrong] = [names.indexOf(label), names.indexOf(answer)];
  return right >= 0 && wrong >= 0 && right !== wrong ? { label, answer, right, wrong } : null;
}

function describeAnswer(batch: BatchState, i: number): string {
  const pair = mixedUp(batch, i);
  const P = batch.P();
  if (pair) return `Its column of P: ${formatShort(cell(P, pair.wrong, i))} for ${pair.answer}, the largest, and ${formatShort(cell(P, pair.right, i))} for ${pair.label}, which it is.`;
  return P.rows === 1 ? `Its column of P is ${formatShort(cell(P, 0, i))}, and Y, what it should be, ${formatShort(cell(batch.Y(), 0, i))}.` : "Its column of P is the answer.";
}

function describeChange(batch: BatchState, i: number): string {
  const pair = mixedUp(batch, i);
  const dZ = batch.dZ(batch.outputLayer);
  const at = (row: number): string => formatShort(cell(dZ, row, i));
  const start = `Its column of dZ says how the loss changes with each output.`;
  if (pair) return `${start} It is ${at(pair.right)} for ${pair.label}, which must rise, and ${at(pair.wrong)} for ${pair.answer}, which must fall. The steps between carry it back, layer by layer.`;
  return dZ.rows === 1 ? `${start} It is ${formatNumber(cell(dZ, 0, i), 3)}: the output must ${cell(dZ, 0, i) > 0 ? "fall" : "rise"}.` : start;
}
