"""The files of a table, by name, folder or pattern, and their bytes, decompressed where needed."""

import glob
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import pyarrow as pa

from batchprop.errors import DataError, ParameterError, did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Buffer

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
PARQUET_SUFFIXES = (".parquet", ".pq")
JSON_SUFFIXES = (".jsonl", ".ndjson")
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
SUFFIXES = (*DELIMITERS, *PARQUET_SUFFIXES, *JSON_SUFFIXES, *WORKBOOK_SUFFIXES)

MAX_COMPRESSION_RATIO = 200
"""A compressed file that grows more than this is refused as a decompression bomb; tables reach 3 to 30."""

MAX_COLUMNS = 100_000
"""A table with more columns is refused before its rows are read: each would take milliseconds to infer."""

_BUFFER = 1 << 20
_ALWAYS_ALLOWED_BYTES = 1 << 26  # up to 64 MiB any ratio is harmless
_PATTERN = re.compile(r"[*?\[]")
_READERS = {
    ".arrow": "read_feather",
    ".dta": "read_stata",
    ".feather": "read_feather",
    ".h5": "read_hdf",
    ".orc": "read_orc",
    ".pkl": "read_pickle",
    ".sas7bdat": "read_sas",
    ".sav": "read_spss",
    ".xml": "read_xml",
}
_REMEDIES = {
    ".json": 'write each object of it in a line of its own: python -c "import json; [print(json.dumps(row)) '
    'for row in json.load(open({name!r}))]" > {stem}.jsonl',
    ".txt": "rename it to end in .csv, or in .tsv if tabs are between its fields",
    ".zip": "unpack it, and name what is in it",
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3"), "query it: database='sqlite:///{name}' and sql='SELECT * FROM table'"
    ),
    **{
        suffix: f'convert it: python -c "import pandas; pandas.{reader}({{name!r}}).to_parquet('
        "'{stem}.parquet')\""
        for suffix, reader in _READERS.items()
    },
}
"""What to do with a file that cannot be read, by its suffix."""
_MAGIC = {
    b"PAR1": "a Parquet file: rename it to end in .parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook: export it as CSV",
    b"\x1f\x8b": "compressed with gzip: decompress it, or rename it to end in .gz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: decompress it, or rename it to end in .zst",
    # UTF-32's mark begins with the other's.
    b"\xff\xfe\0\0": "text in UTF-32: save it as UTF-8",
    b"\0\0\xfe\xff": "text in UTF-32: save it as UTF-8",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
}


def file_suffix(path: Path) -> str:
    """Return the suffix that names the format of a file, without that of its compression.

    >>> (
    ...     file_suffix(Path("a.b/flowers.CSV.gz")),
    ...     file_suffix(Path("flowers.parquet")),
    ...     file_suffix(Path("x.parquet.gz")),
    ... )
    ('.csv', '.parquet', '.parquet.gz')
    """
    last = path.suffix.lower()
    if last not in COMPRESSIONS:
        return last
    inner = Path(path.stem).suffix.lower()
    return inner if inner in DELIMITERS or inner in JSON_SUFFIXES else inner + last


def get_delimiter(path: Path) -> str | None:
    """Return the delimiter of a file by its suffix; None for a format that has none."""
    return DELIMITERS.get(file_suffix(path))


def file_format(path: Path) -> str:
    """Return the format of a file by its suffix.

    >>> [file_format(Path(name)) for name in ("a.tsv.gz", "a.jsonl", "a.ods", "a.pq")]
    ['text with tabs', 'json', 'workbook', 'parquet']
    """
    suffix = file_suffix(path)
    if suffix in DELIMITERS:
        return "text with commas" if DELIMITERS[suffix] == "," else "text with tabs"
    return "json" if suffix in JSON_SUFFIXES else "workbook" if suffix in WORKBOOK_SUFFIXES else "parquet"


