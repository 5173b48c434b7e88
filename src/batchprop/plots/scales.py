"""The axes of plots over epochs."""

import math
from typing import Any

from batchprop.format import format_number

_MAX_DECADES = 1.5  # of an axis whose multiples of powers of ten are written, too
_MIN_POWERS = 2  # an axis with fewer has multiples written, however many decades it spans
_ROUNDING = 1e-9
_WRITTEN_MULTIPLES = (2, 3, 5)

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
    ax.yaxis.set_minor_formatter(lambda value, _: _minor_label(value, *ax.get_ylim()))
    ax.set_ylabel(f"{label} (logarithmic)")


def _minor_label(value: float, low: float, high: float) -> str:
    """Return the number of a tick between powers of ten, if there are too few of these to read the axis.

    >>> _minor_label(2000.0, 500.0, 3000.0), _minor_label(4000.0, 500.0, 9000.0)
    ('2,000', '')
    >>> _minor_label(0.5, 0.0105, 0.95)
    '0.5'
    """
    multiple = round(value / 10 ** math.floor(math.log10(value) + _ROUNDING))
    powers = math.floor(math.log10(high) + _ROUNDING) - math.ceil(math.log10(low) - _ROUNDING) + 1
    is_sparse = powers < _MIN_POWERS or math.log10(high / low) < _MAX_DECADES
    return format_number(value) if multiple in _WRITTEN_MULTIPLES and is_sparse else ""
