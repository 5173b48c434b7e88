"""Texts copied into Parquet, once, in a temporary folder: text cannot be read from its middle."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet

from batchprop.data.csv import LINE, CsvTable
from batchprop.data.parquet import CONVERTED_PAGE_BYTES, ParquetFile, open_converted
from batchprop.errors import DataError

ROW_GROUP_ROWS = 1 << 16
MIN_PARTITIONS = 64
MIN_ROW_GROUP_ROWS = 256
"""Rows of a row group of a copy."""

_ROW_GROUP_BYTES = 1 << 26  # Of wide tables a row group has fewer rows.


class TemporaryDirectory:
    """A temporary folder, removed when it is closed, when nobody uses it any more, or the process ends."""

    def __init__(self) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix="batchprop-"))
        except OSError as error:
            raise DataError(
                f"there is no temporary folder to copy the text to ({error.strerror or error}): "
                "set TMPDIR to a folder with space"
            ) from error
        self._remove = weakref.finalize(self, _remove, self.path, os.getpid())

    def close(self) -> None:
        """Remove the folder."""
        self._remove()

    @property
    def is_closed(self) -> bool:
        """Whether the folder is removed."""
        return not self._remove.alive


def _remove(path: Path, process: int) -> None:
    # A forked process that ends does not own it.
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)


def csv_to_parquet(texts: CsvTable, target: str | None, folder: TemporaryDirectory) -> list[ParquetFile]:
    """Copy texts into Parquet files of the folder, one for each that has rows.

    Raises:
        DataError: a row cannot be used, or the disk is full; then the folder is removed.
    """
    try:
        numbers = texts.read(target, lambda tables: _write(tables, texts, folder.path))
    except BaseException:
        folder.close()
        raise
    types = {name: kind.type for name, kind in zip(texts.names, texts.kinds, strict=True)}
    return [open_converted(folder.path / f"{i}.parquet", texts.files[i].path, types) for i in numbers]


def _write(tables: Iterator[tuple[int, pa.Table]], texts: CsvTable, folder: Path) -> list[int]:
    numbers = list[int]()
    with _Writer(folder) as writer:
        for number, table in tables:
            if not table.num_rows:
                continue
            if number not in numbers[-1:]:
                numbers.append(number)
                # Rows are mixed by taking row groups from all over the table: a short one has some, too.
                rows = min(max(texts.expected_rows // MIN_PARTITIONS, MIN_ROW_GROUP_ROWS), ROW_GROUP_ROWS)
                writer.begin(number, table.schema, rows)
            writer.write(table)
    return numbers


class _Writer:
    """Writes one Parquet file after another, in row groups of some rows."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._rows = folder, 0
        self._file: pyarrow.parquet.ParquetWriter | None = None
        self._waiting = list[pa.Table]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self._end()
        elif self._file is not None:
            # A full disk lets no footer be written either.
            with suppress(OSError, pa.ArrowException):
                self._file.close()

    def begin(self, number: int, schema: pa.Schema, rows: int) -> None:
        """End the file before, and begin the next, with so many rows in each of its row groups."""
        self._end()
        self._rows = rows
        with _writing(self._folder):
            self._file = pyarrow.parquet.ParquetWriter(
                self._folder / f"{number}.parquet",
                schema,
                compression="zstd",
                compression_level=1,
                data_page_size=CONVERTED_PAGE_BYTES,
                # A dictionary stays in memory as long as its row group is open; of numbers it saves little.
                use_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
                # Lines follow each other: their differences take next to nothing.
                column_encoding={LINE: "DELTA_BINARY_PACKED"},
            )

    def write(self, table: pa.Table) -> None:
        """Write what makes up whole row groups, and keep the rest for later."""
        self._waiting.append(table)
        while sum(part.num_rows for part in self._waiting) >= self._rows:
            together = pa.concat_tables(self._waiting)
            self._group(together[: self._rows])
            self._waiting = [together[self._rows :]]
        if sum(part.nbytes for part in self._waiting) >= _ROW_GROUP_BYTES:
            self._group(pa.concat_tables(self._waiting))
            self._waiting = []

    def _group(self, table: pa.Table) -> None:
        if self._file is not None and table.num_rows:
            with _writing(self._folder):
                self._file.write_table(table, row_group_size=self._rows)

    def _end(self) -> None:
        if self._waiting:
            self._group(pa.concat_tables(self._waiting))
            self._waiting = []
        if self._file is not None:
            with _writing(self._folder):
                self._file.close()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the text could not be copied into the temporary folder {folder} ({error.strerror or error}): "
            "that takes a third to a half of the text's size; free space, or set TMPDIR to a folder with more"
        ) from error
