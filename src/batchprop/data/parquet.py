"""Parquet files that make up one table: their row groups, each read in order, a few megabytes at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from batchprop.data.arrow import get_column, simplified_type, simplify
from batchprop.data.csv import LINE, check_names, check_same_names
from batchprop.data.files import MAX_COLUMNS, check_width
from batchprop.data.rejects import RejectedRows
from batchprop.errors import DataError

PAGE = 1 << 20
"""Bytes that most writers make a page of a column, or its dictionary, at most."""

COPY_PAGE = 1 << 16
"""Bytes of a page of a copy of a text."""

_BUFFER = 1 << 16
_UNPACKED = 3  # Times that a packed dictionary grows, about.
_SCANNED = 1 << 16  # Rows of one column that are looked through at a time.
_START = 1 << 20
_MAX_FOOTER = 2 * MAX_COLUMNS
_FEWER = "keep those columns that matter, or write it again in larger row groups"


class ParquetFile(NamedTuple):
    """A Parquet file.

    Attributes:
        path: where it is.
        shown: the file that its rows come from: itself, or the text that it is a copy of.
        metadata: its footer.
        stored: the name in the file of each column of the table.
        types: the plain type of each column in this file.
        lines: whether it has a column of the rows' lines in ``shown``.
    """

    path: Path
    shown: Path
    metadata: pyarrow.parquet.FileMetaData
    names: dict[str, str]
    types: dict[str, pa.DataType]
    lines: bool = False


class RowGroup(NamedTuple):
    """A row group: its file, its number there, its first row there, and rows that are left out."""

    file: ParquetFile
    number: int
    first: int
    rows: int
    left_out: npt.NDArray[np.intp] | None = None

    @property
    def open_bytes(self) -> int:
        """About what it takes in memory while it is read: of each column a page, and twice its dictionary."""
        metadata = self.file.metadata.row_group(self.number)
        if self.file.lines:
            return 3 * COPY_PAGE * len(self.file.names)
        columns = (metadata.column(i) for i in range(metadata.num_columns))
        return sum(
            min(column.total_uncompressed_size, PAGE) + _dictionary_bytes(column) for column in columns
        )

    @property
    def kept(self) -> int:
        """How many rows are left."""
        return self.rows - (0 if self.left_out is None else len(self.left_out))


def open_parquet(path: Path) -> ParquetFile:
    """Read the footer of a Parquet file.

    Raises:
        DataError: it is no Parquet file, is damaged, or its columns are not named well.
    """
    with opened_parquet(path) as file:
        _check_chunks(file)
        schema, metadata = file.schema_arrow, file.metadata
    names = check_names(schema.names, path)
    types = {name: simplified_type(field.type) for name, field in zip(names, schema, strict=True)}
    return ParquetFile(path, path, metadata, dict(zip(names, schema.names, strict=True)), types)


@contextmanager
def opened_parquet(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    """Open a Parquet file, unless its footer is longer than that of any table that can be read.

    Raises:
        DataError: it is no Parquet file, is damaged, or has too many columns.
    """
    with (
        reading(path),
        pyarrow.parquet.ParquetFile(path, thrift_container_size_limit=_MAX_FOOTER) as file,
    ):
        check_width(file.metadata.num_columns, path)
        yield file


def _check_chunks(file: pyarrow.parquet.ParquetFile) -> None:
    """Begin to read every column of every row group.

    What the footer says of a column may be damaged. Who reads the column is told so; who asks for its
    statistics has the process ended.
    """
    for number in range(file.metadata.num_row_groups):
        next(file.iter_batches(batch_size=1, row_groups=[number], use_threads=False), None)
        columns = file.metadata.row_group(number)
        for i in range(columns.num_columns):
            _ = columns.column(i).path_in_schema  # which may be no text


def open_converted(path: Path, shown: Path, types: dict[str, pa.DataType]) -> ParquetFile:
    """Read the footer of a copy of a text."""
    with opened_parquet(path) as file:
        metadata = file.metadata
    stored = {name: str(i) for i, name in enumerate(types)}
    return ParquetFile(
        path,
        shown,
        metadata,
        stored,
        {name: simplified_type(kind) for name, kind in types.items()},
        lines=True,
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what pyarrow says of a bad Parquet file into one line.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        yield
    except (pa.ArrowException, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(why_not_parquet(path)) from error
    except OSError as error:
        if error.strerror is None:
            too_much = "size limit" in str(error)
            why = f"{path} has more than {_MAX_FOOTER:,} columns or row groups: {_FEWER}"
            raise DataError(why if too_much else why_not_parquet(path)) from error
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def why_not_parquet(path: Path) -> str:
    """Say what is wrong with a file that should be Parquet."""
    with path.open("rb") as file:
        start = file.read(_START)
    if start.startswith(b"PAR1"):
        return f"{path} is a damaged or incomplete Parquet file: write or copy it again"
    text = b"\0" not in start and b"\n" in start
    remedy = "it looks like text: rename it to end in .csv" if text else "export it again as Parquet"
    return f"{path} is not a Parquet file; {remedy}"


def check_columns(names: Sequence[str], target: str | None, weights: str | None = None) -> None:
    """Check that target and weights are columns of the table.

    Raises:
        DataError: one is not; the message suggests near names.
    """
    empty = pd.DataFrame(columns=list(names))
    for name, what in ((target, "target column"), (weights, "weights column")):
        if name is not None:
            get_column(empty, name, what)
    if target is not None and target == weights:
        raise DataError(f"the column {target!r} cannot be target and weights at once: name another one")


class RowGroups:
    """The row groups of files as one table.

    Attributes:
        names: of its columns, as in the first file.
        types: the plain type of each column.
        groups: the row groups with rows, in order.
    """

    def __init__(self, files: Sequence[ParquetFile]) -> None:
        first = files[0]
        for file in files[1:]:
            check_same_names(first.shown, list(first.types), file.shown, list(file.types))
        self.names = list(first.types)
        self.groups = [group for file in files for group in _groups(file)]
        self._types = {name: self._type(name, files) for name in self.names}
        self.types = {name: self._with_gaps(name, kind) for name, kind in self._types.items()}

    def _type(self, name: str, files: Sequence[ParquetFile]) -> pa.DataType:
        kind = files[0].types[name]
        for file in files[1:]:
            common = common_type(kind, file.types[name])
            if common is None:
                raise DataError(
                    f"the column {name!r} holds {_word(kind)} in {files[0].shown} and "
                    f"{_word(file.types[name])} in {file.shown}: make it the same in all files"
                )
            kind = common
        return kind

    def _with_gaps(self, name: str, kind: pa.DataType) -> pa.DataType:
        """As in a frame: a gap among whole numbers makes them fractions."""
        return pa.float64() if pa.types.is_integer(kind) and self._has_gaps(name) else kind

    def _has_gaps(self, name: str) -> bool:
        return any(self._gaps(group, name, nan=False) for group in self.groups)

    def _gaps(self, group: RowGroup, name: str, *, nan: bool) -> bool:
        """Whether values are missing in a row group, by the file's own count where that says it."""
        count = _null_count(group, group.file.names[name])
        if count or (count == 0 and not (nan and pa.types.is_floating(group.file.types[name]))):
            return bool(count)
        return any(
            pc.any(pc.is_null(table.column(0), nan_is_null=nan)).as_py()
            for table in iter_raw_tables(group, [name], _SCANNED)
        )

    def drop_missing_target(self, target: str, bad: RejectedRows) -> None:
        """Leave out the rows whose target is missing."""
        self.groups = [self._without_missing(group, target, bad) for group in self.groups]
        self.groups = [group for group in self.groups if group.kept]
        self.types[target] = self._types[target]

    def _without_missing(self, group: RowGroup, target: str, bad: RejectedRows) -> RowGroup:
        if not self._gaps(group, target, nan=True):
            return group
        found, at = list[npt.NDArray[np.intp]](), 0
        for table in iter_raw_tables(group, [target], _SCANNED):
            missing = pc.is_null(simplify(table.column(0)), nan_is_null=True).to_numpy()
            found.append(at + np.flatnonzero(missing))
            at += table.num_rows
        rows = np.concatenate(found)
        for row in (group.first + rows + 1).tolist():
            bad.add(
                group.file.shown, row, f"its target {target!r} is missing", remedy="fill it in", unit="row"
            )
        return group._replace(left_out=rows)

    def tables(self, run: int, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Read a row group in order: some rows at a time, those columns only, each of its plain type."""
        for table in iter_tables(self.groups[run], names, rows):
            columns = [
                _cast(simplify(column), self.types[name])
                for name, column in zip(names, table.columns, strict=True)
            ]
            yield pa.table(columns, names=list(names)) if names else table

    def row_numbers(self, run: int) -> npt.NDArray[np.intp]:
        """Return where each row of a row group stands: its line, or its row in the file, counted from 1."""
        group = self.groups[run]
        if group.file.lines:
            with reading(group.file.path), pyarrow.parquet.ParquetFile(group.file.path) as file:
                return np.asarray(file.read_row_group(group.number, columns=[LINE])[LINE].to_numpy())
        rows = group.first + np.arange(group.rows) + 1
        return rows if group.left_out is None else np.delete(rows, group.left_out)


def _dictionary_bytes(column: pyarrow.parquet.ColumnChunkMetaData) -> int:
    if column.dictionary_page_offset is None:
        return 0
    packed: int = column.data_page_offset - column.dictionary_page_offset
    return 2 * min(_UNPACKED * packed, PAGE)


def _groups(file: ParquetFile) -> Iterator[RowGroup]:
    first = 0
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if rows:
            yield RowGroup(file, number, first, rows)
        first += rows


def _null_count(group: RowGroup, stored: str) -> int | None:
    """How many values of a flat column are missing, if the file says so."""
    metadata = group.file.metadata.row_group(group.number)
    for i in range(metadata.num_columns):
        column = metadata.column(i)
        if column.path_in_schema == stored:
            statistics = column.statistics
            return statistics.null_count if statistics is not None and statistics.has_null_count else None
    return None


def iter_raw_tables(group: RowGroup, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """Read columns of a row group as they are stored.

    A page of each column is unpacked at a time; neither threads nor buffers read ahead, as many row groups
    may be open at once.
    """
    file = group.file
    stored = [file.names[name] for name in names]
    with (
        reading(file.path),
        pyarrow.parquet.ParquetFile(
            file.path,
            metadata=file.metadata,
            buffer_size=_BUFFER,
            pre_buffer=False,
            page_checksum_verification=True,
        ) as source,
    ):
        batches = source.iter_batches(rows, row_groups=[group.number], columns=stored, use_threads=False)
        for batch in batches:
            # By name: "a" asks for "a.b" as well.
            yield pa.Table.from_batches([batch]).select(stored)


def iter_tables(group: RowGroup, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """Read columns of a row group as they are stored, without the rows that are left out."""
    if group.left_out is None:
        yield from iter_raw_tables(group, names, rows)
        return
    at = 0
    for table in iter_raw_tables(group, names, rows):
        begin, end = np.searchsorted(group.left_out, [at, at + table.num_rows])
        keep = np.ones(table.num_rows, dtype=bool)
        keep[group.left_out[begin:end] - at] = False
        at += table.num_rows
        if keep.any():
            yield table if keep.all() else table.filter(pa.array(keep))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    # Whole numbers beyond 2^53 lose their last digits where gaps make them fractions, as in a frame.
    return column if column.type == kind else pc.cast(column, kind, safe=False)


def common_type(kind: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that both fit into, None for numbers and text, say."""
    if kind == other:
        return kind
    if _is_number(kind) and _is_number(other):
        if pa.types.is_signed_integer(kind) and pa.types.is_signed_integer(other):
            return pa.int64()
        if pa.types.is_unsigned_integer(kind) and pa.types.is_unsigned_integer(other):
            return pa.uint64()
        return pa.float64()
    if _is_date(kind) and _is_date(other) and getattr(kind, "tz", None) == getattr(other, "tz", None):
        units = [each.unit for each in (kind, other) if pa.types.is_timestamp(each)]
        return pa.timestamp(max(units, key=("s", "ms", "us", "ns").index), getattr(kind, "tz", None))
    return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _word(kind: pa.DataType) -> str:
    if _is_number(kind):
        return "numbers"
    if _is_date(kind):
        return "dates"
    words = {pa.string(): "text", pa.bool_(): "true and false"}
    return words.get(kind, f"values of type {kind}")
