"""Tables from CSV, TSV and Parquet files, with a one-line error for a file that cannot be read."""

import codecs
import csv
import io
import mmap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from batchprop.data.arrow import map_columns, simplify, to_pandas
from batchprop.data.converted import ConvertedTable
from batchprop.data.csv import LINE, CsvTable, check_delimiter, check_names
from batchprop.data.csv_splitter import Content, count_lines, quotes, scan_quotes
from batchprop.data.csv_types import convert_options, parse_text, strip
from batchprop.data.files import (
    COMPRESSIONS,
    Paths,
    check_file,
    check_magic,
    check_rows,
    check_width,
    file_format,
    get_delimiter,
    open_decompressed,
    open_text,
)
from batchprop.data.hive import folder_columns
from batchprop.data.parquet import (
    ParquetFile,
    RowGroups,
    add_folder_columns,
    check_columns,
    open_parquet_file,
    read_parquet_footer,
)
from batchprop.data.rejects import MAX_SKIPPED, BadRowError, OnBadRow, RejectedRows
from batchprop.data.tables import open_files
from batchprop.errors import DataError

_CHUNK_BYTES = _CHUNK_ROWS = 1 << 20


def read_table(path: str | Path, *, text: Collection[str] = ()) -> pd.DataFrame:
    r"""Read a table of numbers, text, dates and booleans from a file.

    Args:
        path: a file that ends in .csv, .tsv or .tab (UTF-8, names in the first line), such a file compressed
            with gzip or zstd (.csv.gz, .csv.zst), .parquet or .pq, .jsonl or .ndjson (also compressed), or
            a workbook, .xlsx, .xls or .ods, whose first sheet is read.
        text: columns of a CSV file to read as text, regardless of their values; a file of one row, for
            example, does not show whether 01 is a code or the number 1.

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
    path = Path(path)
    check_file(path)
    if file_format(path) in ("json", "workbook"):
        return _read_converted(path)
    delimiter = get_delimiter(path)
    with _read_errors(path):
        table = _read_parquet(path) if delimiter is None else _read_csv(path, delimiter, text)
    table = table.rename_columns(check_names(table.column_names, path))
    check_rows(path, table.num_rows)
    in_folders = folder_columns([path], table.column_names, text=text)
    only_file = np.zeros(table.num_rows, dtype=np.intp)
    return to_pandas(_append_columns(map_columns(table, simplify), in_folders, only_file))


def _read_converted(path: Path) -> pd.DataFrame:
    try:
        return read_tables(path).frame
    except BadRowError as error:
        # Here no row can be skipped.
        raise DataError(error.reason) from error


def _append_columns(
    table: pa.Table, columns: dict[str, pa.ChunkedArray], file_index: npt.NDArray[np.intp]
) -> pa.Table:
    """Append columns with a value for each file, by the file of each row (n,)."""
    for name, column in columns.items():
        table = table.append_column(name, column.take(pa.array(file_index)))
    return table


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


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


def read_tables(
    paths: Paths | ConvertedTable,
    target: str | None = None,
    *,
    text: Collection[str] = (),
    on_bad_row: OnBadRow = "error",
    max_skipped: float = MAX_SKIPPED,
) -> LoadedTable:
    r"""Read a table of one or several files into memory; ``scan`` reads one that does not fit.

    Args:
        paths: a file, a folder, a pattern such as "data/*.csv", or a list of these; all files have one format
            and the same columns in any order. Or a table that was copied from elsewhere.
        target: the column to predict; a row without it is a bad row.
        text: columns of CSV files to read as text, regardless of their values, as in ``read_table``.
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
    with open_files(paths) as source:
        if isinstance(source, ConvertedTable):
            source.add_rejected(rejected)
            files, parquet = source.origins, source.files
        else:
            files = source
            parquet = tuple(map(read_parquet_footer, files)) if get_delimiter(files[0]) is None else ()
        table, file_index, row_numbers = (
            _read_parquet_files(parquet, target, rejected, text)
            if parquet
            else _read_csv_files(files, target, rejected, text)
        )
    rejected.check_share(table.num_rows + len(rejected))
    check_rows(files[0], table.num_rows)
    unit = parquet[0].unit if parquet else "line"
    return LoadedTable(to_pandas(table), files, file_index, unit, row_numbers, rejected, not parquet)


_Read = tuple[pa.Table, npt.NDArray[np.intp], npt.NDArray[np.intp]]


def _read_csv_files(
    files: tuple[Path, ...], target: str | None, rejected: RejectedRows, text: Collection[str]
) -> _Read:
    texts = CsvTable(files, rejected, text)
    in_folders = folder_columns(files, texts.names, target, text=text)
    check_columns([*texts.names, *in_folders], target)
    parts = texts.read(None if target in in_folders else target, list)
    file_index = np.repeat([i for i, _ in parts], [part.num_rows for _, part in parts]).astype(np.intp)
    if not parts:
        return pa.table({}), file_index, file_index
    table = pa.concat_tables([part for _, part in parts])
    columns = table.drop_columns([LINE]).rename_columns(texts.names)
    whole = _append_columns(map_columns(columns, simplify), in_folders, file_index)
    return whole, file_index, table[LINE].to_numpy()


