"""Microseconds per step: every contestant in turn on every case."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks import same_work
from benchmarks.cases import SOLVERS, Case, Start, Task
from benchmarks.contestants import OURS, Contestant, min_ratio
from benchmarks.peers.products import operations
from benchmarks.rounds import interleave, paired_ratio


def measure_all(
    cases: tuple[Case, ...], contestants: list[Contestant], rounds: int, device: str, precision: str
) -> Iterator[dict[str, Any]]:
    """Yield the results of each case with each solver."""
    checked: set[tuple[str, str]] = set()
    for case in cases:
        for solver in SOLVERS:
            task = Task(case, solver, device=device, precision=precision)
            figures = measure(task, contestants, rounds)
            # The batch size changes no formula, so one check in float64 per network is enough.
            first = (case.network, solver) not in checked
            if first and device == "cpu" and precision == "float32":
                figures["curves_apart_float64"] = same_work.float64_distances(task, contestants)
                checked.add((case.network, solver))
            yield figures


def measure(task: Task, contestants: list[Contestant], rounds: int) -> dict[str, Any]:
    """Time one case with one solver, after a warm-up round whose loss curves are checked."""
    starts: dict[str, Start] = {}
    first_seconds: dict[str, float] = {}
    curves_apart: dict[str, float] = {}
    for contestant in contestants:
        starts[contestant.name] = start = contestant.prepare(task)
        run = start()
        began = time.perf_counter()
        curve = run()
        first_seconds[contestant.name] = time.perf_counter() - began
        if contestant.trains:
            curves_apart[contestant.name] = same_work.curve_distance(task, contestant, curve)
    seconds_taken = interleave(starts, rounds)
    return {
        "case": task.case.name,
        "solver": task.solver,
        **asdict(task.case),
        "rows": task.case.rows,
        "steps": task.case.steps,
        "precision": task.precision,
        "operations_a_step": operations(task),
        "curves_apart": curves_apart,
        "contestants": {
            name: summarize(name, task.case, seconds_taken) | {"first_run_seconds": first_seconds[name]}
            for name in seconds_taken
        },
    }


def summarize(name: str, case: Case, seconds_taken: dict[str, list[float]]) -> dict[str, Any]:
    """Return one contestant's time, and its ratio to ours."""
    time_ratio = paired_ratio(seconds_taken[name], seconds_taken[OURS.name])
    asked = min_ratio(name, case)
    return {
        "seconds": seconds_taken[name],
        "us_a_step": 1e6 * statistics.median(seconds_taken[name]) / case.steps,
        "ratio": time_ratio.median,
        "ratio_lowest": time_ratio.lowest,
        "ratio_highest": time_ratio.highest,
        "wanted": asked,
        "met": None if asked is None else time_ratio.median >= asked,
    }
