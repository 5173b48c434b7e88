"""The NumPy engine beside scikit-learn: the same ten epochs of `fit`, in float32, A B A B ….

Run by `make bench`; `--quick` tries everything once on little data and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.neural_network
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning

import batchprop as bp
from benchmarks.side_by_side import Pairs, import_seconds, machine, median_seconds, time_pairs

RESULTS = Path(__file__).parent / "results"
EPOCHS = 10
SOLVERS = ("adam", "sgd")
# In float64 both sides must walk the same path. In float32 they round in another order, and part slowly:
# there the curves are compared in units of the first epoch's loss, as late losses are close to zero.
SAME_IN_FLOAT64, SAME_IN_FLOAT32 = 1e-6, 1e-3


@dataclass(frozen=True)
class Case:
    """A network, its batch size, enough rows for a fit of seconds, and the ratio asked for."""

    sizes: tuple[int, ...]
    batch_size: int
    rows: int
    wanted: float

    @property
    def name(self) -> str:
        """As the table shows it: 64-64-10, batch 32."""
        return "-".join(map(str, self.sizes)) + f", batch {self.batch_size}"

    @property
    def steps(self) -> int:
        """Updates in one fit."""
        return EPOCHS * -(-self.rows // self.batch_size)


CASES = (
    Case((64, 64, 10), 32, rows=20_000, wanted=1.5),
    Case((30, 100, 2), 32, rows=30_000, wanted=1.5),
    Case((784, 256, 128, 10), 32, rows=6_000, wanted=0.8),
    Case((784, 256, 128, 10), 128, rows=12_000, wanted=0.8),
    Case((784, 256, 128, 10), 1024, rows=16_384, wanted=0.8),
    Case((784, 1024, 1024, 10), 256, rows=5_120, wanted=0.8),
)


def make_data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Normal rows, each labelled by the largest of as many random linear scores.

    Returns:
        X (rows, features) float32, and y (rows,) of integers below the number of classes.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((case.rows, case.sizes[0]), dtype=np.float32)
    scores = X @ rng.standard_normal((case.sizes[0], case.sizes[-1]), dtype=np.float32)
    return X, scores.argmax(axis=1)


def settings(case: Case, solver: str) -> dict[str, Any]:
    """Constructor parameters that both sides understand, so that all epochs run."""
    return {
        "hidden_layer_sizes": case.sizes[1:-1],
        "solver": solver,
        "batch_size": case.batch_size,
        "max_iter": EPOCHS,
        "tol": 0.0,
        "n_iter_no_change": 10 * EPOCHS,
        "random_state": 0,
    }


def products_of_a_step(case: Case) -> float:
    """Seconds of nothing but a step's matrix products: the floor under any NumPy engine."""
    rng = np.random.default_rng(0)
    m = case.batch_size
    H = [rng.standard_normal((m, n), dtype=np.float32) for n in case.sizes]
    W = [rng.standard_normal(shape, dtype=np.float32) for shape in pairwise(case.sizes)]

    def step() -> None:
        for h, w in zip(H[:-1], W, strict=True):
            h @ w  # forward
        for h, dz in pairwise(H):
            h.T @ dz  # the mean gradient
        for w, dz in zip(W[1:], H[2:], strict=True):
            dz @ w.T  # backward; the input needs no gradient

    def steps() -> None:
        for _ in range(20):
            step()

    return median_seconds(steps, repeats=7) / 20


def both(case: Case, solver: str, dtype: str) -> tuple[Any, Any]:
    """Make our estimator and the peer's, not yet fitted."""
    ours = bp.MLPClassifier(**settings(case, solver), dtype=dtype)
    return ours, sklearn.neural_network.MLPClassifier(**settings(case, solver))


def check_same_work(case: Case, solver: str) -> float:
    """Fit both sides on a few batches in float64, and return how far their loss curves part."""
    X, y = make_data(replace(case, rows=5 * case.batch_size + 1))
    ours, peer = (net.fit(X.astype("float64"), y).loss_curve_ for net in both(case, solver, "float64"))
    return apart(case, solver, ours, peer, np.asarray(peer), SAME_IN_FLOAT64)


