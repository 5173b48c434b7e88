"""Resuming: where an earlier run of `batchprop train` stood, and what it began with."""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from batchprop.cli.console import count_epochs
from batchprop.cli.progress import EpochSummary, History
from batchprop.cli.settings import TrainOptions
from batchprop.data.memory import default_memory
from batchprop.errors import CheckpointError, WriteError
from batchprop.estimators import Checkpoints
from batchprop.estimators.checkpoint_manager import epoch_summaries
from batchprop.tabular.persistence import SETTINGS

RESUME_FILE = "begun.json"
"""Beside the checkpoints: what a training began with that the machine decided."""

_MAX_BYTES = 1 << 22


def clean_partial(out: Path) -> None:
    """Remove what a run left half-written that was killed."""
    for partial in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def is_finished(settings: TrainOptions) -> bool:
    """Whether there is nothing to resume, as the training came to its end."""
    return settings.resume and not _kept(settings).files() and _interrupted(settings.out) is False


def resolve_resume(console: Console, settings: TrainOptions) -> tuple[TrainOptions, History]:
    """Settle the memory to use, and find where an earlier run stood, if that is to be gone on with.

    Whether a table is read a part at a time, and which rows are kept for the test, follows from the memory:
    a run that goes on takes that of the first.

    Args:
        console: where it is said.
        settings: the options.

    Returns:
        The settings, the memory among them; and the epochs done.

    Raises:
        CheckpointError: there are checkpoints, and nobody said what is to become of them; all are damaged.
    """
    if settings.tables:
        settings = replace(settings, memory=settings.memory or default_memory())
    if settings.checkpoint_every is None:
        return settings, []
    kept = _kept(settings)
    if not settings.resume:
        if kept.files() and not settings.force:
            raise CheckpointError(
                f"the folder {kept.folder} holds checkpoints of a training that did not end: go on with "
                "--resume, or begin anew with --force"
            )
        remove_checkpoints(settings)
        return settings, []
    saved = kept.latest()
    if saved is None:
        console.print(f"There is no checkpoint in {kept.folder}: training begins anew.", soft_wrap=True)
        return settings, []
    history = [
        EpochSummary(number, past.loss, past.validation_loss, past.learning_rate, past.rows, past.seconds)
        for number, past in enumerate(epoch_summaries(saved), start=1)
    ]
    console.print(f"Going on after {count_epochs(len(history))}, from {kept.folder}", "", soft_wrap=True)
    force = settings.force or bool(_interrupted(settings.out))
    return replace(settings, memory=_memory(kept.folder) or settings.memory, force=force), history


@contextmanager
def save_resume_info(settings: TrainOptions) -> Iterator[None]:
    """Note beside the checkpoints what the training begins with; leave nothing where none was written."""
    if settings.checkpoint_every is None:
        yield
        return
    file = settings.checkpoints / RESUME_FILE
    try:
        settings.checkpoints.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"memory": settings.memory}) + "\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(
            f"the folder {settings.checkpoints} cannot be written: {error.strerror or error}; name another "
            "with --out"
        ) from error
    try:
        yield
    finally:
        if not _kept(settings).files():
            remove_checkpoints(settings)


@contextmanager
def checkpoint_hint(settings: TrainOptions) -> Iterator[None]:
    """Add to what is said of a model that could not be written what becomes of its training.

    Raises:
        WriteError: the one that it adds to.
    """
    try:
        yield
    except WriteError as error:
        if settings.checkpoint_every is not None and _kept(settings).files():
            left = f"then the same command with --resume goes on from {settings.checkpoints}"
        else:
            left = "this training is lost: --checkpoint-every 5min keeps the next one"
        raise WriteError(f"{error}; {left}") from error


def remove_checkpoints(settings: TrainOptions) -> None:
    """Remove the checkpoints, and what lies beside them."""
    if settings.checkpoint_every is not None:
        with suppress(OSError):
            (settings.checkpoints / RESUME_FILE).unlink(missing_ok=True)
        _kept(settings).clear()


def _kept(settings: TrainOptions) -> Checkpoints:
    return Checkpoints(settings.checkpoints, settings.checkpoint_every or "5min")


def _memory(folder: Path) -> int | None:
    """The memory that a training began with."""
    found = _read(folder / RESUME_FILE).get("memory")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def _interrupted(out: Path) -> bool | None:
    """Whether the model in a folder is one whose training was interrupted; None without a model."""
    training = _read(out / SETTINGS).get("training")
    found = training.get("interrupted") if isinstance(training, dict) else None
    return found if isinstance(found, bool) else None


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
