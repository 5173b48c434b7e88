"""`batchprop train` on a table larger than memory: looked through once, then read in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from sklearn.preprocessing import StandardScaler

from batchprop.cli.model import VALIDATION_FRACTION, Split, TrainingData, is_scaled, scaled
from batchprop.cli.progress import pass_progress
from batchprop.cli.settings import TrainOptions
from batchprop.cli.training_table import TrainingTable, dataset_name
from batchprop.data.memory import exceeds_memory, table_bytes
from batchprop.data.scanner import TableScan, scan
from batchprop.data.shuffle import hash_uniform
from batchprop.data.sources import BLOCK_ROWS, RowBlock
from batchprop.errors import DataError, ParameterError
from batchprop.tabular.preprocessing import FittedPreprocessing, fit_streaming
from batchprop.tabular.target import Target

HELD_SHARE = 8
"""Rows that are kept for validation and the test take at most the memory divided by this."""

TRAINS, VALIDATES, TESTS = 0, 1, 2

OnRows = Callable[[int], None]


class SplitFractions(NamedTuple):
    """Which part of the rows is kept for the test, and which for validation."""

    test: float
    validation: float

    def part(self, rows: npt.NDArray[np.intp], seed: int) -> npt.NDArray[np.intp]:
        """Say for each row, by its number alone, whether it trains (0), validates (1) or tests (2)."""
        lot = hash_uniform(rows, seed)
        return np.select([lot < self.test, lot < self.test + self.validation], [TESTS, VALIDATES], TRAINS)


class TrainingSource:
    """The rows to train on as features and targets, as a source of them.

    Args:
        table: encoded.
        shares: of the rows that are kept.
        seed: of the lots.
        read: told how many rows were read.

    Attributes:
        runs: how many rows each run has, those that are kept among them.
        memory: what training may take.
        partition_bytes: what an open run takes.
    """

    def __init__(self, table: TableScan, shares: SplitFractions, seed: int, read: OnRows) -> None:
        self.table, self.shares, self.seed, self.read = table, shares, seed, read
        self.runs, self.memory, self.partition_bytes = table.partitions, table.memory, table.partition_bytes

    def open(self, run: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a run in order, some rows at a time."""
        for block in self.table.iter_blocks(run, rows):
            self.read(len(block.X))
            trains = self.shares.part(block.start_row + np.arange(len(block.X)), self.seed) == TRAINS
            weights = None if block.weights is None else block.weights[trains]
            yield RowBlock(block.start_row, block.X[trains], block.y[trains], weights)


def is_large(settings: TrainOptions) -> bool:
    """Whether the table has to be read a part at a time."""
    return bool(settings.tables) and exceeds_memory(settings.tables, settings.memory)


@contextmanager
def scan_table(console: Console, settings: TrainOptions) -> Iterator[tuple[TableScan, SplitFractions]]:
    """Find the runs of a large table, and how many of its rows to keep; text is copied for that.

    Args:
        console: where progress is shown.
        settings: the options.

    Yields:
        The table, for as long as it may be read, and the shares of its rows to keep.

    Raises:
        DataError: a file, a column or a row cannot be used.
        ParameterError: an option needs all rows at once.
    """
    _refuse_whole(settings)
    with pass_progress(console, "Looking through the table", None):
        table = scan(
            settings.tables,
            settings.target,
            settings.weights,
            on_bad_row=settings.on_bad_row,
            max_skipped=settings.max_skipped,
            memory=settings.memory,
        )
    with table:
        test, validation = settings.test_fraction, VALIDATION_FRACTION * (1 - settings.test_fraction)
        factor = min(1.0, table.memory / HELD_SHARE / table_bytes(table.files) / (test + validation))
        if factor < 1:
            console.print(
                f"For want of memory, only {factor:.1%} of the usual rows are kept to validate and test.",
                soft_wrap=True,
            )
        yield table, SplitFractions(factor * test, factor * validation)


def _refuse_whole(settings: TrainOptions) -> None:
    needs = {
        "--record": settings.record,
        "--solver lbfgs": settings.solver == "lbfgs",
        "--batch-size full": settings.batch_size == "full",
    }
    for option, given in needs.items():
        if given:
            raise ParameterError(
                f"{option} needs all rows at once, and the table does not fit in the memory to use: "
                "leave it out, or give more with --memory"
            )


