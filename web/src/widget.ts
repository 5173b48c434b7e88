/** The notebook's side of a page: a frame that holds it, and the widget's traits, which follow each other. */

interface Model {
  get: (name: string) => unknown;
  set: (name: string, value: unknown) => void;
  save_changes: () => void;
  on: (event: string, listener: () => void) => void;
  off: (event: string, listener: () => void) => void;
}

const KIND = "batchprop";
const HEIGHT = 900;

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const names = model.get("_shared") as string[];
  const frame = document.createElement("iframe");
  frame.title = model.get("_title") as string;
  Object.assign(frame.style, { width: "100%", height: `${HEIGHT}px`, border: "0" });
  frame.srcdoc = model.get("html") as string;
  let isReady = false;
  let isHearing = false;

  const tell = (): void => {
    // What the page said is not said back to it: two changes on their way would chase each other for ever.
    if (isReady && !isHearing) frame.contentWindow?.postMessage({ kind: KIND, ...Object.fromEntries(names.map((name) => [name, model.get(name)])) }, "*");
  };

  function hear({ source, data }: MessageEvent): void {
    if (source !== frame.contentWindow || data?.kind !== KIND) return;
    if (!isReady) {
      // What Python set before the page was there comes first.
      isReady = true;
      if (model.get("_is_set")) return tell();
    }
    isHearing = true;
    for (const name of names) if (JSON.stringify(model.get(name)) !== JSON.stringify(data[name])) model.set(name, data[name]);
    isHearing = false;
    model.save_changes();
  }

  addEventListener("message", hear);
  names.forEach((name) => model.on(`change:${name}`, tell));
  el.append(frame);
  return () => {
    removeEventListener("message", hear);
    names.forEach((name) => model.off(`change:${name}`, tell));
  };
}

export default { render };
