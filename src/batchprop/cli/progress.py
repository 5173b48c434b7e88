"""Progress of a training: a live bar in a terminal, plain lines elsewhere."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.text import Text

from batchprop.cli.console import say, show_data, show_network
from batchprop.cli.options import as_option_names
from batchprop.format import format_count, format_duration, format_number, format_percent
from batchprop.tabular.history import EpochSummary, History, count_done, seconds_left
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.training_table import TrainingTable
from batchprop.tabular.trials import Trial

PATIENCE = 2.0
"""Seconds after which a pass gets a bar."""

_QUIET_SECONDS = 10.0
_WIDE = 100  # columns that have room for the speed beside the numbers of networks and epochs


class ProgressDisplay(Protocol):
    """A display of the last epoch of a history."""

    def __call__(self, history: History) -> None:
        """Show the last epoch."""

    def advance(self, share: float) -> None:
        """Show the share of the current epoch read so far, from 0 to 1."""


class SearchDisplay(ProgressDisplay, Protocol):
    """A display of the trials of a search."""

    def end_trial(self, trials: Sequence[Trial]) -> None:
        """Show the last trial."""


class ConsoleObserver(Observer):
    """An observer that prints what a training reports."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._display: ProgressDisplay | None = None
        self._search: SearchDisplay | None = None

    def on_note(self, text: str) -> None:
        """Print a note."""
        say(self.console, as_option_names(text))

    def on_table(self, table: TrainingTable, rows: str) -> None:
        """Print a description of the table."""
        show_data(self.console, table, rows)

    def on_network(self, sizes: Sequence[int], options: TrainOptions) -> None:
        """Print the layers."""
        show_network(self.console, sizes, options)

    def on_epoch(self, history: History) -> None:
        """Show the last epoch."""
        if self._display is not None:
            self._display(history)

    def on_rows(self, share: float) -> None:
        """Show the share of the epoch read so far."""
        if self._display is not None:
            self._display.advance(share)

    @contextmanager
    def watch_training(self, epochs: int, members: int) -> Iterator[None]:
        """Show a bar, or lines."""
        with progress(self.console, epochs, members) as self._display:
            yield

    def on_trial(self, trials: Sequence[Trial]) -> None:
        """Show the last trial of a search."""
        if self._search is not None:
            self._search.end_trial(trials)

    @contextmanager
    def watch_tuning(self, seconds: float, n_trials: float) -> Iterator[None]:
        """Show a bar, or lines."""
        with search_progress(self.console, seconds, n_trials) as self._search:
            self._display = self._search
            yield

    @contextmanager
    def watch_pass(self, what: str, rows: int | None) -> Iterator[Callable[[int], None]]:
        """Show a pass over the table."""
        with pass_progress(self.console, what, rows) as count_rows:
            yield count_rows

    @contextmanager
    def watch_prediction(self, rows: int) -> Iterator[Callable[[int], None]]:
        """Show the progress of long predictions."""
        with slow_pass_progress(self.console, "Predicting", rows) as count_rows:
            yield count_rows


@contextmanager
def progress(console: Console, epochs: int, members: int = 1) -> Iterator[ProgressDisplay]:
    """Yield a display of epochs: a bar if the console is a terminal, else occasional lines.

    Args:
        console: the console.
        epochs: the largest number of epochs of a network.
        members: the number of networks.
    """
    if not console.is_terminal:
        yield _Lines(console, epochs, members)
        return
    bar = Progress(
        TextColumn("{task.fields[done]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}"),
        console=console,
        expand=True,
    )
    with bar:
        shown = _Bar(bar, epochs, members)
        yield shown
        shown.end()


@contextmanager
def pass_progress(console: Console, what: str, rows: int | None) -> Iterator[Callable[[int], None]]:
    """Show a pass over a table: a bar if the console is a terminal, else one line.

    Args:
        console: the console.
        what: the purpose of the pass.
        rows: the number of rows, or None if unknown.

    Yields:
        A function to call with the number of rows just read.
    """
    if not console.is_terminal:
        say(console, f"{what} ...")
        # A pipe buffers lines, and would show them only at the end.
        console.file.flush()
        yield lambda _: None
        return
    bar = Progress(
        TextColumn(what), BarColumn(bar_width=None), TaskProgressColumn(), console=console, expand=True
    )
    # An unknown number of rows has no share to show.
    bar.columns = bar.columns if rows is not None else bar.columns[:2]
    task = bar.add_task(what, total=rows)
    with bar:
        yield lambda more: bar.advance(task, more)


@contextmanager
def slow_pass_progress(console: Console, what: str, rows: int) -> Iterator[Callable[[int], None]]:
    """Show a pass over a table as ``pass_progress`` does, once it has taken two seconds.

    Args:
        console: the console.
        what: the purpose of the pass.
        rows: the number of rows.

    Yields:
        A function to call with the number of rows just read.
    """
    began, done = monotonic(), 0
    show: Callable[[int], None] | None = None

    def read(more: int) -> None:
        nonlocal show, done
        done += more
        if show is not None:
            show(more)
        # A bar that appears just before the end only flickers.
        elif done < rows and monotonic() > began + PATIENCE:
            show = shown.enter_context(pass_progress(console, what, rows))
            show(done)

    with ExitStack() as shown:
        yield read


@contextmanager
def search_progress(console: Console, seconds: float, n_trials: float) -> Iterator[SearchDisplay]:
    """Yield a display of trials: a bar if the console is a terminal, else a line for each.

    Args:
        console: the console.
        seconds: how long the search may take; may be infinite.
        n_trials: the number of trials; may be infinite.
    """
    if not console.is_terminal:
        yield _TrialLines(console)
        return
    bar = Progress(
        TextColumn("{task.fields[figures]}"),
        BarColumn(bar_width=None),
        _TimeLeft(),
        console=console,
        expand=True,
    )
    with bar:
        yield _TrialBar(bar, seconds, n_trials)


