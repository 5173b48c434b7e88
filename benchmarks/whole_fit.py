"""The full fit of a default MLPClassifier on the digits against scikit-learn's, each in a fresh process."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.fresh import run_in_fresh_process
from benchmarks.rounds import paired_ratio

MIN_RATIO = 2.0
MAX_POINTS_APART = 0.5


def measure(seeds: int) -> dict[str, Any]:
    """Fit both once per seed, in turn.

    Everything is imported before the clock starts, and nothing is compiled: our first fit pays for that. What
    the import of JAX takes is added in ``ratio_with_import``, although scikit-learn's own import is not.
    """
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for seed in range(seeds):
        for who, so_far in runs.items():
            so_far.append(run_in_fresh_process("fit", who, str(seed)))
    seconds_taken = {who: [run["seconds"] for run in so_far] for who, so_far in runs.items()}
    time_ratio = paired_ratio(seconds_taken["peer"], seconds_taken["ours"])
    with_import = [run["seconds"] + run["import_jax_seconds"] for run in runs["ours"]]
    accuracy = {who: statistics.mean(run["accuracy"] for run in so_far) for who, so_far in runs.items()}
    points_apart = 100 * (accuracy["ours"] - accuracy["peer"])
    return {
        "runs": runs,
        "seconds": {who: statistics.median(times) for who, times in seconds_taken.items()},
        "seconds_with_import_of_jax": statistics.median(with_import),
        "ratio": time_ratio.median,
        "ratio_lowest": time_ratio.lowest,
        "ratio_highest": time_ratio.highest,
        "ratio_with_import": paired_ratio(seconds_taken["peer"], with_import).median,
        "wanted": MIN_RATIO,
        "met": time_ratio.median >= MIN_RATIO,
        "accuracy": accuracy,
        "points_apart": points_apart,
        "points_wanted": MAX_POINTS_APART,
        "same_accuracy": abs(points_apart) <= MAX_POINTS_APART,
    }