def check_width(columns: int, path: Path) -> None:
    """Refuse a table with more than ``MAX_COLUMNS`` columns.

    >>> check_width(1_000_000, Path("genes.csv"))
    Traceback (most recent call last):
    batchprop.errors.DataError: genes.csv has 1,000,000 columns, and a table may have 100,000: keep ...
    """
    if columns > MAX_COLUMNS:
        raise DataError(
            f"{path} has {columns:,} columns, and a table may have {MAX_COLUMNS:,}: keep those that "
            "matter, or transpose the table if its rows are the columns"
        )


def check_file(path: Path) -> None:
    """Refuse a path that is missing, empty, a folder, or has no suffix of a table."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a CSV, TSV, JSON lines or Parquet file in it")
    if file_suffix(path) not in SUFFIXES:
        suffix = file_suffix(path)
        if suffix in _REMEDIES and path.exists():
            remedy = _REMEDIES[suffix].format(name=str(path), stem=path.stem)
            raise DataError(f"{path} ends in {suffix!r}, and is not read as it is: {remedy}")
        problem = f"ends in {suffix!r}" if suffix else "has no suffix"
        compressed = " or ".join(COMPRESSIONS)
        raise DataError(
            f"{path} {problem}: a table ends in {', '.join(SUFFIXES)}; text also in {compressed} after it"
        )
    if not path.exists():
        raise DataError(f"there is no file {path}: check the name and the folder{_suggest_file(path)}")
    if not path.is_file():
        raise DataError(f"{path} is no regular file: pipe its rows into the command, with - for the file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: it needs column names and rows")


def check_rows(path: Path, rows: int) -> None:
    """Refuse a table without rows."""
    if not rows:
        raise DataError(f"{path} holds column names and no rows: add rows")


def _suggest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, sorted(file.name for file in path.parent.iterdir() if _is_table(file)))


def _is_table(path: Path) -> bool:
    return file_suffix(path) in SUFFIXES and path.is_file()


def as_paths(paths: object, parameter: str = "paths", *, or_frame: bool = False) -> tuple[Path, ...]:
    """Return one path or several as a tuple; folders and patterns stay as they are.

    Args:
        paths: a path, or an iterable of them.
        parameter: its name, for the error.
        or_frame: whether the parameter also takes a DataFrame, for the error.

    Raises:
        ParameterError: it is not a path, or holds something that is not one.

    >>> as_paths(["a.csv", 7])
    Traceback (most recent call last):
    batchprop.errors.ParameterError: paths holds a value of type int: give a file, a folder, a pattern, or ...
    """
    entries = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    allowed = "a file, a folder, a pattern, "
    allowed += "a list of these, or a DataFrame" if or_frame else "or a list of these"
    # Otherwise a dict's keys, a DataFrame's columns and an array's words would silently count as files.
    if not isinstance(entries, Iterable) or isinstance(entries, Mapping) or hasattr(entries, "__array__"):
        raise ParameterError(f"{parameter} is of type {type(paths).__name__}: give {allowed}")
    result = []
    for entry in entries:
        if not isinstance(entry, (str, os.PathLike)):
            raise ParameterError(f"{parameter} holds a value of type {type(entry).__name__}: give {allowed}")
        result.append(Path(entry))
    return tuple(result)


def expand_paths(paths: Paths) -> tuple[Path, ...]:
    r"""Return the files of a table: all of one format, without duplicates, in natural order of their names.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("part-10.csv", "part-2.csv", ".part-3.csv", "notes.txt"):
    ...     _ = (folder / name).write_text("a,b\n1,2\n")
    >>> [file.name for file in expand_paths(folder)]
    ['part-2.csv', 'part-10.csv']
    """
    files = tuple(file for path in as_paths(paths) for file in _expand(path))
    if not files:
        raise DataError(
            "no file is named: name a CSV, TSV, JSON lines or Parquet file, a folder or a pattern"
        )
    for file in files:
        check_file(file)
    _check_one_kind(files)
    _check_distinct(files)
    return files


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        return _list_folder(path)
    if path.exists() or not _PATTERN.search(str(path)):
        return [path]
    # Unlike Path.glob, glob.glob leaves out hidden files and accepts absolute patterns.
    matches = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    files = sorted((file for file in matches if file.is_file()), key=_natural_sort_key)
    if not files:
        raise DataError(f"no file matches the pattern {path}: check the folder and the suffix")
    return files


def _list_folder(folder: Path) -> list[Path]:
    files = sorted(_iter_folder(folder), key=_natural_sort_key)
    if not files:
        has_folders = any(inner.is_dir() for inner in folder.iterdir())
        remedy = f"name a pattern such as {folder}/**/*.parquet" if has_folders else "name another folder"
        raise DataError(f"the folder {folder} holds no table ({', '.join(SUFFIXES)}): {remedy}")
    return files


def _iter_folder(folder: Path) -> Iterator[Path]:
    """Yield the tables in a folder, and in folders whose names give a column, such as region=north."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if _is_table(path):
            yield path
        elif "=" in path.name and path.is_dir():
            yield from _iter_folder(path)


