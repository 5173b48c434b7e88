"""A Parquet file of a temporary folder, written in row groups as its rows come."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet

from batchprop.data.csv import LINE
from batchprop.data.parquet import CONVERTED_PAGE_BYTES
from batchprop.errors import DataError
from batchprop.files import create_file

ROW_GROUP_ROWS = 1 << 16
MIN_ROW_GROUP_ROWS = 256
"""Rows of a row group of a copy, at most and at least."""

_MIN_PARTITIONS = 64  # rows are mixed by taking row groups from all over the table: a short one has some, too
_ROW_GROUP_BYTES = 1 << 26  # of wide tables a row group has fewer rows


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
            self._sink = create_file(path)
            self._file = pyarrow.parquet.ParquetWriter(
                self._sink,
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
        with suppress(OSError, pa.ArrowException), self._sink:
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
        with copy_errors(self.path.parent), self._sink:
            self._file.close()
