"""What `batchprop train` prints: the data, the network, how training ended, the scores."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from batchprop.cli.model import TrainedModel
from batchprop.cli.progress import format_duration
from batchprop.cli.settings import TrainOptions
from batchprop.cli.training_table import TrainingTable
from batchprop.errors import join_truncated
from batchprop.tabular.metrics import Scores
from batchprop.tabular.schema import ColumnSchema

_BECOMES = {
    "number": "centred, scaled, smoothly clipped; gaps marked",
    "category": "one-hot; rare, unknown and missing have a place",
    "boolean": "one-hot",
    "date": "year, month, day, weekday, hour, days elapsed",
}
LEFT_OUT = "left out"

_PLURAL = {"number": "numbers", "category": "categories", "boolean": "booleans", "date": "dates"}

_WHOLE_FROM, _POWERS_FROM = 1e3, 1e9
_MAX_WARNINGS = 5


class _Plain(Console):
    """A console that, unless it is a terminal, ends no line in the blanks that fill up tables."""

    def print(self, *things: Any, **how: Any) -> None:
        """Print as a console does."""
        if self.is_terminal:
            super().print(*things, **how)
            return
        with self.capture() as printed:
            super().print(*things, **how)
        self.file.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))


def console() -> Console:
    """Return the standard output; text of the user's is never taken for markup."""
    return _Plain(markup=False, highlight=False, emoji=False)


def make_table(*headings: str, right: Iterable[int] = ()) -> Table:
    """Return a table with a line below its headings; columns in `right` are of numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place in right else "left")
    return table


def show_data(out: Console, data: TrainingTable, rows: str) -> None:
    """Print the table's columns, kind by kind, what they become, and what the rows are for."""
    facts = Table.grid("", "", padding=(0, 2))
    facts.add_row("Data", data.name)
    facts.add_row("Rows", rows)
    if data.left_out:
        facts.add_row("", f"{data.left_out:,} more {data.why_left_out[0]}")
    facts.add_row("Target", f"{data.target.name}: {_task(data)}")
    facts.add_row("", f"taken for {data.target.task}: {data.target.reason}")
    out.print(facts, "")
    table = make_table("columns", "hold", "named", "become", right=[0])
    for count, hold, named, become in summarize_columns(data.columns):
        style = "yellow" if become == LEFT_OUT else None
        table.add_row(count, hold, named, become, style=style)
    out.print(table, "")
    _show_warnings(out, data.columns)


def _show_warnings(out: Console, columns: Sequence[ColumnSchema]) -> None:
    """Print which columns are likely not what they were meant to be."""
    odd = [column for column in columns if column.warning]
    for column in odd[:_MAX_WARNINGS]:
        out.print(
            f"Note: {column.name} is taken for text, as {column.warning}: correct that, or leave it empty.",
            style="yellow",
            soft_wrap=True,
            markup=False,
        )
    if len(odd) > _MAX_WARNINGS:
        out.print(f"{len(odd) - _MAX_WARNINGS:,} more columns are alike.", style="yellow", soft_wrap=True)
    if odd:
        out.print("")


def summarize_columns(columns: Sequence[ColumnSchema]) -> list[tuple[str, str, str, str]]:
    """Say of each kind of column how many there are, what they hold, their names, what they become."""
    told = []
    for kind, plural in _PLURAL.items():
        names = [column.name for column in columns if column.kind == kind]
        if names:
            told.append((f"{len(names):,}", plural, join_truncated(names, 5), _BECOMES[kind]))
    for note, names in _left_out(columns).items():
        told.append((f"{len(names):,}", note, join_truncated(names, 5), LEFT_OUT))
    return told


def _task(data: TrainingTable) -> str:
    told, values = data.target_stats, data.target.values
    if data.target.task == "numbers":
        low, high = (values.min(), values.max()) if told is None else (told.low, told.high)
        return f"{low:g} to {high:g}"
    classes: Any = data.classes
    counts: Any = np.unique(values, return_counts=True)[1] if told is None else told.counts
    named = [f"{label} ({count:,})" for label, count in zip(classes, counts, strict=True)]
    return f"{len(classes)} classes, {join_truncated(named, 6)}"


def _left_out(columns: Sequence[ColumnSchema]) -> dict[str, list[str]]:
    notes: dict[str, list[str]] = {}
    for column in columns:
        if column.kind == LEFT_OUT:
            notes.setdefault(column.note, []).append(column.name)
    return notes


def show_network(out: Console, sizes: Sequence[int], settings: TrainOptions) -> None:
    """Print each layer with its shapes and number of parameters."""
    table = make_table("layer", "W", "b", "activation", "parameters", right=[4])
    counts = [(n_in + 1) * n_out for n_in, n_out in pairwise(sizes)]
    for number, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        activation = "output" if number == len(counts) else settings.activation
        table.add_row(str(number), f"({n_out}, {n_in})", f"({n_out},)", activation, f"{counts[number - 1]:,}")
    out.print(f"Network {'-'.join(map(str, sizes))}, {sum(counts):,} parameters", table, sep="\n")
    out.print("", f"Training {_how(settings)}", "", sep="\n")


