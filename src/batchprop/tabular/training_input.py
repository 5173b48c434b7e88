"""The input of a training: the table split and encoded in memory, or read in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from batchprop.data.files import expand_paths
from batchprop.data.memory import default_memory
from batchprop.errors import join_truncated
from batchprop.tabular.fit import Split, TrainingData, check_some_weight, encode, split_rows
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.split import check_each_class_twice
from batchprop.tabular.streaming import fit_preprocessing, is_large, scan_table, streaming_training_data
from batchprop.tabular.training_table import TrainingTable, load_training_table


class TrainingInput(NamedTuple):
    """The input of a training.

    Attributes:
        table: the table, or only its held-out rows.
        split: the split of its rows.
        data: the network's training data.
    """

    table: TrainingTable
    split: Split
    data: TrainingData


@contextmanager
def prepare(
    source: tuple[Path, ...] | pd.DataFrame | None,
    options: TrainOptions,
    memory: int | None,
    observer: Observer,
) -> Iterator[TrainingInput]:
    """Read the table, or scan it if it is larger than memory.

    Args:
        source: files, folders and patterns; a table in memory; None for the digits.
        options: of the training.
        memory: the memory budget in bytes; None for a quarter of the free memory.
        observer: called with the table.

    Yields:
        The input of the training; the table can be read within the block.

    Raises:
        DataError: the table cannot be trained on.
        ParameterError: an option is incompatible with it.
    """
    if isinstance(source, tuple):
        memory = memory or default_memory()
        # A pattern is expanded once, so that both ways read the same files.
        source = expand_paths(source)
        test = expand_paths(options.test) if isinstance(options.test, tuple) else ()
        if any(is_large(files, memory, options) for files in (source, test) if files):
            with _stream(source, options, memory, observer) as streamed:
                yield streamed
            return
    table = load_training_table(source, options)
    options.check_target(table.target)
    check_each_class_twice(table.target)
    split = split_rows(table, options)
    check_some_weight(table, split, options.weights)
    observer.on_table(table, describe_split(split, options))
    yield TrainingInput(table, split, encode(table, split, options))


@contextmanager
def _stream(
    files: tuple[Path, ...], options: TrainOptions, memory: int, observer: Observer
) -> Iterator[TrainingInput]:
    with scan_table(files, options, memory, observer) as (scan, rows):
        table, split, fitted = fit_preprocessing(scan, rows, options, observer)
        check_some_weight(table, split, options.weights)
        parts = f"{len(scan.partitions):,} parts in every epoch"
        observer.on_table(table, f"{describe_split(split, options)}; read in {parts}")
        count_rows = _row_counter(scan.n_rows, observer)
        data = streaming_training_data(scan, rows, table, split, fitted, options, count_rows)
        yield TrainingInput(table, split, data)


def describe_split(split: Split, options: TrainOptions) -> str:
    """Describe the number of rows of each part, and what parts them."""
    parts = [split.description]
    if options.group is not None:
        parts.append(f"each {options.group} is in one of them")
    if options.time is not None:
        parts.append(f"the latest by {options.time}")
    if isinstance(options.test, tuple):
        parts.append(f"the test rows from {join_truncated(options.test, 3)}")
    return "; ".join(parts)


def _row_counter(rows: int, observer: Observer) -> Callable[[int], None]:
    """Count the rows read, and report their share of the epoch."""
    read = 0

    def count(more: int) -> None:
        nonlocal read
        read += more
        observer.on_rows(read % rows / rows)

    return count
