"""A table larger than memory: scanned once, then fitted in one pass, then read in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchprop.data.converted import ConvertedTable
from batchprop.data.files import get_delimiter
from batchprop.data.memory import exceeds_memory, table_bytes
from batchprop.data.rejects import RejectedRow
from batchprop.data.scanner import TableScan, scan
from batchprop.data.shuffle import hash_uniform
from batchprop.data.sketches import QuantileSketch
from batchprop.data.sources import BLOCK_ROWS, RowBlock
from batchprop.data.tables import Table
from batchprop.data.text_rules import TextRules
from batchprop.errors import DataError, ParameterError
from batchprop.format import format_percent
from batchprop.tabular.column_summary import gather_columns, own_columns
from batchprop.tabular.encoding import QuickEncoder
from batchprop.tabular.fit import (
    VALIDATION_FRACTION,
    Split,
    TrainingData,
    check_test_rows,
    is_scaled,
    other_rows,
)
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.points import note_points
from batchprop.tabular.preprocessing import FittedPreprocessing, fit_streaming
from batchprop.tabular.roles import (
    decide_spelling,
    feature_names,
    read_groups,
    read_times,
    read_weights,
    unit_of_weights,
)
from batchprop.tabular.spelling import clean, is_text
from batchprop.tabular.split import check_known_classes, latest_cut
from batchprop.tabular.target import Target, number_spelling, unknown_words
from batchprop.tabular.testing_rows import (
    TEST_FRAME,
    check_groups_apart,
    get_test_source,
    join_frames,
    text_names,
)
from batchprop.tabular.training_table import (
    TrainingTable,
    dataset_name,
    explain_bad_rows,
    locate_errors,
    name_places,
    read_whole,
)
from batchprop.tabular.transformers import TargetScaler

HOLDOUT_MEMORY_DIVISOR = 8
"""Validation and test rows take at most the memory divided by this."""

TRAIN, VALID, TEST = 0, 1, 2

OnRows = Callable[[int], None]


class SplitFractions(NamedTuple):
    """The shares of the rows for the test and for validation, and of a test file's rows that are used."""

    test: float
    validation: float
    test_file: float = 1.0


