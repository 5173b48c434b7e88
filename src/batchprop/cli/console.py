"""The output of `batchprop train`: the data, the network, how training ended, the scores."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from batchprop.cli.options import as_option_names
from batchprop.cli.processes import process_words
from batchprop.cli.terminal import printable, wrap
from batchprop.data.standard_input import STDIN
from batchprop.format import format_number, format_score, join_command, pluralize
from batchprop.tabular.cross_validation import CrossValidation
from batchprop.tabular.metrics import label_score
from batchprop.tabular.options import TrainOptions, to_words
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.schema import ColumnSchema
from batchprop.tabular.summary import (
    LEFT_OUT,
    describe_reading,
    describe_target,
    describe_target_reading,
    end_reason,
    predict_words,
    summarize_columns,
)
from batchprop.tabular.target import Target
from batchprop.tabular.training_table import TrainingTable
from batchprop.tabular.verdict import is_clearly_better, write_verdict

_MAX_WARNINGS = 5


class _Safe(Console):
    """A console whose text is printable, without blanks at the end of lines unless it is a terminal."""

    def render_str(self, text: str, **style: Any) -> Text:
        """Return text to lay out, in which nothing controls the terminal."""
        return super().render_str(printable(text), **style)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the segments of what is laid out, for text that was made without ``render_str``."""
        for segment in super().render(renderable, options):
            # Control codes of Rich's own move its bars.
            yield segment if segment.control else segment._replace(text=printable(segment.text, keep="\n"))

    def print(self, *things: Any, **kwargs: Any) -> None:
        """Print, without trailing blanks."""
        if self.is_terminal:
            super().print(*things, **kwargs)
            return
        # Rich pads cells with blanks, which files and pipes would keep.
        with self.capture() as printed:
            super().print(*things, **kwargs)
        self.file.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))


def make_console(**options: Any) -> Console:
    """Return a console, by default on the standard output, that does not read text as markup or controls."""
    return _Safe(markup=False, highlight=False, emoji=False, **options)


def say(out: Console, *lines: str, style: str | None = None) -> None:
    """Print lines of prose, which a terminal shows broken between words."""
    for line in lines:
        for part in wrap(line, out.width, terminal=out.is_terminal).split("\n"):
            out.print(part, style=style, soft_wrap=True)


def make_table(*headings: str, right: Iterable[int] = ()) -> Table:
    """Return a table with a line below its headings; columns in `right` are of numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i in right else "left")
    return table


def show_data(out: Console, data: TrainingTable, rows: str) -> None:
    """Print the table's columns, kind by kind, their encoding, and the split of the rows."""
    facts = Table.grid("", "", padding=(0, 2))
    facts.add_row("Data", data.name)
    facts.add_row("Rows", rows)
    if data.left_out:
        facts.add_row("", f"{data.left_out:,} more {data.why_left_out[0]}")
    facts.add_row("Target", f"{data.target.name}: {describe_target(data)}")
    facts.add_row("", f"{data.target.task}: {data.target.reason}")
    out.print(facts, "")
    table = make_table("columns", "hold", "named", "become", right=[0])
    for count, hold, named, become in summarize_columns(data.columns):
        style = "yellow" if become == LEFT_OUT else None
        table.add_row(count, hold, named, become, style=style)
    out.print(table, "")
    _show_warnings(out, data.target, data.columns)


def _show_warnings(out: Console, target: Target, columns: Sequence[ColumnSchema]) -> None:
    """Print how text was read as numbers and dates, and which columns are probably not as intended."""
    if target.reading:
        say(out, f"Note: {describe_target_reading(target)}.")
    read = [column for column in columns if column.reading and column.kind != LEFT_OUT]
    for column in read[:_MAX_WARNINGS]:
        say(out, f"Note: {describe_reading(column)}.")
    if len(read) > _MAX_WARNINGS:
        say(out, f"{len(read) - _MAX_WARNINGS:,} more columns are read from text.")
    odd = [column for column in columns if column.warning]
    for column in odd[:_MAX_WARNINGS]:
        say(
            out,
            f"Note: {column.name} is taken for text, as {column.warning}: correct that, or leave it empty.",
            style="yellow",
        )
    if len(odd) > _MAX_WARNINGS:
        say(out, f"{len(odd) - _MAX_WARNINGS:,} more columns are alike.", style="yellow")
    if odd or read or target.reading:
        out.print("")


