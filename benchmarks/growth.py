"""Time and memory as functions of the rows: 30-100-2, batches of 200, Adam, compiled."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.fresh import run_in_fresh_process

TOLERANCE = 0.15
LARGE_TABLE = (5_000_000, 100)  # 2 GB in float32


def time_per_row(largest: int, rounds: int) -> dict[str, Any]:
    """Measure epoch time per row on tables of 10⁴ rows and up, in turn within one process."""
    seconds_taken: dict[str, list[float]] = run_in_fresh_process("grow", str(largest), str(rounds))[
        "seconds_a_row"
    ]
    medians = {rows: statistics.median(times) for rows, times in seconds_taken.items()}
    smallest = next(iter(medians.values()))
    growth = {rows: median / smallest for rows, median in medians.items()}
    return {
        "seconds_a_row": seconds_taken,
        "ns_a_row": {rows: 1e9 * median for rows, median in medians.items()},
        "growth": growth,
        "wanted_within": TOLERANCE,
        "met": all(abs(factor - 1) <= TOLERANCE for factor in growth.values()),
    }


def measure_memory(largest: int, large_table: tuple[int, int] = LARGE_TABLE) -> dict[str, Any]:
    """Return the memory peaks of processes that train on tables of increasing size, and on one of 2 GB.

    What is measured is resident memory: the interpreter, the libraries, what compiling needs, the table
    (which the caller made, so it is there once), and what training adds. ``bytes_a_row_added`` is the slope
    of what training adds between the two largest tables; the table itself has 128 bytes a row.
    """
    powers = [10**power for power in range(4, len(str(largest)))]
    runs = [run_in_fresh_process("memory", str(rows), "30", "core") for rows in powers]
    added = [run["peak_bytes"] - run["peak_table_bytes"] for run in runs]
    slope = (added[-1] - added[-2]) / (powers[-1] - powers[-2])
    large = [run_in_fresh_process("memory", *map(str, large_table), who) for who in ("core", "fit")]
    return {"runs": runs, "bytes_a_row_added": slope, "large_table": large}
