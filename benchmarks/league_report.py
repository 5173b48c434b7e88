"""The league's results: means over tables, ranks, ratios to one method, and a critical-difference plot.

A score is averaged over the splits of a table, and then over tables as a geometric mean of (score + 0.01). A
method that failed on a split takes the worst score that any method has there. A method that has not run all
tables has no mean rank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats

from benchmarks.tables import SPLITS, TABLES

SHIFT = 0.01
SCORES = {"class_error": "class error", "log_loss": "log loss", "auc_loss": "1 − AUC", "nrmse": "nRMSE"}
RANKED = {"class": ("class_error", "log_loss"), "number": ("nrmse",)}
LEVEL = 0.05
REFERENCE = "hist-gb"
"""A quick method that runs all splits."""

Cells = list[dict[str, Any]]
ByTable = dict[str, dict[int, float]]
"""Scores by table and split."""


def make_report(cells: Cells, beside: str) -> list[Any]:
    """Make the tables that are shown."""
    if not cells:
        return ["Nothing is kept of these methods and tables."]
    scores = collect_scores(cells)
    return [
        make_means_table(cells),
        *([make_ratios_table(scores, beside)] if any(beside in of for of in scores.values()) else []),
        *(
            make_table_by_table(scores, score)
            for score in ("class_error", "log_loss", "nrmse")
            if scores[score]
        ),
        *list_failures(cells),
    ]


def collect_scores(cells: Cells) -> dict[str, dict[str, ByTable]]:
    """Collect losses by score, method, table and split."""
    losses: dict[str, dict[str, ByTable]] = {
        score: defaultdict(lambda: defaultdict(dict)) for score in SCORES
    }
    worst: dict[tuple[str, str, int], float] = defaultdict(float)
    for cell in cells:
        for name, value in cell.get("scores", {}).items():
            score, loss = ("auc_loss", 1 - value) if name == "auc" else (name, value)
            losses[score][cell["method"]][cell["table"]][cell["split"]] = loss
            place = score, cell["table"], cell["split"]
            worst[place] = max(worst[place], loss)
    for cell in cells:
        for score in SCORES:
            place = score, cell["table"], cell["split"]
            if "failed" in cell and place in worst:
                losses[score][cell["method"]][cell["table"]][cell["split"]] = worst[place]
    return losses


def estimate(of_score: dict[str, ByTable], method: str) -> dict[str, float]:
    """Estimate a method's loss on each table: the mean over its splits, corrected for splits it has not run.

    Splits are not equally hard. The reference has run most of them, so the mean is multiplied by its mean
    over all its splits, and divided by its mean over the method's.
    """
    estimates = {}
    for table, losses in of_score.get(method, {}).items():
        reference = of_score.get(REFERENCE, {}).get(table, {})
        estimates[table] = float(np.mean([*losses.values()]))
        if both := losses.keys() & reference.keys():
            easier = (np.mean([reference[one] for one in both]) + SHIFT) / (
                np.mean([*reference.values()]) + SHIFT
            )
            mine = np.mean([losses[one] for one in both]) + SHIFT
            estimates[table] = float(mine / easier - SHIFT)
    return estimates


def average(losses: Iterable[float]) -> float:
    """The geometric mean over tables of (loss + 0.01)."""
    return float(np.exp(np.log(np.array([*losses]) + SHIFT).mean()))


def standard_error(by_table: ByTable) -> float | None:
    """The standard error of the average over the splits that all tables have; None with fewer than two."""
    splits = [one for one in SPLITS if all(one in losses for losses in by_table.values())]
    if len(splits) < 2:
        return None
    averages = [average(losses[one] for losses in by_table.values()) for one in splits]
    return float(np.std(averages, ddof=1) / np.sqrt(len(splits)))


def rank(scores: dict[str, dict[str, ByTable]]) -> tuple[list[str], NDArray[np.float64], list[str]]:
    """Rank the methods on each table by their estimated losses, the best being 1.

    Where there are classes, the rank is the mean of those by class error and by log loss. Only methods that
    have run on every table are ranked.

    Returns:
        The methods, their ranks (tables, methods), and the tables.
    """
    tables = sorted({table for score in SCORES for of in scores[score].values() for table in of})
    names = {method for score in SCORES for method in scores[score]}
    methods = sorted(
        method
        for method in names
        if all(any(table in scores[score].get(method, {}) for score in SCORES) for table in tables)
    )
    losses = {score: {name: estimate(scores[score], name) for name in methods} for score in SCORES}
    ranks = []
    for table in tables:
        kinds = RANKED["number" if TABLES[table].task == "regression" else "class"]
        of_table = [[losses[kind][method][table] for method in methods] for kind in kinds]
        ranks.append(np.mean([stats.rankdata(of) for of in of_table], axis=0))
    return methods, np.array(ranks).reshape(len(tables), len(methods)), tables


def critical_difference(n_methods: int, n_tables: int) -> float:
    r"""The difference of mean ranks beyond which two methods differ, by Nemenyi's test at 5%.

    $q_{0.05} \sqrt{k (k + 1) / 6N}$, with the studentized range of k means over √2 (Demšar 2006).
    """
    q = stats.studentized_range.ppf(1 - LEVEL, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_tables)))


def make_means_table(cells: Cells) -> Table:
    """One row per method, the best mean rank first."""
    heading, rows = summarize(cells)
    count = len({cell["table"] for cell in cells})
    shown = Table(title=f"Geometric means of (score + {SHIFT}) ± standard errors over splits; {count} tables")
    for name in heading:
        shown.add_column(name, justify="left" if name == "method" else "right")
    for row in rows:
        shown.add_row(*row)
    return shown


def summarize(cells: Cells) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return a heading, and for each method its means, mean rank, CPU seconds, and how much it has run."""
    scores = collect_scores(cells)
    methods, ranks, _ = rank(scores)
    mean_ranks = dict(zip(methods, ranks.mean(axis=0), strict=True)) if methods else {}
    times, counts = ("fit, CPU s", "longest", "predict, CPU s"), ("tables", "splits", "failed")
    rows = []
    names = {cell["method"] for cell in cells}
    for method in sorted(names, key=lambda name: (mean_ranks.get(name, np.inf), name)):
        of_method = [cell for cell in cells if cell["method"] == method]
        ran = [cell for cell in of_method if "scores" in cell]
        means = [format_mean(scores[score], method) for score in SCORES]
        ranked = f"{mean_ranks[method]:.2f}" if method in mean_ranks else "–"
        tables = len({cell["table"] for cell in of_method})
        splits = ",".join(map(str, sorted({cell["split"] for cell in of_method})))
        failed = str(len(of_method) - len(ran))
        rows.append([method, *means, ranked, *format_seconds(ran), str(tables), splits, failed])
    return ("method", *SCORES.values(), "mean rank", *times, *counts), rows


