"""`batchprop predict`, from the model and a table of any size to the answers, a block of rows at a time."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import typer
from rich.console import Console
from sklearn.pipeline import Pipeline

from batchprop.cli import console as report
from batchprop.cli.progress import pass_progress, slow_pass_progress
from batchprop.data.files import expand_paths
from batchprop.data.memory import default_memory, exceeds_memory
from batchprop.data.reader import read_tables
from batchprop.data.rejects import BadRowError
from batchprop.data.scanner import scan
from batchprop.errors import DataError, RowError
from batchprop.tabular.persistence import atomic_file, load_model, write_errors
from batchprop.tabular.predictions import (
    block_size,
    check_proba,
    csv_appender,
    predict_frame,
    prediction_writer,
    required_columns,
    text_columns,
)


class Rows(NamedTuple):
    """The rows of a table.

    Attributes:
        number: how many there are.
        frames: they, in their order, some at a time; the index counts them from 0.
        place: of a row by its number: its file, "line" or "row", and its number there.
    """

    number: int
    frames: Iterator[pd.DataFrame]
    place: Callable[[int], tuple[Path, str, int]]


class PredictOptions(NamedTuple):
    """What to predict: the tables, whether with probabilities, and the memory to use in bytes, if given."""

    tables: Sequence[Path]
    proba: bool
    memory: int | None


def to_file(model: Path, wanted: PredictOptions, out: Path, *, force: bool) -> int:
    """Write the answers to a file, whole or not at all.

    Args:
        model: its folder, or the file in it.
        wanted: what to predict.
        out: the file, whose ending names its format.
        force: replace it.

    Returns:
        How many there are.

    Raises:
        BatchpropError: whatever stops it; nothing is written then.
    """
    files = expand_paths(wanted.tables)
    with atomic_file(out, force=force, tables=files) as part:
        pipeline, number = load_model(model), 0
        with (
            predict_blocks(report.console(), pipeline, files, wanted) as tables,
            write_errors(out),
            prediction_writer(part) as write,
        ):
            for table in tables:
                write(table)
                number += len(table)
    return number


def to_stdout(model: Path, wanted: PredictOptions) -> None:
    """Write the answers to the standard output, and how far they are to the standard error.

    Args:
        model: its folder, or the file in it.
        wanted: what to predict.

    Raises:
        BatchpropError: whatever stops it; the rows before may have been answered then.
    """
    pipeline = load_model(model)
    _check_encodable(pipeline)
    # In a terminal the answers themselves show how far they are; and a file wants no bar.
    quiet = sys.stdout.isatty() or not sys.stderr.isatty()
    console = Console(stderr=True, quiet=quiet, markup=False, highlight=False, emoji=False)
    write = csv_appender(_write_stdout)
    with predict_blocks(console, pipeline, expand_paths(wanted.tables), wanted) as tables:
        for table in tables:
            write(table)


def _write_stdout(text: str) -> None:
    try:
        typer.echo(text, nl=False)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def _check_encodable(model: Pipeline) -> None:
    """Answers, unlike what is said about them, must not lose a letter."""
    encoding = sys.stdout.encoding or "utf-8"
    text = "".join(map(str, [model["columns"].target, *getattr(model, "classes_", [])]))
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise DataError(
            f"standard output is {encoding}, which lacks {text[error.start]!a} of the answers: "
            "write them to a file with --out, or set PYTHONIOENCODING=utf-8"
        ) from error


@contextmanager
def predict_blocks(
    console: Console, model: Pipeline, files: Sequence[Path], wanted: PredictOptions
) -> Iterator[Iterator[pd.DataFrame]]:
    """Give the answers of a model to all rows of a table, some at a time.

    Args:
        console: where progress is shown.
        model: that answers.
        files: of the table.
        wanted: what to predict.

    Yields:
        Tables as ``predictions`` returns them, in the order of the rows.

    Raises:
        DataError: a row cannot be read, or holds what it may not; the message names its file and line.
        ParameterError: probabilities are wanted of a model that predicts numbers.
    """
    if wanted.proba:
        check_proba(model)
    columns = required_columns(model, files[0])
    with (
        iter_rows(console, model, files, columns, wanted.memory) as rows,
        slow_pass_progress(console, "Predicting", rows.number) as read,
    ):
        yield _answers(model, rows, read, proba=wanted.proba)


def _answers(
    model: Pipeline, rows: Rows, read: Callable[[int], None], *, proba: bool
) -> Iterator[pd.DataFrame]:
    for frame in rows.frames:
        try:
            answers = predict_frame(model, frame, proba=proba)
        except RowError as error:
            file, unit, place = rows.place(error.row)
            raise DataError(f"{file}, {unit} {place}: {error}") from error
        yield answers
        read(len(frame))


@contextmanager
def iter_rows(
    console: Console, model: Pipeline, files: Sequence[Path], columns: Sequence[str], memory: int | None
) -> Iterator[Rows]:
    """Read a table at once, or look through it where it is larger than memory, to read it in blocks.

    Args:
        console: where progress is shown.
        model: whose words are taken for words: of a file with one row nothing else tells that 01 is one.
        files: of the table.
        columns: that the model needs.
        memory: what may be taken, in bytes; None for a quarter of what is free.

    Yields:
        The rows, for as long as they may be read.

    Raises:
        DataError: a file, a column or a row cannot be read.
    """
    memory = memory or default_memory()
    n, words = block_size(model, memory), text_columns(model)
    if not exceeds_memory(files, memory):
        with _all_rows_count():
            whole = read_tables(files, text=words)
        frame = whole.frame[list(columns)]
        frames = (frame.iloc[at : at + n] for at in range(0, len(frame), n))
        yield Rows(
            len(frame),
            frames,
            lambda row: (whole.files[whole.of_file[row]], whole.unit, int(whole.row_numbers[row])),
        )
        return
    with _all_rows_count(), pass_progress(console, "Looking through the table", None):
        table = scan(files, text=words, memory=memory)
    with table:
        yield Rows(table.n_rows, table.iter_frames(columns=columns, rows=n), table.locate)


@contextmanager
def _all_rows_count() -> Iterator[None]:
    """Leave out of what is said of a bad row that it could be left out: every row is to have its answer."""
    try:
        yield
    except BadRowError as error:
        raise DataError(error.reason) from error
