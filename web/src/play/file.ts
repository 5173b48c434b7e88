/** A table of one's own: chosen from a list of files, or dropped on the plane. */

import { h } from "../dom";
import { count } from "./readout";
import type { Context } from "./state";
import { forget, refusal, tell, told } from "./wishes";

const KINDS = ".csv,.tsv,.tab,.parquet,.pq";

export function createFilePicker(context: Context): HTMLElement {
  const input = h("input", { type: "file", id: "file", accept: KINDS, "aria-describedby": "file-about" });
  const about = h("p", { class: "field-about", id: "file-about" }, "CSV or Parquet; or drop it on the plane.");
  const error = refusal();
  const label = h("label", { class: "file-label", for: "file" }, "Load a file of your own…");

  async function load(file: File): Promise<void> {
    forget();
    label.classList.add("loading");
    tell(error, await loaded(context, file));
    label.classList.remove("loading");
    // The same file may be chosen again, once it was changed.
    input.value = "";
  }

  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) void load(file);
  });
  acceptDrops((file) => void load(file));
  return h("div", { class: "field file" }, input, label, about, error);
}

/** Hand the file over and learn the column that is most likely its target; the reason where that cannot be. */
async function loaded({ server, store }: Context, file: File): Promise<string> {
  const most = store.get("lesson")?.limits.file_bytes ?? Infinity;
  if (file.size > most) return `${file.name} has ${megabytes(file.size)}: the playground takes files of up to ${megabytes(most)}. Take fewer of its rows.`;
  if (file.size === 0) return `${file.name} is empty: choose a table with names in its first row.`;
  const answer = await server.file(file);
  if ("refused" in answer) return answer.refused;
  const { rows, suggested } = answer.done;
  const size = store.get("lesson")?.settings.batch_size;
  const train = rows - Math.max(1, Math.floor(rows / 5));
  const fitting = typeof size === "number" && size > train ? { batch_size: "full" as const } : {};
  return told(await server.settings({ data: "file", target: suggested, ...fitting }));
}

const megabytes = (bytes: number): string => `${count(Math.ceil(bytes / 1e5) / 10)} MB`;

/** Files dropped beside the plane would replace the page: they are taken too. */
function acceptDrops(take: (file: File) => void): void {
  const files = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  const mark = (over: boolean): void => void document.querySelector(".plane")?.classList.toggle("drop", over);
  addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) mark(false);
  });
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    mark(false);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
}
