"""What a training begins with: the table split and encoded in memory, or ready to be read part by part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console

from batchprop.cli import console as report
from batchprop.cli.model import Split, TrainingData, encode, split_rows
from batchprop.cli.progress import ProgressDisplay
from batchprop.cli.settings import TrainOptions
from batchprop.cli.streaming import fit_preprocessing, is_large, scan_table, streaming_training_data
from batchprop.cli.training_table import TrainingTable, load_training_table
from batchprop.tabular.split import check_each_class_twice


class RowCounter:
    """Counts the rows that are read, and shows how far the epoch has come.

    Args:
        rows: of the table; an epoch reads all of them.
    """

    def __init__(self, rows: int) -> None:
        self.rows, self.seen = rows, 0
        self.show: ProgressDisplay | None = None

    def __call__(self, more: int) -> None:
        """Take in that so many more rows were read."""
        self.seen += more
        if self.show is not None:
            self.show.advance(self.seen % self.rows / self.rows)


class TrainingInput(NamedTuple):
    """A training that may begin.

    Attributes:
        data: the table, or those of its rows that are kept to judge by.
        parts: which of its rows are for what.
        given: what the network is given to learn from.
        pace: told of the rows that are read.
    """

    data: TrainingTable
    parts: Split
    given: TrainingData
    pace: RowCounter


@contextmanager
def prepare(console: Console, settings: TrainOptions) -> Iterator[TrainingInput]:
    """Read the table, or look through it where it is larger than memory, and show what it holds.

    Args:
        console: where to.
        settings: the options.

    Yields:
        What the training begins with, for as long as the table may be read.

    Raises:
        DataError: the table cannot be trained on.
        ParameterError: an option does not go with it.
    """
    if not is_large(settings):
        data = load_training_table(settings)
        settings.check_target(data.target)
        check_each_class_twice(data.target)
        parts = split_rows(data.target, settings)
        report.show_data(console, data, parts.told)
        yield TrainingInput(data, parts, encode(data, parts, settings), RowCounter(len(parts.train)))
        return
    with scan_table(console, settings) as (table, shares):
        data, parts, found = fit_preprocessing(console, table, shares, settings)
        report.show_data(
            console, data, f"{parts.told}; read in {len(table.partitions):,} parts in every epoch"
        )
        pace = RowCounter(table.n_rows)
        yield TrainingInput(
            data, parts, streaming_training_data(table, shares, data, parts, found, settings, pace), pace
        )