def format_mean(of_score: dict[str, ByTable], method: str) -> str:
    """Format a mean with its standard error; a dash unless it is of all the tables."""
    by_table = of_score.get(method, {})
    if len(by_table) < max(map(len, of_score.values()), default=1):
        return "–"
    error = standard_error(by_table)
    return f"{average(estimate(of_score, method).values()):.3f}" + (
        "" if error is None else f" ± {error:.3f}"
    )


def format_seconds(ran: Cells) -> list[str]:
    """Format CPU seconds: the geometric mean of fits and the longest, and the mean of predictions."""
    if not ran:
        return ["–"] * 3
    fits = np.array([cell["fit_seconds"] for cell in ran])
    predictions = np.array([cell["predict_seconds"] for cell in ran])
    means = [float(np.exp(np.log(np.maximum(of, 1e-4)).mean())) for of in (fits, predictions)]
    return [f"{means[0]:.2f}", f"{fits.max():.1f}", f"{means[1]:.3f}"]


def make_ratios_table(scores: dict[str, dict[str, ByTable]], beside: str) -> Table:
    """One row per method: the geometric mean of its ratios to another, on the splits that both have."""
    shown = Table(
        title=f"Ratios of (score + {SHIFT}) to {beside}, ± standard error over tables; the worst table"
    )
    shown.add_column("method")
    for name in SCORES.values():
        shown.add_column(name, justify="right")
    for method in dict.fromkeys(method for score in SCORES for method in scores[score]):
        if method != beside:
            shown.add_row(method, *(format_ratio(compare(scores[score], method, beside)) for score in SCORES))
    return shown


