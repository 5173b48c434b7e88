"""The history of a training: one summary for each epoch, recorded, read and written."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from io import TextIOWrapper
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any, Self

from batchprop.files import create_text, open_file
from batchprop.training import EpochRecord


@dataclass(frozen=True)
class EpochSummary:
    """The record of an epoch without its network."""

    epoch: int
    loss: float
    validation_loss: float | None
    learning_rate: float
    rows: int
    seconds: float
    member: int = 1
    """The network, of several."""

    @classmethod
    def of(cls, record: EpochRecord) -> "EpochSummary":
        """Make the summary of a record."""
        return cls(
            record.number,
            float(record.loss),
            None if record.validation_loss is None else float(record.validation_loss),
            float(record.learning_rate),
            record.rows,
            record.seconds,
        )

    @property
    def rows_per_second(self) -> float:
        """The speed of this epoch."""
        return self.rows / max(self.seconds, 1e-9)


History = list[EpochSummary]

HISTORY = "history.csv"
"""The file of the epochs in a model's folder."""


class HistoryCallback:
    """A callback of one or several networks in turn, which adds each epoch to a history.

    Args:
        history: of the epochs; those of an earlier run are replaced as they are trained again.
        show: called with the history after each epoch.
    """

    def __init__(self, history: History, show: Callable[[History], None]) -> None:
        self.history, self.show, self.member = history, show, 0

    def __sklearn_clone__(self) -> Self:
        """Return itself: the networks of an ensemble, which are clones, share one history."""
        return self

    def on_fit_begin(self, estimator: Any, *, resumed: bool) -> None:  # noqa: ARG002 of the interface
        """Begin with the next network."""
        self.member += 1

    def __call__(self, record: EpochRecord) -> bool:
        """Add an epoch."""
        before = sum(epoch.member < self.member for epoch in self.history)
        # A fit that rewinds after divergence repeats some epochs.
        del self.history[before + record.number - 1 :]
        self.history.append(replace(EpochSummary.of(record), member=self.member))
        self.show(self.history)
        return False


def epochs_of(history: History) -> list[History]:
    """Return the epochs of each network."""
    return [list(epochs) for _, epochs in groupby(history, lambda epoch: epoch.member)]


def seconds_left(history: History, epochs: int, members: int = 1) -> float | None:
    """Return how long the epochs still allowed would take, at the median pace of all but the first.

    The first epoch of a process may include compiling, which takes minutes where an epoch takes a second; the
    median heeds no later one. With one epoch only the time left is unknown: None.

    Args:
        history: the epochs so far.
        epochs: the most of a network.
        members: the number of networks.

    >>> past = [EpochSummary(i + 1, 1.0, None, 0.1, 10, t) for i, t in enumerate([90.0, 2.0])]
    >>> seconds_left(past[:1], 4), seconds_left(past, 4), seconds_left(past, 4, members=2)
    (None, 4.0, 12.0)
    """
    if len(history) == 1:
        return None
    left = members * epochs - count_done(history[-1], epochs)
    return left * median(epoch.seconds for epoch in history[1:])


def count_done(last: EpochSummary, epochs: int) -> int:
    """Return how many epochs of all networks are behind the last one; a network may have ended early."""
    return (last.member - 1) * epochs + last.epoch


def append_last_epoch(history: History, network: Any) -> None:
    """Add the last epoch to a history that lacks it: its weights may be the best ones, which are kept.

    The estimator records an epoch before it calls the callbacks, and a signal may arrive in between. The
    epoch's duration is then unknown, and that of the previous one is used.

    Args:
        history: of the fit; an empty one does not change.
        network: the fitted MLPClassifier or MLPRegressor.

    Example:
        >>> from types import SimpleNamespace
        >>> history = [EpochSummary(1, 0.9, 0.8, 0.1, 100, 2.0)]
        >>> network = SimpleNamespace(
        ...     n_iter_=2,
        ...     loss_curve_=[0.9, 0.5],
        ...     learning_rate_curve_=[0.1, 0.1],
        ...     validation_loss_curve_=[0.8, 0.6],
        ... )
        >>> append_last_epoch(history, network)
        >>> history[1]
        EpochSummary(epoch=2, loss=0.5, validation_loss=0.6, ..., rows=100, seconds=2.0, member=1)
    """
    # An epoch that diverged has no loss.
    if not history or history[-1].epoch >= network.n_iter_ or math.isnan(network.loss_curve_[-1]):
        return
    curve = network.validation_loss_curve_
    history.append(
        replace(
            history[-1],
            epoch=network.n_iter_,
            loss=network.loss_curve_[-1],
            validation_loss=curve[-1] if curve else None,
            learning_rate=network.learning_rate_curve_[-1],
        )
    )


def write_history(history: History, path: Path) -> None:
    """Write the history as CSV, one row per epoch; the network is named where there are several."""
    names = [field.name for field in fields(EpochSummary)]
    if history[-1].member == 1:
        names.remove("member")
    with create_text(path) as file:
        rows = csv.writer(file)
        rows.writerow(names)
        rows.writerows([getattr(moment, name) for name in names] for moment in history)


def read_history(path: Path) -> History:
    """Read the history that ``write_history`` wrote.

    Raises:
        OSError, ValueError, LookupError: there is none, or it is damaged.
    """
    with open_file(path, follow=True) as binary, TextIOWrapper(binary, "utf-8", newline="") as file:
        return [
            EpochSummary(
                int(row["epoch"]),
                float(row["loss"]),
                float(row["validation_loss"]) if row["validation_loss"] else None,
                float(row["learning_rate"]),
                int(row["rows"]),
                float(row["seconds"]),
                int(row.get("member") or 1),
            )
            for row in csv.DictReader(file)
        ]