def fit_preprocessing(
    console: Console, table: TableScan, shares: SplitFractions, settings: TrainOptions
) -> tuple[TrainingTable, Split, FittedPreprocessing]:
    """Learn what the columns are and what the target holds, in one pass; keep the rows to judge by.

    Args:
        console: where progress is shown.
        table: scanned.
        shares: of its rows that are kept.
        settings: the options.

    Returns:
        The kept rows as data, which of them are for what, and what was learned of the others.

    Raises:
        DataError: the table cannot be trained on.
    """
    kept, parts = list[pd.DataFrame](), list[npt.NDArray[np.intp]]()

    def training() -> Iterator[pd.DataFrame]:
        with pass_progress(console, "Learning the columns", table.n_rows) as read:
            for frame in table.iter_frames(rows=BLOCK_ROWS):
                part = shares.part(frame.index.to_numpy(), settings.seed)
                kept.append(frame[part > TRAINS])
                parts.append(part[part > TRAINS])
                yield frame[part == TRAINS]
                read(len(frame))

    found = fit_streaming(
        training(), target=str(settings.target), task=settings.task, weights=settings.weights
    )
    frame, part = pd.concat(kept), np.concatenate(parts)
    data = TrainingTable(
        dataset_name(table.files),
        settings.data,
        frame.drop(columns=[found.target.name, *filter(None, [settings.weights])]),
        found.columns,
        _target(found, frame[found.target.name], settings),
        left_out=len(table.skipped),
        target_stats=found.target,
        skipped=table.skipped,
    )
    return (
        data,
        Split(range(found.rows), np.flatnonzero(part == VALIDATES), np.flatnonzero(part == TESTS)),
        found,
    )


def streaming_training_data(
    table: TableScan,
    shares: SplitFractions,
    data: TrainingTable,
    parts: Split,
    found: FittedPreprocessing,
    settings: TrainOptions,
    read: OnRows,
) -> TrainingData:
    """Return what to learn from: features and targets as they are read.

    Args:
        table: scanned.
        shares: of its rows that are kept.
        data: those kept.
        parts: which of them are for what.
        found: what was learned of the others.
        settings: the options.
        read: told how many rows were read.

    Returns:
        What the network is given.
    """
    told, encoder, scaler = found.target, found.encoder, None
    X_val = encoder.transform(data.frame.iloc[parts.validation])
    y_val, read_target = data.target.values[parts.validation], told.read
    if is_scaled(told.task, settings):
        # Two numbers with the mean and the deviation of all.
        scaler = StandardScaler().fit([[told.mean - told.deviation], [told.mean + told.deviation]])
        y_val, read_target = scaled(scaler, y_val), lambda column: scaled(scaler, told.read(column))
    source = TrainingSource(table.with_transform(encoder, read_target), shares, settings.seed, read)
    return TrainingData(encoder, source, None, None, X_val, y_val, found.rows, scaler)


def _target(found: FittedPreprocessing, column: pd.Series, settings: TrainOptions) -> Target:
    told = found.target
    ends = told.classes if told.classes is not None else np.array([told.low, told.high])
    if len(np.unique(ends)) == 1:
        what = "one class" if told.task == "classes" else "one number"
        raise DataError(
            f"the target {told.name!r} holds {what} only, {ends.tolist()[0]!r}, in all {told.rows:,} rows to "
            "train on: add rows of another, or choose another target"
        )
    settings.check_target(Target(told.name, told.task, told.reason, ends))
    values = told.read(column)
    if told.task == "classes":
        _check_known(told.name, values, ends)
    return Target(told.name, told.task, told.reason, values)


def _check_known(name: str, values: npt.NDArray[Any], classes: npt.NDArray[Any]) -> None:
    """Refuse a class that has rows to validate or test on, and none to train on."""
    unknown = np.setdiff1d(values, classes).tolist()
    if unknown:
        raise DataError(
            f"the target {name!r}: class {unknown[0]!r} has no row among those to train on, so rare is it; "
            "add rows, remove or merge the class, or draw other rows with --seed"
        )
