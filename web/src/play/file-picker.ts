/** A table of one's own: chosen from a list of files, or dropped on the plane. */

import { h } from "../dom";
import { fittingBatch } from "./validate-settings";
import { createOffer, type Table } from "./target-picker";
import type { Loaded } from "./protocol";
import { count } from "./format";
import type { Answer } from "./api-client";
import type { Context } from "./state";
import { forget, refusal, tell, told } from "./setting-sender";

/** The name of a table of one's own among the sets. */
export const FILE = "file";

const KINDS = ".csv,.tsv,.tab,.parquet,.pq";

export function createFilePicker(context: Context): HTMLElement {
  const input = h("input", { type: "file", id: "file", accept: KINDS, "aria-describedby": "file-about" });
  const about = h("p", { class: "field-about", id: "file-about" }, "CSV or Parquet; or drop it on the plane.");
  const error = refusal();
  const label = h("label", { class: "file-label", for: "file" }, "Load a file of your own…");
  const offer = createOffer(context, (table, target) => void choose(table, target));

  async function load(file: File): Promise<void> {
    forget();
    offer.drop();
    label.classList.add("loading");
    const answer = await handedOver(context, file);
    if ("refused" in answer) tell(error, answer.refused);
    else await choose({ name: file.name, ...answer.done }, answer.done.suggested);
    label.classList.remove("loading");
    // The same file may be chosen again, once it was changed.
    input.value = "";
  }

  /** The file before stays until a target of this one is taken. */
  async function choose(table: Table, target: string): Promise<void> {
    forget();
    const fitting = fittingBatch(context.store.get("lesson"), table.rows);
    const refused = told(await context.server.settings({ data: FILE, target, ...fitting }));
    tell(error, refused);
    if (refused) offer.show(table, target);
    else offer.drop();
  }

  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) void load(file);
  });
  acceptDrops((file) => void load(file));
  return h("div", { class: "field file" }, input, label, about, error, offer.element);
}

/** Have the server look into a file, where it is none that is refused unread. */
async function handedOver({ server, store }: Context, file: File): Promise<Answer<Loaded>> {
  const most = store.get("lesson")?.limits.file_bytes ?? Infinity;
  if (file.size > most) return { refused: `${file.name} has ${megabytes(file.size)}: the playground takes files of up to ${megabytes(most)}. Take fewer of its rows.` };
  if (file.size === 0) return { refused: `${file.name} is empty: choose a table with names in its first row.` };
  return server.file(file);
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
