"""Checkpoints of a training next to its model, and its initial memory budget."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from batchprop.data.memory import default_memory
from batchprop.errors import CheckpointError
from batchprop.estimators import Checkpoints
from batchprop.estimators.checkpoint_manager import read_epochs
from batchprop.estimators.ensemble import member_folder
from batchprop.files import atomic_write, check_folder, make_folder, open_file, remove_file
from batchprop.format import pluralize
from batchprop.processes import current
from batchprop.tabular.history import HISTORY, EpochSummary, History, read_history
from batchprop.tabular.model_info import MAX_BYTES, read_info
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import SPLIT_OPTIONS, TrainOptions, describe_database, describe_test

RESUME_FILE = "resume.json"
"""A file next to the checkpoints: the initial memory budget, which depends on the machine, and the split."""

_MAX_SHOWN = 200


def start_or_resume(
    folder: Path | None,
    options: TrainOptions,
    memory: int | None,
    observer: Observer,
    *,
    force: bool,
) -> tuple[int | None, History]:
    """Return the memory to use, and the history of an earlier run that is resumed.

    The memory budget determines whether a table is read in parts and which rows are held out for the test, so
    a resumed run uses the budget of the first run, not the memory that is free now.

    Args:
        folder: of the checkpoints, or None.
        options: of the training.
        memory: the requested budget in bytes, or None.
        observer: called with a note.
        force: start again if an earlier training did not end.

    Returns:
        The memory budget, and the epochs done.

    Raises:
        CheckpointError: there are checkpoints, and neither `resume` nor `force` is set; or all are damaged,
            or are of other rows.
    """
    memory = memory or default_memory() // current().local_count
    if folder is None or options.checkpoint_every is None:
        return memory, []
    if not options.resume:
        if has_checkpoints(folder, options) and not force:
            raise CheckpointError(
                f"the folder {folder} holds checkpoints of a training that did not end: continue with "
                "resume=True, or start over with force=True"
            )
        # Checkpoints of an earlier training would be mistaken for those of this one.
        remove_checkpoints(folder, options)
        return memory, []
    history = _saved_history(_checkpoints(folder, options))
    if history is None:
        observer.on_note(f"There is no checkpoint in {folder}: training starts over.")
        return memory, []
    info = _read(folder / RESUME_FILE)
    _check_split(info.get("split"), options, folder)
    observer.on_note(f"Resuming after {pluralize(len(history), 'epoch')}, from {folder}\n")
    return _memory_of(info) or memory, history


def check_members(folder: Path | None, options: TrainOptions) -> None:
    """Refuse checkpoints of another number of networks.

    Those of fewer of several may be of a training that was killed: there each fit compares its rows.

    Args:
        folder: of the checkpoints, or None.
        options: of the training, with the number of networks.

    Raises:
        CheckpointError: the numbers differ.
    """
    if folder is None or not options.resume:
        return
    own, members = _all_checkpoints(folder, options)
    now, count = options.n_members, len(members)
    if own.files():
        was, is_same = "one network", now == 1
    elif members:
        was = f"{count} networks" if count > 1 else "the first of several networks"
        is_same = count <= now and now > 1
    else:
        return
    if not is_same:
        raise CheckpointError(
            f"the checkpoints in {folder} are of {was}, and now {pluralize(now, 'is', 'are')} trained: set "
            "`members` as it was, or start over with force=True, without `resume`"
        )


def has_ended(out: Path, folder: Path, options: TrainOptions) -> bool:
    """Whether the model in a folder is whole, and the checkpoints beside it, if any, are of its training.

    A process that is killed between the renaming of its model and the removal of its checkpoints leaves both.

    Args:
        out: the model's folder.
        folder: of the checkpoints.
        options: of the training.
    """
    if was_interrupted(out) is not False:
        return False
    if not has_checkpoints(folder, options):
        return True
    try:
        saved, model = _saved_history(_checkpoints(folder, options)), read_history(out / HISTORY)
    except (OSError, ValueError, LookupError, TypeError, CheckpointError):
        return False
    # No two trainings take the same time for each epoch.
    epochs = [(epoch.rows, epoch.seconds) for epoch in saved or []]
    return bool(epochs) and epochs == [(epoch.rows, epoch.seconds) for epoch in model[: len(epochs)]]


def was_interrupted(out: Path) -> bool | None:
    """Whether the training of the model in a folder was interrupted; None without a model."""
    try:
        training = read_info(out).get("training", {})
    except (OSError, ValueError, RecursionError):
        return None
    value = training.get("interrupted")
    return value if isinstance(value, bool) else None


def _saved_history(checkpoints: Sequence[Checkpoints]) -> History | None:
    """Return the epochs of the last checkpoint of each network, or None if there is none.

    An epoch that diverged is in no history.
    """
    saved = [(k, data) for k, each in enumerate(checkpoints, 1) if (data := each.latest()) is not None]
    if not saved:
        return None
    return [
        EpochSummary(
            number, past.loss, past.validation_loss, past.learning_rate, past.rows, past.seconds, member
        )
        for member, data in saved
        for number, past in enumerate(read_epochs(data), start=1)
        if not math.isnan(past.loss)
    ]


def _split_info(options: TrainOptions) -> dict[str, object]:
    """Return what decides the rows and columns to train on, as JSON."""
    values = {name: getattr(options, name) for name in SPLIT_OPTIONS}
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return values | {"test": describe_test(options.test), "database": describe_database(options.database)}


def _check_split(saved: object, options: TrainOptions, folder: Path) -> None:
    """Refuse to resume with another split or other columns; the test rows are in no other comparison.

    Raises:
        CheckpointError: an option differs.
    """
    if not isinstance(saved, dict):
        return
    for name, value in _split_info(options).items():
        if name in saved and saved[name] != value:
            option = "test_fraction" if name == "test_share" else name
            raise CheckpointError(
                f"the checkpoints in {folder} are of another training: `{option}` was "
                f"{_describe(saved[name])}, and now is {_describe(value)}; set it as it was, or start over "
                "with force=True, without `resume`"
            )


def _describe(value: object) -> str:
    if value is None:
        return "not given"
    text = repr(", ".join(map(str, value)) if isinstance(value, list) else value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


@contextmanager
def save_resume_info(folder: Path | None, options: TrainOptions, memory: int | None) -> Iterator[None]:
    """Save the memory budget next to the checkpoints; remove it if no checkpoint was written."""
    if folder is None or options.checkpoint_every is None:
        yield
        return
    try:
        check_folder(folder, "out")
        make_folder(folder)
        info = {"memory": memory, "split": _split_info(options)}
        atomic_write(f"{json.dumps(info)}\n".encode(), folder / RESUME_FILE)
    except OSError as error:
        raise CheckpointError(
            f"the folder {folder} cannot be written: {error.strerror or error}; name another"
        ) from error
    try:
        yield
    finally:
        # A training that fails before its first checkpoint leaves no folder behind.
        if not has_checkpoints(folder, options):
            remove_checkpoints(folder, options)


def has_checkpoints(folder: Path, options: TrainOptions) -> bool:
    """Whether there is a checkpoint to resume from."""
    own, members = _all_checkpoints(folder, options)
    return any(checkpoints.files() for checkpoints in (own, *members))


def remove_checkpoints(folder: Path | None, options: TrainOptions) -> None:
    """Remove the checkpoints and the file next to them."""
    if folder is not None and options.checkpoint_every is not None:
        check_folder(folder, "out")
        with suppress(OSError):
            remove_file(folder / RESUME_FILE)
        own, members = _all_checkpoints(folder, options)
        for checkpoints in (*reversed(members), own):
            checkpoints.clear()


def _checkpoints(folder: Path, options: TrainOptions) -> list[Checkpoints]:
    """Return the checkpoints of each network so far: of one they are in the folder itself."""
    own, members = _all_checkpoints(folder, options)
    return [own] if own.files() else members


def _all_checkpoints(folder: Path, options: TrainOptions) -> tuple[Checkpoints, list[Checkpoints]]:
    """Return the checkpoints of one network, and those of each of several."""
    numbers = itertools.takewhile(lambda k: member_folder(folder, k).is_dir(), itertools.count())
    members = [_make_checkpoints(member_folder(folder, k), options) for k in numbers]
    return _make_checkpoints(folder, options), members


def _make_checkpoints(folder: Path, options: TrainOptions) -> Checkpoints:
    return Checkpoints(folder, options.checkpoint_every or "5min")


def _memory_of(info: dict[str, object]) -> int | None:
    """Return the initial memory budget of a training."""
    value = info.get("memory")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _read(path: Path) -> dict[str, object]:
    try:
        with open_file(path) as file:
            content = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
