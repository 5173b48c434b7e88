"""Tables whose rows arrive once, copied into Parquet files of a temporary folder, and read from there."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from batchprop.data.csv import LINE, check_names, check_same_names
from batchprop.data.files import check_width
from batchprop.data.hive import folder_values
from batchprop.data.names import normalize_name
from batchprop.data.parquet import CONVERTED_PAGE_BYTES, ParquetFile, open_converted
from batchprop.data.rejects import RejectedRows
from batchprop.data.temporary import TemporaryDirectory
from batchprop.errors import DataError

ROW_GROUP_ROWS = 1 << 16
MIN_ROW_GROUP_ROWS = 256
"""Rows of a row group of a copy, at most and at least."""

_MIN_PARTITIONS = 64  # rows are mixed by taking row groups from all over the table: a short one has some, too
_ROW_GROUP_BYTES = 1 << 26
_MAX_CELLS = 1 << 20  # Python's values take 50 bytes each while they become Arrow's.
_MAX_EXACT = 2**53

Values: TypeAlias = Sequence[Any]


class ConvertedTable:
    """A table whose rows were copied into Parquet files, which are removed when it is closed.

    Attributes:
        files: the Parquet files; each has the origin of its rows as ``display_path``.
        rejected: the rows that did not parse, and are left out.
        folder: holds the files.
        columns: the names of its columns.
    """

    def __init__(
        self, files: Sequence[ParquetFile], folder: TemporaryDirectory, rejected: RejectedRows | None = None
    ) -> None:
        self.files, self.folder = tuple(files), folder
        self.rejected = RejectedRows("skip", 1.0) if rejected is None else rejected
        self.columns = [*files[0].names, *folder_values(files[0].display_path)]

    @property
    def origins(self) -> tuple[Path, ...]:
        """The origin of each file, for messages."""
        return tuple(file.display_path for file in self.files)

    def add_rejected(self, rejected: RejectedRows) -> None:
        """Skip the rows that did not parse, or raise ``BadRowError`` if no row may be skipped."""
        for row in self.rejected:
            rejected.add(row.file, row.line, row.reason, remedy="correct the line")

    def close(self) -> None:
        """Remove the files; the table can no longer be read."""
        self.folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def closed_on_error(folder: TemporaryDirectory) -> Iterator[None]:
    """Remove a folder if the block fails."""
    try:
        yield
    except BaseException:
        folder.close()
        raise


@contextmanager
def copy_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of a copy into one line that names the folder."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the table could not be copied into the temporary folder {folder} ({error.strerror or error}): "
            "free space, or set TMPDIR to a folder with more"
        ) from error


class ParquetCopy:
    """A Parquet file that is written in row groups of a 64th of the rows so far, from 256 to 65,536."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self._rows = path, 0
        self._waiting = list[pa.Table]()
        with copy_errors(path.parent):
            self._file = pyarrow.parquet.ParquetWriter(
                path,
                schema,
                compression="zstd",
                compression_level=1,
                data_page_size=CONVERTED_PAGE_BYTES,
                use_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
                column_encoding={LINE: "DELTA_BINARY_PACKED"} if LINE in schema.names else None,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self.close()
            return
        # A full disk lets no footer be written either.
        with suppress(OSError, pa.ArrowException):
            self._file.close()

    def write(self, table: pa.Table) -> None:
        """Write what makes up whole row groups, and keep the rest for later."""
        self._waiting.append(table)
        together = pa.concat_tables(self._waiting)
        while together.num_rows >= (rows := self._row_group_rows()):
            self._write_group(together[:rows])
            together = together[rows:]
        if together.nbytes >= _ROW_GROUP_BYTES:
            self._write_group(together)
            together = together[:0]
        self._waiting = [together] if together.num_rows else []

    def _row_group_rows(self) -> int:
        return min(max(self._rows // _MIN_PARTITIONS, MIN_ROW_GROUP_ROWS), ROW_GROUP_ROWS)

    def _write_group(self, table: pa.Table) -> None:
        with copy_errors(self.path.parent):
            self._file.write_table(table, row_group_size=table.num_rows)
        self._rows += table.num_rows

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._waiting:
            self._write_group(pa.concat_tables(self._waiting))
            self._waiting = []
        with copy_errors(self.path.parent):
            self._file.close()


def copy_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], origin: Path, folder: TemporaryDirectory
) -> ConvertedTable:
    """Copy record batches into a Parquet file of the folder.

    Args:
        schema: of the batches.
        batches: read once.
        origin: what to call the table in messages.
        folder: removed with the table, or if the copy fails.

    Raises:
        DataError: a column has no name, a type that Parquet lacks, or the name of another; there are no
            rows; or the disk is full.
    """
    with closed_on_error(folder):
        check_width(len(schema), origin)
        names = check_names(schema.names, origin)
        types = dict(zip(names, schema.types, strict=True))
        for name, kind in types.items():
            _check_storable(name, kind)
        path, numbered = folder.path / "0.parquet", [str(i) for i in range(len(names))]
        rows = 0
        with ParquetCopy(path, pa.schema(list(zip(numbered, schema.types, strict=True)))) as copy:
            for batch in batches:
                rows += batch.num_rows
                copy.write(pa.Table.from_batches([batch]).rename_columns(numbered))
        if not rows:
            raise DataError(f"{origin} gives no rows: check its conditions")
        return ConvertedTable([open_converted(path, origin, types, numbered=False, unit="row")], folder)


def _check_storable(name: str, kind: pa.DataType) -> None:
    try:
        pyarrow.parquet.ParquetWriter(pa.BufferOutputStream(), pa.schema([("0", kind)])).close()
    except pa.ArrowNotImplementedError as error:
        raise DataError(
            f"the column {name!r} of the query holds values of type {kind}: cast it there, as "
            f'CAST("{name}" AS VARCHAR), or leave it out'
        ) from error


_KINDS: dict[type, str | None] = {
    type(None): None,
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    bytes: "bytes",
    date: "date",
    datetime: "date",
    time: "time",
    timedelta: "duration",
    dict: "nested",
    list: "nested",
}
_TYPES = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    # Longer than 64 bits: as a number, two ids that differ in the last digit would be one.
    "long": pa.string(),
    "bytes": pa.binary(),
    "date": pa.timestamp("us"),
    "time": pa.time64("us"),
    "duration": pa.duration("us"),
}
_NESTED = pa.list_(pa.string())