class RowSplitter:
    """Assigns each row of a table to a part: training (0), validation (1) or test (2).

    A hash of its group or its number assigns a row: in any order, every pass has the same split.

    Args:
        fractions: of the rows that are held out.
        options: of the training.
        n_rows: the number of rows of the table.
        cuts: the times from which on rows validate and test, with ``time``.
        spelling: how text spells the times; "" for typed ones.
    """

    def __init__(
        self,
        fractions: SplitFractions,
        options: TrainOptions,
        n_rows: int,
        cuts: tuple[float, float] | None,
        spelling: str = "",
    ) -> None:
        self.fractions, self.group, self.time = fractions, options.group, options.time
        self._rules, self._spelling = options.text_rules, spelling
        self._seed, self._cuts = options.seed, cuts
        by_column = self.group is not None or self.time is not None
        # An encoded block has no column of groups or times: one bit of each row says whether it is held out.
        self._held_out = np.zeros(n_rows // 8 + 1 if by_column else 0, np.uint8)

    def assign(self, frame: pd.DataFrame) -> npt.NDArray[np.intp]:
        """Return the part of each row of a block, whose index numbers the rows."""
        rows = frame.index.to_numpy()
        if self._cuts is not None:
            times = read_times(frame[self.time], self._rules, self._spelling).astype(float)
            part = np.select([times >= self._cuts[1], times >= self._cuts[0]], [TEST, VALID], TRAIN)
        else:
            part = self._by_hash(rows if self.group is None else hash_groups(frame[self.group], self._rules))
        if len(self._held_out):
            held = rows[part > TRAIN]
            np.bitwise_or.at(self._held_out, held >> 3, (1 << (held & 7)).astype(np.uint8))
        return part

    def trains(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Return which rows are training rows, once each was assigned."""
        if len(self._held_out):
            return np.asarray((self._held_out[rows >> 3] >> (rows & 7)) & 1 == 0)
        return np.asarray(self._by_hash(rows) == TRAIN)

    def _by_hash(self, keys: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        uniform, (test, validation, _) = hash_uniform(keys, self._seed), self.fractions
        return np.select([uniform < test, uniform < test + validation], [TEST, VALID], TRAIN)


def hash_groups(column: pd.Series, rules: TextRules) -> npt.NDArray[np.uint64]:
    """Return a number for each row (k,) that depends only on its group.

    Raises:
        DataError: a group is missing.
    """
    return np.asarray(pd.util.hash_array(read_groups(column, rules), categorize=False))


class TrainingSource:
    """The training rows of a table as a ``DataSource``: held-out rows are skipped.

    Args:
        table: the encoded table.
        splitter: assigns its rows.
        on_rows: called with the number of rows read.

    Attributes:
        partitions: the number of rows of each, including held-out ones.
        memory: the memory budget of training.
        partition_bytes: the memory of an open partition.
    """

    def __init__(self, table: TableScan, splitter: RowSplitter, on_rows: OnRows) -> None:
        self._table, self._splitter, self._on_rows = table, splitter, on_rows
        self.partitions, self.memory = table.partitions, table.memory
        self.partition_bytes = table.partition_bytes

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a partition in order, some rows at a time."""
        # Held-out rows are dropped after reading: a block may be smaller, even empty.
        for block in self._table.iter_blocks(partition, rows):
            self._on_rows(len(block.X))
            trains = self._splitter.trains(block.start_row + np.arange(len(block.X)))
            weights = None if block.weights is None else block.weights[trains]
            yield RowBlock(block.start_row, block.X[trains], block.y[trains], weights)


def is_large(paths: Table, memory: int, options: TrainOptions) -> bool:
    """Whether the table must be read in parts."""
    return exceeds_memory(paths, memory, options.separator)


@contextmanager
def scan_table(
    paths: Table, options: TrainOptions, memory: int, observer: Observer
) -> Iterator[tuple[TableScan, RowSplitter]]:
    """Find the partitions of a large table, and which rows to hold out; this converts text files.

    Args:
        paths: of the table.
        options: of the training.
        memory: the memory budget of training, in bytes.
        observer: called during the pass over the table.

    Yields:
        The table, which can be read within the block, and what assigns its rows.

    Raises:
        DataError: a file, a column or a row cannot be used.
        ParameterError: an option needs all rows at once.
    """
    _check_streamable(options)
    text = [str(options.target), *options.text_columns, *filter(None, [options.group])]
    with observer.watch_pass("Scanning the table", None):
        table = _scan(paths, options, text, memory)
    with table:
        feature_names(table.names, options)
        fractions = _fractions(table, options)
        if fractions.test_file < 1:
            observer.on_note(
                f"For lack of memory, only {format_percent(fractions.test_file)} of the usual rows are kept "
                "to validate and test."
            )
        cuts, spelling = None, ""
        if options.time is not None:
            spelling = _decide_spelling(table, options.time, "time", options)
            with locate_errors_in(table):
                cuts = _time_cuts(table, fractions, options, spelling, observer)
        yield table, RowSplitter(fractions, options, table.n_rows, cuts, spelling)


def _decide_spelling(
    table: TableScan, name: str, role: Literal["time", "weights"], options: TrainOptions
) -> str:
    """Return how text spells times or weights, from a pass over the column; "" for typed ones."""
    blocks = (frame[name] for frame in table.iter_frames(columns=[name], rows=BLOCK_ROWS))
    return decide_spelling(blocks, role, options.column_types.get(name), options.text_rules)


def _scan(paths: Table, options: TrainOptions, text: Sequence[str], memory: int) -> TableScan:
    def read(**rejects: Any) -> TableScan:
        table = scan(
            paths,
            options.target,
            options.weights,
            text=text,
            separator=options.separator,
            rules=options.text_rules,
            memory=memory,
            **rejects,
        )
        try:
            _reject_unknown(table, options)
        except BaseException:
            table.close()
            raise
        return table

    def count() -> tuple[int, int]:
        with read(on_bad_row="skip", max_skipped=1.0) as table:
            return len(table.skipped), table.n_rows + len(table.skipped)

    with explain_bad_rows(options, count):
        return read(on_bad_row=options.on_bad_row, max_skipped=options.max_skipped)


def _reject_unknown(table: TableScan, options: TrainOptions) -> None:
    """Reject the rows whose target is a word that means "missing" among numbers."""
    rules, name = options.text_rules, str(options.target)

    def blocks() -> Iterator[pd.Series]:
        for frame in table.iter_frames(columns=[name], rows=BLOCK_ROWS):
            yield clean(frame[name], rules, labels=True)

    words = takewhile(lambda block: block.empty or is_text(block), blocks())
    if not any(rules.numbers or block.isin(rules.among_numbers).any() for block in words):
        return
    if (spelling := number_spelling(blocks(), rules)) is not None:
        unknown = unknown_words(blocks(), spelling, rules)
        table.drop_missing_target(rules._replace(everywhere=(*rules.everywhere, *unknown)))


def _fractions(table: TableScan, options: TrainOptions) -> SplitFractions:
    """Return the shares of the rows that are held out: they stay in memory, so fewer of a huge table."""
    test = options.test_share or 0.0
    validation = VALIDATION_FRACTION * (1 - test)
    held_out = table_bytes(table.source, options.separator) * (test + validation)
    if isinstance(options.test, tuple | ConvertedTable):
        held_out += table_bytes(options.test, options.separator)
    factor = min(1.0, table.memory / HOLDOUT_MEMORY_DIVISOR / held_out)
    return SplitFractions(factor * test, factor * validation, factor)


def locate_errors_in(table: TableScan) -> AbstractContextManager[None]:
    """Begin an error about a row with its place, as ``locate_errors``."""

    def locate(row: int) -> str:
        file, unit, number = table.locate(row)
        return f"{file.name}, {unit} {number}"

    return locate_errors(locate)


def _time_cuts(
    table: TableScan, fractions: SplitFractions, options: TrainOptions, spelling: str, observer: Observer
) -> tuple[float, float]:
    """Return the times from which on rows validate and test, from one pass over the column."""
    sketch, time = QuantileSketch(), str(options.time)
    wanted = options.column_types.get(time)
    with observer.watch_pass("Ordering the rows by time", table.n_rows) as count_rows:
        for frame in table.iter_frames(columns=[time], rows=BLOCK_ROWS):
            sketch.add(read_times(frame[time], options.text_rules, spelling, wanted).astype(float))
            count_rows(len(frame))
    ranked = sketch.samples()
    times, places = np.unique(ranked.values, return_inverse=True)
    counts = np.bincount(places, ranked.weights)
    # Nothing is later than nan: with a file of test rows no other row tests.
    test = latest_cut(times, counts, fractions.test) if fractions.test else np.nan
    rest = ~(times >= test)
    return latest_cut(times[rest], counts[rest], fractions.validation / (1 - fractions.test)), test


def _check_streamable(options: TrainOptions) -> None:
    whole = {
        "record=True": options.record,
        "solver='lbfgs'": options.solver == "lbfgs",
        "batch_size='full'": options.batch_size == "full",
        f"folds={options.folds}": options.folds is not None,
    }
    for option, is_set in whole.items():
        if is_set:
            raise ParameterError(
                f"{option} needs all rows at once, and the table does not fit in the memory to use: "
                "leave it out, or give more `memory`"
            )


def fit_preprocessing(
    table: TableScan, splitter: RowSplitter, options: TrainOptions, observer: Observer
) -> tuple[TrainingTable, Split, FittedPreprocessing]:
    """Fit the preprocessing to the training rows in one pass, and keep the held-out rows in memory.

    Each of several processes reads its own columns, and they tell each other what they learned.

    Args:
        table: the scanned table.
        splitter: assigns its rows.
        options: of the training.
        observer: called during the pass over the table.

    Returns:
        The held-out rows as a table, their split, and the preprocessing fitted to the others.

    Raises:
        DataError: the table cannot be trained on.
    """
    unit = 1.0
    held_out, parts = list[pd.DataFrame](), list[npt.NDArray[np.intp]]()
    features, target = feature_names(table.names, options), str(options.target)
    kinds = options.column_types
    if options.weights is not None:
        spelling = _decide_spelling(table, options.weights, "weights", options)
        kinds = kinds | {options.weights: f"number:{spelling}"}
        unit = _weight_unit(table, options, spelling)
    learned = [*own_columns(features), target, *filter(None, [options.weights])]
    others = [name for name in (options.group, options.time) if name is not None and name not in learned]

    def training() -> Iterator[pd.DataFrame]:
        with observer.watch_pass("Learning the columns", table.n_rows) as count_rows:
            for frame in table.iter_frames(columns=[*learned, *others], rows=BLOCK_ROWS):
                frame[target] = clean(frame[target], options.text_rules, labels=True)
                if options.weights is not None:
                    counted = read_weights(frame[options.weights], options.text_rules, spelling)
                    frame[options.weights] = counted / unit
                # Only held-out rows are kept in memory; the training rows are not.
                part = splitter.assign(frame)
                held_out.append(frame.loc[part > TRAIN, learned])
                parts.append(part[part > TRAIN])
                _check_fits(table, sum(map(len, parts)), options)
                yield frame.loc[part == TRAIN, learned]
                count_rows(len(frame))

    from_text = get_delimiter(table.files[0]) is not None
    fitted = fit_streaming(
        training(),
        target=target,
        task=options.given_task,
        weights=options.weights,
        types=kinds,
        missing=options.missing,
        decimal=options.decimal,
        from_text=from_text,
        n_bins=options.bins,
        columns=features,
    )
    own, part = pd.concat(held_out), np.concatenate(parts)
    column, weights = own[target], None if options.weights is None else own[options.weights]
    frame = gather_columns(own, features)
    if from_text:
        fitted = fitted._replace(columns=note_points(fitted.columns, frame, table.files, options))
    _check_some_held_out(part, options)
    held_out_table = TrainingTable(
        dataset_name(table.files),
        table.files[0],
        frame,
        fitted.columns,
        _read_target(fitted, column, options),
        None if weights is None else read_weights(weights, options.text_rules, fitted.weights_spelling),
        left_out=len(table.skipped),
        target_stats=fitted.target,
        row_locator=_row_locator(table, frame.index.to_numpy()),
        skipped=table.skipped,
    )
    if options.test is not None:
        held_out_table = _with_test_rows(held_out_table, column, table, splitter, fitted, options)
        part = np.concatenate([part, np.repeat(TEST, held_out_table.n_test)])
    return (
        held_out_table,
        Split(range(fitted.rows), np.flatnonzero(part == VALID), np.flatnonzero(part == TEST)),
        fitted,
    )


def _weight_unit(table: TableScan, options: TrainOptions, spelling: str | None) -> float:
    """Return the unit of the rows' weights, from one pass over the column."""
    if (name := options.weights) is None:
        return 1.0
    blocks = table.iter_frames(columns=[name], rows=BLOCK_ROWS)
    # The largest of each block, as the weights of all may not fit in memory.
    largest = [read_weights(frame[name], options.text_rules, spelling).max(keepdims=True) for frame in blocks]
    return unit_of_weights(*largest)


def _check_fits(table: TableScan, rows: int, options: TrainOptions) -> None:
    """Refuse held-out rows that are far more than their share, as whole groups and times stay together."""
    size = table_bytes(table.source, options.separator)
    most = 2 * table.memory / HOLDOUT_MEMORY_DIVISOR / size * table.n_rows + BLOCK_ROWS
    if rows > most and (options.group is not None or options.time is not None):
        kind = "group" if options.group is not None else "time"
        raise DataError(
            f"more than {int(most):,} rows to validate and test do not fit in memory, as all rows of one "
            f"`{kind}` stay together: give more `memory`, or another column"
        )


def _check_some_held_out(part: npt.NDArray[np.intp], options: TrainOptions) -> None:
    for purpose, number in (("validate", VALID), ("test", TEST)):
        if not (part == number).any() and (number == VALID or options.test is None):
            raise DataError(
                f"no row is left to {purpose} on: {other_rows(options)}, or give more rows, or more `memory`"
            )


def _with_test_rows(
    held_out: TrainingTable,
    column: pd.Series,
    table: TableScan,
    splitter: RowSplitter,
    fitted: FittedPreprocessing,
    options: TrainOptions,
) -> TrainingTable:
    """Return the validation rows with the test rows of other files behind them.

    Args:
        held_out: the validation rows.
        column: their target.
        table: the scan of the training and validation rows.
        splitter: assigned them.
        fitted: to the training rows.
        options: of the training.
    """
    test, locator, files, skipped = _read_test_rows(
        get_test_source(held_out, options, table.files),
        [*text_names(held_out, column), *([str(options.weights)] if fitted.weights_spelling else [])],
        table.memory,
        splitter.fractions.test_file,
        options,
    )
    target, weights = pd.concat([column, test[column.name]], ignore_index=True), held_out.weights
    places = name_places(locator, files)
    with locate_errors(lambda row: places[row]):
        if options.weights is not None:
            tested = read_weights(test[options.weights], options.text_rules, fitted.weights_spelling)
            weights = np.concatenate([weights, tested / unit_of_weights(tested)])
        if options.group is not None:
            _check_groups(table, test[options.group], options.group, options.text_rules)
    return replace(
        held_out,
        frame=join_frames(held_out, test, places, options.text_rules),
        target=_read_target(fitted, target, options),
        weights=weights,
        left_out=held_out.left_out + len(skipped),
        skipped=[*held_out.skipped, *skipped],
        row_locator=("place", np.array([*name_places(held_out.row_numbers, table.files), *places])),
        n_test=len(test),
        test_locator=locator,
    )


def _check_groups(table: TableScan, tested: pd.Series, name: str, rules: TextRules) -> None:
    """Refuse test rows of a group that also has other rows; this reads the column once more."""
    groups, hashes = read_groups(tested, rules), np.unique(hash_groups(tested, rules))
    for frame in table.iter_frames(columns=[name], rows=BLOCK_ROWS):
        shared = np.isin(hash_groups(frame[name], rules), hashes)
        if shared.any():
            check_groups_apart(read_groups(frame.loc[shared, name], rules), groups, name)


class _TestRows(NamedTuple):
    """Test rows, the name of their numbers with each one's, their files, and the rejected rows."""

    frame: pd.DataFrame
    locator: tuple[str, npt.NDArray[Any]]
    files: tuple[Path, ...]
    skipped: Sequence[RejectedRow]


def _read_test_rows(
    source: Table | pd.DataFrame,
    text: Sequence[str],
    memory: int,
    share: float,
    options: TrainOptions,
) -> _TestRows:
    """Read a share of the test rows, drawn at random: they stay in memory."""
    if isinstance(source, pd.DataFrame):
        whole = read_whole(source, options, name=TEST_FRAME)
        return _TestRows(whole.frame, (whole.unit, whole.row_numbers), whole.files, whole.skipped)
    with _scan(source, options, [*text, *filter(None, [options.group])], memory) as test:
        blocks = test.iter_frames(rows=BLOCK_ROWS)
        used = [each[hash_uniform(each.index.to_numpy(), options.seed) < share] for each in blocks]
        frame = pd.concat(used)
        name = str(options.target)
        frame[name] = clean(frame[name], options.text_rules, labels=True)
        return _TestRows(frame, _row_locator(test, frame.index.to_numpy()), test.files, test.skipped)


def _row_locator(table: TableScan, rows: npt.NDArray[np.intp]) -> tuple[str, npt.NDArray[Any]]:
    """Return the name of the row numbers, and those of some rows (k,) in order."""
    starts = np.cumsum([0, *table.partitions])
    ends = np.searchsorted(rows, starts)
    unit, numbers = "row", list[Any]()
    for i, (first, last) in enumerate(pairwise(ends.tolist())):
        if first < last:
            file, unit, lines = table.row_numbers(i)
            own = lines[rows[first:last] - starts[i]].tolist()
            numbers += own if len(table.files) == 1 else [f"{file.name}, {unit} {line}" for line in own]
    return unit if len(table.files) == 1 else "place", np.array(numbers)


def streaming_training_data(
    scan: TableScan,
    splitter: RowSplitter,
    table: TrainingTable,
    split: Split,
    fitted: FittedPreprocessing,
    options: TrainOptions,
    on_rows: OnRows,
) -> TrainingData:
    """Return the training data, encoded as it is read.

    Args:
        scan: of the whole table.
        splitter: assigns its rows.
        table: those rows.
        split: their split.
        fitted: preprocessing, fitted to the other rows.
        options: of the training.
        on_rows: called with the number of rows read.
    """
    target, encoder, scaler = fitted.target, fitted.encoder, None
    X_val = encoder.transform(table.frame.iloc[split.validation])
    check_test_rows(encoder, table, split)
    y_val, classes = table.target.values[split.validation], target.classes
    if classes is not None:
        y_val = np.searchsorted(classes, y_val)
    if is_scaled(target.task, options):
        scaler = TargetScaler().set_statistics(target.mean, target.deviation)
        y_val = scaler.transform(y_val)

    def read_target(column: pd.Series) -> npt.NDArray[Any]:
        y = target.read(clean(column, options.text_rules, labels=True))
        if classes is not None:
            return np.searchsorted(classes, y)
        return y if scaler is None else scaler.transform(y)

    unit = _weight_unit(scan, options, fitted.weights_spelling)

    def read_weight(column: pd.Series) -> npt.NDArray[np.float64]:
        return read_weights(column, options.text_rules, fitted.weights_spelling) / unit

    encoded = scan.with_transform(QuickEncoder(encoder.steps), read_target, read_weight)
    source = TrainingSource(encoded, splitter, on_rows)
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
        check_known_classes(stats.name, values, ends, other_rows(options))
    return Target(stats.name, stats.task, stats.reason, values, stats.reading, stats.unit)
