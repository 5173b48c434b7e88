"""The files of a table: found by name, folder or pattern, and their bytes, unpacked where they are packed."""

import glob
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, TypeAlias

import pyarrow as pa

from batchprop.errors import DataError, ParameterError, did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Buffer

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
PARQUET = (".parquet", ".pq")
ENDINGS = (*DELIMITERS, *PARQUET)

MAX_COMPRESSION_RATIO = 200
"""A packed file that unpacks to more than this many times its size is refused; tables reach 3 to 30."""

MAX_COLUMNS = 100_000
"""A table with more is refused before its rows are read: looking at each column would take hours."""

_BUFFER = 1 << 20
_SMALL = 1 << 26  # Up to 64 MiB any ratio does no harm.
_PATTERN = re.compile(r"[*?\[]")
_MAGIC = {
    b"PAR1": "a Parquet file: rename it to end in .parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook: export it as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it first, or rename it to end in .gz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it first, or rename it to end in .zst",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
}


def file_suffix(path: Path) -> str:
    """Return the ending that tells what a file holds, without that of its packing.

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
    return inner if inner in DELIMITERS else inner + last


def delimiter_of(path: Path) -> str | None:
    """Return what separates the fields of a file, by its ending; None for a Parquet file."""
    return DELIMITERS.get(file_suffix(path))


def check_width(columns: int, path: Path) -> None:
    """Check that a table has not more columns than can be looked at one by one.

    Raises:
        DataError: it has.

    >>> check_width(1_000_000, Path("genes.csv"))
    Traceback (most recent call last):
    batchprop.errors.DataError: genes.csv has 1,000,000 columns, and a table may have 100,000: keep ...
    """
    if columns > MAX_COLUMNS:
        raise DataError(
            f"{path} has {columns:,} columns, and a table may have {MAX_COLUMNS:,}: keep those that "
            "matter, or turn the rows into columns if it lies on its side"
        )


def check_file(path: Path) -> None:
    """Check that a file is there, holds something, and is named like a table.

    Raises:
        DataError: it is a folder, missing or empty, or ends otherwise.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a CSV, TSV or Parquet file in it")
    if file_suffix(path) not in ENDINGS:
        last = file_suffix(path)
        what = f"ends in {last!r}" if last else "has no ending"
        packed = " or ".join(COMPRESSIONS)
        raise DataError(
            f"{path} {what}: a table ends in {', '.join(ENDINGS)}; text also in {packed} after it"
        )
    if not path.exists():
        raise DataError(f"there is no file {path}: check the name and the folder{_near_file(path)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: it needs column names and rows")


def check_rows(path: Path, rows: int) -> None:
    """Check that a table has rows.

    Raises:
        DataError: it has none.
    """
    if not rows:
        raise DataError(f"{path} holds column names and no rows: add the rows below the first line")


def _near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, sorted(file.name for file in path.parent.iterdir() if _is_table(file)))


def _is_table(path: Path) -> bool:
    return file_suffix(path) in ENDINGS and path.is_file()


