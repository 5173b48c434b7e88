"""Figures of a model on its test rows: scores, confusion, calibration, residuals, importance.

Index legend: n test rows, k classes, c columns.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from batchprop.plots.style import (
    COLOURS,
    GREY,
    LIGHT_GREY,
    number_locator,
    replace_missing_glyphs,
    style_axes,
)

Array = npt.NDArray[Any]

MAX_CLASSES = 20
"""With more classes a confusion matrix is too small to read."""
MAX_POINTS = 1000
"""More points make a scatter plot no clearer, only the file larger."""

_BLUE, _RED = COLOURS[:2]
_MAX_LABEL_LENGTH = 24
_MAX_LABEL_CHARS = 36  # letters fit beside each other under a matrix
_MAX_LARGE_CLASSES = 6
_DARK_SHARE = 0.6  # a share from which black is hard to read
_DEEP_BLUE, _PALE_BLUE = "#00588F", "#F7FBFF"
_WIDTH = 6.0


def new_figure(height: float, width: float = _WIDTH) -> Figure:
    """Return an empty figure of this size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def axis_label(text: object) -> str:
    r"""Return a label for a figure: on one line, shortened, and never read as a formula.

    >>> axis_label("5 $ and\nmore"), axis_label("a rather long name of class 10")
    ('5 \\$ and more', 'a rather lon…of class 10')
    """
    line = replace_missing_glyphs(" ".join(str(text).split()))
    if len(line) > _MAX_LABEL_LENGTH:
        # The middle is cut: similar names often differ at the end.
        line = f"{line[: _MAX_LABEL_LENGTH // 2]}…{line[1 - _MAX_LABEL_LENGTH // 2 :]}"
    return line.replace("$", r"\$")


def draw_scores(
    scores: Mapping[str, float], baseline: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> Figure:
    """Draw scores from 0 to 1: a dot, a bar for the interval, a diamond for the simplest guess."""
    figure = new_figure(0.9 + 0.42 * len(scores))
    ax = figure.subplots()
    for row, (name, value) in enumerate(scores.items()):
        if name in intervals:
            ends = ax.plot(intervals[name], [row, row], color=_BLUE, linewidth=2, marker="|", markersize=11)
            ends[0].set_label("95% interval" if row == 0 else "")
        ax.plot([value], [row], "o", color=_BLUE, markersize=7, label="network" if row == 0 else "")
        if name in baseline:
            label = "simplest guess" if row == 0 else ""
            ax.plot(
                [baseline[name]], [row], "D", color="white", markeredgecolor=_RED, markersize=7, label=label
            )
    ax.set(xlim=(-0.02, 1.02), yticks=range(len(scores)), yticklabels=list(scores))
    ax.set_ylim(len(scores) - 0.5, -0.5)
    style_axes(ax)
    ax.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_confusion(counts: Array, classes: Array) -> Figure:
    """Draw a confusion matrix ``(k, k)``, true class by predicted, shaded by the share of the true class."""
    k = len(classes)
    side = min(max(3.2, (0.45 if k > _MAX_LARGE_CLASSES else 0.7) * k + 1.6), 7.0)
    figure = new_figure(side, side + 0.2)
    ax = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # Cells, not an image: the content security policy of the report allows no images. Their colour lets more
    # or less of the paper through, which may be dark.
    shades = LinearSegmentedColormap.from_list("shares", [to_rgba(_DEEP_BLUE, 0.0), to_rgba(_DEEP_BLUE)])
    ax.pcolormesh(shares, cmap=shades, vmin=0, vmax=1, edgecolors=LIGHT_GREY, linewidth=0.5)
    size = max(min(10.0, 450 / (k * len(f"{counts.max():,}"))), 5)
    for true, predicted in zip(*np.nonzero(counts), strict=True):
        colour = _PALE_BLUE if shares[true, predicted] > _DARK_SHARE else "black"
        text = f"{counts[true, predicted]:,}"
        ax.text(predicted + 0.5, true + 0.5, text, ha="center", va="center", color=colour, fontsize=size)
    labels, middles = [axis_label(label) for label in classes], np.arange(k) + 0.5
    rotation = 90 if max(map(len, labels)) * k > _MAX_LABEL_CHARS else 0
    ax.set_xticks(middles, labels, rotation=rotation)
    ax.set_yticks(middles, labels)
    ax.tick_params(length=0)
    ax.set(xlabel="predicted", ylabel="true", ylim=(k, 0), aspect="equal")
    return figure


def draw_calibration(true: Array, probability: Array, label: object, bins: int) -> Figure:
    """Draw the share of a class by its predicted probability, in bins of equally many rows.

    ``true (n,)`` says whether each row is of the class, and must hold both True and False.
    """
    from sklearn.calibration import CalibrationDisplay

    figure = new_figure(4.4, 5.0)
    ax = figure.subplots()
    CalibrationDisplay.from_predictions(
        true,
        probability,
        n_bins=bins,
        strategy="quantile",
        name="network",
        ax=ax,
        color=_BLUE,
        pos_label=True,
    )
    ax.lines[0].set_label("perfectly calibrated")
    ax.set(
        xlabel=f"mean predicted probability of {axis_label(label)}",
        ylabel=f"share of {axis_label(label)}",
        aspect="equal",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    style_axes(ax)
    ax.legend(loc="upper left", frameon=False)
    return figure


def draw_predictions(y: Array, prediction: Array, kind: str, name: str) -> Figure:
    """Draw predicted against true numbers, or the residuals; ``kind`` is that of PredictionErrorDisplay."""
    figure = new_figure(4.2, 5.0)
    ax = figure.subplots()
    plot_predictions(ax, y, prediction, kind)
    residual = kind == "residual_vs_predicted"
    ax.set(xlabel=f"predicted {name}", ylabel="true − predicted" if residual else f"true {name}")
    return figure


def plot_predictions(ax: Any, y: Array, prediction: Array, kind: str) -> None:
    """Draw the points of PredictionErrorDisplay on axes, with the ticks and colours of all plots."""
    from sklearn.metrics import PredictionErrorDisplay

    PredictionErrorDisplay(y_true=y, y_pred=prediction).plot(
        ax=ax, kind=kind,
        scatter_kwargs={"s": 14, "alpha": 0.6, "color": _BLUE, "linewidths": 0},
        line_kwargs={"color": GREY},
    )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(number_locator(np.abs([y, prediction]).max()))
    style_axes(ax)


def draw_importances(columns: Iterable[str], mean: Array, std: Array, metric: str) -> Figure:
    """Draw how much a metric worsens for each column ``(c,)``, the most important first, ± its std."""
    names = [axis_label(name) for name in columns]
    figure = new_figure(0.9 + 0.25 * len(names))
    ax = figure.subplots()
    rows = np.arange(len(names))
    ax.barh(
        rows, mean, xerr=std, height=0.7, color=_BLUE, ecolor=GREY, error_kw={"capsize": 2, "linewidth": 1}
    )
    ax.axvline(0, color=LIGHT_GREY if np.min(mean) >= 0 else GREY, linewidth=0.8)
    ax.set(yticks=rows, yticklabels=names, ylim=(len(names) - 0.4, -0.6), xlabel=f"rise of {metric}")
    style_axes(ax)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    return figure
