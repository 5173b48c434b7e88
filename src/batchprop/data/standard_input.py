"""A table that another program writes to standard input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchprop.data.files import open_decompressed
from batchprop.data.parquet_copy import copy_errors
from batchprop.data.temporary import TemporaryDirectory
from batchprop.errors import DataError
from batchprop.files import create_file

STDIN = Path("-")
"""What the command line calls standard input."""

ORIGIN = Path("standard input")
"""What messages call it."""

COPY_NAME = "standard-input"
"""The name of its copy, without the suffix."""

_CHUNK_BYTES = 1 << 20
_FORMATS = {
    b"PAR1": ".parquet",
    b"PK\x03\x04": ".xlsx",
    b"\xd0\xcf\x11\xe0": ".xls",
    b"\x1f\x8b": ".gz",
    b"\x28\xb5\x2f\xfd": ".zst",
}


def save_standard_input(folder: TemporaryDirectory) -> Path:
    """Copy standard input into a file of the folder, with the suffix that its first bytes tell.

    Raises:
        DataError: it is a terminal, or empty, or the disk is full.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("standard input is no table: pipe one into the command, as `cat flowers.csv |`")
    source = sys.stdin.buffer
    start = source.read(_CHUNK_BYTES)
    if not start:
        raise DataError("standard input is empty: it needs column names and rows")
    packed = next((suffix for magic, suffix in _FORMATS.items() if start.startswith(magic)), "")
    path = folder.path / f"{COPY_NAME}{packed}"
    with copy_errors(folder.path):
        _copy(start, source, path)
    if packed in (".gz", ".zst"):
        with open_decompressed(path) as file:
            start = file.read(_CHUNK_BYTES)
        return path.rename(folder.path / f"{COPY_NAME}{_text_suffix(start)}{packed}")
    return path if packed else path.rename(path.with_suffix(_text_suffix(start)))


def _copy(start: bytes, source: BinaryIO, path: Path) -> None:
    with create_file(path) as file:
        while start:
            file.write(start)
            start = source.read(_CHUNK_BYTES)


def _text_suffix(start: bytes) -> str:
    """Return the suffix of text: JSON lines begin with a brace, and tabs or commas are between fields."""
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return ".jsonl"
    first = start.partition(b"\n")[0]
    return ".tsv" if b"\t" in first and b"," not in first else ".csv"


@contextmanager
def name_standard_input(path: Path) -> Iterator[None]:
    """Name standard input in errors, in place of its copy."""
    try:
        yield
    except DataError as error:
        error.args = tuple(
            each.replace(str(path), str(ORIGIN)) if isinstance(each, str) else each for each in error.args
        )
        if hasattr(error, "reason"):
            error.reason = error.reason.replace(str(path), str(ORIGIN))
        raise
