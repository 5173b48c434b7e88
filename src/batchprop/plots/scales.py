"""The axes of plots over epochs."""

from typing import Any

from batchprop.format import format_number

MAX_MARKERS = 20
"""With more points than this, markers would merge into a line."""


def epoch_axis(ax: Any, epochs: int) -> None:
    """Make the x axis span epochs 1 to ``epochs``, with ticks at integers."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(0.5, epochs + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def log_axis(ax: Any, label: str) -> None:
    """Make the y axis logarithmic, with plain numbers at its ticks, and say so in its label."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(lambda value, _: format_number(value))
    ax.set_ylabel(f"{label} (logarithmic)")
