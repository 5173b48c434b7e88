/** The worker: trains, answers the page between two steps, and does nothing while it is paused or nobody looks. */

import { microscopeDocument } from "./microscope-document";
import type { FormulaTable, FromWorker, Requests, ToWorker } from "./protocol";
import { Session } from "./session";
import { SettingError } from "./settings";

export * from "../engine/activations";
export * from "../engine/backprop";
export * from "../engine/gradient";
export * from "../engine/heads";
export * from "../engine/network";
export * from "../engine/optimizers";
export * from "../engine/random";
export * from "../engine/training";
export * from "../format";
export { encodeTable, parseTable } from "./encode-table";
export { makeToy } from "./toy-datasets";
export { Session };

/** Milliseconds of training between two looks at the page's messages. */
const SLICE = 8;
/** Milliseconds without a frame after which nobody looks, and nothing is trained. */
const MAX_ABSENCE = 300;

type Post = (message: FromWorker, transfer?: Transferable[]) => void;

class Worker {
  private session: Session | null = null;
  private cursor = { version: -1, setup: -1, run: -1, steps: 0, nValidation: 0 };
  private wantsFrame = false;
  private lastFrame = 0;
  private nextStep = 0;
  private nextShow = 0;
  private formulas: FormulaTable | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private readonly channel = new MessageChannel();
  private isScheduled = false;

  constructor(private readonly post: Post) {
    this.channel.port1.onmessage = () => {
      this.isScheduled = false;
      this.work();
    };
  }

  receive(message: ToWorker): void {
    if (message.kind === "open") this.open(message);
    else if (message.kind === "request") this.answer(message.id, message.name, message.payload);
    else if (message.kind === "view") this.session?.look(message.view);
    else [this.wantsFrame, this.lastFrame] = [true, performance.now()];
    this.work();
  }

  private open({ table, formulas, recording }: ToWorker & { kind: "open" }): void {
    this.formulas = formulas;
    const loaded = table && { name: table.title, file: null, table };
    try {
      this.session = new Session(loaded, recording);
      this.post({ kind: "result", id: 0, value: null });
    } catch (error) {
      if (!(error instanceof SettingError)) throw error;
      // An address may hold anything: say what is wrong with it, and begin as without it.
      this.session = new Session(loaded, { settings: {} });
      this.post({ kind: "error", id: 0, error: error.message });
    }
  }

  private answer(id: number, name: keyof Requests, payload: unknown): void {
    try {
      this.post({ kind: "result", id, value: this.execute(name, payload) });
    } catch (error) {
      if (!(error instanceof SettingError)) throw error;
      this.post({ kind: "error", id, error: error.message });
    }
  }

  private execute(name: keyof Requests, payload: unknown): unknown {
    const { session } = this;
    if (!session) throw new SettingError("The playground has not started yet.");
    if (name === "command") session.execute(payload as Requests["command"]["payload"]);
    else if (name === "settings") session.change(payload as Requests["settings"]["payload"]);
    else if (name === "weight") session.setWeight(payload as Requests["weight"]["payload"]);
    else if (name === "file") return session.readFile((payload as Requests["file"]["payload"]).name, (payload as Requests["file"]["payload"]).text);
    else if (name === "target") session.chooseTarget(payload as string);
    else return microscopeDocument(session, this.formulas!);
    return null;
  }

  /** Train for a moment if it is time, and show the page what is new if it is ready to draw. */
  private work(): void {
    const { session } = this;
    if (!session) return;
    const now = performance.now();
    const isAttended = this.wantsFrame || now - this.lastFrame < MAX_ABSENCE;
    while (session.isBusy && isAttended && performance.now() >= this.nextStep && performance.now() - now < SLICE) {
      // A step that comes late does not make the next ones come faster.
      this.nextStep = Math.max(this.nextStep, now - session.pauseBetween) + session.pauseBetween;
      session.advance();
    }
    if (this.wantsFrame && session.version !== this.cursor.version && (!session.isBusy || performance.now() >= this.nextShow)) this.show(session);
    if (session.isBusy && isAttended) this.schedule(session);
  }

  private schedule(session: Session): void {
    const wait = this.nextStep - performance.now();
    if (session.pauseBetween === 0 || wait <= 0) {
      if (!this.isScheduled) this.channel.port2.postMessage(null);
      this.isScheduled = true;
    } else {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        this.work();
      }, wait);
    }
  }

  private show(session: Session): void {
    this.wantsFrame = false;
    const began = performance.now();
    if (this.cursor.setup !== session.setupVersion) this.post({ kind: "setup", setup: session.setup() });
    const state = session.state(this.cursor);
    this.cursor = { version: session.version, setup: session.setupVersion, run: session.run, steps: session.trainer.steps, nValidation: session.trainer.validation.length };
    const { losses, noiseScales, batchSizes, surface, theta, gradient, exampleGradient } = state;
    // Given away, not copied: all were made for this message.
    const arrays = [losses, noiseScales, batchSizes, surface.P, surface.units, surface.shown, theta, gradient, exampleGradient];
    this.post({ kind: "state", state }, arrays.flatMap((array) => (array ? [array.buffer as ArrayBuffer] : [])));
    // Half of the time at least is for training.
    this.nextShow = performance.now() + (performance.now() - began);
  }
}

/** Start in a worker; elsewhere, as in a test, this file only exports its parts. */
if (typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope !== "undefined") {
  const worker = new Worker((message, transfer = []) => (globalThis as unknown as { postMessage: (message: unknown, transfer: Transferable[]) => void }).postMessage(message, transfer));
  globalThis.addEventListener("message", (event) => worker.receive((event as MessageEvent<ToWorker>).data));
}
