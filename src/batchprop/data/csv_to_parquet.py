"""Texts copied into Parquet, once, in a temporary folder: text cannot be read from its middle."""

from collections.abc import Iterator
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa

from batchprop.data.converted import close_on_error
from batchprop.data.csv import CsvTable
from batchprop.data.parquet import ParquetFile, open_converted
from batchprop.data.parquet_copy import ParquetCopy
from batchprop.data.shuffle import prefetch
from batchprop.data.temporary import TemporaryDirectory
from batchprop.files import remove_file


def csv_to_parquet(
    texts: CsvTable, target: str | None, folder: TemporaryDirectory, weights: str | None = None
) -> list[ParquetFile]:
    """Copy texts into Parquet files of the folder, one for each that has rows.

    Raises:
        DataError: a row cannot be used, or the disk is full; then the folder is removed.
    """
    with close_on_error(folder):
        numbers = texts.read(target, lambda tables: _write(tables, folder.path), weights)
    types = {name: kind.type for name, kind in zip(texts.names, texts.kinds, strict=True)}
    return [open_converted(folder.path / f"{i}.parquet", texts.files[i].path, types) for i in numbers]


def _write(tables: Iterator[tuple[int, pa.Table]], folder: Path) -> list[int]:
    """Write the rows of each file, and return the numbers of the files that have some."""
    numbers = list[int]()
    for part in folder.iterdir():
        remove_file(part)  # of a reading that began anew
    # Parsed in another thread while the rows before are compressed.
    filled = (each for each in prefetch(tables) if each[1].num_rows)
    for number, parts in groupby(filled, key=itemgetter(0)):
        numbers.append(number)
        _, first = next(parts)
        with ParquetCopy(folder / f"{number}.parquet", first.schema) as copy:
            for _, table in chain([(number, first)], parts):
                copy.write(table)
    return numbers