def _read_parquet_files(
    files: Sequence[ParquetFile], target: str | None, rejected: RejectedRows, text: Collection[str]
) -> _Read:
    groups = RowGroups(add_folder_columns(files, target, text=text))
    check_columns(groups.names, target)
    if target is not None:
        groups.drop_missing_target(target, rejected)
    partitions = range(len(groups.groups))
    parts = [part for index in partitions for part in groups.iter_tables(index, groups.names, _CHUNK_ROWS)]
    paths = [file.path for file in files]
    file_index = np.repeat(
        [paths.index(group.file.path) for group in groups.groups], [group.n_rows for group in groups.groups]
    ).astype(np.intp)
    row_numbers = np.concatenate([np.empty(0, np.intp), *map(groups.row_numbers, partitions)])
    return pa.concat_tables(parts) if parts else pa.table({}), file_index, row_numbers


def _read_csv(path: Path, delimiter: str, text: Collection[str]) -> pa.Table:
    with _open_content(path) as content:
        check_width(1 + content[: content.find(b"\n") + 1 or None].count(delimiter.encode()), path)
        _check_utf8(path, content)
        _check_quotes(path, content, delimiter)
        source = io.BytesIO(content) if isinstance(content, bytes) else path
        table = _parse_csv(path, source, delimiter, {})
        # Stripped here: the names in the file may have blanks around them.
        words = {name: pa.string() for name in table.column_names if name.strip() in text}
        if any(field.name in words and not pa.types.is_string(field.type) for field in table.schema):
            source = io.BytesIO(content) if isinstance(content, bytes) else path
            table = _parse_csv(path, source, delimiter, words)
    check_delimiter(table.column_names, path, delimiter)
    columns = [
        (strip if name in words else parse_text)(column)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _parse_csv(
    path: Path, source: Path | io.BytesIO, delimiter: str, types: dict[str, pa.DataType]
) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(
            source,
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=convert_options(types),
        )
    except pa.ArrowInvalid as error:
        raise DataError(_describe_invalid_csv(path, delimiter, str(error))) from error


@contextmanager
def _open_content(path: Path) -> Iterator[Content]:
    """Open the bytes of a text file: mapped into memory, or decompressed into it."""
    if path.suffix.lower() not in COMPRESSIONS:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
        return
    with open_decompressed(path) as stream:
        chunks = list(iter(lambda: stream.read(_CHUNK_BYTES), b""))
    if not chunks:
        raise DataError(f"{path} is empty: it needs column names and rows")
    yield b"".join(chunks)


def _check_utf8(path: Path, content: Content) -> None:
    """Refuse bytes that are not UTF-8, with their line."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    check_magic(path, content[:4])
    for start in range(0, len(content), _CHUNK_BYTES):
        chunk = content[start : start + _CHUNK_BYTES]
        try:
            decoder.decode(chunk, final=start + _CHUNK_BYTES >= len(content))
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            raise DataError(
                f"{path} is not UTF-8 text: line {line} holds the byte "
                f"0x{error.object[error.start]:02x}; save the file as UTF-8"
            ) from error
        if b"\0" in chunk:
            line += chunk.count(b"\n", 0, chunk.index(b"\0"))
            raise DataError(f"{path} is not text: line {line} holds a zero byte; export it as CSV")
        line += chunk.count(b"\n")


def _check_quotes(path: Path, content: Content, delimiter: str) -> None:
    """Refuse an unclosed quote: it would span the lines up to the next quote, or the end."""
    begin = len(codecs.BOM_UTF8) if content[:3] == codecs.BOM_UTF8 else 0
    result = scan_quotes(content, quotes(delimiter), 1, last=True, begin=begin)
    if result.reason is not None:
        line = 1 + count_lines(content[: result.stop])
        raise DataError(f"{path}, line {line}: {result.reason}")


def _describe_invalid_csv(path: Path, delimiter: str, message: str) -> str:
    """Describe the problem of a CSV file with its line: pyarrow's own message has no line number."""
    with open_text(path) as file:
        rows = csv.reader(file, delimiter=delimiter)
        try:
            expected = len(next(row for row in rows if row))
            line = rows.line_num + 1
            for row in rows:
                if row and len(row) != expected:
                    return _field_count_error(path, line, len(row), expected) + (
                        "is a quote left open?"
                        if rows.line_num > line
                        else f"add or remove fields, or quote a field that holds {delimiter!r}"
                    )
                line = rows.line_num + 1
        except StopIteration:
            return f"{path} holds only blank lines: it needs column names and rows"
        except csv.Error as error:
            return f"{path}, line {rows.line_num}: {error}; is a quote left open?"
    return f"{path} is not a table: {message}"


def _field_count_error(path: Path, line: int, count: int, expected: int) -> str:
    fields = "1 field" if count == 1 else f"{count} fields"
    return f"{path}, line {line}: {fields} where the first line names {expected}; "


def _read_parquet(path: Path) -> pa.Table:
    with open_parquet_file(path):
        return pyarrow.parquet.read_table(path, partitioning=None, page_checksum_verification=True)
