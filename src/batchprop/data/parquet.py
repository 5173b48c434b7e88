"""Parquet files that make up one table, read a row group at a time, each in blocks of a few megabytes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from batchprop.data.arrow import get_column, is_long_decimal, simplify, simplify_exactly, simplify_type
from batchprop.data.csv import LINE, check_names, check_same_names
from batchprop.data.files import MAX_COLUMNS, check_width
from batchprop.data.hive import folder_columns
from batchprop.data.rejects import RejectedRows
from batchprop.data.text_rules import USUAL, TextRules, explain_missing, is_missing
from batchprop.data.weights import has_no_weight
from batchprop.errors import DataError

PAGE_BYTES = 1 << 20
"""The largest page of a column, or dictionary, that most writers make."""

CONVERTED_PAGE_BYTES = 1 << 16
"""The size of a page in a Parquet file that was converted from CSV."""

_BUFFER = 1 << 16
_DICTIONARY_RATIO = 3  # approximate growth of a compressed dictionary
_SCAN_ROWS = 1 << 16  # rows of one column scanned at a time
_HEAD_BYTES = 1 << 20
_UNITS = ("s", "ms", "us", "ns")
_MAX_FOOTER = 2 * MAX_COLUMNS
_REMEDY = "keep the columns that matter, or write it again with larger row groups"


class ParquetFile(NamedTuple):
    """A Parquet file and its footer.

    Attributes:
        path: the file.
        display_path: the file to name in messages: itself, or the CSV file it was converted from.
        metadata: the footer.
        names: the name in the file of each column of the table.
        types: the simplified type of each column in this file.
        long_decimals: the columns of decimals that no number holds exactly.
        has_lines: whether a column holds each row's line in ``display_path``.
        constants: the value of each column that the names of its folders give.
        unit: what the numbers of its rows count in ``display_path``, "line" or "row".
        version: the size and the time of the last change of a file of the user's, which may change meanwhile.
    """

    path: Path
    display_path: Path
    metadata: pyarrow.parquet.FileMetaData
    names: dict[str, str]
    types: dict[str, pa.DataType]
    has_lines: bool = False
    constants: Mapping[str, pa.Scalar] = MappingProxyType({})
    long_decimals: frozenset[str] = frozenset()
    unit: str = "row"
    version: tuple[int, int] | None = None


class RowGroup(NamedTuple):
    """A row group: its file, number and first row there, and the indices of its rejected rows."""

    file: ParquetFile
    number: int
    first_row: int
    rows: int
    rejected: npt.NDArray[np.intp] | None = None

    @property
    def open_bytes(self) -> int:
        """The estimated memory for reading it: for each column a page, and twice its dictionary."""
        metadata = self.file.metadata.row_group(self.number)
        if self.file.has_lines:
            return 3 * CONVERTED_PAGE_BYTES * len(self.file.names)
        columns = (metadata.column(i) for i in range(metadata.num_columns))
        return sum(
            min(column.total_uncompressed_size, PAGE_BYTES) + _dictionary_bytes(column) for column in columns
        )

    @property
    def n_rows(self) -> int:
        """The number of rows without the rejected ones."""
        return self.rows - (0 if self.rejected is None else len(self.rejected))


def read_parquet_footer(path: Path) -> ParquetFile:
    """Read the footer of a Parquet file, and check its columns' names."""
    with open_parquet_file(path) as file:
        version = _version(path)
        _check_chunks(file)
        schema, metadata = file.schema_arrow, file.metadata
    names = check_names(schema.names, path)
    types = {name: _type_in_file(field.type) for name, field in zip(names, schema, strict=True)}
    in_file = dict(zip(names, schema.names, strict=True))
    long = frozenset(name for name, kind in zip(names, schema.types, strict=True) if is_long_decimal(kind))
    return ParquetFile(path, path, metadata, in_file, types, long_decimals=long, version=version)


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _check_unchanged(file: ParquetFile) -> None:
    """Refuse a file that another was put in place of: its rows would be mixed with those read before."""
    if file.version is not None and _version(file.path) != file.version:
        raise DataError(f"{file.path} has changed since it was opened: start again once nothing writes to it")


