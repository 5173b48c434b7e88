"""A table larger than memory: scanned once, then fitted in one pass, then read in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchprop.data.files import get_delimiter
from batchprop.data.memory import exceeds_memory, table_bytes
from batchprop.data.scanner import TableScan, scan
from batchprop.data.shuffle import hash_uniform
from batchprop.data.sources import BLOCK_ROWS, RowBlock
from batchprop.errors import DataError, ParameterError
from batchprop.tabular.fit import VALIDATION_FRACTION, Split, TrainingData, is_scaled, scale
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.preprocessing import FittedPreprocessing, fit_streaming
from batchprop.tabular.target import Target
from batchprop.tabular.target_statistics import read_weights
from batchprop.tabular.training_table import TrainingTable, dataset_name
from batchprop.tabular.transformers import TargetScaler

HOLDOUT_MEMORY_DIVISOR = 8
"""Validation and test rows take at most the memory divided by this."""

TRAIN, VALID, TEST = 0, 1, 2

OnRows = Callable[[int], None]


class SplitFractions(NamedTuple):
    """The shares of the rows for the test and for validation."""

    test: float
    validation: float

    def assign(self, rows: npt.NDArray[np.intp], seed: int) -> npt.NDArray[np.intp]:
        """Return the part of each row, from its number alone: training (0), validation (1) or test (2)."""
        # A hash of the number, not a generator's next draw: every pass, in any order, has the same split.
        uniform = hash_uniform(rows, seed)
        return np.select([uniform < self.test, uniform < self.test + self.validation], [TEST, VALID], TRAIN)


class TrainingSource:
    """The training rows of a table as a ``DataSource``: held-out rows are skipped.

    Args:
        table: the encoded table.
        fractions: of its rows that are held out.
        seed: of the split.
        on_rows: called with the number of rows read.

    Attributes:
        partitions: the number of rows of each, including held-out ones.
        memory: the memory budget of training.
        partition_bytes: the memory of an open partition.
    """

    def __init__(self, table: TableScan, fractions: SplitFractions, seed: int, on_rows: OnRows) -> None:
        self._table, self._fractions, self._seed, self._on_rows = table, fractions, seed, on_rows
        self.partitions, self.memory = table.partitions, table.memory
        self.partition_bytes = table.partition_bytes

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a partition in order, some rows at a time."""
        # Held-out rows are dropped after reading: a block may be smaller, even empty.
        for block in self._table.iter_blocks(partition, rows):
            self._on_rows(len(block.X))
            numbers = block.start_row + np.arange(len(block.X))
            trains = self._fractions.assign(numbers, self._seed) == TRAIN
            weights = None if block.weights is None else block.weights[trains]
            yield RowBlock(block.start_row, block.X[trains], block.y[trains], weights)


def is_large(paths: tuple[Path, ...], memory: int) -> bool:
    """Whether the table must be read in parts."""
    return exceeds_memory(paths, memory)


@contextmanager
def scan_table(
    paths: tuple[Path, ...], options: TrainOptions, memory: int, observer: Observer
) -> Iterator[tuple[TableScan, SplitFractions]]:
    """Find the partitions of a large table, and how many rows to hold out; this converts text files.

    Args:
        paths: of the table.
        options: of the training.
        memory: the memory budget of training, in bytes.
        observer: called during the pass over the table.

    Yields:
        The table, which can be read within the block, and the shares of its rows to hold out.

    Raises:
        DataError: a file, a column or a row cannot be used.
        ParameterError: an option needs all rows at once.
    """
    _check_streamable(options)
    with observer.watch_pass("Scanning the table", None):
        table = scan(
            paths,
            options.target,
            options.weights,
            on_bad_row=options.on_bad_row,
            max_skipped=options.max_skipped,
            memory=memory,
            text=[str(options.target)],
        )
    with table:
        test, validation = options.test_fraction, VALIDATION_FRACTION * (1 - options.test_fraction)
        # The held-out rows stay in memory, so a huge table holds out a smaller share of its rows.
        budget = table.memory / HOLDOUT_MEMORY_DIVISOR
        factor = min(1.0, budget / table_bytes(table.files) / (test + validation))
        if factor < 1:
            observer.on_note(
                f"For lack of memory, only {factor:.1%} of the usual rows are kept to validate and test."
            )
        yield table, SplitFractions(factor * test, factor * validation)


def _check_streamable(options: TrainOptions) -> None:
    whole = {
        "record=True": options.record,
        "solver='lbfgs'": options.solver == "lbfgs",
        "batch_size='full'": options.batch_size == "full",
    }
    for option, is_set in whole.items():
        if is_set:
            raise ParameterError(
                f"{option} needs all rows at once, and the table does not fit in the memory to use: "
                "leave it out, or give more `memory`"
            )


