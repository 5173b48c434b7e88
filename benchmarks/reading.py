"""Reading a table of 30 columns from Parquet and CSV, beside polars and pandas: seconds and peak memory.

`python -m benchmarks.reading [--quick]` needs what `make bench-reading` installs, 3 GB of disk, 10 GB of
memory and about half an hour. Every reader runs in a process of its own, and has to find the sum of each
column. Results go to `benchmarks/results/reading.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.fresh import peak_bytes, run_in_fresh_process
from benchmarks.machine import describe_machine
from benchmarks.table_data import Sums, check_sums, sum_columns, write_table

ROWS, QUICK_ROWS, ROUNDS = 10_000_000, 200_000, 3
MEMORY = "1GB"
RESULTS = Path(__file__).resolve().parent / "results" / "reading.json"


def main() -> None:
    """Write the tables, run the readers in turn, and print and store the results."""
    quick = "--quick" in sys.argv
    rows, rounds = (QUICK_ROWS, 1) if quick else (ROWS, ROUNDS)
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files, wanted = write_table(Path(folder), rows, ("parquet", "csv"))
        for _ in range(rounds):
            for ending, path in files.items():
                for who in READERS:
                    run = run_in_fresh_process(who, str(path), module="benchmarks.reading")
                    check_sums(run.pop("sums"), wanted, f"{who} ({ending})")
                    runs.setdefault(f"{ending}, {who}", []).append(run)
    medians = {
        name: {key: statistics.median(run[key] for run in each) for key in each[0]}
        for name, each in runs.items()
    }
    print(f"{rows:,} rows of 31 columns; the sums of all columns agree")
    print(f"{'':26}{'seconds':>9}{'CPU s':>9}{'peak MB':>9}")
    for name, run in medians.items():
        print(f"{name:26}{run['seconds']:9.2f}{run['cpu']:9.2f}{run['peak_bytes'] / 1e6:9,.0f}")
    if not quick:
        about = describe_machine(("batchprop", "pyarrow", "pandas", "polars"))
        results = {"machine": about, "rows": rows, "runs": runs, "medians": medians}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def read_ours(path: str) -> Callable[[], Sums]:
    """Read into memory, as `batchprop train` does with a table that fits."""
    from batchprop.tabular import read_tables

    frame = read_tables(path).frame
    return lambda: sum_columns(frame)


def read_ours_in_parts(path: str) -> Callable[[], Sums]:
    """Read all blocks once, as `batchprop train` does with a larger table; the sums are in the time."""
    from batchprop.tabular import scan

    sums = Sums()
    with scan(path, memory=MEMORY) as table:
        for frame in table.iter_frames():
            for name, total in sum_columns(frame).items():
                sums[name] = sums.get(name, 0.0) + total
    return lambda: sums


def read_pandas(path: str) -> Callable[[], Sums]:
    """Read with pandas' defaults; it has to be told which column of a CSV file holds dates."""
    import pandas as pd

    is_text = path.endswith(".csv")
    frame = pd.read_csv(path, parse_dates=["when"]) if is_text else pd.read_parquet(path)
    frame["when"] = pd.to_datetime(frame["when"])
    return lambda: sum_columns(frame)


def read_polars(path: str) -> Callable[[], Sums]:
    """Read with polars' defaults."""
    import polars as pl

    frame = pl.read_csv(path, try_parse_dates=True) if path.endswith(".csv") else pl.read_parquet(path)

    def total(column: Any) -> float:
        if column.dtype == pl.String:
            return float(column.str.len_chars().cast(pl.Int64).sum())
        return float((column.dt.epoch("d") if column.dtype == pl.Date else column).cast(pl.Float64).sum())

    return lambda: {column.name: total(column) for column in frame}


MODULES = ("batchprop.data.reader", "batchprop.data.scanner", "pandas", "polars")
READERS: dict[str, Callable[[str], Callable[[], Sums]]] = {
    "batchprop": read_ours,
    "batchprop in parts": read_ours_in_parts,
    "pandas": read_pandas,
    "polars": read_polars,
}


def measure(who: str, path: str) -> dict[str, Any]:
    """Read once in this process: imports do not count, nor do the sums, but in parts."""
    for module in MODULES:
        if module.partition(".")[0] in who:
            import_module(module)
    began, worked = time.perf_counter(), time.process_time()
    sums = READERS[who](path)
    taken = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - worked}
    return taken | {"peak_bytes": peak_bytes(), "sums": sums()}


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in READERS:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
