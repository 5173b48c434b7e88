"""The results of the bad-row benchmark: means, intervals, tables and a figure."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.bad_rows_data import KINDS, RATES
from benchmarks.report import met_and_missed

OURS, CLEANLAB, MARGIN = "batchprop", "cleanlab", "cleanlab, margin"
METHODS = (OURS, CLEANLAB, MARGIN)
MAX_TIME_RATIO = 1 / 3
N_RESAMPLES = 10_000

Cells = list[dict[str, Any]]

# The colour-blind-safe palette of Okabe and Ito; marker shapes encode the same.
MARKERS = {OURS: ("#0072B2", "o"), CLEANLAB: ("#D55E00", "s"), MARGIN: ("#E69F00", "^")}


def summarize(cells: Cells) -> dict[str, Any]:
    """Return means over all, the differences with their intervals, the ratios of time, and the targets."""
    by_data = {
        name: [one for one in cells if one["data"] == name] for name in _unique_in_order(cells, "data")
    }
    times = {name: [time_ratio(one) for one in results] for name, results in by_data.items()}
    differences = {
        figure: {name: difference(by_data, figure, name) for name in (CLEANLAB, MARGIN)}
        for figure in ("average_precision", "precision")
    }
    median = statistics.median(ratio for ratios in times.values() for ratio in ratios)
    return {
        "cells": len(cells),
        "average_precision": {name: _mean(cells, "average_precision", name) for name in METHODS},
        "precision": {name: _mean(cells, "precision", name) for name in METHODS},
        "by_column": {name: _mean(cells, "by_column", name) for name in cells[0]["by_column"]},
        "differences": differences,
        "time_ratio": {name: statistics.median(ratios) for name, ratios in times.items()},
        "time_ratio_of_all": median,
        "time_ratio_of_sums": _seconds(cells, OURS) / _seconds(cells, CLEANLAB),
        "wanted_time_ratio": MAX_TIME_RATIO,
        "precision_met": differences["average_precision"][CLEANLAB]["mean"] >= 0,
        "time_met": median <= MAX_TIME_RATIO,
    }


def difference(by_data: dict[str, Cells], figure: str, peer: str) -> dict[str, Any]:
    """The mean advantage of ours, and the 95% bootstrap interval of the mean.

    Resample once over the cells (table, rate, kind, seed) and once over the tables: results on one table
    say little about the next.
    """
    ahead = [[one[figure][OURS] - one[figure][peer] for one in results] for results in by_data.values()]
    cells = np.concatenate(ahead)
    rng = np.random.default_rng(0)
    means = np.array([np.mean(of_table) for of_table in ahead])
    return {
        "mean": float(cells.mean()),
        "interval": _interval(cells, rng),
        "interval_over_tables": _interval(means, rng),
        "won": int((cells > 0).sum()),
        "lost": int((cells < 0).sum()),
    }


def time_ratio(cell: dict[str, Any]) -> float:
    """Our time as a share of cleanlab's."""
    return float(cell["seconds"][OURS] / cell["seconds"][CLEANLAB])


def format_cells(about: dict[str, Any], cells: Cells) -> str:
    """Format the results of one table in one line, shown while others are running."""
    first = about["first_seconds"]
    return (
        f"{about['name']}, {about['rows']} x {about['columns']}, {about['classes']} classes, "
        f"{about['engine']}: average precision "
        + ", ".join(f"{name} {_mean(cells, 'average_precision', name):.3f}" for name in METHODS)
        + f"; time {statistics.median(time_ratio(one) for one in cells):.2f} of cleanlab's "
        f"(the first pair {first[OURS] / first[CLEANLAB]:.2f})"
    )


def make_report(results: dict[str, Any]) -> list[Any]:
    """Make all tables and the verdict."""
    cells = results["cells"]
    return [
        make_table_by_data(results),
        make_table_by_flip(cells),
        *(make_table_by_data_and_flip(cells, figure) for figure in ("average_precision", "precision")),
        "By other columns of the same fits, average precision: "
        + ", ".join(f"{name} {value:.3f}" for name, value in results["summary"]["by_column"].items()),
        format_verdict(results),
    ]