def fit_preprocessing(
    table: TableScan, fractions: SplitFractions, options: TrainOptions, observer: Observer
) -> tuple[TrainingTable, Split, FittedPreprocessing]:
    """Fit the preprocessing to the training rows in one pass, and keep the held-out rows in memory.

    Args:
        table: the scanned table.
        fractions: of its rows that are held out.
        options: of the training.
        observer: called during the pass over the table.

    Returns:
        The held-out rows as a table, their split, and the preprocessing fitted to the others.

    Raises:
        DataError: the table cannot be trained on.
    """
    held_out, parts = list[pd.DataFrame](), list[npt.NDArray[np.intp]]()

    def training() -> Iterator[pd.DataFrame]:
        with observer.watch_pass("Learning the columns", table.n_rows) as count_rows:
            for frame in table.iter_frames(rows=BLOCK_ROWS):
                # Only held-out rows are kept in memory; the training rows are not.
                part = fractions.assign(frame.index.to_numpy(), options.seed)
                held_out.append(frame[part > TRAIN])
                parts.append(part[part > TRAIN])
                yield frame[part == TRAIN]
                count_rows(len(frame))

    fitted = fit_streaming(
        training(),
        target=str(options.target),
        task=options.given_task,
        weights=options.weights,
        from_text=get_delimiter(table.files[0]) is not None,
    )
    frame, part = pd.concat(held_out), np.concatenate(parts)
    held_out_table = TrainingTable(
        dataset_name(table.files),
        table.files[0],
        frame.drop(columns=[fitted.target.name, *filter(None, [options.weights])]),
        fitted.columns,
        _read_target(fitted, frame[fitted.target.name], options),
        None if options.weights is None else read_weights(frame[options.weights]),
        left_out=len(table.skipped),
        target_stats=fitted.target,
        skipped=table.skipped,
    )
    return (
        held_out_table,
        Split(range(fitted.rows), np.flatnonzero(part == VALID), np.flatnonzero(part == TEST)),
        fitted,
    )


def streaming_training_data(
    scan: TableScan,
    fractions: SplitFractions,
    table: TrainingTable,
    split: Split,
    fitted: FittedPreprocessing,
    options: TrainOptions,
    on_rows: OnRows,
) -> TrainingData:
    """Return the training data, encoded as it is read.

    Args:
        scan: of the whole table.
        fractions: of its rows that are held out.
        table: those rows.
        split: their split.
        fitted: preprocessing, fitted to the other rows.
        options: of the training.
        on_rows: called with the number of rows read.
    """
    target, encoder, scaler = fitted.target, fitted.encoder, None
    X_val = encoder.transform(table.frame.iloc[split.validation])
    y_val, read_target = table.target.values[split.validation], target.read
    if (classes := target.classes) is not None:
        y_val = np.searchsorted(classes, y_val)
        read_target = lambda column: np.searchsorted(classes, target.read(column))  # noqa: E731
    if is_scaled(target.task, options):
        scaler = TargetScaler().set_statistics(target.mean, target.deviation)
        y_val, read_target = scale(scaler, y_val), lambda column: scale(scaler, target.read(column))
    source = TrainingSource(scan.with_transform(encoder, read_target), fractions, options.seed, on_rows)
    weights_val = table.weights_of(split.validation)
    return TrainingData(encoder, source, None, None, X_val, y_val, weights_val, fitted.rows, scaler)


def _read_target(fitted: FittedPreprocessing, column: pd.Series, options: TrainOptions) -> Target:
    stats = fitted.target
    ends = stats.classes if stats.classes is not None else np.array([stats.low, stats.high])
    if len(np.unique(ends)) == 1:
        what = "one class" if stats.task == "classification" else "one number"
        raise DataError(
            f"the target {stats.name!r} holds {what} only, {ends.tolist()[0]!r}, in all {stats.rows:,} rows "
            "to train on: add rows of another, or choose another target"
        )
    options.check_target(Target(stats.name, stats.task, stats.reason, ends))
    values = stats.read(column)
    if stats.task == "classification":
        _check_known(stats.name, values, ends)
    return Target(stats.name, stats.task, stats.reason, values)


def _check_known(name: str, values: npt.NDArray[Any], classes: npt.NDArray[Any]) -> None:
    """Refuse a class that has validation or test rows, and no training rows."""
    unknown = np.setdiff1d(values, classes).tolist()
    if unknown:
        raise DataError(
            f"the target {name!r}: class {unknown[0]!r} has no row among those to train on, as it is rare; "
            "add rows, remove or merge the class, or draw other rows by another `seed`"
        )
