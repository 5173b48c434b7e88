"""Tables from files: CSV, TSV and Parquet, and one clear line where a file is not what its name says."""

import codecs
import csv
import mmap
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from batchprop.errors import DataError
from batchprop.tables.naming import near_name

MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "null", "NULL", "Null")
"""Fields that mean "unknown" in a CSV file; in a column of numbers also "None"."""

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_NONE = ("None", "none", "NONE")
_CHUNK = 1 << 20
_MAGIC = {
    b"PAR1": "a Parquet file: rename it to end in .parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook: export it as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
}


def read(path: str | Path) -> pd.DataFrame:
    r"""Read a table whose columns are numbers, text, dates or booleans, missing values marked.

    Args:
        path: a file ending in .csv, .tsv or .tab (UTF-8, names in the first line) or .parquet or .pq.

    Returns:
        The table, rows in the file's order, numbered from 0.

    Raises:
        DataError: there is no such file, or it is not a table; the message says where and what to do.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "pets.csv"
    >>> _ = file.write_text("kind,weight,born\ncat,4.2,2020-02-29\ndog,?,2021-03-01\n")
    >>> read(file)["weight"].tolist()
    [4.2, nan]
    """
    path = Path(path)
    reader = _reader(path)
    try:
        table = reader(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    table = _named(table, path)
    if table.num_rows == 0:
        raise DataError(f"{path} holds column names and no rows: add the rows below the first line")
    return _frame(table)


def _reader(path: Path) -> Callable[[Path], pa.Table]:
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a CSV, TSV or Parquet file in it")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        ending = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
        raise DataError(f"{path} {ending}: a table ends in {', '.join(_READERS)}")
    if not path.exists():
        near = _near_file(path)
        raise DataError(f"there is no file {path}: check the name and the folder{near}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: it needs column names and rows")
    return reader


def _near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = sorted(file.name for file in path.parent.iterdir() if _is_table(file))
    return near_name(path.name, names)


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in _READERS and path.is_file()


def delimiter_of(path: Path) -> str | None:
    """Return what separates the fields of a file, by its ending; None for a Parquet file."""
    return _DELIMITERS.get(path.suffix.lower())


def _read_text(path: Path) -> pa.Table:
    delimiter = _DELIMITERS[path.suffix.lower()]
    _check_text(path)
    _check_quotes(path, delimiter)
    try:
        table = pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
        )
    except pa.ArrowInvalid as error:
        raise DataError(_why_not_csv(path, delimiter, str(error))) from error
    _check_delimiter(table.column_names, path, delimiter)
    return _map_columns(table, _clean_text)


def _check_text(path: Path) -> None:
    """Refuse bytes that are not UTF-8, and say where they are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with path.open("rb") as file:
        _check_magic(path, file.read(4))
        file.seek(0)
        while chunk := file.read(_CHUNK):
            try:
                decoder.decode(chunk)
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


def _check_quotes(path: Path, delimiter: str) -> None:
    """Refuse a quote that is left open: it would swallow the lines up to the next quote, or the end."""
    between = re.escape(delimiter.encode())
    # A field that starts with a quote: its text, where quotes come in pairs; the quote that closes it.
    quoted = re.compile(
        rb'(?:\A(?:\xef\xbb\xbf)?|[\r\n%b])"([^"]*(?:""[^"]*)*+)("?)([^ \t\r\n%b]?)' % (between, between)
    )
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for field in quoted.finditer(content):
            text, closed, stray = field.groups()
            if b"\n" not in text or (closed and not stray):
                continue
            line = content[: field.start(1)].count(b"\n") + 1
            until = line + text.count(b"\n")
            end = f"closed only in line {until}" if closed else "never closed"
            raise DataError(
                f"{path}, line {line}: a quote opens a field here and is {end}; close it behind the field, "
                "or write a quote that belongs to the text as two, in a field within quotes"
            )


def _check_magic(path: Path, start: bytes) -> None:
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            raise DataError(f"{path} is not text, it is {what}")


def _check_delimiter(names: Sequence[str], path: Path, delimiter: str) -> None:
    if len(names) > 1:
        return
    for other, word in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if other != delimiter and other in names[0]:
            expected = "commas" if delimiter == "," else "tabs"
            raise DataError(
                f"{path} has one column, {names[0]!r}, that looks separated by {word}: "
                f"separate the fields by {expected}, as the ending {path.suffix} says"
            )


def _why_not_csv(path: Path, delimiter: str, message: str) -> str:
    """Find the line that pyarrow stumbled over: its own message has no line number."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file, delimiter=delimiter)
        try:
            expected = len(next(row for row in rows if row))
            line = rows.line_num + 1
            for row in rows:
                if row and len(row) != expected:
                    return _ragged(path, line, len(row), expected) + (
                        "is a quote left open?"
                        if rows.line_num > line
                        else f"add or remove fields, or quote a field that holds {delimiter!r}"
                    )
                line = rows.line_num + 1
        except StopIteration:
            return f"{path} holds no text but blank lines: it needs column names and rows"
        except csv.Error as error:
            return f"{path}, line {rows.line_num}: {error}; is a quote left open?"
    return f"{path} is not a table: {message}"


