"""Tables larger than memory, read in blocks of rows, once for each epoch."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchprop.data.arrow import to_pandas
from batchprop.data.converted import ConvertedTable
from batchprop.data.csv import CsvTable
from batchprop.data.csv_to_parquet import csv_to_parquet
from batchprop.data.files import Paths, check_rows, expand_paths, get_delimiter
from batchprop.data.hive import folder_columns
from batchprop.data.memory import default_memory, parse_memory
from batchprop.data.parquet import RowGroups, add_folder_columns, check_columns, read_parquet_footer
from batchprop.data.rejects import MAX_SKIPPED, OnBadRow, RejectedRows
from batchprop.data.separators import check_separator
from batchprop.data.sources import RowBlock
from batchprop.data.tables import copy_files
from batchprop.data.temporary import TemporaryDirectory
from batchprop.data.text_rules import USUAL, TextRules, trim
from batchprop.data.weights import check_some_weight
from batchprop.errors import DataError
from batchprop.format import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from sklearn.pipeline import Pipeline

BLOCK_ROWS = 16_384
"""The largest number of rows in a block."""

_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_duration)
_UNITS_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_REMEDY = (
    "fit a preprocessor first (batchprop.tabular.fit_streaming), and read through it (scan.with_transform)"
)


def scan(
    paths: Paths | ConvertedTable,
    target: str | None = None,
    weights: str | None = None,
    *,
    text: Collection[str] = (),
    separator: str | None = None,
    rules: TextRules | None = None,
    on_bad_row: OnBadRow = "error",
    max_skipped: float = MAX_SKIPPED,
    memory: str | int | None = None,
) -> TableScan:
    r"""Scan a table that may be larger than memory, to read it in blocks of rows afterwards.

    Parquet files are read in place. CSV, TSV and JSON lines, also compressed, and workbooks are converted to
    Parquet once, in a temporary folder that is removed with the scan; it takes a third to a half of the size
    of the text.

    Args:
        paths: a file, a folder, a pattern such as "data/*.parquet", or a list of these; all files have one
            format and the same columns in any order. Or a table that was copied from elsewhere.
        target: the column to predict; a row without it is a bad row.
        weights: the column of sample weights; rows of weight 0 are left out.
        text: columns to read as text, regardless of their values, as in ``read_table``.
        separator: between the fields of CSV files, as in ``read_table``.
        rules: how text is read; by default with the usual words for "missing" in CSV files, and none in the
            target of Parquet files.
        on_bad_row: "error" stops at the first row that cannot be parsed or has no target; "skip" skips such
            rows, and lists them in ``skipped``.
        max_skipped: the share of the rows that may be skipped.
        memory: the memory budget of training, such as "2GB", or in bytes; by default a quarter of the free
            memory.

    Returns:
        The table.

    Raises:
        DataError: a file, a column or a row cannot be used, or the disk is full.
        ParameterError: paths is not a path, or holds something that is not one.

    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "pets.csv"
    >>> _ = file.write_text("legs,weight,cat\n4,4.2,yes\n4,25,no\n")
    >>> with scan(file, target="cat") as table:
    ...     block = next(table.iter_blocks(0))
    >>> block.X.tolist(), block.y.tolist()
    ([[4.0, 4.19...], [4.0, 25.0]], ['yes', 'no'])
    """
    rejected = RejectedRows(on_bad_row, max_skipped)
    budget = default_memory() if memory is None else parse_memory(memory)
    copied = paths if isinstance(paths, ConvertedTable) else None
    files, folder = ((), None) if isinstance(paths, ConvertedTable) else (expand_paths(paths), None)
    if copied is None and (copied := copy_files(files)) is not None:
        # What is copied for this scan is removed with it.
        folder = copied.folder
    if copied is not None:
        copied.add_rejected(rejected)
        files = copied.origins
    if copied is not None or get_delimiter(files[0]) is None:
        parquet = map(read_parquet_footer, files) if copied is None else copied.files
        groups = RowGroups(add_folder_columns([*parquet], target, text=text, rules=rules), text)
        check_columns(groups.names, target, weights)
        if weights is not None:
            groups.drop_weightless(weights, rules)
        if target is not None:
            groups.drop_missing_target(target, rejected, rules)
    else:
        texts = CsvTable(files, rejected, text, check_separator(separator), rules or USUAL)
        in_folders = folder_columns(files, texts.names, target, text=text, rules=rules)
        check_columns([*texts.names, *in_folders], target, weights)
        folder = TemporaryDirectory()
        converted = csv_to_parquet(texts, None if target in in_folders else target, folder, weights)
        if weights is not None:
            check_some_weight(weights, len(converted) + len(rejected))
        if not converted:
            rejected.check_share(len(rejected))
        check_rows(files[0], len(converted))
        groups = RowGroups(add_folder_columns(converted, target, text=text, rules=rules))
    rows = sum(group.n_rows for group in groups.groups)
    if weights is not None:
        check_some_weight(weights, rows + len(rejected))
    rejected.check_share(rows + len(rejected))
    check_rows(files[0], rows)
    return TableScan(
        groups, rejected, target, weights, files=files, memory=budget, folder=folder, source=copied or files
    )


class TableScan:
    """A table that is read in blocks of rows; made by ``scan``.

    Rows are numbered from 0, in the order of the files; skipped rows have no number.

    Attributes:
        files: the files of the table; of a copied one, what the rows come from.
        source: the files, or the copied table.
        names: the columns.
        target: the column to predict, or None.
        weights: the column of sample weights, or None.
        partitions: the number of rows in each partition; a partition is a row group, and is read in order.
        n_rows: the number of rows.
        skipped: the skipped rows.
        memory: the memory budget of training, in bytes.
    """

    def __init__(
        self,
        groups: RowGroups,
        skipped: RejectedRows,
        target: str | None,
        weights: str | None,
        *,
        files: tuple[Path, ...],
        memory: int,
        folder: TemporaryDirectory | None,
        source: tuple[Path, ...] | ConvertedTable,
    ) -> None:
        self._row_groups, self._folder = groups, folder
        self._preprocessor: Pipeline | None = None
        self._read_target: Callable[[pd.Series], npt.NDArray[Any]] | None = None
        self._read_weights: Callable[[pd.Series], npt.NDArray[np.float64]] | None = None
        self.files, self.names, self.target, self.weights = files, tuple(groups.names), target, weights
        self.skipped, self.memory, self.source = skipped, memory, source
        self._count_rows()

    def _count_rows(self) -> None:
        self.partitions = tuple(group.n_rows for group in self._row_groups.groups)
        self._first_rows = np.cumsum([0, *self.partitions]).tolist()
        self.n_rows: int = self._first_rows[-1]

    def drop_missing_target(self, rules: TextRules) -> None:
        """Reject the rows whose target is missing by other rules than those of the scan.

        Raises:
            DataError: a row is rejected and may not be skipped, or too many are.
        """
        if self.target is not None:
            self._row_groups.drop_missing_target(self.target, self.skipped, rules)
            self._count_rows()
            self.skipped.check_share(self.n_rows + len(self.skipped))
            check_rows(self.files[0], self.n_rows)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The feature columns: all but the target and the weights."""
        return tuple(name for name in self.names if name not in {self.target, self.weights})

    def __repr__(self) -> str:
        files = str(self.files[0]) if len(self.files) == 1 else f"{len(self.files)} files"
        return (
            f"<TableScan of {files}: {pluralize(self.n_rows, 'row')}, "
            f"{pluralize(len(self.names), 'column')}, {pluralize(len(self.partitions), 'partition')}>"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files converted from CSV, if any; the table can no longer be read."""
        if self._folder is not None:
            self._folder.close()

    def with_transform(
        self,
        preprocessor: Pipeline,
        read_target: Callable[[pd.Series], npt.NDArray[Any]] | None = None,
        read_weights: Callable[[pd.Series], npt.NDArray[np.float64]] | None = None,
    ) -> TableScan:
        """Return the same table with transformed columns: X is ``preprocessor.transform(frame)``.

        Args:
            preprocessor: maps a frame of the feature columns ``(rows, c)`` to numbers ``(rows, k)``.
            read_target: maps the target column ``(rows,)`` to labels or numbers ``(rows,)``.
            read_weights: maps the weights column ``(rows,)`` to weights ``(rows,)``.
        """
        other = TableScan(
            self._row_groups,
            self.skipped,
            self.target,
            self.weights,
            files=self.files,
            memory=self.memory,
            folder=self._folder,
            source=self.source,
        )
        other._preprocessor, other._read_target = preprocessor, read_target
        other._read_weights = read_weights
        return other

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a partition in order.

        Args:
            partition: its index.
            rows: the largest number of rows in a block.

        Yields:
            Blocks: X ``(rows, k)`` float32; y ``(rows,)`` labels or numbers, None without a target; weights
            ``(rows,)``, None without a weights column.

        Raises:
            DataError: a column does not hold numbers, or a number is missing; the message says where.
        """
        features = self._input_columns()
        self._check_numeric(features)
        others = [name for name in (self.target, self.weights) if name is not None]
        first = self._first_rows[partition]
        for table in self._iter_tables(partition, [*features, *others], rows):
            X = self._to_inputs(first, table.select(features))
            y = None if self.target is None else self._to_targets(first, table.select([self.target]))
            weights = None if self.weights is None else self._to_weights(first, table.select([self.weights]))
            yield RowBlock(first, X, y, weights)
            first += table.num_rows

    def iter_frames(
        self, partition: int | None = None, columns: Sequence[str] | None = None, rows: int = BLOCK_ROWS
    ) -> Iterator[pd.DataFrame]:
        """Read a partition, or all in order, as frames of the same types as those of ``read_table``.

        Args:
            partition: its index; None for all.
            columns: the columns to read; None for all.
            rows: the largest number of rows in a frame.

        Yields:
            Frames whose index is the number of each row in the whole table.
        """
        names = list(self.names if columns is None else columns)
        for each in range(len(self.partitions)) if partition is None else [partition]:
            first = self._first_rows[each]
            for table in self._iter_tables(each, names, rows):
                yield _to_numbered_frame(table, first)
                first += table.num_rows

    def locate(self, row: int) -> tuple[Path, str, int]:
        r"""Return the file of a row, "line" or "row", and its line or row number there, counted from 1.

        >>> import tempfile
        >>> from pathlib import Path
        >>> file = Path(tempfile.mkdtemp()) / "pets.csv"
        >>> _ = file.write_text("legs,cat\n4,yes\n\n4,no\n")
        >>> scan(file, target="cat").locate(1)[1:]
        ('line', 4)
        """
        partition = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        file, unit, numbers = self.row_numbers(partition)
        return file, unit, int(numbers[row - self._first_rows[partition]])

    def row_numbers(self, partition: int) -> tuple[Path, str, npt.NDArray[np.intp]]:
        """Return the file of a partition, "line" or "row", and the number of each of its rows there."""
        file = self._row_groups.groups[partition].file
        return file.display_path, file.unit, self._row_groups.row_numbers(partition)

    @property
    def partition_bytes(self) -> int:
        """The estimated memory of an open partition in bytes, by the footers of the files.

        Most of it is dictionaries of number columns, 2 MB each. A file written with ``use_dictionary=False``
        for numbers needs a tenth of that.
        """
        return max(group.open_bytes for group in self._row_groups.groups)

    def _iter_tables(self, partition: int, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
        if self._folder is not None and self._folder.is_closed:
            raise DataError(f"the table of {self.files[0]} is closed: scan it again to read it")
        yield from self._row_groups.iter_tables(partition, names, rows)

    def _input_columns(self) -> list[str]:
        """Return the columns to read for X: all features, or those that the preprocessor uses."""
        names = list(self.feature_names)
        steps = {} if self._preprocessor is None else self._preprocessor.named_steps
        kinds = getattr(steps.get("columns"), "kinds", None)
        return names if kinds is None else [name for name in names if name in kinds]

    def _check_numeric(self, names: Sequence[str]) -> None:
        for name in names if self._preprocessor is None else ():
            kind = self._row_groups.types[name]
            if not any(is_kind(kind) for is_kind in _NUMERIC):
                raise DataError(
                    f"the column {name!r} of {self.files[0]} holds {kind}, not numbers: {_REMEDY}"
                )

    def _to_inputs(self, first: int, table: pa.Table) -> npt.NDArray[np.float32]:
        if self._preprocessor is not None:
            encoded = self._preprocessor.transform(_to_numbered_frame(table, first))
            return np.ascontiguousarray(encoded, dtype=np.float32)
        X = np.empty((table.num_rows, table.num_columns), dtype=np.float32)
        with np.errstate(over="ignore"):
            for j, column in enumerate(table.columns):
                X[:, j] = _as_float_array(column)
        if not np.isfinite(X).all():
            self._raise_missing(first, table, X)
        return X

    def _raise_missing(self, first: int, table: pa.Table, X: npt.NDArray[np.float32]) -> None:
        row, j = np.argwhere(~np.isfinite(X))[0].tolist()
        file, unit, number = self.locate(first + row)
        value = table.column(j)[row].as_py()
        problem = f"holds {value}" if value is not None and value == value else "has no value"  # noqa: PLR0124 nan
        raise DataError(
            f"{file}, {unit} {number}: the column {table.column_names[j]!r} {problem}, where a number that "
            f"fits into float32 is expected: {_REMEDY}"
        )

    def _to_targets(self, first: int, table: pa.Table) -> npt.NDArray[Any]:
        column = table.column(0)
        if self._read_target is not None:
            return self._read_target(_to_numbered_frame(table, first).iloc[:, 0])
        if pa.types.is_string(column.type):
            return np.array(column.to_pylist(), dtype=str)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            return np.asarray(column.to_numpy())
        if pa.types.is_boolean(column.type):
            return np.asarray(column.to_numpy(), dtype=bool)
        raise DataError(
            f"the target {self.target!r} holds values of type {column.type}: "
            "choose a column of labels or numbers"
        )

    def _to_weights(self, first: int, table: pa.Table) -> npt.NDArray[np.float64]:
        if self._read_weights is not None:
            return self._read_weights(_to_numbered_frame(table, first).iloc[:, 0])
        column = table.column(0)
        if pa.types.is_string(column.type):
            # Of 01 and 02 a CSV file does not say whether they are numbers.
            with suppress(pa.ArrowInvalid):
                column = pc.cast(trim(column), pa.float64())
        kind = column.type
        if pa.types.is_string(kind) or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(
                f"the weights column {self.weights!r} holds {kind}: a weight is a number, 0 or more"
            )
        weights = _as_float_array(column).astype(np.float64)
        invalid = ~((weights >= 0) & np.isfinite(weights))
        if invalid.any():
            row = int(invalid.argmax())
            file, unit, number = self.locate(first + row)
            raise DataError(
                f"{file}, {unit} {number}: the weights column {self.weights!r} holds {weights[row]}: "
                "a weight is a number, 0 or more"
            )
        return weights


def _as_float_array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column of numbers, booleans or durations as an array ``(n,)``, nan for a missing value."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    if pa.types.is_duration(column.type):
        # In seconds; counts beyond 2⁵³ are rounded, as every number is before it enters a network.
        counts = pc.cast(pc.cast(column, pa.int64()), pa.float64(), safe=False)
        column = pc.divide(counts, _UNITS_PER_SECOND[column.type.unit])
    return np.asarray(column.to_numpy())


def _to_numbered_frame(table: pa.Table, first: int) -> pd.DataFrame:
    frame = to_pandas(table)
    frame.index = pd.RangeIndex(first, first + len(frame))
    return frame
