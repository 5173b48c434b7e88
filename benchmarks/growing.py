"""Batches that grow with the noise scale against fixed sizes: validation loss over time.

`python -m benchmarks.growing` writes `results/growing.json` and `results/growing.png`; `--quick` tries it.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

import batchprop as bp
from batchprop.training import EpochRecord

RESULTS = Path(__file__).parent / "results"
SIZES: tuple[int | str, ...] = (32, 200, 1024, 4096, "noise")
# The colour-blind-safe palette of Okabe and Ito.
COLOURS = ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#000000")
SEEDS = 3


def measure_curve(batch_size: int | str, rows: int, epochs: int, seed: int) -> dict[str, Any]:
    """Train once; return the validation loss and the seconds of training after each epoch."""
    X, y = make_classification(
        rows + 5_000, 64, n_informative=32, n_classes=10, n_clusters_per_class=2, random_state=0
    )
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    seconds: list[float] = []

    def note(epoch: EpochRecord) -> None:
        seconds.append(epoch.seconds)

    model = bp.MLPClassifier(
        (128,),
        batch_size=batch_size,
        max_batch_size=4096,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
        engine="numpy",
        callbacks=[note],
    )
    model.fit(X[:rows], y[:rows], X_val=X[rows:], y_val=y[rows:])
    return {
        "batch_size": batch_size,
        "seed": seed,
        "seconds": np.cumsum(seconds).tolist(),
        "validation_loss": model.validation_loss_curve_,
        "batch_sizes": model.monitor_.get("batch_size"),
        "noise_scale": model.monitor_.get("noise_scale"),
    }


def draw(curves: list[dict[str, Any]], to: Path) -> None:
    """Draw every curve, with one colour per batch size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for curve in curves:
        of = SIZES.index(curve["batch_size"])
        axes.plot(
            curve["seconds"],
            curve["validation_loss"],
            color=COLOURS[of],
            linewidth=2.2 if curve["batch_size"] == "noise" else 1.2,
            label=f"batch_size={curve['batch_size']!r}" if curve["seed"] == 0 else None,
        )
    axes.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel="validation loss")
    axes.grid(which="both", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(to, dpi=110)
    plt.close(figure)


def main() -> None:
    """Train with each batch size in turn, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.growing")
    parser.add_argument("--quick", action="store_true", help="on little data; writes nothing")
    quick = parser.parse_args().quick
    rows, epochs, seeds = (2_000, 2, 1) if quick else (40_000, 25, SEEDS)
    warnings.simplefilter("ignore", ConvergenceWarning)
    curves = []
    for seed in range(seeds):
        for batch_size in SIZES:
            curve = measure_curve(batch_size, rows, epochs, seed)
            best = int(np.argmin(curve["validation_loss"]))
            print(
                f"batch_size={batch_size!r}, seed {seed}: lowest validation loss "
                f"{curve['validation_loss'][best]:.3f} after {curve['seconds'][best]:.1f} s of training"
            )
            curves.append(curve)
    if quick:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growing.json").write_text(json.dumps(curves, indent=1) + "\n", "utf-8")
    draw(curves, RESULTS / "growing.png")


if __name__ == "__main__":
    main()
