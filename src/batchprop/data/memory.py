"""The free memory, and the memory that a table would take."""

import re
import sys
from pathlib import Path

import psutil
import pyarrow as pa

from batchprop.data.csv import CsvFile, parse
from batchprop.data.files import Paths, decompressed_size, expand_paths, get_delimiter
from batchprop.data.parquet import ParquetFile, read_parquet_footer
from batchprop.data.rejects import RejectedRows
from batchprop.data.separators import check_separator
from batchprop.errors import ParameterError

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{letter}B": 1000**i for i, letter in enumerate("KMGT", start=1)}
_UNITS |= {f"{letter}IB": 1024**i for i, letter in enumerate("KMGT", start=1)}
_UNITS |= {letter: 1000**i for i, letter in enumerate("KMGT", start=1)}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)")
_MIN_BYTES = 1 << 20
_VALUE_BYTES = 8
_TEXT_RATIO = 2
_DEFAULT_DIVISOR = 4

WORKING_FACTOR = 4
"""A training in memory takes this many times the size of its table."""


def parse_memory(text: str | int) -> int:
    """Return an amount of memory in bytes.

    Args:
        text: such as "2GB" (2·10⁹), "1.5GiB" (1.5·2³⁰), "500MB", or a number of bytes.

    Raises:
        ParameterError: the text is not an amount, or less than 1 MiB.

    >>> parse_memory("2GB"), parse_memory("1.5 GiB"), parse_memory(4_000_000)
    (2000000000, 1610612736, 4000000)
    """
    match = None if isinstance(text, bool) else _AMOUNT.fullmatch(str(text).strip())
    unit = None if match is None else _UNITS.get(match[2].upper())
    if match is None or unit is None:
        raise ParameterError(
            f"memory={text!r} is not an amount of memory: write 2GB, 500MB, 1.5GiB or a number of bytes"
        )
    amount = int(float(match[1]) * unit)
    if not _MIN_BYTES <= amount <= sys.maxsize:
        raise ParameterError(
            f"memory={text!r} is {amount:,} bytes: at least 1MiB is needed, such as 500MB or 2GB"
        )
    return amount


def default_memory() -> int:
    """Return the default memory budget: a quarter of the free memory, or of what a container may use."""
    free: int = min([psutil.virtual_memory().available, *_cgroup_free(Path("/"))])
    return max(free // _DEFAULT_DIVISOR, _MIN_BYTES)


def _cgroup_free(root: Path) -> list[int]:
    """Return the free memory in bytes of each control group of the process that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    free = list[int]()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = base / path.lstrip("/")
        # The limits of all enclosing groups apply too; in a container the own path may be invisible.
        groups = [group, *group.parents]
        limits = (_free(each) for each in groups[: groups.index(base) + 1])
        free += [limit for limit in limits if limit is not None]
    return free


_CGROUP_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def _free(group: Path) -> int | None:
    for limit, used in _CGROUP_FILES:
        try:
            maximum = (group / limit).read_text().strip()
            usage = int((group / used).read_text())
            statistics = (group / "memory.stat").read_text()
        except (OSError, ValueError):
            continue
        if maximum.isdigit():
            # The kernel frees inactive pages of the file cache when memory is needed.
            cached = re.search(r"^(?:total_)?inactive_file (\d+)$", statistics, re.MULTILINE)
            return max(int(maximum) - usage + (int(cached[1]) if cached else 0), 0)
    return None


def table_bytes(paths: Paths, separator: str | None = None) -> int:
    """Estimate the memory that a table takes in bytes, from its footers or its first megabytes.

    Args:
        paths: the files, as for ``scan``.
        separator: as for ``scan``.

    Raises:
        DataError: there is no such table.
        ParameterError: paths is not a path, or holds something that is not one.
    """
    files = expand_paths(paths)
    if get_delimiter(files[0]) is None:
        return sum(_parquet_bytes(read_parquet_footer(file)) for file in files)
    return sum(_csv_bytes(CsvFile(file, check_separator(separator))) for file in files)


def exceeds_memory(paths: Paths, memory: int | None = None, separator: str | None = None) -> bool:
    """Whether training on a table in memory would exceed a budget in bytes; None is the default budget."""
    return WORKING_FACTOR * table_bytes(paths, separator) > (memory or default_memory())


def _parquet_bytes(file: ParquetFile) -> int:
    n_fixed = sum(1 for kind in file.types.values() if is_fixed_width(kind))
    rows: int = file.metadata.num_rows
    text_bytes = 0
    if n_fixed < len(file.types):
        # Text and nested values: their size in the footer, before compression.
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        text_bytes = _TEXT_RATIO * sum(group.total_byte_size for group in groups)
    return _VALUE_BYTES * rows * len(file.types) + text_bytes


def is_fixed_width(kind: pa.DataType) -> bool:
    """Whether all values of a type have the same size, as numbers, dates and booleans do."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_boolean(kind))


def _csv_bytes(file: CsvFile) -> int:
    """Extrapolate from the first rows of a file to all of it."""
    for rows in file.rows(RejectedRows("skip")):
        labels = [str(i) for i in range(len(file.names))]
        table = parse(rows.content, labels, file.delimiter, {}, lambda _: "skip")
        return int(table.nbytes * max(decompressed_size(file.path) / len(rows.content), 1.0))
    return 0
