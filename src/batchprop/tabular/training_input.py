"""The input of a training: the table split and encoded in memory, or read in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from batchprop.data.converted import ConvertedTable
from batchprop.data.files import expand_paths, file_format
from batchprop.data.memory import default_memory
from batchprop.data.tables import (
    Table,
    check_not_standard_input,
    check_separator_used,
    describe_copy,
    open_files,
    open_query,
)
from batchprop.errors import join_truncated
from batchprop.processes import current
from batchprop.tabular.fit import Split, TrainingData, encode, split_rows
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.points import note_points
from batchprop.tabular.roles import feature_names, read_groups, read_times
from batchprop.tabular.split import check_each_class_twice, check_enough
from batchprop.tabular.streaming import (
    fit_preprocessing,
    is_large,
    locate_errors_in,
    scan_table,
    streaming_training_data,
)
from batchprop.tabular.target import Task
from batchprop.tabular.testing_rows import with_test_rows
from batchprop.tabular.training_table import (
    TrainingTable,
    dataset_name,
    load,
    locate_errors,
    locate_rows,
    make_table,
    name_origin,
    name_places,
    read_whole,
)


class TrainingInput(NamedTuple):
    """The input of a training.

    Attributes:
        table: the table, or only its held-out rows.
        split: the split of its rows.
        data: the network's training data.
        options: of the training, with the number of networks.
    """

    table: TrainingTable
    split: Split
    data: TrainingData
    options: TrainOptions


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
    memory = memory or default_memory()
    with _open_tables(source, options, memory, observer) as (opened, opened_options):
        check_separator_used(options.separator, opened, opened_options.test)
        if opened is not None and not isinstance(opened, pd.DataFrame):
            test = opened_options.test
            if is_large(opened, memory, options) or (_is_table(test) and is_large(test, memory, options)):
                with _stream(opened, opened_options, memory, observer) as streamed:
                    yield streamed
                return
        table = name_origin(load_training_table(opened, opened_options))
        options.check_target(table.target)
        check_each_class_twice(table.target)
        options = resolve_members(
            options, len(table.target.values) - table.n_test, table.target.task, observer
        )
        split = split_rows(table, options)
        observer.on_table(table, describe_split(split, options))
        with _locate_errors_of(opened, lambda: name_places(table.row_numbers, [table.path or Path()])):
            data = encode(table, split, options)
        yield TrainingInput(table, split, data, options)


def resolve_members(
    options: TrainOptions, n_rows: int | None, task: Task | None, observer: Observer
) -> TrainOptions:
    """Return the options with what depends on the rows; the observer gets a note if it is not the preset's.

    Args:
        options: of the training.
        n_rows: that do not test, or of which a part does; None for a table that is read in parts.
        task: None where it is not known yet, which is in parts.
        observer: called with the note.

    Raises:
        ParameterError: several networks are asked for, and cannot be trained.
    """
    if n_rows is not None and task is not None:
        n_rows = _count_without_test(n_rows, options)
        options = options.for_table(n_rows, task)
    options, note = options.resolve_members(n_rows, task)
    if note is not None:
        observer.on_note(note)
    return options


def _count_without_test(n_rows: int, options: TrainOptions) -> int:
    return n_rows - round((options.test_share or 0.0) * n_rows)


def load_training_table(data: Table | pd.DataFrame | None, options: TrainOptions) -> TrainingTable:
    """Read the table of a training, from one or more files, that fits in memory.

    Args:
        data: its files, folders and patterns, or the copy of another; a table in memory; None for the digits.
        options: of the training.

    Raises:
        DataError: a file, a row, the target or the weights cannot be used.
    """
    weights = options.weights
    if data is None or options.target is None:
        return load(None, options)
    whole = read_whole(data, options)
    features = feature_names(list(whole.frame.columns), options)
    rules, groups, times = options.text_rules, None, None
    with _locate_errors_of(data, lambda: name_places(locate_rows(whole), whole.files)):
        table = make_table(
            dataset_name(whole.files),
            whole.files[0],
            whole.frame[[*features, options.target, *filter(None, [weights])]],
            options,
            from_text=whole.from_text,
        )
        if options.group is not None:
            groups = read_groups(whole.frame[options.group], rules)
        if options.time is not None:
            wanted = options.column_types.get(options.time)
            times = read_times(whole.frame[options.time], rules, wanted=wanted)
    check_enough(table.target)
    columns = table.columns
    table = replace(
        table,
        columns=note_points(columns, table.frame, whole.files, options) if whole.from_text else columns,
        left_out=len(whole.skipped),
        skipped=whole.skipped,
        row_locator=locate_rows(whole),
        groups=groups,
        times=times,
    )
    return table if options.test is None else with_test_rows(table, whole, options)


def _locate_errors_of(
    data: Table | pd.DataFrame | None, places: Callable[[], Sequence[str]]
) -> AbstractContextManager[None]:
    """Begin an error about a row of files with its place; the rows of a frame keep their numbers."""
    if data is None or isinstance(data, pd.DataFrame):
        return nullcontext()
    return locate_errors(lambda row: places()[row])


@contextmanager
def _open_tables(
    source: tuple[Path, ...] | pd.DataFrame | None, options: TrainOptions, memory: int, observer: Observer
) -> Iterator[tuple[Table | pd.DataFrame | None, TrainOptions]]:
    """Copy the tables that cannot be read in place; the copy of the test rows is in the options."""
    with ExitStack() as stack:

        def open_table(what: str | None, table: AbstractContextManager[Table]) -> Table:
            with nullcontext() if what is None else observer.watch_pass(what, None):
                return stack.enter_context(table)

        opened: Table | pd.DataFrame | None = source
        if options.sql is not None:
            query = open_query(options.sql, options.database, memory)
            opened = open_table(describe_copy((), options.sql), query)
        elif isinstance(source, tuple):
            opened = open_table(describe_copy(source), open_files(source, options.sheet))
        if isinstance(options.test, tuple):
            check_not_standard_input(options.test, "test")
            sheet = options.sheet if file_format(expand_paths(options.test)[0]) == "workbook" else None
            test = open_table(describe_copy(options.test), open_files(options.test, sheet))
            options = replace(options, test=test if isinstance(test, ConvertedTable) else options.test)
        yield opened, options


def _is_table(test: object) -> bool:
    return isinstance(test, tuple | ConvertedTable)


@contextmanager
def _stream(files: Table, options: TrainOptions, memory: int, observer: Observer) -> Iterator[TrainingInput]:
    options = resolve_members(options, None, None, observer)
    with scan_table(files, options, memory, observer) as (scan, rows):
        n_rows = _count_without_test(scan.n_rows, options)
        # The bins, which are needed first, are the same for both tasks.
        options = options.for_table(n_rows, options.given_task or "classification")
        with locate_errors_in(scan):
            table, split, fitted = fit_preprocessing(scan, rows, options, observer)
        options = options.for_table(n_rows, table.target.task)
        table = name_origin(table)
        parts = f"{len(scan.partitions):,} parts in every epoch"
        observer.on_table(table, f"{describe_split(split, options)}; read in {parts}")
        count_rows = _row_counter(scan.n_rows, observer)
        data = streaming_training_data(scan, rows, table, split, fitted, options, count_rows)
        yield TrainingInput(table, split, data, options)


def describe_split(split: Split, options: TrainOptions) -> str:
    """Describe the number of rows of each part, and what parts them."""
    parts = [split.description]
    if options.group is not None:
        parts.append(f"each {options.group} is in one of them")
    if options.time is not None:
        parts.append(f"the latest by {options.time}")
    test = options.test
    test = tuple(map(str, test.origins)) if isinstance(test, ConvertedTable) else test
    if isinstance(test, tuple):
        parts.append(f"the test rows from {join_truncated(test, 3)}")
    return "; ".join(parts)


def _row_counter(rows: int, observer: Observer) -> Callable[[int], None]:
    """Count the rows read, and report their share of the epoch."""
    read = 0

    def count(more: int) -> None:
        nonlocal read
        # Each of several processes reads its part.
        read += more * current().count
        observer.on_rows(read % rows / rows)

    return count
