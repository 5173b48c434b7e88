"""The trials of a search, in memory and in a folder: one record each, and the networks of those that end."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import skops.io

from batchprop.errors import CheckpointError
from batchprop.estimators.fingerprint import first_difference
from batchprop.files import (
    atomic_write,
    check_folder,
    file_lock,
    make_folder,
    open_file,
    remove_all_abandoned,
)
from batchprop.tabular.history import EpochSummary
from batchprop.tabular.model_info import MAX_BYTES
from batchprop.tabular.model_validation import TRUSTED_TYPES, validate_archive
from batchprop.tabular.persistence import LOAD_ERRORS, write_errors
from batchprop.tabular.trials import State, Trial

STUDY = "study.json"
"""The file in a folder of trials that says of which table and settings they are."""

_RECORD = re.compile(r"trial-(\d{4,9})\.json")


class TrialStore:
    """The trials so far, and the ensemble of each that is complete.

    Args:
        folder: where they are kept as well, or None.
        fingerprint: plain data that must be the same for a search to go on.

    Raises:
        CheckpointError: the folder's trials are of another table or of other settings, or are damaged.
    """

    def __init__(self, folder: Path | None, fingerprint: Mapping[str, Any]) -> None:
        self.folder = folder
        self.trials: list[Trial] = []
        self.ensembles: dict[int, Any] = {}
        if folder is None:
            return
        with write_errors(folder):
            make_folder(folder)
            remove_all_abandoned(folder)
            self._check_fingerprint(folder / STUDY, json.loads(json.dumps(fingerprint)))
        names = {int(match[1]) for path in folder.iterdir() if (match := _RECORD.fullmatch(path.name))}
        for number in range(len(names)):
            with self.damage_errors(number):
                trial = _read_trial(self._path(number), number)
                if trial.state == "complete":
                    self.ensembles[number] = _read_ensemble(self._path(number).with_suffix(".skops"))
            self.trials.append(trial)

    @property
    def complete(self) -> list[Trial]:
        """The complete trials, the best first."""
        return sorted((trial for trial in self.trials if trial.state == "complete"), key=_loss)

    def add(self, trial: Trial, ensemble: Any = None, *, save: bool = True) -> None:
        """Add a trial, with its ensemble if it is complete; without ``save`` in memory only."""
        if self.folder is not None and save:
            path = self._path(trial.number)
            # The record comes last: a trial without one has not been.
            if ensemble is not None:
                with write_errors(path.with_suffix(".skops")):
                    atomic_write(_dump(ensemble), path.with_suffix(".skops"))
            with write_errors(path):
                atomic_write(f"{json.dumps(asdict(trial))}\n".encode(), path)
        self.trials.append(trial)
        if ensemble is not None:
            self.ensembles[trial.number] = ensemble

    @contextmanager
    def damage_errors(self, number: int) -> Iterator[None]:
        """Turn any error over what is kept of a trial into one that names its file and a remedy.

        Raises:
            CheckpointError: for every error in the block.
        """
        try:
            yield
        except CheckpointError:
            raise
        # What was altered may make any code fail in any way.
        except Exception as error:
            raise _damage_error(self._path(number)) from error

    def _path(self, number: int) -> Path:
        return (self.folder or Path()) / f"trial-{number:04}.json"

    def table(self) -> pd.DataFrame:
        """Return a row for each trial: number, loss, state, seconds, epochs and the searched options."""
        columns = ("number", "loss", "state", "seconds", "epochs")
        rows = [{name: getattr(trial, name) for name in columns} | trial.values for trial in self.trials]
        return pd.DataFrame(rows, columns=None if rows else list(columns)).astype({"loss": float})

    def _check_fingerprint(self, path: Path, fingerprint: Mapping[str, Any]) -> None:
        if not path.exists():
            if any(path.parent.iterdir()):
                raise CheckpointError(
                    f"the folder {path.parent} holds no trials: name an empty one, or another"
                )
            atomic_write(f"{json.dumps(fingerprint, indent=2)}\n".encode(), path)
            return
        difference = first_difference(_read_json(path), fingerprint)
        if difference is not None:
            name, was, now = difference
            raise CheckpointError(
                f"the trials in {path.parent} are of another search: `{name}` was {was}, and now is {now}; "
                "set it as it was, or name another folder"
            )


@contextmanager
def lock_folder(folder: Path | None) -> Iterator[None]:
    """Let no other process add trials to the folder in the block."""
    if folder is not None:
        check_folder(folder, "folder")
    with nullcontext() if folder is None else file_lock(folder, parameter="folder"):
        yield


def _loss(trial: Trial) -> float:
    return math.inf if trial.loss is None else trial.loss


def _dump(ensemble: Any) -> bytes:
    buffer = io.BytesIO()
    skops.io.dump(ensemble, buffer)
    return buffer.getvalue()


def _read_json(path: Path) -> Any:
    try:
        with open_file(path) as file:
            return json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _damage_error(path) from error


def _read_trial(path: Path, number: int) -> Trial:
    """Read a record.

    Raises:
        CheckpointError, TypeError, ValueError, LookupError: it is none that a search has written.
    """
    record = _read_json(path)
    history = [EpochSummary(**epoch) for epoch in record["history"]]
    trial = Trial(**{**record, "history": history, "curve": tuple(record["curve"])})
    numbers = [trial.seconds, *trial.curve]
    if type(trial.number) is not int or trial.number != number or trial.state not in get_args(State):
        raise ValueError("it is of another trial")
    if (trial.loss is not None) != (trial.state == "complete"):
        raise ValueError("a trial has a loss if it is complete")
    for epoch in history:
        if min(epoch.epoch, epoch.member, epoch.rows) < 1 or not all(
            type(count) is int for count in (epoch.epoch, epoch.member, epoch.rows)
        ):
            raise ValueError("an epoch has no number")
        numbers += [epoch.loss, epoch.learning_rate, epoch.seconds]
        numbers += [] if epoch.validation_loss is None else [epoch.validation_loss]
    if not all(type(each) in {int, float} and math.isfinite(each) for each in numbers):
        raise ValueError("it holds no finite numbers")
    return trial


def _read_ensemble(path: Path) -> Any:
    try:
        with open_file(path) as file:
            validate_archive(file, path)
            file.seek(0)
            return skops.io.load(file, trusted=list(TRUSTED_TYPES))
    except LOAD_ERRORS as error:
        raise _damage_error(path) from error


def _damage_error(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is missing or damaged: search again in another folder")
