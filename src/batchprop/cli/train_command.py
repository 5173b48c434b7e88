"""`batchprop train`, from the table to the folder."""

import glob
import shutil
from pathlib import Path

from rich.console import Console

from batchprop.cli import console as output
from batchprop.cli.progress import ConsoleObserver
from batchprop.cli.signals import exit_code
from batchprop.files import file_lock
from batchprop.tabular.diagnostics import is_slow
from batchprop.tabular.model_files import REPORT, SAVED_FILES, write_model, write_report
from batchprop.tabular.model_info import read_info
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.persistence import atomic_folder
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.resume import has_checkpoints, remove_checkpoints
from batchprop.tabular.train import train
from batchprop.tabular.unsaved import keep_unsaved


def train_command(tables: tuple[Path, ...] | None, options: TrainOptions, out: Path, *, force: bool) -> int:
    """Train, print the progress and the scores, and write the folder.

    Args:
        tables: files, folders and patterns; None for the digits.
        options: checked.
        out: the folder to write.
        force: replace a model there.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended the training early, 143 if SIGTERM did.

    Raises:
        BatchpropError: for any failure; nothing is written then, except the checkpoints so far, and the
            network of a training that finished.
    """
    console = output.make_console()
    checkpoints = out.with_name(f"{out.name}.checkpoints")
    with file_lock(out, parameter="out") as killed:
        # A killed run could not remove its temporary folder.
        if killed is not None:
            _remove_partial(out)
        if options.resume and not has_checkpoints(checkpoints, options):
            if _was_interrupted(out) is False:
                console.print(f"The training in {out} has ended: nothing is left to do.", soft_wrap=True)
                return 0
        elif options.resume:
            # The model of the interrupted run is replaced by that of the resumed run.
            force = force or bool(_was_interrupted(out))
        with (
            # Outside the folder, whose removal makes room on a full disk.
            keep_unsaved(out, checkpoints, options) as finished,
            atomic_folder(out, force=force, parameter="out", tables=tables or ()) as folder,
        ):
            observer = ConsoleObserver(console)
            result = train(tables, options, observer, checkpoints=checkpoints, force=force)
            finished.append(result)
            output.show_end(console, result)
            output.show_scores(console, result)
            write_model(result, folder, out)
            _write_report(console, result, folder, out)
            files = [name for name in SAVED_FILES if (folder / name).exists()]
        if not result.interrupted:
            remove_checkpoints(checkpoints, options)
    output.show_saved(console, result, out, files)
    return exit_code() if result.interrupted or REPORT not in files else 0


def _write_report(console: Console, result: TrainingResult, folder: Path, out: Path) -> None:
    """Write the report; Ctrl-C skips the report only, as the model may have taken hours."""
    try:
        with output.status(console, "Writing the report", long=is_slow(result)):
            write_report(result, folder, out)
    except KeyboardInterrupt:
        (folder / REPORT).unlink(missing_ok=True)
        console.print("Interrupted: the report is left out.", soft_wrap=True)


def _remove_partial(out: Path) -> None:
    """Remove incomplete files of a killed run."""
    for partial in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def _was_interrupted(out: Path) -> bool | None:
    """Whether the training of the model in a folder was interrupted; None without a model."""
    try:
        training = read_info(out).get("training", {})
    except (OSError, ValueError, RecursionError):
        return None
    value = training.get("interrupted")
    return value if isinstance(value, bool) else None
