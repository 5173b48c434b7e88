"""The table of a training: read, with its target and weights separated and its columns classified."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.datasets import load_digits

from batchprop.data.arrow import get_column
from batchprop.data.converted import ConvertedTable
from batchprop.data.csv import CsvFile
from batchprop.data.files import check_rows, expand_paths, get_delimiter
from batchprop.data.hive import folder_values
from batchprop.data.names import normalize_name
from batchprop.data.parquet import read_parquet_footer
from batchprop.data.reader import LoadedTable, read_file, read_tables
from batchprop.data.rejects import BadRowError, OnBadRow, RejectedRow, RejectedRows
from batchprop.data.separators import check_separator
from batchprop.data.standard_input import COPY_NAME, ORIGIN, STDIN
from batchprop.data.tables import Table, check_separator_used, copy_files, open_files
from batchprop.data.text_rules import TextRules, explain_missing
from batchprop.data.weights import check_some_weight
from batchprop.errors import DataError, RowError, join_truncated
from batchprop.tabular.dtypes import simplify_column
from batchprop.tabular.frames import replace_columns
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.points import note_points
from batchprop.tabular.roles import (
    feature_names,
    read_weights,
    unit_of_weights,
)
from batchprop.tabular.schema import ColumnSchema, infer_schema, to_numbers
from batchprop.tabular.spelling import clean, is_text
from batchprop.tabular.split import check_enough
from batchprop.tabular.target import Target, mask_unknown
from batchprop.tabular.target_statistics import TargetSpec, read_target

FRAME = "the DataFrame"
"""The name of a table without a file, in messages and reports."""

_MAX_LISTED = 50


@dataclass(frozen=True)
class TrainingTable:
    """A table ready to train on.

    Attributes:
        name: its name.
        path: the file; None for the digits.
        frame: n rows, without the target and the weights; its index is the rows' positions in the file.
        columns: the schema of each of its columns.
        target: what to predict (n,).
        weights: how much each row counts (n,), or None.
        left_out: the number of unusable rows.
        target_stats: the target's statistics over all training rows, if most of them are not in the frame.
        row_locator: the name of the row numbers, and each row's number, if the file does not define them.
        skipped: the rows that were skipped.
        groups: the group of each row (n,) as a word, or None.
        times: the time of each row to train, validate or test on (n − n_test,) as a number, or None.
        n_test: the number of test rows that come from files of their own; they are the last rows.
        test_locator: the name of their numbers there, and each one's; None without such files.
    """

    name: str
    path: Path | None
    frame: pd.DataFrame
    columns: tuple[ColumnSchema, ...]
    target: Target
    weights: Any = None
    left_out: int = 0
    target_stats: TargetSpec | None = None
    row_locator: tuple[str, npt.NDArray[Any]] | None = None
    skipped: Sequence[RejectedRow] = ()
    groups: npt.NDArray[Any] | None = None
    times: npt.NDArray[Any] | None = None
    n_test: int = 0
    test_locator: tuple[str, npt.NDArray[Any]] | None = None

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column."""
        return {column.name: column.kind for column in self.columns}

    @property
    def why_left_out(self) -> tuple[str, str]:
        """The reason why rows were left out, in the present and in the past tense."""
        if self.skipped:
            return "cannot be used and are left out", "could not be used and were left out (skipped.csv)"
        return "have no target and are left out", "have no target and were left out"

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The distinct values of the target (c,), in order."""
        known: npt.NDArray[Any] | None = None if self.target_stats is None else self.target_stats.classes
        return np.unique(self.target.values) if known is None else known

    def weights_of(self, rows: Any) -> Any:
        """Return how much each of some rows counts (k,), or None."""
        return None if self.weights is None else self.weights[rows]

    @property
    def target_range(self) -> tuple[float, float]:
        """The smallest and the largest number of the target."""
        stats, values = self.target_stats, self.target.values
        return (stats.low, stats.high) if stats is not None else (float(values.min()), float(values.max()))

    @property
    def row_numbers(self) -> tuple[str, npt.NDArray[Any]]:
        """The name of the row numbers, and each row's: its line in a text file, else its row."""
        return self.row_locator or ("row", self.frame.index.to_numpy() + 1)


