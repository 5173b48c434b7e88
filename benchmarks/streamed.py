"""Training on a table read from disk in every epoch against the same rows in memory; peak memory.

`python -m benchmarks.streamed [--quick]` needs what `pip install -e ".[jax,tables]"` installs, 7 GB of disk
and about 15 minutes. Results go to `benchmarks/results/streamed.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fresh import peak_bytes, run_in_fresh_process
from benchmarks.machine import describe_machine

FEATURES, HIDDEN, BATCH_SIZE, ROUNDS = 30, (256, 256), 256, 2
ROW_GROUP_ROWS = 122_880  # rows of a row group, as DuckDB writes them
MEMORY = 2_000_000_000
MAX_RATIO, MAX_GROWTH = 1.3, 1.1
RESULTS = Path(__file__).resolve().parent / "results" / "streamed.json"


def main() -> None:
    """Write the tables, time the epochs in turn, measure the peaks, and print and store the results."""
    quick = "--quick" in sys.argv
    small, large = (200_000, 800_000) if quick else (10_000_000, 40_000_000)
    with tempfile.TemporaryDirectory() as folder:
        paths = {n: write_table(Path(folder) / f"{n}.parquet", n) for n in (small, large)}
        epochs = run_in_fresh_process("epochs", str(paths[small]), str(ROUNDS), module="benchmarks.streamed")
        peaks = {
            n: run_in_fresh_process("memory", str(path), module="benchmarks.streamed")
            for n, path in paths.items()
        }
    ratio = statistics.median(epochs["streamed"]) / statistics.median(epochs["memory"])
    growth = peaks[large]["peak_bytes"] / peaks[small]["peak_bytes"]
    print(f"{small:,} rows, {FEATURES}-{'-'.join(map(str, HIDDEN))}-2, batches of {BATCH_SIZE}")
    for name, seconds in epochs.items():
        print(f"an epoch, {name:8}: {', '.join(f'{one:.1f}' for one in seconds)} s")
    print(f"streamed / in memory: {ratio:.2f} (wanted: at most {MAX_RATIO})")
    for n, result in peaks.items():
        print(f"peak with {n:,} rows: {result['peak_bytes'] / 1e6:,.0f} MB; {result['seconds']:.0f} s in all")
    print(f"growth of the peak: {growth:.3f} (wanted: at most {MAX_GROWTH})")
    if not quick:
        results = {"epochs": epochs, "ratio": ratio, "peaks": peaks, "growth": growth}
        about = describe_machine(("batchprop", "jax", "numpy", "pyarrow"))
        RESULTS.write_text(json.dumps({"machine": about, **results}, indent=2) + "\n", encoding="utf-8")


def write_table(path: Path, n: int) -> Path:
    """Write n rows of float32, labelled by their side of a curved surface."""
    names = [f"x{j}" for j in range(FEATURES)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("side", pa.int8())])
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="zstd") as file:
        for start in range(0, n, ROW_GROUP_ROWS):
            X, y = make_rows(rng, min(ROW_GROUP_ROWS, n - start))
            file.write_table(pa.table([*X.T, y], schema=schema), row_group_size=ROW_GROUP_ROWS)
    return path


def make_rows(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    """Make rows and their labels of 0 and 1."""
    X = rng.standard_normal((n, FEATURES), dtype=np.float32)
    return X, (X[:, 0] * X[:, 1] + np.sin(3 * X[:, 2]) + X[:, 3] > 0).astype(np.int8)


def make_estimator(seconds: list[float]) -> Any:
    """Make an estimator for one timed epoch on JAX."""
    import batchprop as bp

    return bp.MLPClassifier(
        HIDDEN,
        batch_size=BATCH_SIZE,
        max_iter=1,
        random_state=0,
        engine="jax",
        callbacks=[lambda epoch: seconds.append(epoch.seconds)],
    )


def time_epochs(path: str, rounds: str) -> dict[str, list[float]]:
    """Time epochs over the file and over the same rows in memory, in turn."""
    from batchprop.tabular import scan

    table = pq.read_table(path)
    X = np.column_stack([table[f"x{j}"].to_numpy() for j in range(FEATURES)])
    y = table["side"].to_numpy()
    del table
    seconds_taken: dict[str, list[float]] = {"memory": [], "streamed": []}
    make_estimator([]).fit(X[:10_000], y[:10_000])  # compiles
    for _ in range(int(rounds)):
        make_estimator(seconds_taken["memory"]).fit(X, y)
        with scan(path, target="side", memory=MEMORY) as source:
            make_estimator(seconds_taken["streamed"]).fit(source)
    return seconds_taken


def measure_memory(path: str) -> dict[str, float]:
    """Return the peak memory of a process that trains for one epoch over the file."""
    from batchprop.tabular import scan

    began = time.perf_counter()
    with scan(path, target="side", memory=MEMORY) as source:
        make_estimator([]).fit(source)
    return {"peak_bytes": peak_bytes(), "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    jobs: dict[str, Callable[..., Any]] = {"epochs": time_epochs, "memory": measure_memory}
    if len(sys.argv) > 1 and sys.argv[1] in jobs:
        print(json.dumps(jobs[sys.argv[1]](*sys.argv[2:])))
    else:
        main()
