"""The axes of pictures over epochs."""

from typing import Any

FEW_POINTS = 20
"""Up to so many points each gets a marker."""


def epoch_axis(ax: Any, epochs: int) -> None:
    """Let the horizontal axis hold so many epochs, counted from 1, with ticks at whole numbers.

    Args:
        ax: matplotlib axes.
        epochs: their number.
    """
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(0.5, epochs + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def log_axis(ax: Any, what: str) -> None:
    """Give the vertical axis a logarithmic scale with numbers written out, and say so in its label.

    Args:
        ax: matplotlib axes.
        what: the axis shows.
    """
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylabel(f"{what} (logarithmic)")
