/** The user's own table: chosen from a list of files, or dropped on the page. */

import { h } from "../dom";
import { clampBatchSize } from "./validate-settings";
import { createTargetPicker, type LoadedTable } from "./target-picker";
import type { LoadedFile } from "./protocol";
import { formatCount } from "../format";
import type { Result } from "./api-client";
import type { Context } from "./state";
import { clearErrors, createErrorElement, showError, errorOf } from "./setting-sender";

/** The name of the user's own table among the data sets. */
export const FILE = "file";

const ACCEPTED_TYPES = ".csv,.tsv,.tab,.parquet,.pq";

export function createFilePicker(context: Context): HTMLElement {
  const input = h("input", { type: "file", id: "file", accept: ACCEPTED_TYPES, "aria-describedby": "file-description" });
  const description = h("p", { class: "field-description", id: "file-description" }, "CSV or Parquet. You can also drop it on the page.");
  const error = createErrorElement();
  const label = h("label", { class: "file-label", for: "file" }, "Load your own file…");
  const targetPicker = createTargetPicker(context, (table, target) => void selectTarget(table, target));

  async function load(file: File): Promise<void> {
    clearErrors();
    targetPicker.hide();
    label.classList.add("loading");
    const result = await uploadFile(context, file);
    if ("error" in result) showError(error, result.error);
    else await selectTarget({ name: file.name, ...result.value }, result.value.suggested_target);
    label.classList.remove("loading");
    // So that choosing the same file again, once it was changed, is an event.
    input.value = "";
  }

  /** The previous file stays in use until a target of this one is accepted. */
  async function selectTarget(table: LoadedTable, target: string): Promise<void> {
    clearErrors();
    const validBatchSize = clampBatchSize(context.store.get("setup"), table.rows);
    const message = errorOf(await context.client.settings({ data: FILE, target, ...validBatchSize }));
    showError(error, message);
    if (message) targetPicker.show(table, target);
    else targetPicker.hide();
  }

  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) void load(file);
  });
  listenToDrops((file) => void load(file));
  return h("div", { class: "field file" }, input, label, description, error, targetPicker.element);
}

/** Upload a file, unless its size alone rules it out. */
async function uploadFile({ client, store }: Context, file: File): Promise<Result<LoadedFile>> {
  const maxBytes = store.get("setup")?.limits.max_file_bytes ?? Infinity;
  if (file.size > maxBytes) return { error: `${file.name} has ${formatMegabytes(file.size)}: the playground takes files of up to ${formatMegabytes(maxBytes)}. Use fewer of its rows.` };
  if (file.size === 0) return { error: `${file.name} is empty: choose a table with column names in its first row.` };
  return client.file(file);
}

const formatMegabytes = (bytes: number): string => `${formatCount(Math.ceil(bytes / 1e5) / 10)} MB`;

/** Accept files dropped anywhere: outside the plot, the browser would open them in place of the page. */
function listenToDrops(onFile: (file: File) => void): void {
  const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  const highlight = (isOver: boolean): void => void document.querySelector(".decision-plot")?.classList.toggle("drop", isOver);
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    highlight(true);
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) highlight(false);
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    highlight(false);
    const file = event.dataTransfer?.files[0];
    if (file) onFile(file);
  });
}
