"""The whole fit of a default MLPClassifier on the digits, beside scikit-learn's: each in a fresh process."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.fresh import run_fresh
from benchmarks.rounds import ratio

WANTED = 2.0
POINTS_APART = 0.5


def measure(seeds: int) -> dict[str, Any]:
    """Fit both once for every seed, in turn.

    Everything is imported before the clock starts, and nothing is compiled: our first fit pays for that. What
    the import of JAX takes is added in ``ratio_with_import``, although scikit-learn's own import is not.
    """
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for seed in range(seeds):
        for who, so_far in runs.items():
            so_far.append(run_fresh("fit", who, str(seed)))
    taken = {who: [run["seconds"] for run in so_far] for who, so_far in runs.items()}
    beside = ratio(taken["peer"], taken["ours"])
    with_import = [run["seconds"] + run["import_jax_seconds"] for run in runs["ours"]]
    accuracy = {who: statistics.mean(run["accuracy"] for run in so_far) for who, so_far in runs.items()}
    points_apart = 100 * (accuracy["ours"] - accuracy["peer"])
    return {
        "runs": runs,
        "seconds": {who: statistics.median(times) for who, times in taken.items()},
        "seconds_with_import_of_jax": statistics.median(with_import),
        "ratio": beside.median,
        "ratio_lowest": beside.lowest,
        "ratio_highest": beside.highest,
        "ratio_with_import": ratio(taken["peer"], with_import).median,
        "wanted": WANTED,
        "met": beside.median >= WANTED,
        "accuracy": accuracy,
        "points_apart": points_apart,
        "points_wanted": POINTS_APART,
        "same_accuracy": abs(points_apart) <= POINTS_APART,
    }
