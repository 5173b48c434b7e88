"""The figure for the docs: each peer's time relative to ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.contestants import (
    COMPILED,
    EAGER,
    JITTED_SCAN,
    JITTED_STEP,
    OURS_IN_NUMPY,
    PRODUCTS_COMPILED,
    SCIKIT_LEARN,
)

# The colour-blind-safe palette of Okabe and Ito; marker shapes encode the same.
MARKERS = {
    EAGER.name: ("#D55E00", "o"),
    COMPILED.name: ("#E69F00", "s"),
    SCIKIT_LEARN.name: ("#0072B2", "D"),
    OURS_IN_NUMPY.name: ("#56B4E9", "v"),
    JITTED_STEP.name: ("#009E73", "^"),
    JITTED_SCAN.name: ("#CC79A7", "P"),
    PRODUCTS_COMPILED.name: ("#000000", "|"),
}


def draw(figures: list[dict[str, Any]], machine: dict[str, Any], path: Path) -> None:
    """Draw one dot per peer and case on a log axis: right of 1, the peer is slower."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    solvers = list(dict.fromkeys(row["solver"] for row in figures))
    figure, panels = plt.subplots(
        1, len(solvers), sharey=True, sharex=True, squeeze=False, figsize=(11, 6.2), layout="constrained"
    )
    for axes, solver in zip(panels[0], solvers, strict=True):
        _draw_panel(axes, [row for row in figures if row["solver"] == solver])
        axes.set_title({"sgd": "SGD", "adam": "Adam"}[solver])
    panels[0][0].invert_yaxis()
    figure.supxlabel(
        "time a step, as a multiple of batchprop's on JAX: median, and lowest to highest of the rounds",
        fontsize=11,
    )
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    figure.text(
        0.995, 0.005, f"{machine['cores']} cores, {machine['date'][:10]}", ha="right", color="0.4", fontsize=8
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_panel(axes: Any, rows: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    for height, row in enumerate(rows):
        axes.axhspan(height - 0.5, height + 0.5, color="0.96" if height % 2 else "white", zorder=0)
        result = [(name, row["contestants"][name]) for name in MARKERS if name in row["contestants"]]
        for place, (name, one) in enumerate(result):
            colour, shape = MARKERS[name]
            y = height + 0.72 * (place / max(len(result) - 1, 1) - 0.5)
            axes.plot(
                [one["ratio_lowest"], one["ratio_highest"]], [y, y], color=colour, linewidth=1, alpha=0.6
            )
            axes.plot(
                one["ratio"],
                y,
                shape,
                color=colour,
                markersize=7,
                markeredgewidth=2 if shape == "|" else 0,
                label=name if height == 0 else None,
            )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="x", color="0.88")
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(rows)), [row["case"].replace(", ", "\n") for row in rows])
    axes.spines[["top", "right"]].set_visible(False)