def compare(of_score: dict[str, ByTable], method: str, beside: str) -> dict[str, float]:
    """Return the ratio of two methods on each table, over the splits that both have."""
    ratios = {}
    for table, losses in of_score.get(method, {}).items():
        others = of_score.get(beside, {}).get(table, {})
        if both := losses.keys() & others.keys():
            mine, theirs = (np.mean([of[one] for one in both]) for of in (losses, others))
            ratios[table] = float((mine + SHIFT) / (theirs + SHIFT))
    return ratios


def format_ratio(ratios: dict[str, float]) -> str:
    """Format the mean ratio, its standard error, and the worst with its table."""
    if not ratios:
        return "–"
    logs = np.log([*ratios.values()])
    worst, mean = max(ratios, key=lambda table: ratios[table]), np.exp(logs.mean())
    error = f" ± {mean * logs.std(ddof=1) / np.sqrt(len(logs)):.3f}" if len(logs) > 1 else ""
    return f"{mean:.3f}{error}; {ratios[worst]:.2f} {worst}"


def make_table_by_table(scores: dict[str, dict[str, ByTable]], score: str) -> Table:
    """One row per table: the estimated loss of each method."""
    losses = {method: estimate(scores[score], method) for method in scores[score]}
    shown = Table(title=f"{SCORES[score]} by table")
    shown.add_column("table")
    for method in losses:
        shown.add_column(method.replace("-", "-\n", 1), justify="right")
    for table in TABLES:
        of_table = [of[table] for of in losses.values() if table in of]
        if of_table:
            shown.add_row(table, *(format_score(of.get(table), min(of_table)) for of in losses.values()))
    return shown


def format_score(value: float | None, best: float) -> str:
    """Format a score, the best one emphasised."""
    if value is None:
        return "–"
    return f"[bold]{value:.4f}[/]" if value == best else f"{value:.4f}"


def list_failures(cells: Cells) -> list[str]:
    """Say which methods failed where, and why."""
    return [
        f"{cell['method']} failed on {cell['table']}, split {cell['split']}: {cell['failed']}"
        for cell in cells
        if "failed" in cell
    ]


def draw(cells: Cells, path: Path) -> None:
    """Draw the mean ranks; bars join methods that Nemenyi's test does not tell apart."""
    methods, ranks, tables = rank(collect_scores(cells))
    if len(methods) < 3 or len(tables) < 2:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    means = ranks.mean(axis=0)
    order = np.argsort(means)
    width, p_value = critical_difference(len(methods), len(tables)), stats.friedmanchisquare(*ranks.T).pvalue
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.34 * len(methods)), layout="constrained")
    for height, place in enumerate(order):
        ours = methods[place].startswith("batchprop")
        axes.plot(means[place], height, "o" if ours else "s", color="#0072B2" if ours else "#D55E00")
        axes.annotate(
            f"{methods[place]}  {means[place]:.2f}",
            (means[place], height),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    for column, (first, last) in enumerate(find_cliques(means[order], width)):
        x, ends = 0.015 + 0.015 * column, [first - 0.2, last + 0.2]
        axes.plot([x, x], ends, color="0.3", linewidth=3, transform=axes.get_yaxis_transform())
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_yticks([])
    axes.margins(x=0.25)
    axes.set_xlabel(
        f"mean rank on {len(tables)} tables (1 is best); critical difference {width:.2f} "
        f"(Nemenyi, 5%); Friedman p = {p_value:.2g}",
        fontsize=9,
    )
    axes.grid(axis="x", color="0.88")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def find_cliques(means: NDArray[np.float64], width: float) -> list[tuple[int, int]]:
    """Find the longest runs of methods, in the order of their ranks, that differ by less than ``width``."""
    runs = [(first, int(np.searchsorted(means, means[first] + width)) - 1) for first in range(len(means))]
    return [
        (first, last)
        for place, (first, last) in enumerate(runs)
        if last > first and (place == 0 or runs[place - 1][1] < last)
    ]
