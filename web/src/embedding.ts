/** A page within a notebook: its frame's widget and the page tell each other what has changed. */

const KIND = "batchprop";

/**
 * Share values with the widget that holds the page in a frame; nothing where the page stands alone.
 *
 * `describe` gives the page's values, `apply` takes those that Python has set. The result tells the widget what has changed.
 */
export function joinWidget<T extends object>(describe: () => T, apply: (values: Partial<T>) => void): () => void {
  if (window.parent === window) return () => {};
  let known = "";

  function tell(): void {
    const values = describe();
    if (JSON.stringify(values) === known) return;
    known = JSON.stringify(values);
    window.parent.postMessage({ kind: KIND, ...values }, "*");
  }

  addEventListener("message", ({ source, data }: MessageEvent<Partial<T> & { kind?: string }>) => {
    if (source !== window.parent || data?.kind !== KIND) return;
    apply(data);
    // What could not be set is told back.
    known = "";
    tell();
  });
  tell();
  return tell;
}