def kinds_of(values: Values) -> frozenset[str]:
    """Return the kinds of values, missing ones aside.

    >>> sorted(kinds_of([1, 2.5, None])), sorted(kinds_of([2**64]))
    (['integer', 'number'], ['long'])
    """
    kinds = {kind for each in set(map(type, values)) if (kind := _KINDS[each]) is not None}
    if "integer" in kinds:
        whole = [value for value in values if type(value) is int]
        kinds.discard("integer")
        kinds |= {"integer" if -(2**63) <= value < 2**63 else "long" for value in (min(whole), max(whole))}
    return frozenset(kinds)


def type_of(kinds: frozenset[str]) -> pa.DataType:
    """Return the type of a column of such values: text holds all, and numbers hold integers.

    >>> type_of(frozenset({"integer", "number"})), type_of(frozenset({"boolean", "text"}))
    (DataType(double), DataType(string))
    """
    if not kinds:
        return pa.null()
    if "nested" in kinds:
        return _NESTED
    if "number" in kinds and kinds <= {"integer", "long", "number"}:
        return pa.float64()
    return _TYPES[next(iter(kinds))] if len(kinds) == 1 else pa.string()


def to_array(values: Values, kind: pa.DataType) -> pa.Array:
    """Return values of a column, or of a part of it, as an array of the column's type.

    >>> to_array([1, True, 0.5, None], pa.string()).to_pylist()
    ['1', 'true', '0.5', None]
    """
    if pa.types.is_string(kind):
        return pa.array([value if type(value) is str else _spell(value) for value in values], kind)
    if kind == _NESTED:
        return pa.array([None if value is None else [_spell(value)] for value in values], kind)
    if pa.types.is_floating(kind):
        # pyarrow refuses integers beyond 2^53.
        return pa.array([None if value is None else _to_float(value) for value in values], kind)
    if pa.types.is_timestamp(kind):
        return pa.array([datetime.combine(v, time()) if type(v) is date else v for v in values], kind)
    return pa.array(values, kind)


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _spell(value: Any) -> str | None:  # noqa: PLR0911 a line for each type
    """Return a value among text as text; a whole number the same with and without decimals."""
    if value is None or value != value:  # noqa: PLR0124 nan
        return None
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < _MAX_EXACT else repr(value)
        case datetime():
            return value.isoformat(sep=" ").removesuffix(" 00:00:00")
        case bytes():
            return value.hex()
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


class _Part(NamedTuple):
    """A Parquet file with rows whose columns had these types when it was begun."""

    path: Path
    types: dict[str, pa.DataType]


