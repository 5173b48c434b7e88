"""Tables of 30 columns and a label: 20 of decimals, 6 of whole numbers, 3 of words, 1 of dates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

PART_ROWS = 250_000
WORDS = [pa.array([f"word {i}" for i in range(n)]) for n in (5, 20, 60)]
FIRST_DAY = np.datetime64("2020-01-01")

Sums = dict[str, float]


def make_part(rng: np.random.Generator, n: int) -> pa.Table:
    """Make n rows; the label is learnable."""
    columns: dict[str, Any] = {f"x{j}": rng.standard_normal(n).round(3) for j in range(20)}
    columns |= {f"k{j}": rng.integers(0, 1000 * 4**j, n) for j in range(6)}
    columns |= {f"w{j}": words.take(rng.integers(0, len(words), n)) for j, words in enumerate(WORDS)}
    columns["when"] = FIRST_DAY + rng.integers(0, 700, n)
    score = columns["x0"] * columns["x1"] + columns["x2"] + columns["k0"] / 500 - 1
    return pa.table(columns | {"label": (score > 0).astype(np.int8)})


def write_table(folder: Path, n: int, endings: tuple[str, ...]) -> tuple[dict[str, Path], Sums]:
    """Write n rows once for each ending, and return the files and the sum of each column."""
    rng, sums = np.random.default_rng(0), Sums()
    schema = make_part(np.random.default_rng(0), 1).schema
    files = {ending: folder / f"{n}.{ending}" for ending in endings}
    writers = {
        ending: pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")
        if ending == "parquet"
        else pyarrow.csv.CSVWriter(path, schema)
        for ending, path in files.items()
    }
    for start in range(0, n, PART_ROWS):
        part = make_part(rng, min(PART_ROWS, n - start))
        for writer in writers.values():
            writer.write_table(part)
        for name, total in sum_columns(part.to_pandas(date_as_object=False)).items():
            sums[name] = sums.get(name, 0.0) + total
    for writer in writers.values():
        writer.close()
    return files, sums


def sum_columns(frame: Any) -> Sums:
    """Return the sum of each column of a pandas frame: of numbers, lengths of words, or days since 1970."""
    return {name: _sum(frame[name]) for name in frame}


def _sum(column: Any) -> float:
    if column.dtype.kind == "M":
        return float(column.to_numpy("datetime64[D]").astype(np.int64).sum())
    return float(column.sum() if column.dtype.kind in "iufb" else column.str.len().sum())


def check_sums(sums: Sums, wanted: Sums, who: str) -> None:
    """Refuse a reader that read something else.

    Raises:
        SystemExit: the sum of a column differs.
    """
    for name, total in wanted.items():
        if not np.isclose(sums[name], total, rtol=1e-9, atol=1e-6):
            raise SystemExit(f"{who} read other values of {name}: their sum is {sums[name]}, not {total}")
