"""What a training begins with: the table split and encoded in memory, or ready to be read part by part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console

from batchprop.cli import report
from batchprop.cli.data import Data, load_to_train
from batchprop.cli.fitting import Given, Parts, encode, set_aside
from batchprop.cli.progress import Show
from batchprop.cli.settings import Settings
from batchprop.cli.streaming import given_from, is_large, learned, looked_through
from batchprop.tabular.split import check_each_class_twice


class Pace:
    """Counts the rows that are read, and shows how far the epoch has come.

    Args:
        rows: of the table; an epoch reads all of them.
    """

    def __init__(self, rows: int) -> None:
        self.rows, self.seen = rows, 0
        self.show: Show | None = None

    def __call__(self, more: int) -> None:
        """Take in that so many more rows were read."""
        self.seen += more
        if self.show is not None:
            self.show.within(self.seen % self.rows / self.rows)


class Prepared(NamedTuple):
    """A training that may begin.

    Attributes:
        data: the table, or those of its rows that are kept to judge by.
        parts: which of its rows are for what.
        given: what the network is given to learn from.
        pace: told of the rows that are read.
    """

    data: Data
    parts: Parts
    given: Given
    pace: Pace


@contextmanager
def prepared(console: Console, settings: Settings) -> Iterator[Prepared]:
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
        data = load_to_train(settings)
        settings.check_target(data.target)
        check_each_class_twice(data.target)
        parts = set_aside(data.target, settings)
        report.show_data(console, data, parts.told)
        yield Prepared(data, parts, encode(data, parts, settings), Pace(len(parts.train)))
        return
    with looked_through(console, settings) as (table, shares):
        data, parts, found = learned(console, table, shares, settings)
        report.show_data(console, data, f"{parts.told}; read in {len(table.partitions):,} parts in every epoch")
        pace = Pace(table.n_rows)
        yield Prepared(data, parts, given_from(table, shares, data, parts, found, settings, pace), pace)
