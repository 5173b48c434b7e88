"""`batchprop predict`, from the model and a table of any size to the predictions, in blocks of rows."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import typer
from rich.console import Console
from sklearn.pipeline import Pipeline

from batchprop.cli.console import make_console
from batchprop.cli.progress import ConsoleObserver
from batchprop.data.files import expand_paths
from batchprop.errors import DataError
from batchprop.tabular.observer import Observer
from batchprop.tabular.persistence import atomic_file, load_pipeline, write_errors
from batchprop.tabular.predictions import csv_appender, predict_blocks, prediction_writer


class PredictOptions(NamedTuple):
    """What to predict and to write.

    Attributes:
        tables: files, folders and patterns.
        proba: whether to add probabilities.
        keep: columns of the tables to copy.
        number: whether to number the rows.
        memory: the memory budget in bytes, if given.
        separator: between the fields of CSV files, if given.
    """

    tables: Sequence[Path]
    proba: bool
    keep: Sequence[str]
    number: bool
    memory: int | None
    separator: str | None

    def predict(
        self, model: Pipeline, files: Sequence[Path], observer: Observer
    ) -> AbstractContextManager[Iterator[pd.DataFrame]]:
        """Predict the rows in blocks."""
        return predict_blocks(
            model,
            files,
            proba=self.proba,
            keep=self.keep,
            number=self.number,
            memory=self.memory,
            separator=self.separator,
            observer=observer,
        )


def to_file(model: Path, options: PredictOptions, out: Path, *, force: bool) -> int:
    """Write the predictions to a file, completely or not at all.

    Args:
        model: its folder, or the file in it.
        options: what to predict.
        out: the file; its suffix determines the format.
        force: replace it.

    Returns:
        The number of predictions.

    Raises:
        BatchpropError: for any failure; nothing is written then.
    """
    files = expand_paths(options.tables)
    with atomic_file(out, force=force, parameter="out", tables=files) as part:
        pipeline, count = load_pipeline(model), 0
        observer = ConsoleObserver(make_console())
        with (
            options.predict(pipeline, files, observer) as tables,
            write_errors(out),
            prediction_writer(part) as write,
        ):
            for table in tables:
                write(table)
                count += len(table)
    return count


def to_stdout(model: Path, options: PredictOptions) -> None:
    """Write the predictions to the standard output, and the progress to the standard error.

    Args:
        model: its folder, or the file in it.
        options: what to predict.

    Raises:
        BatchpropError: for any failure; earlier rows may have been written then.
    """
    pipeline = load_pipeline(model)
    _check_encodable("".join(map(str, [pipeline["columns"].target, *getattr(pipeline, "classes_", [])])))
    # In a terminal the predictions themselves show the progress; otherwise a bar is not needed.
    quiet = sys.stdout.isatty() or not sys.stderr.isatty()
    console = Console(stderr=True, quiet=quiet, markup=False, highlight=False, emoji=False)
    write = csv_appender(_write_stdout)
    files, observer = expand_paths(options.tables), ConsoleObserver(console)
    with options.predict(pipeline, files, observer) as tables:
        for table in tables:
            write(table)


def _write_stdout(text: str) -> None:
    # Kept columns may hold any character.
    _check_encodable(text)
    try:
        typer.echo(text, nl=False)
    except OSError as error:
        # The error of a stream names no file.
        raise OSError(error.errno, error.strerror, "standard output") from error


def _check_encodable(text: str) -> None:
    """Refuse an encoding that lacks a character of the predictions; only messages may lose one."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise DataError(
            f"standard output is {encoding}, which lacks {text[error.start]!a} of the predictions: "
            "write them to a file with --out, or set PYTHONIOENCODING=utf-8"
        ) from error