class _TimeLeft(ProgressColumn):
    """How long a search may still take, by the clock: an epoch may take longer than a second."""

    def render(self, task: Task) -> Text:
        left = task.fields["end"] - monotonic()
        return Text("" if left == math.inf else f"{format_duration(max(left, 0.0))} left")


class _TrialBar:
    """A live bar of the share of the time, or of the trials, whichever is closer to its end."""

    def __init__(self, bar: Progress, seconds: float, n_trials: float) -> None:
        self.bar, self.seconds, self.n_trials, self.done = bar, seconds, n_trials, 0
        self.start = monotonic()
        self.task = bar.add_task("search", total=1.0, figures="trial 0", end=self.start + seconds)

    def __call__(self, history: History) -> None:  # noqa: ARG002 that of one network
        self.advance(0.0)

    def advance(self, share: float) -> None:  # noqa: ARG002 that of one network
        done = max((monotonic() - self.start) / self.seconds, self.done / self.n_trials)
        self.bar.update(self.task, completed=min(done, 1.0))

    def end_trial(self, trials: Sequence[Trial]) -> None:
        self.done = len(trials)
        self.bar.update(self.task, figures=f"trial {self.done} {_best(trials)}")
        self.advance(0.0)


class _TrialLines:
    """A line for each trial."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, history: History) -> None:
        """Say nothing of an epoch."""

    def advance(self, share: float) -> None:
        """Say nothing within an epoch."""

    def end_trial(self, trials: Sequence[Trial]) -> None:
        last = trials[-1]
        ended = last.state if last.loss is None else f"loss {format_number(last.loss)}"
        say(self.console, f"trial {last.number}: {ended}, {_best(trials)}")
        self.console.file.flush()


def _best(trials: Sequence[Trial]) -> str:
    return f"best {format_number(min(trial.loss for trial in trials if trial.loss is not None))}"


class _Bar:
    """A live bar of the epochs of all networks."""

    def __init__(self, bar: Progress, epochs: int, members: int) -> None:
        self.bar, self.epochs, self.members, self.done = bar, epochs, members, 0
        self.task = bar.add_task(
            "training", total=epochs * members, figures="starting", done=_position(1, 0, epochs, members)
        )
        self.losses = self.ended = ""

    def __call__(self, history: History) -> None:
        last = history[-1]
        self.done, self.losses = count_done(last, self.epochs), _losses(last)
        self.ended = _position(last.member, last.epoch, last.epoch, self.members)
        self.bar.update(
            self.task,
            completed=self.done,
            done=_position(last.member, last.epoch, self.epochs, self.members),
            figures=_figures(history, self.epochs, self.members, self.bar.console.width),
        )

    def advance(self, share: float) -> None:
        self.bar.update(self.task, completed=self.done + share)

    def end(self) -> None:
        """Fill the bar where training ended, which may be early: no time is left."""
        if self.done:
            self.bar.update(
                self.task, total=self.done, completed=self.done, done=self.ended, figures=self.losses
            )


def _position(member: int, epoch: int, epochs: int, members: int) -> str:
    """Return how far training is, in a constant width.

    >>> _position(2, 7, 60, 4), _position(1, 7, 200, 1)
    ('network 2/4, epoch  7/60', 'epoch   7/200')
    """
    network = f"network {member:>{len(str(members))}}/{members}, " if members > 1 else ""
    return f"{network}epoch {epoch:>{len(str(epochs))}}/{epochs}"


def _figures(history: History, epochs: int, members: int, width: int) -> str:
    last, left = history[-1], seconds_left(history, epochs, members)
    parts = [_losses(last)]
    if members == 1 or width >= _WIDE:
        parts.append(f"{format_count(round(last.rows_per_second))} rows/s")
    if left is not None and round(left):
        parts.append(f"≤ {format_duration(left)} left")
    return "  ".join(parts).rstrip()


def _losses(last: EpochSummary) -> str:
    """Return the losses of an epoch, of one width for most."""
    shown = {"loss": last.loss}
    if last.validation_loss is not None:
        shown["validation"] = last.validation_loss
    return "  ".join(f"{name} {format_number(value):<8}" for name, value in shown.items())


class _Lines:
    """A line for epochs 1, 2, 5, 10, 20, 50, ... and after ten seconds without one."""

    def __init__(self, console: Console, epochs: int, members: int) -> None:
        self.console = console
        self.epochs, self.members = epochs, members
        self.quiet = 0.0
        self.said = monotonic()

    def advance(self, share: float) -> None:
        if monotonic() < self.said + _QUIET_SECONDS:
            return
        self.said = monotonic()
        say(self.console, f"{format_percent(share, 2)} of the rows of this epoch are read")
        self.console.file.flush()

    def __call__(self, history: History) -> None:
        last = history[-1]
        self.quiet += last.seconds
        # Early epochs change most; later lines are rarer, so that a log stays short.
        if str(last.epoch).rstrip("0") in ("1", "2", "5") or self.quiet >= _QUIET_SECONDS:
            self.quiet = 0.0
            network = f"network {last.member}/{self.members}, " if self.members > 1 else ""
            figures = _figures(history, self.epochs, self.members, self.console.width)
            say(self.console, f"{network}epoch {last.epoch}/{self.epochs}: {figures}")
            self.console.file.flush()
