// From the disk a page may start no worker. What the theme's search has in one then runs in a frame, out of sight.

if (location.protocol === "file:") {
  globalThis.Worker = class extends EventTarget {
    #inside;

    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = `<script src="${address}"></script>`;
      this.#inside = new Promise((ready) => {
        frame.addEventListener("load", () => {
          frame.contentWindow.postMessage = (data) =>
            this.dispatchEvent(new MessageEvent("message", { data }));
          ready(frame.contentWindow);
        });
      });
      document.body.append(frame);
    }

    async postMessage(data) {
      (await this.#inside).dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
