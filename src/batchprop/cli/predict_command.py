"""`batchprop predict`, from the model and a table of any size to the predictions, in blocks of rows."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from sklearn.pipeline import Pipeline

from batchprop.cli.console import make_console
from batchprop.cli.progress import ConsoleObserver
from batchprop.cli.terminal import echo_data
from batchprop.data.files import expand_paths
from batchprop.data.memory import default_memory
from batchprop.data.standard_input import STDIN
from batchprop.data.tables import Table, describe_copy, open_files, open_query
from batchprop.errors import DataError
from batchprop.tabular.observer import Observer
from batchprop.tabular.persistence import atomic_file, load_pipeline, write_errors
from batchprop.tabular.predictions import csv_appender, predict_blocks, prediction_writer


class PredictSource(NamedTuple):
    """The table to predict for.

    Attributes:
        paths: files, folders and patterns.
        sql: a query in place of them.
        database: the URL of the database to query.
        sheet: the sheet of workbooks.
    """

    paths: tuple[Path, ...]
    sql: str | None = None
    database: str | None = None
    sheet: str | None = None

    @contextmanager
    def open(self, memory: int | None, observer: Observer) -> Iterator[Table]:
        """Yield the table, copied if it cannot be read in place."""
        table = (
            open_files(self.paths, self.sheet)
            if self.sql is None
            else open_query(self.sql, self.database, memory or default_memory())
        )
        what = describe_copy(self.paths, self.sql)
        with ExitStack() as stack:
            with nullcontext() if what is None else observer.watch_pass(what, None):
                opened = stack.enter_context(table)
            yield opened


class PredictOptions(NamedTuple):
    """What to predict and to write.

    Attributes:
        source: the table.
        proba: whether to add probabilities.
        keep: columns of the tables to copy.
        number: whether to number the rows.
        memory: the memory budget in bytes, if given.
        separator: between the fields of CSV files, if given.
        safe_csv: whether CSV is written such that no spreadsheet runs its text.
    """

    source: PredictSource
    proba: bool
    keep: Sequence[str]
    number: bool
    memory: int | None
    separator: str | None
    safe_csv: bool

    @contextmanager
    def predict(self, model: Pipeline, observer: Observer) -> Iterator[Iterator[pd.DataFrame]]:
        """Predict the rows in blocks."""
        with (
            self.source.open(self.memory, observer) as table,
            predict_blocks(
                model,
                table,
                proba=self.proba,
                keep=self.keep,
                number=self.number,
                memory=self.memory,
                separator=self.separator,
                observer=observer,
            ) as tables,
        ):
            yield tables


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
    paths = options.source.paths
    files = () if options.source.sql is not None or STDIN in paths else expand_paths(paths)
    with atomic_file(out, force=force, parameter="out", tables=files) as part:
        pipeline, count = load_pipeline(model), 0
        observer = ConsoleObserver(make_console())
        with (
            options.predict(pipeline, observer) as tables,
            write_errors(out),
            prediction_writer(part, safe_csv=options.safe_csv) as write,
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
    console = make_console(stderr=True, quiet=quiet)
    write = csv_appender(_write_stdout, safe=options.safe_csv)
    with options.predict(pipeline, ConsoleObserver(console)) as tables:
        for table in tables:
            write(table)


def _write_stdout(text: str) -> None:
    # Kept columns may hold any character.
    _check_encodable(text)
    try:
        echo_data(text)
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
