"""Tables that need not fit in memory: read in runs, in blocks of rows, as often as an epoch needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchprop.data.arrow import to_pandas
from batchprop.data.csv import CsvTable
from batchprop.data.csv_to_parquet import TemporaryDirectory, csv_to_parquet
from batchprop.data.files import Paths, check_rows, delimiter_of, expand_paths
from batchprop.data.memory import default_memory, parse_memory
from batchprop.data.parquet import RowGroups, check_columns, open_parquet
from batchprop.data.rejects import MAX_SKIPPED, OnBadRow, RejectedRows
from batchprop.data.sources import MAX_ABS_TARGET, RowBlock
from batchprop.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from sklearn.pipeline import Pipeline

ROWS = 16_384
"""Rows of a block, at most."""

_REMEDY = "learn an encoder first (batchprop.tabular.learn), and read through it (scan.through)"


def scan(
    paths: Paths,
    target: str | None = None,
    weights: str | None = None,
    *,
    text: Collection[str] = (),
    on_bad_row: OnBadRow = "error",
    max_skipped: float = MAX_SKIPPED,
    memory: str | int | None = None,
) -> TableScan:
    r"""Look through a table that may be larger than memory, to read it in blocks of rows afterwards.

    Parquet is read where it is. Text (CSV, TSV, also packed with gzip or zstd) is copied into Parquet once,
    in a temporary folder that goes with the scan; that takes a third to a half of the text's size.

    Args:
        paths: a file, a folder, a pattern such as "data/*.parquet", or a list of these; all files of one
            kind, with the same columns in any order.
        target: the column to predict; a row where it is missing is a bad one.
        weights: the column of how much each row counts.
        text: columns of files of text to take as text whatever they hold, as in ``read``.
        on_bad_row: "error" stops at the first row that does not parse or has no target; "skip" leaves such
            rows out, and lists them in ``skipped``.
        max_skipped: the share of the rows that may be left out.
        memory: what training may take, such as "2GB", or in bytes; a quarter of what is free by default.

    Returns:
        The table.

    Raises:
        DataError: a file, a column or a row cannot be used, or the disk is full.

    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "pets.csv"
    >>> _ = file.write_text("legs,weight,cat\n4,4.2,yes\n4,25,no\n")
    >>> with scan(file, target="cat") as table:
    ...     block = next(table.iter_blocks(0))
    >>> block.X.tolist(), block.y.tolist()
    ([[4.0, 4.19...], [4.0, 25.0]], ['yes', 'no'])
    """
    bad = RejectedRows(on_bad_row, max_skipped)
    budget = default_memory() if memory is None else parse_memory(memory)
    files = expand_paths(paths)
    folder = None
    if delimiter_of(files[0]) is None:
        groups = RowGroups([open_parquet(file) for file in files])
        check_columns(groups.names, target, weights)
        if target is not None:
            groups.drop_missing_target(target, bad)
    else:
        texts = CsvTable(files, bad, text)
        check_columns(texts.names, target, weights)
        check_rows(files[0], texts.rows)
        folder = TemporaryDirectory()
        groups = RowGroups(csv_to_parquet(texts, target, folder))
    rows = sum(group.kept for group in groups.groups)
    bad.check_share(rows + len(bad))
    check_rows(files[0], rows)
    return TableScan(groups, bad, target, weights, files=files, memory=budget, folder=folder)


class TableScan:
    """A table that is read in blocks of rows; made by ``scan``.

    Rows have numbers from 0, in the order of the files; those that were left out have none.

    Attributes:
        files: the table's files.
        names: of its columns.
        target: the column to predict, or None.
        weights: the column of how much each row counts, or None.
        runs: how many rows each run has; a run is a row group, and is read in order.
        n_rows: how many rows the table has.
        skipped: the rows that were left out.
        memory: what training may take, in bytes.
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
    ) -> None:
        self._groups, self._folder = groups, folder
        self._encoder: Pipeline | None = None
        self._read_target: Callable[[pd.Series], npt.NDArray[Any]] | None = None
        self.files, self.names, self.target, self.weights = files, tuple(groups.names), target, weights
        self.skipped, self.memory = skipped, memory
        self.partitions = tuple(group.kept for group in groups.groups)
        self._firsts = np.cumsum([0, *self.partitions]).tolist()
        self.n_rows: int = self._firsts[-1]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns to predict from: all but the target and the weights."""
        return tuple(name for name in self.names if name not in {self.target, self.weights})

    def __repr__(self) -> str:
        files = str(self.files[0]) if len(self.files) == 1 else f"{len(self.files)} files"
        return (
            f"<Scan of {files}: {self.n_rows:,} rows, {len(self.names)} columns, {len(self.partitions)} runs>"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the copy of the text, if there is one; the table cannot be read any more then."""
        if self._folder is not None:
            self._folder.close()

    def with_transform(
        self, encoder: Pipeline, read_target: Callable[[pd.Series], npt.NDArray[Any]] | None = None
    ) -> TableScan:
        """Return the same table with encoded columns: X is ``encoder.transform(frame)``.

        Args:
            encoder: from a frame of the columns to predict from (rows, c) to numbers (rows, k).
            read_target: from the target's column (rows,) to labels or numbers (rows,).
        """
        other = TableScan(
            self._groups,
            self.skipped,
            self.target,
            self.weights,
            files=self.files,
            memory=self.memory,
            folder=self._folder,
        )
        other._encoder, other._read_target = encoder, read_target
        return other

    def iter_blocks(self, run: int, rows: int = ROWS) -> Iterator[RowBlock]:
        """Read a run in order.

        Args:
            run: which.
            rows: how many at a time, at most.

        Yields:
            Blocks: X (rows, k) float32; y (rows,) labels or numbers, None without a target; weights (rows,)
            or None.

        Raises:
            DataError: a column is not of numbers, or a number is missing; the message says where.
        """
        features = self._used()
        self._check_numbers(features)
        others = [name for name in (self.target, self.weights) if name is not None]
        first = self._firsts[run]
        for table in self._tables(run, [*features, *others], rows):
            X = self._numbers(first, table.select(features))
            y = None if self.target is None else self._labels(first, table.select([self.target]))
            weights = None if self.weights is None else self._weights(first, table[self.weights])
            yield RowBlock(first, X, y, weights)
            first += table.num_rows

    def iter_frames(
        self, run: int | None = None, columns: Sequence[str] | None = None, rows: int = ROWS
    ) -> Iterator[pd.DataFrame]:
        """Read a run, or all of them in order, as frames with the columns that ``read`` gives.

        Args:
            run: which; None for all.
            columns: which; None for all.
            rows: how many at a time, at most.

        Yields:
            Frames whose index is the rows' numbers in the whole table.
        """
        names = list(self.names if columns is None else columns)
        for each in range(len(self.partitions)) if run is None else [run]:
            first = self._firsts[each]
            for table in self._tables(each, names, rows):
                yield _numbered(table, first)
                first += table.num_rows

    def locate(self, row: int) -> tuple[Path, str, int]:
        r"""Return where a row stands: its file, "line" or "row", and its number there, counted from 1.

        >>> import tempfile
        >>> from pathlib import Path
        >>> file = Path(tempfile.mkdtemp()) / "pets.csv"
        >>> _ = file.write_text("legs,cat\n4,yes\n\n4,no\n")
        >>> scan(file, target="cat").locate(1)[1:]
        ('line', 4)
        """
        run = int(np.searchsorted(self._firsts, row, side="right")) - 1
        file = self._groups.groups[run].file
        place = int(self._groups.row_numbers(run)[row - self._firsts[run]])
        return file.shown, "line" if file.lines else "row", place

    @property
    def partition_bytes(self) -> int:
        """About what each run that is open takes in memory, in bytes, by the files' footers.

        Most of it are the dictionaries of columns of numbers, where the writer of the file made such: 2 MB a
        column. Files written with ``use_dictionary=False`` for numbers take a tenth of that.
        """
        return max(group.open_bytes for group in self._groups.groups)

    def _tables(self, run: int, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
        if self._folder is not None and self._folder.is_closed:
            raise DataError(f"the table of {self.files[0]} is closed: scan it again to read it")
        yield from self._groups.tables(run, names, rows)

    def _used(self) -> list[str]:
        """The columns that are read for X: of an encoder's, those that it looks at."""
        names = list(self.feature_names)
        steps = {} if self._encoder is None else self._encoder.named_steps
        kinds = getattr(steps.get("columns"), "kinds", None)
        return names if kinds is None else [name for name in names if name in kinds]

    def _check_numbers(self, names: Sequence[str]) -> None:
        for name in names if self._encoder is None else ():
            kind = self._groups.types[name]
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
                raise DataError(
                    f"the column {name!r} of {self.files[0]} holds no numbers but {kind}: {_REMEDY}"
                )

    def _numbers(self, first: int, table: pa.Table) -> npt.NDArray[np.float32]:
        if self._encoder is not None:
            encoded = self._encoder.transform(_numbered(table, first))
            return np.ascontiguousarray(encoded, dtype=np.float32)
        X = np.empty((table.num_rows, table.num_columns), dtype=np.float32)
        with np.errstate(over="ignore"):
            for j, column in enumerate(table.columns):
                X[:, j] = _number_array(column)
        if not np.isfinite(X).all():
            self._refuse_missing(first, table, X)
        return X

    def _refuse_missing(self, first: int, table: pa.Table, X: npt.NDArray[np.float32]) -> None:
        row, j = np.argwhere(~np.isfinite(X))[0].tolist()
        file, unit, place = self.locate(first + row)
        value = table.column(j)[row].as_py()
        held = f"holds {value}" if value is not None and value == value else "has no value"  # noqa: PLR0124 nan
        raise DataError(
            f"{file}, {unit} {place}: the column {table.column_names[j]!r} {held}, where a number that fits "
            f"into float32 is expected: {_REMEDY}"
        )

    def _labels(self, first: int, table: pa.Table) -> npt.NDArray[Any]:
        column = table.column(0)
        if self._read_target is not None:
            return self._read_target(_numbered(table, first).iloc[:, 0])
        if pa.types.is_string(column.type):
            return np.array(column.to_pylist(), dtype=str)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            return np.asarray(column.to_numpy())
        if pa.types.is_boolean(column.type):
            return np.asarray(column.to_numpy(), dtype=bool)
        raise DataError(
            f"the target {self.target!r} holds values of type {column.type}: "
            "choose a column of classes or numbers"
        )

    def _weights(self, first: int, column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
        kind = column.type
        if pa.types.is_string(kind) or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(
                f"the weights column {self.weights!r} holds {kind}: a weight is a number, 0 or more"
            )
        weights = _number_array(column).astype(np.float64)
        wrong = ~((weights >= 0) & (weights <= MAX_ABS_TARGET))
        if wrong.any():
            row = int(wrong.argmax())
            file, unit, place = self.locate(first + row)
            raise DataError(
                f"{file}, {unit} {place}: the weights column {self.weights!r} holds {weights[row]}: "
                f"a weight is a number, 0 or more, up to {MAX_ABS_TARGET:g}"
            )
        return weights


def _number_array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column of numbers or booleans (n,); what is missing is nan."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    return np.asarray(column.to_numpy())


def _numbered(table: pa.Table, first: int) -> pd.DataFrame:
    frame = to_pandas(table)
    frame.index = pd.RangeIndex(first, first + len(frame))
    return frame
