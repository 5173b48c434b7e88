/** The user's own table: chosen from a list of files, or dropped on the page. */

import { h } from "../dom";
import { createTargetPicker, type LoadedTable } from "./target-picker";
import type { FileInfo } from "./protocol";
import { formatCount } from "../format";
import type { Result } from "./worker-client";
import type { Context } from "./state";
import { clearErrors, createErrorElement, showError, errorOf } from "./setting-sender";

const ACCEPTED_TYPES = ".csv,.tsv,.tab,.txt";
const MAX_BYTES = 20_000_000;

export function createFilePicker(context: Context): HTMLElement {
  const input = h("input", { type: "file", id: "file", accept: ACCEPTED_TYPES, "aria-describedby": "file-description" });
  const description = h("p", { class: "field-description", id: "file-description" }, "CSV, read here and sent nowhere. You can also drop it on the page.");
  const error = createErrorElement();
  const label = h("label", { class: "file-label", for: "file" }, "Load your own file…");
  const targetPicker = createTargetPicker(context, (table, target) => void selectTarget(table, target));

  async function load(file: File): Promise<void> {
    clearErrors();
    targetPicker.hide();
    label.classList.add("loading");
    const result = await readFile(context, file);
    if ("error" in result) showError(error, result.error);
    else await selectTarget({ name: file.name, ...result.value }, result.value.suggestedTarget);
    label.classList.remove("loading");
    // So that choosing the same file again, once it was changed, is an event.
    input.value = "";
  }

  /** The previous file stays in use until a target of this one is accepted. */
  async function selectTarget(table: LoadedTable, target: string): Promise<void> {
    clearErrors();
    const message = errorOf(await context.client.target(target));
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

/** Read a file, unless its size alone rules it out. */
async function readFile({ client }: Context, file: File): Promise<Result<FileInfo>> {
  if (!/\.(csv|tsv|tab|txt)$/i.test(file.name)) return { error: `${file.name} is not a table that the page reads: give CSV or TSV; for others, \`batchprop play ${file.name} --target NAME\`.` };
  if (file.size > MAX_BYTES) return { error: `${file.name} has ${formatMegabytes(file.size)}: the page takes files of up to ${formatMegabytes(MAX_BYTES)}. Use fewer of its rows.` };
  if (file.size === 0) return { error: `${file.name} is empty: choose a table with column names in its first row.` };
  return client.file(file.name, await file.text());
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