def expand_paths(paths: Paths) -> tuple[Path, ...]:
    r"""Return the files of a table, all of one kind, none of them twice.

    Args:
        paths: a file, a folder (the tables directly in it, hidden ones left out), a pattern such as
            "data/*.parquet" or "data/**/*.csv.gz", or several of these. The files of a folder and of a
            pattern come by name, numbers in the names by size: part-2 before part-10.

    Raises:
        DataError: a file, folder or pattern that is none, files of several kinds, a file that is named twice.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("part-10.csv", "part-2.csv", ".part-3.csv", "notes.txt"):
    ...     _ = (folder / name).write_text("a,b\n1,2\n")
    >>> [file.name for file in expand_paths(folder)]
    ['part-2.csv', 'part-10.csv']
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    if not isinstance(given, Iterable):
        raise ParameterError(f"paths={paths!r} is no path: give a path, a pattern, or a list of them")
    files = tuple(file for each in given for file in _files(each))
    if not files:
        raise DataError("no file is named: name a CSV, TSV or Parquet file, a folder or a pattern")
    for file in files:
        check_file(file)
    _check_one_kind(files)
    _check_distinct(files)
    return files


def _files(given: object) -> list[Path]:
    if not isinstance(given, (str, os.PathLike)):
        raise ParameterError(f"paths holds {given!r}, which is no path: give text or a pathlib.Path")
    path = Path(given)
    if path.is_dir():
        return _in_folder(path)
    if path.exists() or not _PATTERN.search(str(path)):
        return [path]
    # Only this leaves hidden files out, and takes patterns with a root.
    found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    files = sorted((file for file in found if file.is_file()), key=_natural_sort_key)
    if not files:
        raise DataError(f"no file matches the pattern {path}: check the folder and the ending")
    return files


def _in_folder(folder: Path) -> list[Path]:
    files = sorted(
        (file for file in folder.iterdir() if not file.name.startswith(".") and _is_table(file)),
        key=_natural_sort_key,
    )
    if not files:
        deeper = any(inner.is_dir() for inner in folder.iterdir())
        remedy = f"name a pattern such as {folder}/**/*.parquet" if deeper else "name another folder"
        raise DataError(f"the folder {folder} holds no table ({', '.join(ENDINGS)}): {remedy}")
    return files


def _natural_sort_key(path: Path) -> list[tuple[str, int]]:
    """The key by which part-2 comes before part-10."""
    parts = re.findall(r"(\D*)(\d*)", str(path))
    return [(text, int(digits or -1)) for text, digits in parts]


def _check_one_kind(files: tuple[Path, ...]) -> None:
    kinds = {delimiter_of(file): file for file in files}
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        raise DataError(
            f"{first} and {second} are files of different kinds, and a table is made of one kind: "
            f"name a pattern such as {first.parent / '*'}{file_suffix(first)}"
        )


def _check_distinct(files: tuple[Path, ...]) -> None:
    known = dict[Path, Path]()
    for file in files:
        place = file.resolve()
        if place in known:
            raise DataError(f"{file} is named twice: name each file once, or its rows would count twice")
        known[place] = file


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """Open a file of text to read its bytes in order, unpacked on the way.

    Raises:
        DataError: the file cannot be read, its packing is damaged, or it unpacks to more than 200 times its
            size (and more than 64 MiB).
    """
    packing = COMPRESSIONS.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            if packing is None:
                yield file
            else:
                yield io.BufferedReader(_DecompressedReader(path, file, packing), _BUFFER)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def unpacked_size(path: Path) -> int:
    """Return how many bytes a file of text has, about so many where it is packed: as its begin is."""
    size = path.stat().st_size
    packing = COMPRESSIONS.get(path.suffix.lower())
    if packing is None:
        return size
    with path.open("rb") as file:
        packed = _DecompressedReader(path, file, packing)
        given = len(packed.read(_BUFFER))
        return int(size * given / max(file.tell(), 1))


@contextmanager
def text_of(path: Path) -> Iterator[TextIO]:
    """Open a file of text to read its lines, unpacked on the way, each with the end that it has."""
    with open_decompressed(path) as file:
        yield io.TextIOWrapper(file, newline="", encoding="utf-8-sig")


class _DecompressedReader(io.RawIOBase):
    """The bytes within a packed file; counts them, to refuse one that is made to fill the disk."""

    def __init__(self, path: Path, file: BinaryIO, packing: str) -> None:
        self._path, self._packing, self._file = path, packing, file
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), packing)
        self._given = 0

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill the buffer with unpacked bytes, and return how many there were."""
        with memoryview(buffer) as room:
            content = self._next(len(room))
            room[: len(content)] = content
        return len(content)

    def _next(self, size: int) -> bytes:
        try:
            content = bytes(self._stream.read(size))
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{self._path} is damaged or incomplete, or not packed with {self._packing} as its ending "
                f"says ({error}): pack or copy it again"
            ) from error
        self._given += len(content)
        if self._given > max(_SMALL, MAX_COMPRESSION_RATIO * self._file.tell()):
            raise DataError(
                f"{self._path} unpacks to more than {MAX_COMPRESSION_RATIO} times its size, "
                "as hardly a table does: "
                "unpack it yourself if you trust it"
            )
        return content


def check_magic(path: Path, start: bytes) -> None:
    """Check that the first bytes of a file are not those of something else than text.

    Raises:
        DataError: they are, and what they are.
    """
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            raise DataError(f"{path} is not text, it is {what}")