class ValueCopy:
    """Copies blocks of Python's values into Parquet; the type of a column is decided by all its values.

    Where a block widens the type of a column, or has another column, the next file begins; in the end all
    files get the last types.
    """

    def __init__(self, folder: TemporaryDirectory) -> None:
        self.folder = folder
        self._kinds = dict[str, frozenset[str]]()
        self._types = dict[str, pa.DataType]()
        self._names = dict[str, str]()
        self._origins = list[Path]()
        self._parts = list[list[_Part]]()
        self._seen = list[dict[str, None]]()
        self._copy: ParquetCopy | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *details: object) -> None:
        if self._copy is not None:
            self._copy.__exit__(failure, *details)
        if failure is not None:
            self.folder.close()

    def name_of(self, name: str) -> str:
        """Return the name of a column without blanks around it, in Unicode's composed form."""
        if name not in self._names:
            self._names[name] = normalize_name(name.strip())
        return self._names[name]

    @property
    def names(self) -> list[str]:
        """The columns so far."""
        return list(self._kinds)

    def begin(self, origin: Path) -> None:
        """Begin the rows of the next file, or another origin."""
        self._end_part()
        self._origins.append(origin)
        self._parts.append([])
        self._seen.append({})

    def write(self, numbers: Sequence[int], columns: Mapping[str, Values]) -> None:
        """Write some rows (n,) of columns by their names, with the line or row number of each."""
        self._seen[-1].update(dict.fromkeys(columns))
        check_width(len(self._kinds | dict.fromkeys(columns)), self._origins[-1])
        for name, values in columns.items():
            self._kinds[name] = self._kinds.get(name, frozenset()) | kinds_of(values)
        types = {name: type_of(kinds) for name, kinds in self._kinds.items()}
        if self._copy is None or types != self._types:
            self._end_part()
            self._types = types
            self._copy = self._begin_part(types)
        missing = [None] * len(numbers)
        arrays = [to_array(columns.get(name, missing), kind) for name, kind in types.items()]
        self._copy.write(pa.table([*arrays, pa.array(numbers, pa.int64())], schema=_schema(types)))

    def _begin_part(self, types: dict[str, pa.DataType]) -> ParquetCopy:
        parts = self._parts[-1]
        part = _Part(self.folder.path / f"{len(self._parts)}-{len(parts)}.parquet", types)
        parts.append(part)
        return ParquetCopy(part.path, _schema(types))

    def _end_part(self) -> None:
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def finish(self, unit: str) -> list[ParquetFile]:
        """Return the files that have rows, each column of one type in all of them.

        Args:
            unit: what the rows' numbers count, "line" or "row".

        Raises:
            DataError: a column has no name; two files have different columns.
        """
        self._end_part()
        full = [i for i, parts in enumerate(self._parts) if parts]
        for i in full:
            check_names(list(self._seen[i]), self._origins[i])
            check_same_names(
                self._origins[full[0]], list(self._seen[full[0]]), self._origins[i], list(self._seen[i])
            )
        return [
            open_converted(self._join(i), self._origins[i], self._types, numbered=True, unit=unit)
            for i in full
        ]

    def _join(self, number: int) -> Path:
        """Return a file with all rows of an origin, each column of its last type."""
        parts = self._parts[number]
        if len(parts) == 1 and parts[0].types == self._types:
            return parts[0].path
        path = self.folder.path / f"{number + 1}.parquet"
        with ParquetCopy(path, _schema(self._types)) as copy:
            for part in parts:
                for table in _iter_widened(part, self._types):
                    copy.write(table)
                part.path.unlink()
        return path


def _schema(types: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema([(str(i), kind) for i, kind in enumerate(types.values())] + [(LINE, pa.int64())])


def _iter_widened(part: _Part, types: dict[str, pa.DataType]) -> Iterator[pa.Table]:
    with pyarrow.parquet.ParquetFile(part.path) as file:
        for batch in file.iter_batches(max(1, _MAX_CELLS // len(types)), use_threads=False):
            nothing = pa.nulls(batch.num_rows)
            stored = [batch.column(str(i)) if i < len(part.types) else nothing for i in range(len(types))]
            columns = [_widen(column, kind) for column, kind in zip(stored, types.values(), strict=True)]
            yield pa.table([*columns, batch.column(LINE)], schema=_schema(types))


def _widen(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind:
        return column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind)
    if pa.types.is_floating(kind):
        return pc.cast(column, kind, safe=False)
    return to_array(column.to_pylist(), kind)


def rows_at_once(columns: int) -> int:
    """Return how many rows of Python's values to convert at once."""
    return max(1, _MAX_CELLS // max(columns, 1))