def _how(settings: TrainOptions) -> str:
    if settings.solver == "lbfgs":
        return f"lbfgs, all rows at once, at most {settings.epochs:,} epochs"
    size = settings.batch_size
    parts = [
        settings.solver,
        f"learning rate {settings.learning_rate:g} ({settings.schedule})",
        f"batches of {size}" if isinstance(size, int) else f"{size} batches",
        f"at most {settings.epochs:,} epochs",
    ]
    if settings.max_grad_norm:
        parts.append(f"gradients cut to norm {settings.max_grad_norm:g}")
    if settings.dropout:
        parts.append(f"dropout {settings.dropout:g}")
    if settings.label_smoothing:
        parts.append(f"label smoothing {settings.label_smoothing:g}")
    if settings.precision:
        parts.append(f"matrix products in {settings.precision}")
    return ", ".join(parts)


def show_end(out: Console, fitted: TrainedModel, settings: TrainOptions) -> None:
    """Print why training ended, what it ran on, and which weights were kept."""
    out.print("", *end_reason(fitted, settings), "", sep="\n", soft_wrap=True)


def end_reason(fitted: TrainedModel, settings: TrainOptions) -> tuple[str, str]:
    """Say why training ended and what it ran on, and which weights were kept."""
    last, best = fitted.history[-1], fitted.best
    seconds = format_duration(sum(moment.seconds for moment in fitted.history))
    if fitted.interrupted:
        why = f"Interrupted after epoch {last.epoch}"
    elif last.epoch == settings.epochs:
        why = f"Stopped after {count_epochs(last.epoch)}, the most allowed (--epochs)"
    elif settings.solver == "lbfgs":
        why = f"Stopped after {count_epochs(last.epoch)}, where no step lowers the loss further"
    else:
        why = (
            f"Stopped after {count_epochs(last.epoch)}, "
            f"the last {last.epoch - best.epoch} without a better loss"
        )
    loss = "" if best.validation_loss is None else f", validation loss {best.validation_loss:.4g}"
    kept = f"Kept the weights of epoch {best.epoch}{loss}."
    engine = "NumPy" if fitted.device is None else f"JAX on {fitted.device}"
    return f"{why}, {seconds} with {engine}.", kept


def count_epochs(epochs: int) -> str:
    """Say a number of epochs.

    >>> count_epochs(1), count_epochs(1200)
    ('1 epoch', '1,200 epochs')
    """
    return "1 epoch" if epochs == 1 else f"{epochs:,} epochs"


def show_scores(out: Console, scores: Scores, baseline: Scores, guess: str) -> None:
    """Print the scores on the test rows beside those of the simplest guess, which `guess` names."""
    table = make_table("on the test rows", "network", guess, right=[1, 2])
    for name, value in scores.items():
        other = baseline.get(name)
        table.add_row(name, format_score(value), "" if other is None else format_score(other))
    out.print(table, "")


def format_score(value: float) -> str:
    """Write a score with four digits that count, and whole where it is large.

    >>> format_score(0.97766), format_score(12345.6)
    ('0.9777', '12,346')
    """
    if _WHOLE_FROM <= abs(value) < _POWERS_FROM:
        return f"{value:,.0f}"
    return f"{value:#.4g}"


def format_number(number: str) -> str:
    """Write a number as print has it, with a minus for the hyphen.

    >>> format_number("-1.5e-05")
    '−1.5e−05'
    """
    return number.replace("-", "−")


@contextmanager
def status(out: Console, what: str, *, long: bool) -> Iterator[None]:
    """Say what is going on: in a terminal while it lasts, elsewhere in a line if it may be long.

    Args:
        out: where to.
        what: is done.
        long: whether it may take more than a second or two.
    """
    if out.is_terminal:
        with out.status(f"{what} ..."):
            yield
        return
    if long:
        out.print(f"{what} ...", soft_wrap=True)
    yield


def show_saved(out: Console, settings: TrainOptions, files: Sequence[str], *, interrupted: bool) -> None:
    """Print where the model is, and how to go on."""
    cut = " as far as it was trained" if interrupted else ""
    out.print(f"Saved{cut} in {settings.out}: {', '.join(files)}", soft_wrap=True)
    if interrupted and settings.checkpoint_every is not None:
        again = ["batchprop", "train", *map(str, settings.tables), "--out", str(settings.out), "--resume"]
        out.print(f"Go on with: {shlex.join(again)} and the options of before", soft_wrap=True)
    if settings.data is not None:
        out.print(f"Predict with: {shlex.join(settings.to_predict)}", soft_wrap=True)
