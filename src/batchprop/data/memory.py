"""How much memory there is, and how much a table would take."""

import re
import sys
from pathlib import Path

import psutil
import pyarrow as pa

from batchprop.data.csv import CsvFile, parse
from batchprop.data.files import Paths, delimiter_of, expand_paths, unpacked_size
from batchprop.data.parquet import ParquetFile, open_parquet
from batchprop.data.rejects import RejectedRows
from batchprop.errors import ParameterError

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{letter}B": 1000**i for i, letter in enumerate("KMGT", start=1)}
_UNITS |= {f"{letter}IB": 1024**i for i, letter in enumerate("KMGT", start=1)}
_UNITS |= {letter: 1000**i for i, letter in enumerate("KMGT", start=1)}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)")
_MIN = 1 << 20
_WIDTH = 8
_EXPANDED = 2
_SHARE = 4

IN_MEMORY = 4
"""How many times its own size a table takes while it is worked on in memory."""


def parse_memory(text: str | int) -> int:
    """Return how many bytes an amount of memory is.

    Args:
        text: such as "2GB" (2·10⁹), "1.5GiB" (1.5·2³⁰), "500MB", or a number of bytes.

    Raises:
        ParameterError: it is no amount, or less than 1 MiB.

    >>> parse_memory("2GB"), parse_memory("1.5 GiB"), parse_memory(4_000_000)
    (2000000000, 1610612736, 4000000)
    """
    found = None if isinstance(text, bool) else _AMOUNT.fullmatch(str(text).strip())
    unit = None if found is None else _UNITS.get(found[2].upper())
    if found is None or unit is None:
        raise ParameterError(
            f"memory={text!r} is no amount of memory: write 2GB, 500MB, 1.5GiB or a number of bytes"
        )
    amount = int(float(found[1]) * unit)
    if not _MIN <= amount <= sys.maxsize:
        raise ParameterError(
            f"memory={text!r} is {amount:,} bytes: at least 1MiB is needed, such as 500MB or 2GB"
        )
    return amount


def default_memory() -> int:
    """Return what a training may take where nobody says: a quarter of the free memory, in bytes.

    What a container may use counts as the memory there is.
    """
    free: int = min([psutil.virtual_memory().available, *_cgroup_free(Path("/"))])
    return max(free // _SHARE, _MIN)


def _cgroup_free(root: Path) -> list[int]:
    """What the process's control groups leave it, in bytes; of each group that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = list[int]()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = base / path.lstrip("/")
        # A group's limit holds for those in it; in a container its own path may not be visible.
        inside = [group, *group.parents]
        limits = (_free(each) for each in inside[: inside.index(base) + 1])
        left += [limit for limit in limits if limit is not None]
    return left


_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def _free(group: Path) -> int | None:
    for limit, used in _FILES:
        try:
            most = (group / limit).read_text().strip()
            taken = int((group / used).read_text())
            statistics = (group / "memory.stat").read_text()
        except (OSError, ValueError):
            continue
        if most.isdigit():
            # Pages of files that nobody uses at present are given back when needed.
            cached = re.search(r"^(?:total_)?inactive_file (\d+)$", statistics, re.MULTILINE)
            return max(int(most) - taken + (int(cached[1]) if cached else 0), 0)
    return None


def table_bytes(paths: Paths) -> int:
    """Return about how much memory a table takes once it is read, by its footers or its first megabytes.

    Args:
        paths: as ``scan`` takes them.

    Returns:
        Bytes.

    Raises:
        DataError: there is no such table.
    """
    files = expand_paths(paths)
    if delimiter_of(files[0]) is None:
        return sum(_parquet_bytes(open_parquet(file)) for file in files)
    return sum(_text_bytes(file) for file in files)


def exceeds_memory(paths: Paths, memory: int | None = None) -> bool:
    """Whether a table has to be read a part at a time: in memory it takes about four times its own size.

    Args:
        paths: as ``scan`` takes them.
        memory: what may be taken, in bytes; None for a quarter of what is free.

    Raises:
        DataError: there is no such table.
    """
    return IN_MEMORY * table_bytes(paths) > (memory or default_memory())


def _parquet_bytes(file: ParquetFile) -> int:
    fixed = sum(1 for kind in file.types.values() if is_fixed(kind))
    rows: int = file.metadata.num_rows
    letters = 0
    if fixed < len(file.types):
        # Text and nested values: what the file says they take before they are packed.
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        letters = _EXPANDED * sum(group.total_byte_size for group in groups)
    return _WIDTH * rows * len(file.types) + letters


def is_fixed(kind: pa.DataType) -> bool:
    """Whether each value of a type takes as much as any other: numbers, dates and booleans do."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_boolean(kind))


def _text_bytes(path: Path) -> int:
    """As many bytes for the whole text as its first rows take, in proportion."""
    file = CsvFile(path)
    for rows in file.rows(RejectedRows("skip"), known=True):
        labels = [str(i) for i in range(len(file.names))]
        table = parse(rows.content, labels, file.delimiter, {}, lambda _: "skip")
        return int(table.nbytes * max(unpacked_size(path) / len(rows.content), 1.0))
    return 0