def _type_in_file(kind: pa.DataType) -> pa.DataType:
    # A column without any value: another file may tell what it is.
    return kind if pa.types.is_null(kind) else simplify_type(kind)


def add_folder_columns(
    files: Sequence[ParquetFile],
    target: str | None = None,
    *,
    text: Collection[str] = (),
    rules: TextRules | None = None,
) -> list[ParquetFile]:
    """Return the files with the columns that the names of their folders give; see ``folder_columns``."""
    if not files:
        return []
    paths = [file.display_path for file in files]
    columns = folder_columns(paths, files[0].types, target, text=text, rules=rules)
    types = {name: column.type for name, column in columns.items()}
    return [
        file._replace(
            types=file.types | types, constants={name: column[i] for name, column in columns.items()}
        )
        for i, file in enumerate(files)
    ]


@contextmanager
def open_parquet_file(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    """Open a Parquet file; refuse one with a huge footer or too many columns."""
    with (
        parquet_errors(path),
        pyarrow.parquet.ParquetFile(path, thrift_container_size_limit=_MAX_FOOTER) as file,
    ):
        check_width(file.metadata.num_columns, path)
        yield file


def _check_chunks(file: pyarrow.parquet.ParquetFile) -> None:
    """Open every column of every row group."""
    # With a damaged footer, reading a column raises an error, but reading its statistics crashes the
    # process.
    for number in range(file.metadata.num_row_groups):
        next(file.iter_batches(batch_size=1, row_groups=[number], use_threads=False), None)
        columns = file.metadata.row_group(number)
        for i in range(columns.num_columns):
            _ = columns.column(i).path_in_schema  # raises if it is not UTF-8


def open_converted(
    path: Path,
    display_path: Path,
    types: dict[str, pa.DataType],
    *,
    numbered: bool = True,
    unit: str = "line",
) -> ParquetFile:
    """Read the footer of a Parquet file that was converted from another format.

    Args:
        path: the file.
        display_path: the origin of its rows.
        types: the type of each column of the table, in the order of the file.
        numbered: whether the last column holds each row's number in ``display_path``.
        unit: what these numbers count.
    """
    with open_parquet_file(path) as file:
        metadata = file.metadata
    names = {name: str(i) for i, name in enumerate(types)}
    return ParquetFile(
        path,
        display_path,
        metadata,
        names,
        {name: simplify_type(kind) for name, kind in types.items()},
        has_lines=numbered,
        unit=unit,
    )


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn pyarrow's errors about a bad Parquet file into a DataError of one line."""
    try:
        yield
    except (pa.ArrowException, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(describe_invalid_parquet(path)) from error
    except OSError as error:
        if error.strerror is None:
            if "size limit" in str(error):
                raise DataError(
                    f"{path} has more than {_MAX_FOOTER:,} columns or row groups: {_REMEDY}"
                ) from error
            raise DataError(describe_invalid_parquet(path)) from error
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def describe_invalid_parquet(path: Path) -> str:
    """Describe the problem of a file that should be Parquet, and the remedy."""
    if not path.is_file():
        return f"{path} is no file: name a Parquet file"
    with path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
    if start.startswith(b"PAR1"):
        return f"{path} is a damaged or incomplete Parquet file: write or copy it again"
    is_text = b"\0" not in start and b"\n" in start
    remedy = "it looks like text: rename it to end in .csv" if is_text else "export it again as Parquet"
    return f"{path} is not a Parquet file; {remedy}"


def check_columns(names: Sequence[str], target: str | None, weights: str | None = None) -> None:
    """Refuse a target or weights that are not two different columns of the table."""
    empty = pd.DataFrame(columns=list(names))
    for name, what in ((target, "target column"), (weights, "weights column")):
        if name is not None:
            get_column(empty, name, what)
    if target is not None and target == weights:
        raise DataError(f"the column {target!r} cannot be both target and weights: name another one")


class RowGroups:
    """The row groups of all files as one table; each is a partition.

    Args:
        files: of the table.
        text: columns that are read as text if no number holds them exactly: long decimals, and integers some
            of which are missing.

    Attributes:
        names: the columns, in the order of the first file.
        types: the simplified type of each column.
        groups: the row groups with rows, in order.
    """

    def __init__(self, files: Sequence[ParquetFile], text: Collection[str] = ()) -> None:
        exact = frozenset[str]().union(*(file.long_decimals for file in files)).intersection(text)
        files = [_with_exact_numbers(file, exact) for file in files]
        self._text = frozenset(text)
        first = files[0]
        for file in files[1:]:
            check_same_names(first.display_path, list(first.types), file.display_path, list(file.types))
        self.names = list(first.types)
        self.groups = [group for file in files for group in _iter_row_groups(file)]
        self._types = {name: self._common_type(name, files) for name in self.names}
        self.types = {name: self._nullable_type(name, kind) for name, kind in self._types.items()}

    def _common_type(self, name: str, files: Sequence[ParquetFile]) -> pa.DataType:
        kind, first = pa.null(), files[0]
        for file in files:
            common = common_type(kind, file.types[name])
            if common is None:
                # The type of a column without a value says nothing.
                others = [each for each in files if not _is_empty(each, name)]
                if len(others) < len(files):
                    return self._common_type(name, others or files[:1])
                raise DataError(
                    f"the column {name!r} holds {_describe_type(kind, file.types[name])} in "
                    f"{first.display_path} and {_describe_type(file.types[name], kind)} in "
                    f"{file.display_path}: make it the same in all files"
                )
            first = file if pa.types.is_null(kind) else first
            kind = common
        return pa.string() if pa.types.is_null(kind) else kind

    def _nullable_type(self, name: str, kind: pa.DataType) -> pa.DataType:
        """Return float64 for integers with missing values, as pandas does; text keeps all their digits."""
        if not pa.types.is_integer(kind) or not self._has_missing(name):
            return kind
        return pa.string() if name in self._text else pa.float64()

    def _has_missing(self, name: str) -> bool:
        return any(self._group_has_missing(group, name, nan=False) for group in self.groups)

    def _group_has_missing(self, group: RowGroup, name: str, *, nan: bool) -> bool:
        """Whether values are missing in a row group; by the footer's null count if there is one."""
        if name in group.file.constants:
            return not group.file.constants[name].is_valid
        count = _null_count(group, group.file.names[name])
        if count or (count == 0 and not (nan and pa.types.is_floating(group.file.types[name]))):
            return bool(count)
        return any(
            pc.any(pc.is_null(table.column(0), nan_is_null=nan)).as_py()
            for table in iter_raw_tables(group, [name], _SCAN_ROWS)
        )

    def drop_weightless(self, weights: str, rules: TextRules | None = None) -> None:
        """Leave out the rows of weight 0."""
        self.groups = [self._drop_weightless(group, weights, rules or USUAL) for group in self.groups]
        self.groups = [group for group in self.groups if group.n_rows]

    def _drop_weightless(self, group: RowGroup, weights: str, rules: TextRules) -> RowGroup:
        blocks = iter_raw_tables(group, [weights], _SCAN_ROWS)
        masks = [has_no_weight(simplify(table.column(0)), rules).to_numpy() for table in blocks]
        return _reject(group, np.flatnonzero(np.concatenate(masks)))

    def drop_missing_target(
        self, target: str, rejected: RejectedRows, rules: TextRules | None = None
    ) -> None:
        """Reject the rows whose target is missing, or a word or a number that means so."""
        rules = rules or TextRules((), ())
        self.groups = [self._drop_missing(group, target, rejected, rules) for group in self.groups]
        self.groups = [group for group in self.groups if group.n_rows]
        # Without missing values, integers stay integers.
        self.types[target] = self._types[target]

    def _drop_missing(
        self, group: RowGroup, target: str, rejected: RejectedRows, rules: TextRules
    ) -> RowGroup:
        kind = self._types[target]
        may_be_word = rules.everywhere if pa.types.is_string(kind) else rules.numbers and _is_number(kind)
        if not may_be_word and not self._group_has_missing(group, target, nan=True):
            return group
        chunks, start, values = list[npt.NDArray[np.intp]](), 0, list[object]()
        for table in iter_raw_tables(group, [target], _SCAN_ROWS):
            column = simplify(table.column(0))
            missing = is_missing(column, rules)
            values += pc.filter(column, missing).to_pylist()
            missing = missing.to_numpy()
            chunks.append(start + np.flatnonzero(missing))
            start += table.num_rows
        rows = np.concatenate(chunks)
        if not len(rows):
            return group
        before = np.isin(rows, [] if group.rejected is None else group.rejected)
        numbers = _numbers_in_file(group)[rows]
        for row, value, is_known in zip(numbers.tolist(), values, before, strict=True):
            if is_known:
                continue
            reason, remedy = explain_missing(target, value)
            rejected.add(group.file.display_path, row, reason, remedy=remedy, unit=group.file.unit)
        return _reject(group, rows)

    def iter_tables(self, partition: int, names: Sequence[str], rows: int | None) -> Iterator[pa.Table]:
        """Yield columns of a partition in order, some rows at a time or all, each of its simplified type."""
        for table in iter_tables(self.groups[partition], names, rows):
            columns = [
                _cast(_simplify_as(column, self.types[name]), self.types[name])
                for name, column in zip(names, table.columns, strict=True)
            ]
            yield pa.table(columns, names=list(names)) if names else table

    def row_numbers(self, partition: int) -> npt.NDArray[np.intp]:
        """Return the line of each row of a partition, or its row number in the file, counted from 1."""
        group = self.groups[partition]
        rows = _numbers_in_file(group)
        return rows if group.rejected is None else np.delete(rows, group.rejected)


def _reject(group: RowGroup, rows: npt.NDArray[np.intp]) -> RowGroup:
    """Leave out rows of a group, besides those that are left out already."""
    if not len(rows):
        return group
    return group._replace(rejected=rows if group.rejected is None else np.union1d(group.rejected, rows))


def _with_exact_numbers(file: ParquetFile, names: Collection[str]) -> ParquetFile:
    exact = {name: pa.string() for name in names if _is_number(file.types.get(name, pa.null()))}
    return file._replace(types=file.types | exact) if exact else file


def _simplify_as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return simplify_exactly(column) if pa.types.is_string(kind) else simplify(column)


def _numbers_in_file(group: RowGroup) -> npt.NDArray[np.intp]:
    """Return the line or row number of each row of a row group, counted from 1."""
    if not group.file.has_lines:
        return np.asarray(group.first_row + np.arange(group.rows) + 1)
    with parquet_errors(group.file.path), pyarrow.parquet.ParquetFile(group.file.path) as file:
        return np.asarray(file.read_row_group(group.number, columns=[LINE])[LINE].to_numpy())


def _dictionary_bytes(column: pyarrow.parquet.ColumnChunkMetaData) -> int:
    if column.dictionary_page_offset is None:
        return 0
    compressed: int = column.data_page_offset - column.dictionary_page_offset
    return 2 * min(_DICTIONARY_RATIO * compressed, PAGE_BYTES)


def _iter_row_groups(file: ParquetFile) -> Iterator[RowGroup]:
    first = 0
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if rows:
            yield RowGroup(file, number, first, rows)
        first += rows


def _null_count(group: RowGroup, name: str) -> int | None:
    """Return the number of missing values of a flat column, if the footer has it."""
    metadata = group.file.metadata.row_group(group.number)
    for i in range(metadata.num_columns):
        column = metadata.column(i)
        if column.path_in_schema == name:
            statistics = column.statistics
            return statistics.null_count if statistics is not None and statistics.has_null_count else None
    return None


def iter_raw_tables(group: RowGroup, names: Sequence[str], rows: int | None) -> Iterator[pa.Table]:
    """Yield columns of a row group as they are stored, some rows at a time, or all at once (None)."""
    # Some rows are read without threads and read-ahead, one page of each column in memory: shuffling has many
    # row groups open at once.
    file = group.file
    stored = [file.names[name] for name in names if name not in file.constants]
    with parquet_errors(file.path):
        _check_unchanged(file)
    with (
        parquet_errors(file.path),
        pyarrow.parquet.ParquetFile(
            file.path,
            metadata=file.metadata,
            buffer_size=_BUFFER,
            pre_buffer=False,
            page_checksum_verification=True,
        ) as source,
    ):
        for part in _iter_stored(source, group.number, stored, rows):
            # Selected again: pyarrow treats "a" as a prefix, and also reads the nested column "a.b".
            table = part.select(stored)
            yield _insert_constants(table, part.num_rows, file, names) if file.constants else table


def _iter_stored(
    source: pyarrow.parquet.ParquetFile, number: int, names: list[str], rows: int | None
) -> Iterator[pa.Table]:
    if rows is None:
        yield source.read_row_group(number, columns=names)
        return
    for batch in source.iter_batches(rows, row_groups=[number], columns=names, use_threads=False):
        yield pa.Table.from_batches([batch])


def _insert_constants(table: pa.Table, rows: int, file: ParquetFile, names: Sequence[str]) -> pa.Table:
    """Return the columns of these names: those of the file, and those of its folders' names."""
    columns = {name: pa.repeat(value, rows) for name, value in file.constants.items()}
    columns |= {name: table[file.names[name]] for name in names if name not in columns}
    return pa.table([columns[name] for name in names], names=list(names)) if names else table


def iter_tables(group: RowGroup, names: Sequence[str], rows: int | None) -> Iterator[pa.Table]:
    """Yield columns of a row group as they are stored, without the rejected rows."""
    if group.rejected is None:
        yield from iter_raw_tables(group, names, rows)
        return
    start = 0
    for table in iter_raw_tables(group, names, rows):
        begin, end = np.searchsorted(group.rejected, [start, start + table.num_rows])
        keep = np.ones(table.num_rows, dtype=bool)
        keep[group.rejected[begin:end] - start] = False
        start += table.num_rows
        if keep.any():
            yield table if keep.all() else table.filter(pa.array(keep))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    # safe=False: integers beyond 2^53 lose their last digits as float64, as they do in pandas.
    if column.type == kind:
        return column
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    return pc.cast(column, kind, safe=False)


def common_type(kind: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both, or None if there is none, as for numbers and text."""
    if kind == other or pa.types.is_null(kind) or pa.types.is_null(other):
        return other if pa.types.is_null(kind) else kind
    if _is_number(kind) and _is_number(other):
        if pa.types.is_signed_integer(kind) and pa.types.is_signed_integer(other):
            return pa.int64()
        if pa.types.is_unsigned_integer(kind) and pa.types.is_unsigned_integer(other):
            return pa.uint64()
        return pa.float64()
    are_durations = pa.types.is_duration(kind) and pa.types.is_duration(other)
    zone = getattr(kind, "tz", None)
    if not are_durations and not (_is_date(kind) and _is_date(other) and zone == getattr(other, "tz", None)):
        return None
    units = [each.unit for each in (kind, other) if not pa.types.is_date(each)]
    unit = max(units, key=_UNITS.index, default="ms")
    return pa.duration(unit) if are_durations else pa.timestamp(unit, zone)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_empty(file: ParquetFile, name: str) -> bool:
    """Whether the footer says that a column of a file has no value."""
    return name not in file.constants and all(
        _null_count(group, file.names[name]) == group.rows for group in _iter_row_groups(file)
    )


def _describe_type(kind: pa.DataType, other: pa.DataType) -> str:
    """Describe a type in words, which tell it from the other."""
    if _is_number(kind):
        return "numbers"
    if _is_date(kind):
        zone = "with" if getattr(kind, "tz", None) else "without"
        return f"dates {zone} a time zone" if _is_date(other) else "dates"
    if pa.types.is_duration(kind):
        return "times or durations"
    words = {pa.string(): "text", pa.bool_(): "true and false"}
    return words.get(kind, f"values of type {kind}")