def load(
    path: Path | None,
    options: TrainOptions,
    *,
    text: Collection[str] = (),
    to_train: bool = True,
    classify: bool = True,
) -> TrainingTable:
    """Read a table of one file as a training reads it, but leave out rows without a target.

    Args:
        path: the file; None is for the digits.
        options: the target, the columns, and how they are read.
        text: more columns to read as text, regardless of their values.
        to_train: whether to check that there are enough rows to learn from.
        classify: whether to classify the columns; a model knows the kinds of its own.

    Raises:
        DataError: the file, the target or the weights cannot be used.
        ParameterError: an option is for another kind of file.
    """
    if path is None:
        digits = load_digits(as_frame=True).frame.rename(columns={"target": "digit"})
        options = replace(options, target=options.target or "digit")
        return make_table("digits (from scikit-learn)", None, digits, options)
    target, rules = str(options.target), options.text_rules
    text = [*text, target, *options.text_columns]
    with open_files(path, options.sheet) as opened:
        check_separator_used(options.separator, opened)
        if options.on_bad_row == "error":
            _check_all_parsed(opened)
        if options.on_bad_row == "error" and isinstance(opened, tuple) and get_delimiter(path) is not None:
            # Of all rows, only those without a target are left out.
            whole = read_file(path, text, options.separator, rules)
        else:
            whole = read_tables(
                opened,
                target,
                text=text,
                separator=options.separator,
                rules=rules,
                on_bad_row="skip",
                max_skipped=1.0,
            )
    used = [*feature_names(list(whole.frame.columns), options), target, *filter(None, [options.weights])]
    table = make_table(
        path.name, path, whole.frame[used], options, from_text=whole.from_text, classify=classify
    )
    if whole.from_text:
        table = replace(table, columns=note_points(table.columns, table.frame, whole.files, options))
    unit, numbers = locate_rows(whole)
    table = replace(
        table,
        left_out=table.left_out + len(whole.skipped),
        row_locator=(unit, numbers[table.frame.index]),
    )
    if to_train:
        check_enough(table.target)
    return table


def _check_all_parsed(table: Table) -> None:
    """Refuse a table with lines that do not parse, where none can be skipped."""
    if isinstance(table, ConvertedTable) and len(table.rejected):
        row = table.rejected[0]
        raise DataError(f"{row.file}, line {row.line}: {row.reason}; correct the line")


def read_whole(
    data: Table | pd.DataFrame,
    options: TrainOptions,
    text: Collection[str] = (),
    name: str = FRAME,
) -> LoadedTable:
    """Read rows with a target at once; a DataFrame as if it came from a file of that name.

    Raises:
        DataError: a file, a row or the target cannot be used; the message counts the bad rows.
    """
    if isinstance(data, pd.DataFrame):
        return _from_frame(data, options, name)
    # As text, a group's words are those of the file, whatever the groups in other files are.
    target = str(options.target)
    text = [*text, target, *options.text_columns, *filter(None, [options.group])]
    rules = options.text_rules

    def read(**rejects: Any) -> LoadedTable:
        whole = read_tables(
            data,
            target,
            weights=options.weights,
            text=text,
            separator=options.separator,
            rules=rules,
            **rejects,
        )
        return _reject_unknown(whole, target, rules)

    with explain_bad_rows(options, lambda: _count_bad(read(on_bad_row="skip", max_skipped=1.0))):
        return read(on_bad_row=options.on_bad_row, max_skipped=options.max_skipped)


def _count_bad(whole: LoadedTable) -> tuple[int, int]:
    return len(whole.skipped), len(whole.frame) + len(whole.skipped)


def clean_target(column: "pd.Series[Any]", rules: TextRules) -> "pd.Series[Any]":
    """Return a target without blanks around its words, and missing where a word means that."""
    column = clean(column, rules, labels=True)
    return mask_unknown(column, rules) if is_text(column) else column


