"""Where the pictures are drawn: on the user's axes, or on new ones."""

from typing import Any

from batchprop.errors import BatchpropError


def axes_or_new(ax: Any, size: tuple[float, float]) -> Any:
    """Return the axes given, or those of a new figure.

    Args:
        ax: matplotlib axes, or None.
        size: of the new figure, width and height in inches.

    Raises:
        BatchpropError: matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError as error:
        raise BatchpropError(
            "pictures need matplotlib, which is not installed: pip install 'batchprop[tables]'"
        ) from error
    return plt.subplots(figsize=size, layout="constrained")[1]
