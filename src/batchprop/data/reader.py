"""Tables from CSV, TSV and Parquet files, with a one-line error for a file that cannot be read."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from batchprop.data.arrow import map_columns, simplify, to_pandas
from batchprop.data.converted import ConvertedTable
from batchprop.data.csv import LINE, CsvTable
from batchprop.data.files import Paths, check_file, check_rows, get_delimiter
from batchprop.data.hive import folder_columns
from batchprop.data.parquet import (
    ParquetFile,
    RowGroups,
    add_folder_columns,
    check_columns,
    read_parquet_footer,
)
from batchprop.data.rejects import MAX_SKIPPED, BadRowError, OnBadRow, RejectedRows
from batchprop.data.separators import check_separator
from batchprop.data.tables import open_files
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.data.weights import check_some_weight
from batchprop.errors import DataError


def read_table(
    path: str | Path,
    *,
    text: Collection[str] = (),
    separator: str | None = None,
    rules: TextRules | None = None,
) -> pd.DataFrame:
    r"""Read a table of numbers, text, dates and booleans from a file.

    Args:
        path: a file that ends in .csv, .tsv or .tab (UTF-8, names in the first line), such a file compressed
            with gzip or zstd (.csv.gz, .csv.zst), .parquet or .pq, .jsonl or .ndjson (also compressed), or
            a workbook, .xlsx, .xls or .ods, whose first sheet is read.
        text: columns of a CSV file to read as text, exactly as the file has it; only an empty field is
            missing. A file of one row, for example, does not show whether 1 is a code or the number 1. In a
            Parquet file, decimals of more digits than float64 holds, too.
        separator: between the fields of a CSV file, such as ";" or "tab"; None for the one that parts the
            names in the first line.
        rules: how a CSV file is read; None for the usual words that mean "missing", and either decimal sign.

    Returns:
        The table, rows in the order of the file, numbered from 0.

    Raises:
        DataError: the file does not exist or is not a table; the message says where, and what to do.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "pets.csv"
    >>> _ = file.write_text("kind,weight,born\ncat,4.2,2020-02-29\ndog,?,2021-03-01\n")
    >>> read_table(file)["weight"].tolist()
    [4.2, nan]
    """
    return read_file(Path(path), text, separator, rules).frame


def _append_columns(
    table: pa.Table, columns: dict[str, pa.ChunkedArray], file_index: npt.NDArray[np.intp]
) -> pa.Table:
    """Append columns with a value for each file, by the file of each row (n,)."""
    for name, column in columns.items():
        table = table.append_column(name, column.take(pa.array(file_index)))
    return table


class LoadedTable(NamedTuple):
    """A table of one or several files, in memory.

    Attributes:
        frame: the rows ``(n,)``, numbered from 0.
        files: the files.
        file_index: the index in ``files`` of each row's file ``(n,)``.
        unit: what ``row_numbers`` counts: "line" in CSV files and JSON lines, "row" elsewhere.
        row_numbers: the line or row number of each row in its file ``(n,)``, counted from 1.
        skipped: the skipped rows.
        from_text: whether the rows come from CSV files, in which numbers are spelled.
    """

    frame: pd.DataFrame
    files: tuple[Path, ...]
    file_index: npt.NDArray[np.intp]
    unit: str
    row_numbers: npt.NDArray[np.intp]
    skipped: RejectedRows
    from_text: bool = False


def read_file(
    path: Path,
    text: Collection[str] = (),
    separator: str | None = None,
    rules: TextRules | None = None,
) -> LoadedTable:
    """Read a table as ``read_table``, with the line or the row of each of its rows."""
    check_file(path)
    try:
        return _read((path,), None, RejectedRows("error"), text, separator, rules)
    except BadRowError as error:
        # The advice to skip such rows is for those who can.
        raise DataError(error.reason) from error


def read_tables(
    paths: Paths | ConvertedTable,
    target: str | None = None,
    *,
    weights: str | None = None,
    text: Collection[str] = (),
    separator: str | None = None,
    rules: TextRules | None = None,
    on_bad_row: OnBadRow = "error",
    max_skipped: float = MAX_SKIPPED,
) -> LoadedTable:
    r"""Read a table of one or several files into memory; ``scan`` reads one that does not fit.

    Args:
        paths: a file, a folder, a pattern such as "data/*.csv", or a list of these; all files have one format
            and the same columns in any order. Or a table that was copied from elsewhere.
        target: the column to predict; a row without it is a bad row.
        weights: the column of weights; rows of weight 0 are left out.
        text: columns to read as text, regardless of their values, as in ``read_table``.
        separator: between the fields of CSV files, as in ``read_table``.
        rules: how text is read; by default with the usual words for "missing" in CSV files, and none in the
            target of Parquet files.
        on_bad_row: "error" stops at the first row that cannot be parsed or has no target; "skip" skips such
            rows.
        max_skipped: the share of the rows that may be skipped.

    Returns:
        The table.

    Raises:
        DataError: a file, a column or a row cannot be used.
        ParameterError: paths is not a path, or holds something that is not one.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("kind,weight\ncat,4\n")
    >>> _ = (folder / "b.csv").write_text("weight,kind\n25.5,dog\n")
    >>> read_tables(folder).frame.values.tolist()
    [['cat', 4.0], ['dog', 25.5]]
    """
    rejected = RejectedRows(on_bad_row, max_skipped)
    return _read(paths, target, rejected, text, separator, rules, weights)


def _read(
    paths: Paths | ConvertedTable,
    target: str | None,
    rejected: RejectedRows,
    text: Collection[str],
    separator: str | None,
    rules: TextRules | None,
    weights: str | None = None,
) -> LoadedTable:
    with open_files(paths) as source:
        if isinstance(source, ConvertedTable):
            source.add_rejected(rejected)
            files, parquet = source.origins, source.files
        else:
            files = source
            parquet = tuple(map(read_parquet_footer, files)) if get_delimiter(files[0]) is None else ()
        if parquet:
            table, file_index, row_numbers = _read_parquet_files(
                parquet, target, rejected, text, rules, weights
            )
        else:
            texts = CsvTable(files, rejected, text, check_separator(separator), rules or USUAL)
            table, file_index, row_numbers = _read_csv_files(texts, target, text, weights)
    if weights is not None:
        check_some_weight(weights, table.num_rows + len(rejected))
    rejected.check_share(table.num_rows + len(rejected))
    check_rows(files[0], table.num_rows)
    unit, frame = parquet[0].unit if parquet else "line", to_pandas(table, consume=True)
    return LoadedTable(frame, files, file_index, unit, row_numbers, rejected, not parquet)


_Read = tuple[pa.Table, npt.NDArray[np.intp], npt.NDArray[np.intp]]


def _read_csv_files(texts: CsvTable, target: str | None, text: Collection[str], weights: str | None) -> _Read:
    paths = [file.path for file in texts.files]
    in_folders = folder_columns(paths, texts.names, target, text=text, rules=texts.rules)
    check_columns([*texts.names, *in_folders], target)
    parts = texts.read(None if target in in_folders else target, list, weights)
    file_index = np.repeat([i for i, _ in parts], [part.num_rows for _, part in parts]).astype(np.intp)
    if not parts:
        return pa.table({}), file_index, file_index
    table = pa.concat_tables([part for _, part in parts])
    columns = table.drop_columns([LINE]).rename_columns(texts.names)
    whole = _append_columns(map_columns(columns, simplify), in_folders, file_index)
    return whole, file_index, table[LINE].to_numpy()


def _read_parquet_files(
    files: Sequence[ParquetFile],
    target: str | None,
    rejected: RejectedRows,
    text: Collection[str],
    rules: TextRules | None,
    weights: str | None,
) -> _Read:
    groups = RowGroups(add_folder_columns(files, target, text=text, rules=rules), text)
    check_columns(groups.names, target)
    if weights is not None and weights in groups.names:
        groups.drop_weightless(weights, rules)
    if target is not None:
        groups.drop_missing_target(target, rejected, rules)
    partitions = range(len(groups.groups))
    parts = [part for index in partitions for part in groups.iter_tables(index, groups.names, None)]
    paths = [file.path for file in files]
    file_index = np.repeat(
        [paths.index(group.file.path) for group in groups.groups], [group.n_rows for group in groups.groups]
    ).astype(np.intp)
    row_numbers = np.concatenate([np.empty(0, np.intp), *map(groups.row_numbers, partitions)])
    return pa.concat_tables(parts) if parts else pa.table({}), file_index, row_numbers