def _reject_unknown(whole: LoadedTable, target: str, rules: TextRules) -> LoadedTable:
    """Reject the rows whose target is a word that means "missing" among numbers; clean the others."""
    column = clean_target(whole.frame[target], rules)
    known = column.notna().to_numpy()
    for row in np.flatnonzero(~known):
        file, number = whole.files[whole.file_index[row]], int(whole.row_numbers[row])
        reason, remedy = explain_missing(target, whole.frame[target].iloc[row])
        whole.skipped.add(file, number, reason, remedy=remedy, unit=whole.unit)
    whole.skipped.check_share(known.sum() + len(whole.skipped))
    return whole._replace(
        frame=replace_columns(whole.frame, {target: column})[known].reset_index(drop=True),
        file_index=whole.file_index[known],
        row_numbers=whole.row_numbers[known],
    )


@contextmanager
def explain_bad_rows(options: TrainOptions, count: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Extend the error of the first bad row by how many there are, and what would skip them all.

    Args:
        options: of the training.
        count: looks through the table, and returns the number of its bad rows, and of all its rows; raises if
            none can be used, as to skip rows does not help then.

    Raises:
        DataError: the extended error, or that of ``count``.
    """
    try:
        yield
    except BadRowError as error:
        bad, rows = count()
        them = "it" if bad == 1 else "them"
        share = math.ceil(1000 * bad / rows) / 1000
        more = f" and max_skipped={share:g}" if bad > options.max_skipped * rows else ""
        if bad == 1 and not more:
            raise
        raise DataError(
            f"{error.reason}; {bad:,} of {rows:,} rows cannot be used: correct {them}, or leave {them} out "
            f"with on_bad_row='skip'{more}"
        ) from error


def _from_frame(frame: pd.DataFrame, options: TrainOptions, name: str = FRAME) -> LoadedTable:
    """Return a table in memory as if it were read: without the rows that have no target."""
    target = str(options.target)
    # scikit-learn keeps the names of columns only if all of them are text.
    names = [normalize_name(name) for name in frame.columns]
    if (duplicates := pd.Index(names)[pd.Index(names).duplicated()]).size:
        raise DataError(f"{name} has two columns named {duplicates[0]!r}: rename one")
    frame = _drop_weightless(frame.set_axis(names, axis=1).reset_index(drop=True), options)
    column = clean_target(get_column(frame, target, "target column"), options.text_rules)
    numbers = frame.index.to_numpy() + 1
    missing = column.isna().to_numpy()

    def reject(on_bad_row: OnBadRow, max_skipped: float) -> RejectedRows:
        rejects = RejectedRows(on_bad_row, max_skipped)
        for row in np.flatnonzero(missing).tolist():
            reason, remedy = explain_missing(target, frame[target].iloc[row])
            rejects.add(Path(name), int(numbers[row]), reason, remedy=remedy, unit="row")
        rejects.check_share(len(frame))
        return rejects

    with explain_bad_rows(options, lambda: (len(reject("skip", 1.0)), len(frame))):
        rejects = reject(options.on_bad_row, options.max_skipped)
    check_rows(Path(name), len(frame))
    rows = numbers[~missing]
    whole = replace_columns(frame, {target: column})[~missing]
    return LoadedTable(whole, (Path(name),), np.zeros(len(whole), np.intp), "row", rows, rejects)


def _drop_weightless(frame: pd.DataFrame, options: TrainOptions) -> pd.DataFrame:
    """Return the rows that do not have weight 0."""
    if options.weights is None:
        return frame
    column = simplify_column(get_column(frame, options.weights, "weights column"))
    counts = frame[to_numbers(column, options.text_rules).ne(0).fillna(True).to_numpy(bool)].infer_objects()
    check_some_weight(options.weights, len(counts))
    return counts


def name_origin(table: TrainingTable) -> TrainingTable:
    """Return the table, with standard input in place of its copy in all that names the rows' origin."""
    if table.path is None or table.path.name.partition(".")[0] != COPY_NAME:
        return table
    skipped = [row._replace(file=ORIGIN) if row.file == table.path else row for row in table.skipped]
    return replace(table, name=str(ORIGIN), skipped=skipped)


def table_names(table: Table, separator: str | None = None) -> list[str]:
    """Return the names of a table's columns, those of its Hive folders among them."""
    return table.columns if isinstance(table, ConvertedTable) else column_names(table[0], separator)


def column_names(file: Path, separator: str | None = None) -> list[str]:
    """Return the names of a file's columns, those of its Hive folders among them.

    Args:
        file: of a table.
        separator: between its fields, as for ``read_table``.

    Raises:
        DataError: it is not a table.
    """
    if (copy := copy_files((file,))) is not None:
        with copy:
            return copy.columns
    is_text = get_delimiter(file) is not None
    names = (
        CsvFile(file, check_separator(separator)).names if is_text else list(read_parquet_footer(file).names)
    )
    return [*names, *folder_values(file)]


def list_columns(data: tuple[Path, ...] | pd.DataFrame) -> str:
    """Return the columns of a table's first file for the end of a message; nothing if it is no table."""
    if not isinstance(data, pd.DataFrame) and STDIN in data:
        return ""  # which must be read as a whole, and only once
    try:
        names = (
            [str(name) for name in data.columns]
            if isinstance(data, pd.DataFrame)
            else column_names(expand_paths(data)[0])
        )
    except (DataError, OSError):
        return ""
    return f", one of {join_truncated(names, _MAX_LISTED)}"


def dataset_name(files: Sequence[Path]) -> str:
    """Return the name of a dataset: its file, or the number of files.

    >>> dataset_name([Path("a/x.csv")]), dataset_name([Path("a/x.csv"), Path("a/y.csv")])
    ('x.csv', '2 files from x.csv to y.csv')
    """
    if len(files) == 1:
        return files[0].name
    return f"{len(files):,} files from {files[0].name} to {files[-1].name}"


def locate_rows(whole: LoadedTable) -> tuple[str, npt.NDArray[Any]]:
    """Return the name of the row numbers, and each row's (n,), with its file where there are several."""
    if len(whole.files) == 1:
        return whole.unit, whole.row_numbers
    pairs = zip(whole.file_index.tolist(), whole.row_numbers.tolist(), strict=True)
    return "place", np.array([f"{whole.files[i].name}, {whole.unit} {row}" for i, row in pairs])


@contextmanager
def locate_errors(locate: Callable[[int], str]) -> Iterator[None]:
    """Begin an error about a row with its place in its file, in place of a count of the rows that were kept.

    Args:
        locate: makes words of a row's number among these, from 0.

    Raises:
        DataError: that error.

    >>> with locate_errors(lambda row: f"a.csv, line {row + 7}"):
    ...     raise RowError("column 'age' holds inf in row 3: correct it", 2)
    Traceback (most recent call last):
    batchprop.errors.DataError: a.csv, line 9: column 'age' holds inf there: correct it
    """
    try:
        yield
    except RowError as error:
        if error.row < 0:
            raise
        message = str(error).replace(f" in row {error.row + 1}", " there", 1)
        raise DataError(f"{locate(error.row)}: {message}") from error


def name_places(locator: tuple[str, npt.NDArray[Any]], files: Sequence[Path]) -> list[str]:
    """Return the place of each row (n,) in words, also of one file.

    >>> name_places(("line", np.array([2, 3])), [Path("more/a.csv")])
    ['a.csv, line 2', 'a.csv, line 3']
    """
    unit, numbers = locator
    values = numbers.tolist()
    return values if unit == "place" else [f"{files[0].name}, {unit} {number}" for number in values]


def make_table(
    name: str,
    path: Path | None,
    frame: pd.DataFrame,
    options: TrainOptions,
    *,
    from_text: bool = False,
    classify: bool = True,
) -> TrainingTable:
    """Split a table into columns, target and weights, and classify the columns."""
    target, weights, rules = str(options.target), options.weights, options.text_rules
    column = clean_target(get_column(frame, target, "target column"), rules)
    counts = None
    if weights is not None:
        counted = get_column(frame, weights, "weights column")
        counts = read_weights(counted, rules, wanted=options.column_types.get(weights))
        counts = counts / unit_of_weights(counts)
    # Rows without a target cannot be trained on or scored.
    known = column.notna().to_numpy()
    wanted = read_target(column[known], options.given_task, from_text=from_text, rules=rules)
    used = frame[known].drop(columns=[target, *filter(None, [weights])])
    return TrainingTable(
        name,
        path,
        used,
        infer_schema(used, options.column_types, rules) if classify else (),
        wanted,
        None if counts is None else counts[known],
        left_out=int((~known).sum()),
    )
