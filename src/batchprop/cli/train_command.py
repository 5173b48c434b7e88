"""`batchprop train`, from the table to the folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from batchprop.cli import console as output
from batchprop.cli.progress import ConsoleObserver
from batchprop.cli.signals import exit_code
from batchprop.errors import DataError
from batchprop.files import file_lock, remove_abandoned, remove_file
from batchprop.processes import current
from batchprop.tabular.diagnostics import is_slow
from batchprop.tabular.model_files import REPORT, SAVED_FILES, write_model, write_report
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.persistence import atomic_folder
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.resume import has_checkpoints, has_ended, remove_checkpoints, was_interrupted
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
        The exit code: 0, or 128 and the signal's number if one ended the training early: 130 for Ctrl-C.

    Raises:
        BatchpropError: for any failure; nothing is written then, except the checkpoints so far, and the
            network of a training that finished.
    """
    console = output.make_console()
    checkpoints = out.parent / f"{out.name}.checkpoints"
    processes = current()
    with ExitStack() as stack:
        with processes.guard():
            # Process 0 alone prints and writes.
            opened = (
                None
                if processes.index
                else stack.enter_context(
                    _open_output(console, tables, options, out, checkpoints, force=force)
                )
            )
        if processes.broadcast(opened is not None and opened.has_ended):
            return 0
        if opened is None:
            result = train(tables, options, Observer(), checkpoints=checkpoints, force=force)
            return exit_code() if result.interrupted else 0
        result = train(tables, options, ConsoleObserver(console), checkpoints=checkpoints, force=opened.force)
        opened.finished.append(result)
        output.show_end(console, result)
        output.show_scores(console, result)
        write_model(result, opened.folder, out)
        write_report_unless_interrupted(console, result, opened.folder, out)
        files = [name for name in SAVED_FILES if (opened.folder / name).exists()]
    if not result.interrupted:
        remove_checkpoints(checkpoints, options)
    output.show_saved(console, result, out, files)
    return exit_code() if result.interrupted or REPORT not in files else 0


class _Output(NamedTuple):
    """The folder of a model while it is written.

    Attributes:
        folder: to write into.
        finished: gets the result of the training.
        force: whether the checkpoints of another training are removed.
        has_ended: whether the model is there already, and nothing is left to do.
    """

    folder: Path
    finished: list[TrainingResult]
    force: bool
    has_ended: bool = False


@contextmanager
def _open_output(
    console: Console,
    tables: tuple[Path, ...] | None,
    options: TrainOptions,
    out: Path,
    checkpoints: Path,
    *,
    force: bool,
) -> Iterator[_Output]:
    """Lock the folder to write, unless its training has ended."""
    with file_lock(out, parameter="out"):
        remove_abandoned(out)
        # With --force, a model without checkpoints may be the one to replace.
        is_old = force and not has_checkpoints(checkpoints, options)
        if options.resume and not is_old and has_ended(out, checkpoints, options):
            remove_checkpoints(checkpoints, options)
            output.say(console, f"The training in {out} has ended: nothing is left to do.")
            yield _Output(out, [], force, has_ended=True)
            return
        if options.resume and not force and has_checkpoints(checkpoints, options) and was_interrupted(out):
            # The model of the interrupted run is replaced by that of the resumed run.
            _check_own(out)
            force = True
        with (
            # Outside the folder, whose removal makes room on a full disk.
            keep_unsaved(out, checkpoints, options) as finished,
            atomic_folder(out, force=force, parameter="out", tables=tables or ()) as folder,
        ):
            yield _Output(folder, finished, force)


def write_report_unless_interrupted(
    console: Console, result: TrainingResult, folder: Path, out: Path
) -> None:
    """Write the report; Ctrl-C skips the report only, as the model may have taken hours."""
    try:
        with output.status(console, "Writing the report", long=is_slow(result)):
            write_report(result, folder, out)
        # After the report, which has computed what the verdict needs.
        output.show_weak_verdict(console, result)
    except KeyboardInterrupt:
        remove_file(folder / REPORT)
        output.say(console, "Interrupted: the report is left out.")


def _check_own(out: Path) -> None:
    """Check that a folder, which is replaced unasked, holds nothing but a model.

    Raises:
        DataError: it does.
    """
    if others := sorted(path.name for path in out.iterdir() if path.name not in SAVED_FILES):
        raise DataError(
            f"the folder {out} also holds {others[0]}, which no training wrote, and would be replaced: move "
            "it, or replace the folder with force=True"
        )