def make_table_by_data(results: dict[str, Any]) -> Table:
    """One row per table: both scores of every method, and the time."""
    shown = Table(title="Means over rates, kinds of flip and seeds; time: median of pairs, lowest to highest")
    for heading in (
        "table",
        *(f"AP,\n{name}" for name in METHODS),
        *(f"precision,\n{name}" for name in METHODS),
    ):
        shown.add_column(heading, justify="left" if heading == "table" else "right")
    shown.add_column("time of\ncleanlab's", justify="right")
    for about in [*results["tables"], None]:
        cells = [one for one in results["cells"] if about is None or one["data"] == about["name"]]
        ratios = [time_ratio(one) for one in cells]
        if about is None:
            shown.add_section()
        shown.add_row(
            "all" if about is None else about["name"],
            *_format_precisions(cells, "average_precision"),
            *_format_precisions(cells, "precision"),
            f"{statistics.median(ratios):.2f}, {min(ratios):.2f}–{max(ratios):.2f}",
        )
    return shown


def make_table_by_flip(cells: Cells) -> Table:
    """One row per kind and rate of flips, averaged over the tables."""
    shown = Table("flips", title="Means over tables and seeds, by what was flipped")
    for figure in ("AP", "precision"):
        for name in METHODS:
            shown.add_column(f"{figure},\n{name}", justify="right")
    for kind, rate in _flips(cells):
        results = [one for one in cells if (one["kind"], one["rate"]) == (kind, rate)]
        shown.add_row(
            f"{kind}, {rate:.0%}",
            *_format_precisions(results, "average_precision"),
            *_format_precisions(results, "precision"),
        )
    return shown


def make_table_by_data_and_flip(cells: Cells, figure: str) -> Table:
    """Ours / cleanlab's per table, rate and kind, averaged over the seeds."""
    name = {"average_precision": "Average precision", "precision": "Precision at the true number of flips"}
    shown = Table("table", title=f"{name[figure]}: batchprop / cleanlab, means over seeds")
    for kind, rate in _flips(cells):
        shown.add_column(f"{kind},\n{rate:.0%}", justify="right")
    for data in _unique_in_order(cells, "data"):
        row = []
        for flip in _flips(cells):
            results = [one for one in cells if one["data"] == data and (one["kind"], one["rate"]) == flip]
            means = [f"{_mean(results, figure, one):.3f}" for one in (OURS, CLEANLAB)] if results else ["–"]
            row.append(" / ".join(means))
        shown.add_row(data, *row)
    return shown