def apart(case: Case, solver: str, ours: Any, peer: Any, unit: Any, at_most: float) -> float:
    """Return the largest difference of two loss curves in a unit.

    Raises:
        AssertionError: it is too large, or an epoch is missing.
    """
    far = float(np.max(np.abs(np.subtract(ours, peer)) / unit))
    if len(ours) != EPOCHS or far > at_most:
        raise AssertionError(
            f"{case.name}, {solver}: not the same work. {len(ours)} epochs, loss curves {far:.1e} apart "
            f"(at most {at_most:.0e})."
        )
    return far


def measure(case: Case, solver: str, repeats: int) -> dict[str, Any]:
    """Time one case with one solver, and check that both sides did the same work."""
    X, y = make_data(case)
    ours, peer = both(case, solver, "float32")
    in_float64 = check_same_work(case, solver)
    pairs = time_pairs(lambda: ours.fit(X, y), lambda: peer.fit(X, y), repeats)
    in_float32 = apart(case, solver, ours.loss_curve_, peer.loss_curve_, peer.loss_curve_[0], SAME_IN_FLOAT32)
    return {
        "case": case.name,
        "solver": solver,
        **asdict(case),
        "steps": case.steps,
        "curves_apart_float64": in_float64,
        "curves_apart_float32": in_float32,
        "ours_seconds": pairs.ours,
        "peer_seconds": pairs.peer,
        "ratio": pairs.ratio,
        "ratio_of_the_fastest": min(pairs.peer) / min(pairs.ours),
        **microseconds_a_step(case, pairs),
    }


def microseconds_a_step(case: Case, pairs: Pairs) -> dict[str, float]:
    """Medians of a whole fit divided by its updates, and the bare products beside them."""
    return {
        "ours_us": 1e6 * statistics.median(pairs.ours) / case.steps,
        "peer_us": 1e6 * statistics.median(pairs.peer) / case.steps,
        "products_us": 1e6 * products_of_a_step(case),
    }


def table(results: list[dict[str, Any]]) -> Table:
    """One row a case and solver."""
    shown = Table(title=f"{EPOCHS} epochs of fit, float32: microseconds a step, medians")
    for heading in ("network", "solver"):
        shown.add_column(heading)
    for heading in ("products", "batchprop", "scikit-learn", "ratio", "min - max", "fastest", "wanted"):
        shown.add_column(heading, justify="right")
    for row in results:
        pairs = Pairs(row["ours_seconds"], row["peer_seconds"])
        shown.add_row(
            row["case"],
            row["solver"],
            *(f"{row[key]:.0f}" for key in ("products_us", "ours_us", "peer_us")),
            f"{row['ratio']:.2f}",
            f"{min(pairs.ratios):.2f} - {max(pairs.ratios):.2f}",
            f"{row['ratio_of_the_fastest']:.2f}",
            f"{row['wanted']:.1f}",
        )
    return shown


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Bars of the ratios: right of 1 we are faster."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    names = list(dict.fromkeys(row["case"] for row in results))
    for offset, solver in zip((-0.2, 0.2), SOLVERS, strict=True):
        ratios = [row["ratio"] for row in results if row["solver"] == solver]
        bars = axes.barh(np.arange(len(names)) + offset, ratios, height=0.38, label=solver)
        axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("times as fast as scikit-learn's MLPClassifier (whole fit, float32, median)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=len(SOLVERS), frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure every case, print the table, and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, on little data; writes nothing")
    quick = parser.parse_args().quick
    cases = [replace(case, rows=4 * case.batch_size) for case in CASES] if quick else CASES
    repeats = 1 if quick else 5

    console = Console(width=120)
    results = []
    with warnings.catch_warnings():
        # Ten epochs are not meant to converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for case in cases:
            for solver in SOLVERS:
                results.append(measure(case, solver, repeats))
                console.print(f"{case.name}, {solver}: ratio {results[-1]['ratio']:.2f}")
    imports = import_seconds("batchprop", repeats)
    console.print(table(results))
    console.print(f"import batchprop: {statistics.median(imports):.3f} s (at most 0.3 wanted)")
    if quick:
        return
    facts = machine(("batchprop", "numpy", "scikit-learn", "scipy"))
    report = {"machine": facts, "import_seconds": imports, "results": results}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "numpy_engine.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    draw(results, RESULTS / "numpy_engine.png")


if __name__ == "__main__":
    main()