def _ragged(path: Path, line: int, found: int, expected: int) -> str:
    fields = "1 field" if found == 1 else f"{found} fields"
    return f"{path}, line {line}: {fields} where the first line names {expected}; "


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pyarrow.parquet.read_table(path)
    except pa.ArrowException as error:
        raise DataError(_why_not_parquet(path)) from error


def _why_not_parquet(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(_CHUNK)
    if start.startswith(b"PAR1"):
        return f"{path} is a damaged or incomplete Parquet file: write or copy it again"
    text = b"\0" not in start and b"\n" in start
    remedy = "it looks like text: rename it to end in .csv" if text else "export it again as Parquet"
    return f"{path} is not a Parquet file; {remedy}"


def _named(table: pa.Table, path: Path) -> pa.Table:
    """The table with trimmed column names, each of them there and there once."""
    names = [name.strip() for name in table.column_names]
    if "" in names:
        raise DataError(
            f"{path}: column {names.index('') + 1} of {len(names)} has no name; "
            "name every column in the first line"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        where = " and ".join(str(i + 1) for i, name in enumerate(names) if name == twice[0])
        raise DataError(f"{path} has two columns named {twice[0]!r} ({where}): rename one of them")
    return table.rename_columns(names)


def _map_columns(table: pa.Table, function: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    columns = [function(column) for column in table.columns]
    return pa.table(dict(zip(map(str, range(len(columns))), columns, strict=True))).rename_columns(
        table.column_names
    )


def _clean_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Trim the text of a CSV column; where only numbers and gaps are left, make them numbers."""
    if not pa.types.is_string(column.type):
        return column
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.is_in(text, pa.array(MISSING)), None, text)
    without_none = pc.if_else(pc.is_in(text, pa.array(_NONE)), None, text)
    if without_none.null_count == len(without_none):
        return text
    try:
        return pc.cast(without_none, pa.float64())
    except pa.ArrowInvalid:
        return text


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Reduce Arrow's many types to numbers, text, dates and booleans; nested values stay as they are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(pc.cast(column, kind.value_type))
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return pc.cast(column, pa.float64())
    if pa.types.is_time(kind):
        return _seconds(pc.cast(column, pa.time64("us")))
    if pa.types.is_duration(kind):
        return _seconds(pc.cast(column, pa.duration("us")))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pc.cast(column, pa.string())
    return column


def _seconds(microseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(pc.cast(microseconds, pa.int64()), 1e6)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = _map_columns(table, _plain).to_pandas(
        types_mapper={pa.bool_(): pd.BooleanDtype()}.get, date_as_object=False, ignore_metadata=True
    )
    return frame


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    **dict.fromkeys(_DELIMITERS, _read_text),
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}
