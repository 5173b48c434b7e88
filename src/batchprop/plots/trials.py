"""The trials of a search as parallel coordinates: a line for each trial, over its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import InputError
from batchprop.format import format_number
from batchprop.plots.style import GREY, LIGHT_GREY, get_axes

if TYPE_CHECKING:
    import pandas as pd

_SIZE = (10.0, 5.0)
_LOG_SPAN = 20.0
"""A range whose ends differ by this factor is drawn on a logarithmic axis."""


class _Axis(NamedTuple):
    """Heights (n,) from 0 to 1 on one axis, and the values to write beside it."""

    heights: NDArray[np.floating]
    ticks: list[tuple[float, str]]


@dataclass(kw_only=True, eq=False, repr=False)
class TrialsDisplay:
    """All trials of ``tune`` as parallel coordinates: an axis for each searched option, and one for the loss.

    A complete trial is a line, the darker the smaller its loss, and the best one is thick. A trial that was
    pruned is pale and ends before the loss.

    Args:
        trials: a row for each trial, with its "state", its "loss" and the options.
        options: the columns to draw; those that are not there are left out.

    Attributes:
        ax_: the axes drawn on.
        figure_: their figure.
        lines_: a line for each trial, in the order of the rows.

    Example:
        >>> import matplotlib
        >>> import pandas as pd
        >>> matplotlib.use("Agg")
        >>> trials = pd.DataFrame(
        ...     {"state": ["complete", "pruned"], "loss": [0.3, None], "dropout": [0.1, 0.4]}
        ... )
        >>> TrialsDisplay(trials=trials, options=["dropout"]).plot().lines_[0].get_ydata().tolist()
        [0.0, 0.5]
    """

    trials: pd.DataFrame
    options: Sequence[str]

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the lines.

        Args:
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display.

        Raises:
            InputError: no trial is complete.
        """
        losses = self.trials["loss"].to_numpy(float)
        complete = ~np.isnan(losses)
        if not complete.any():
            raise InputError("no trial is complete: nothing has a loss to draw")
        names = [name for name in self.options if name in self.trials]
        axes = [_make_axis(self.trials[name].tolist()) for name in names]
        loss_axis = _make_axis(losses[complete].tolist())
        self.ax_ = ax = get_axes(ax, _SIZE)
        self.figure_ = ax.figure
        self.lines_ = [None] * len(losses)
        ranks = np.full(len(losses), np.nan)
        ranks[complete] = losses[complete].argsort().argsort() / max(complete.sum() - 1, 1)
        rows = np.flatnonzero(complete)
        ends = dict(zip(rows, loss_axis.heights, strict=True))
        # The pale lines first, the best one last, above all others.
        for i in sorted(range(len(losses)), key=lambda i: (complete[i], -np.nan_to_num(ranks[i]))):
            heights = [axis.heights[i] for axis in axes] + ([ends[i]] if complete[i] else [])
            self.lines_[i] = ax.plot(range(len(heights)), heights, **_style(ranks[i]))[0]
        for position, axis in enumerate([*axes, loss_axis]):
            ax.axvline(position, color=GREY, linewidth=0.8, zorder=0)
            for height, text in axis.ticks:
                ax.annotate(
                    text, (position, height), (3, 0), textcoords="offset points", va="center", fontsize=8,
                    zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
                )  # fmt: skip
        titles = [name.replace("_", " ") for name in names]
        ax.set_xticks(range(len(axes) + 1), [*titles, "loss"])
        ax.set_yticks([])
        ax.set_xlim(-0.1, len(axes) + 0.4)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        return self


def _style(rank: float) -> dict[str, Any]:
    """Return the style of a line by its rank from 0, the best, to 1; NaN without a loss."""
    from matplotlib import colormaps

    if np.isnan(rank):
        return {"color": LIGHT_GREY, "linewidth": 0.8, "linestyle": "--"}
    # Its last quarter is too pale on white.
    return {"color": colormaps["viridis"](0.75 * rank), "linewidth": 3.0 if rank == 0 else 1.2}


def _make_axis(values: list[Any]) -> _Axis:
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), len(str(value)), value))
    if all(isinstance(value, float) for value in values) and len(distinct) > 1:
        low, high = min(values), max(values)
        log = low > 0 and high / low >= _LOG_SPAN
        scale = np.log if log else np.asarray
        heights = (scale(values) - scale(low)) / (scale(high) - scale(low))
        return _Axis(heights, [(0.0, format_number(low, 3)), (1.0, format_number(high, 3))])
    last = max(len(distinct) - 1, 1)
    # One value alone is in the middle.
    places = {value: i / last if len(distinct) > 1 else 0.5 for i, value in enumerate(distinct)}
    ticks = [
        (place, format_number(value, 3) if isinstance(value, float) else str(value))
        for value, place in places.items()
    ]
    return _Axis(np.array([places[value] for value in values]), ticks)
