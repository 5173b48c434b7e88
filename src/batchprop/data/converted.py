"""Tables whose rows arrive once, copied into Parquet files of a temporary folder, and read from there."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet

from batchprop.data.csv import check_names
from batchprop.data.files import check_width
from batchprop.data.hive import folder_values
from batchprop.data.parquet import ParquetFile, open_converted
from batchprop.data.parquet_copy import ParquetCopy
from batchprop.data.rejects import RejectedRows
from batchprop.data.temporary import TemporaryDirectory
from batchprop.errors import DataError


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
def close_on_error(folder: TemporaryDirectory) -> Iterator[None]:
    """Remove a folder if the block fails."""
    try:
        yield
    except BaseException:
        folder.close()
        raise


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
    with close_on_error(folder):
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