def _natural_sort_key(path: Path) -> list[tuple[str, int]]:
    """Return a key that sorts part-2 before part-10."""
    parts = re.findall(r"(\D*)(\d*)", str(path))
    return [(text, int(digits or -1)) for text, digits in parts]


def _check_one_kind(files: tuple[Path, ...]) -> None:
    kinds = {file_format(file): file for file in files}
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        raise DataError(
            f"{first} and {second} have different formats, and a table has one: "
            f"name a pattern such as {first.parent / '*'}{file_suffix(first)}"
        )


def _check_distinct(files: tuple[Path, ...]) -> None:
    known = set[Path]()
    for file in files:
        resolved = Path(os.path.realpath(file))  # `resolve` raises at links that lead in a circle
        if resolved in known:
            raise DataError(f"{file} is named twice: name each file once, or its rows would count twice")
        known.add(resolved)


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """Open a text file for sequential reading of its bytes, decompressed on the fly."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            if compression is None:
                yield file
            else:
                yield io.BufferedReader(_DecompressedReader(path, file, compression), _BUFFER)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def decompressed_size(path: Path) -> int:
    """Return the size of a text file in bytes; of a compressed one an estimate from its first megabyte."""
    size = path.stat().st_size
    compression = COMPRESSIONS.get(path.suffix.lower())
    if compression is None:
        return size
    with path.open("rb") as file:
        # Bound to a name: the stream closes the file when garbage-collected.
        reader = _DecompressedReader(path, file, compression)
        return int(size * len(reader.read(_BUFFER)) / max(file.tell(), 1))


def file_state(path: Path) -> tuple[int, int]:
    """Return the size of a file and when it was last written, which tell whether it has changed."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return status.st_size, status.st_mtime_ns


class _DecompressedReader(io.RawIOBase):
    """The decompressed bytes of a file; counts them, to refuse a decompression bomb."""

    def __init__(self, path: Path, file: BinaryIO, compression: str) -> None:
        self._path, self._compression, self._file = path, compression, file
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression)
        self._n_read = 0

    def readable(self) -> bool:
        """Return True: the stream is readable."""
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill the buffer with decompressed bytes, and return their number."""
        with memoryview(buffer) as view:
            content = self._next(len(view))
            view[: len(content)] = content
        return len(content)

    def _next(self, size: int) -> bytes:
        try:
            content = bytes(self._stream.read(size))
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{self._path} is damaged or incomplete, or not compressed with {self._compression} as its "
                f"suffix says ({error}): compress or copy it again"
            ) from error
        self._n_read += len(content)
        if self._n_read > max(_ALWAYS_ALLOWED_BYTES, MAX_COMPRESSION_RATIO * self._file.tell()):
            raise DataError(
                f"{self._path} decompresses to more than {MAX_COMPRESSION_RATIO} times its size, which "
                "tables hardly do: decompress it yourself if you trust it"
            )
        return content


def check_magic(path: Path, start: bytes) -> None:
    """Refuse a file whose first bytes belong to a format other than text."""
    for magic, description in _MAGIC.items():
        if start.startswith(magic):
            raise DataError(f"{path} is {description}")