def format_verdict(results: dict[str, Any]) -> str:
    """Format our advantage, its cost, and which targets are met."""
    total = results["summary"]
    lines = [
        f"{figure.replace('_', ' ').capitalize()}: batchprop {total[figure][OURS]:.3f}, {peer} "
        f"{total[figure][peer]:.3f}: {one['mean']:+.3f} (95% {_bounds(one['interval'])}; tables drawn "
        f"again {_bounds(one['interval_over_tables'])}); ahead in {one['won']}, behind in {one['lost']}"
        for figure, of_figure in total["differences"].items()
        for peer, one in of_figure.items()
    ]
    ahead = total["differences"]["average_precision"][CLEANLAB]["mean"]
    ratio, sums = total["time_ratio_of_all"], total["time_ratio_of_sums"]
    lines.append(f"Time: median of pairs {ratio:.3f} of cleanlab's, all seconds together {sums:.3f}")
    asked = [
        (f"average precision {ahead:+.3f} beside cleanlab's, wanted ≥ 0", total["precision_met"]),
        (f"time {ratio:.3f} of cleanlab's, wanted ≤ {MAX_TIME_RATIO:.3f}", total["time_met"]),
    ]
    for one in results["overhead"]:
        what = f"recording, {one['engine']}, {one['case']}: {one['ratio']:.2f}"
        what += f" ({one['lowest']:.2f}–{one['highest']:.2f})"
        lines.append(what)
        asked.append((f"{what}, wanted ≤ {one['wanted']:g}", one["met"]))
    return "\n".join([*lines, *met_and_missed(asked)])


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw each method's average precision by table and kind of flip, beside the time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(11, 5.4), width_ratios=(3, 1), layout="constrained"
    )
    cells, names = results["cells"], [about["name"] for about in results["tables"]]
    for height, data in enumerate(names):
        of_data = [one for one in cells if one["data"] == data]
        for axes in (left, right):
            axes.axhspan(height - 0.5, height + 0.5, color="0.96" if height % 2 else "white", zorder=0)
        for kind, y in (("uniform", height - 0.2), ("similar", height + 0.2)):
            _dots(left, [one for one in of_data if one["kind"] == kind], y, filled=kind == "uniform")
        ratios = [time_ratio(one) for one in of_data]
        right.plot([min(ratios), max(ratios)], [height, height], color=MARKERS[OURS][0], linewidth=1)
        right.plot(statistics.median(ratios), height, MARKERS[OURS][1], color=MARKERS[OURS][0], markersize=7)
    right.axvline(MAX_TIME_RATIO, color="black", linewidth=1)
    right.set_xlim(0, None)
    left.set_yticks(range(len(names)), names)
    left.set_ylim(len(names) - 0.5, -0.5)
    left.set_xlabel("average precision, mean over 2, 5, 10 and 20% of flips and the seeds")
    right.set_xlabel("time as a part of cleanlab's: median,\nrange; line: wanted, a third at most")
    _legend(figure, left)
    for axes in (left, right):
        axes.grid(axis="x", color="0.88")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    machine = results["machine"]
    figure.text(0.005, 0.005, f"{machine['cores']} cores, {machine['date'][:10]}", color="0.4", fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _legend(figure: Any, axes: Any) -> None:
    for name, (colour, shape) in MARKERS.items():
        axes.plot([], [], shape, color=colour, markersize=7, label=name)
    axes.plot([], [], "o", color="0.4", markersize=7, label="flipped to any class")
    axes.plot(
        [], [], "o", color="0.4", markersize=7, markerfacecolor="white", label="flipped to the nearest class"
    )
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)


def _dots(axes: Any, cells: Cells, y: float, *, filled: bool) -> None:
    """Draw the methods' means at one height, joined by a line."""
    if not cells:
        return
    means = {name: _mean(cells, "average_precision", name) for name in MARKERS}
    axes.plot([min(means.values()), max(means.values())], [y, y], color="0.6", linewidth=1, zorder=1)
    for name, (colour, shape) in reversed(MARKERS.items()):
        face = colour if filled else "white"
        axes.plot(means[name], y, shape, color=colour, markerfacecolor=face, markersize=7)


def _interval(values: NDArray[np.float64], rng: np.random.Generator) -> list[float]:
    drawn = rng.integers(0, len(values), (N_RESAMPLES, len(values)))
    return [float(bound) for bound in np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))]


def _bounds(interval: list[float]) -> str:
    return f"{interval[0]:+.3f} to {interval[1]:+.3f}"


def _mean(cells: Cells, figure: str, name: str) -> float:
    return float(np.mean([one[figure][name] for one in cells]))


def _format_precisions(cells: Cells, figure: str) -> list[str]:
    """Format each method's mean, with the best one emphasised."""
    means = [round(_mean(cells, figure, name), 3) for name in METHODS]
    return [f"[bold]{mean:.3f}[/]" if mean == max(means) else f"{mean:.3f}" for mean in means]


def _seconds(cells: Cells, name: str) -> float:
    return float(sum(one["seconds"][name] for one in cells))


def _unique_in_order(cells: Cells, what: str) -> list[Any]:
    return list(dict.fromkeys(one[what] for one in cells))


def _flips(cells: Cells) -> list[tuple[str, float]]:
    results = {(one["kind"], one["rate"]) for one in cells}
    return [(kind, rate) for kind in KINDS for rate in RATES if (kind, rate) in results]