def show_network(out: Console, sizes: Sequence[int], options: TrainOptions) -> None:
    """Print each layer with its shapes and number of parameters."""
    table = make_table("layer", "W", "b", "activation", "parameters", right=[4])
    counts = [(n_in + 1) * n_out for n_in, n_out in pairwise(sizes)]
    for number, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        activation = "output" if number == len(counts) else options.activation
        table.add_row(str(number), f"({n_out}, {n_in})", f"({n_out},)", activation, f"{counts[number - 1]:,}")
    networks = "Network" if options.n_members == 1 else f"{options.n_members} networks"
    out.print(f"{networks} {'-'.join(map(str, sizes))}, {sum(counts):,} parameters", table, sep="\n")
    say(out, "", f"Training {_describe_training(options)}", "")


def _describe_training(options: TrainOptions) -> str:
    if options.solver == "lbfgs":
        return f"lbfgs, all rows at once, at most {pluralize(options.epochs, 'epoch')}"
    size = options.batch_size
    parts = [
        options.solver,
        f"learning rate {format_number(options.learning_rate, 6)} ({options.schedule})",
        f"batches of {size}" if isinstance(size, int) else f"{size} batches",
        f"at most {pluralize(options.epochs, 'epoch')}",
    ]
    if options.max_grad_norm:
        parts.append(f"gradients clipped to norm {format_number(options.max_grad_norm, 6)}")
    if options.dropout:
        parts.append(f"dropout {format_number(options.dropout, 6)}")
    if options.label_smoothing:
        parts.append(f"label smoothing {format_number(options.label_smoothing, 6)}")
    if options.time_limit:
        parts.append(f"at most {format_number(options.time_limit, 6)} seconds")
    if options.precision:
        parts.append(f"matrix products in {options.precision}")
    return ", ".join(parts)


def show_end(out: Console, result: TrainingResult) -> None:
    """Print why training ended, its engine, and which weights were kept."""
    say(out, "", *map(as_option_names, end_reason(result)), "")


def show_scores(out: Console, result: TrainingResult) -> None:
    """Print the scores on the test rows beside those of the simplest guess."""
    networks = "network" if len(result.members) == 1 else f"{len(result.members)} networks"
    table = make_table("on the test rows", networks, result.baseline_name, right=[1, 2])
    unit = result.table.target.unit
    for name, value in result.evaluation.scores.items():
        other = result.evaluation.baseline.get(name)
        table.add_row(
            label_score(name, unit), format_score(value), "" if other is None else format_score(other)
        )
    out.print(table, "")
    for note in (result.one_class_note, result.class_weight_note):
        if note is not None:
            say(out, f"Note: {as_option_names(note)}.", "", style="yellow")
    if result.unseen_notes:
        for note in result.unseen_notes:
            say(out, f"Note: {note}.", style="yellow")
        out.print("")
    if result.cross_validation is not None:
        show_folds(out, result.cross_validation, unit)


def show_weak_verdict(out: Console, result: TrainingResult) -> None:
    """Print the verdict of a model that is not clearly better than the simplest guess."""
    if not is_clearly_better(result):
        say(out, f"Note: {write_verdict(result)}", "", style="yellow")


def show_folds(out: Console, scores: CrossValidation, unit: str) -> None:
    """Print the mean of each score over the folds, and its standard deviation."""
    table = make_table(f"on {len(scores.folds)} folds", "mean", "± deviation", right=[1, 2])
    for name, mean in scores.mean.items():
        table.add_row(label_score(name, unit), format_score(mean), format_score(scores.std[name]))
    out.print(table, "")


@contextmanager
def status(out: Console, what: str, *, long: bool) -> Iterator[None]:
    """Show a status: in a terminal while it lasts, elsewhere a line if it may take seconds."""
    if out.is_terminal:
        with out.status(f"{what} ..."):
            yield
        return
    # Without a terminal, a short wait needs no line.
    if long:
        say(out, f"{what} ...")
    yield


def show_saved(out: Console, result: TrainingResult, folder: Path, files: Sequence[str]) -> None:
    """Print the model's folder, and the next command."""
    cut = " as far as it was trained" if result.interrupted else ""
    tables = result.files or ()
    say(out, f"Saved{cut} in {folder}: {', '.join(files)}")
    if result.interrupted and result.options.checkpoint_every is not None:
        options = to_words(replace(result.options, resume=True))
        again = ["batchprop", "train", *map(str, tables), *options, *process_words(), "--out", str(folder)]
        rows = ", with the same rows on standard input" if STDIN in tables else ""
        out.print(f"Resume with: {join_command(again)}{rows}", soft_wrap=True)
    if words := predict_words(folder, result):
        out.print(f"Predict with: {join_command(words)}", soft_wrap=True)
