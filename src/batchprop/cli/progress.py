"""Progress while training: a live bar in a terminal, plain lines elsewhere, and the history of both."""

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from batchprop.training import EpochRecord

PATIENCE = 2.0
"""Seconds that may pass before it is shown what they pass with."""

_QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class EpochSummary:
    """What is kept of an epoch: its record without the network."""

    epoch: int
    loss: float
    validation_loss: float | None
    learning_rate: float
    rows: int
    seconds: float

    @classmethod
    def of(cls, record: EpochRecord) -> "EpochSummary":
        """Take what is kept from an epoch's record."""
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
        """How fast this epoch went."""
        return self.rows / max(self.seconds, 1e-9)


History = list[EpochSummary]


class ProgressDisplay(Protocol):
    """Shows the last epoch of a history."""

    def __call__(self, history: History) -> None:
        """Show it."""

    def advance(self, share: float) -> None:
        """Show how much of the epoch under way is read, from 0 to 1."""


def history_callback(history: History, show: ProgressDisplay) -> Callable[[EpochRecord], bool]:
    """Return a callback that adds each epoch to a history and shows it.

    Args:
        history: to add to.
        show: called with it after each epoch.
    """

    # A plain function: scikit-learn's clone copies parameters, and leaves functions as they are.
    def on_epoch(record: EpochRecord) -> bool:
        # A fit that goes back after it diverged comes by some epochs once more.
        del history[record.number - 1 :]
        history.append(EpochSummary.of(record))
        show(history)
        return False

    return on_epoch


def seconds_left(history: History, epochs: int) -> float:
    """Return how long the epochs still allowed would take, at the mean pace so far.

    >>> seconds_left([EpochSummary(1, 1.0, None, 0.1, 10, 2.0)], epochs=4)
    6.0
    """
    return (epochs - len(history)) * sum(moment.seconds for moment in history) / len(history)


def format_duration(seconds: float) -> str:
    """Write a duration as hours, minutes and seconds.

    >>> format_duration(75.4), format_duration(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def progress(console: Console, epochs: int) -> Iterator[ProgressDisplay]:
    """Give what shows each epoch: a bar if the console is a terminal, else a line now and then.

    Args:
        console: where to.
        epochs: the most there can be.
    """
    if not console.is_terminal:
        yield _Lines(console, epochs)
        return
    bar = Progress(
        TextColumn(f"epoch {{task.fields[done]:>{len(str(epochs))}}}/{epochs}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}"),
        console=console,
        expand=True,
    )
    with bar:
        yield _Bar(bar, epochs)


@contextmanager
def pass_progress(console: Console, what: str, rows: int | None) -> Iterator[Callable[[int], None]]:
    """Show a pass over a table: a bar if the console is a terminal, else one line.

    Args:
        console: where to.
        what: is done.
        rows: how many there are; None if nobody knows.

    Yields:
        What is to be told how many more rows were read.
    """
    if not console.is_terminal:
        console.print(f"{what} ...", soft_wrap=True)
        console.file.flush()
        yield lambda _: None
        return
    bar = Progress(
        TextColumn(what), BarColumn(bar_width=None), TaskProgressColumn(), console=console, expand=True
    )
    bar.columns = bar.columns if rows is not None else bar.columns[:2]
    task = bar.add_task(what, total=rows)
    with bar:
        yield lambda more: bar.advance(task, more)


@contextmanager
def slow_pass_progress(console: Console, what: str, rows: int) -> Iterator[Callable[[int], None]]:
    """Show a pass over a table as ``pass_progress`` does, once it has taken two seconds.

    Args:
        console: where to.
        what: is done.
        rows: how many there are.

    Yields:
        What is to be told how many more rows were read.
    """
    began, done = monotonic(), 0
    show: Callable[[int], None] | None = None

    def read(more: int) -> None:
        nonlocal show, done
        done += more
        if show is not None:
            show(more)
        elif done < rows and monotonic() > began + PATIENCE:
            show = shown.enter_context(pass_progress(console, what, rows))
            show(done)

    with ExitStack() as shown:
        yield read


class _Bar:
    """A live bar."""

    def __init__(self, bar: Progress, epochs: int) -> None:
        self.bar, self.epochs, self.done = bar, epochs, 0
        self.task = bar.add_task("training", total=epochs, figures="starting", done=0)

    def __call__(self, history: History) -> None:
        self.done = len(history)
        figures = _figures(history, self.epochs)
        self.bar.update(self.task, completed=self.done, done=self.done, figures=figures)

    def advance(self, share: float) -> None:
        self.bar.update(self.task, completed=self.done + share)


def _figures(history: History, epochs: int) -> str:
    last = history[-1]
    validation = "" if last.validation_loss is None else f"validation {last.validation_loss:<8.4g} "
    pace = f"{last.rows_per_second:,.0f} rows/s"
    left = f"≤ {format_duration(seconds_left(history, epochs))} left"
    return f"loss {last.loss:<8.4g} {validation}{pace}, {left}"


class _Lines:
    """A line for epochs 1, 2, 5, 10, 20, 50, ... and whenever ten seconds passed without one."""

    def __init__(self, console: Console, epochs: int) -> None:
        self.console = console
        self.epochs = epochs
        self.quiet = 0.0
        self.said = monotonic()

    def advance(self, share: float) -> None:
        if monotonic() < self.said + _QUIET_SECONDS:
            return
        self.said = monotonic()
        self.console.print(f"{share:.0%} of the rows of this epoch are read", soft_wrap=True)
        self.console.file.flush()

    def __call__(self, history: History) -> None:
        last = history[-1]
        self.quiet += last.seconds
        if str(last.epoch).rstrip("0") in ("1", "2", "5") or self.quiet >= _QUIET_SECONDS:
            self.quiet = 0.0
            self.console.print(
                f"epoch {last.epoch}/{self.epochs}: {_figures(history, self.epochs)}",
                highlight=False,
                soft_wrap=True,
            )
            self.console.file.flush()


def write_history(history: History, path: Path) -> None:
    """Write the history as CSV, one row per epoch."""
    names = [field.name for field in fields(EpochSummary)]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(names)
        rows.writerows([getattr(moment, name) for name in names] for moment in history)
