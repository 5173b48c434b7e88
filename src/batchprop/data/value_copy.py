"""Rows of Python's values copied into Parquet files; all values of a column decide its type."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from batchprop.data.csv import LINE, check_names, check_same_names
from batchprop.data.files import check_width
from batchprop.data.names import normalize_name
from batchprop.data.parquet import ParquetFile, open_converted
from batchprop.data.parquet_copy import ParquetCopy
from batchprop.data.python_values import Values, kinds_of, to_array, type_of
from batchprop.data.temporary import TemporaryDirectory
from batchprop.files import remove_file

_MAX_CELLS = 1 << 20  # Python's values take 50 bytes each while they become Arrow's


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
                remove_file(part.path)
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
