"""The learning curve as a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from batchprop.files import create_file
from batchprop.plots import LearningCurveDisplay
from batchprop.plots.style import set_title
from batchprop.tabular.history import History, epochs_of

Floats: TypeAlias = npt.NDArray[np.float64]


def save_learning_curve(history: History, best: Sequence[int], title: str, path: Path) -> None:
    """Draw the loss over the epochs, in training and on the validation rows, as a PNG.

    Args:
        history: the epochs.
        best: the number of the epoch whose weights were kept, of each network.
        title: what was trained.
        path: the file to write.
    """
    with create_file(path) as file:
        curve_figure(history, best, title).savefig(file, format="png")


def curve_figure(
    history: History,
    best: Sequence[int],
    title: str = "",
    size: tuple[float, float] = (8, 4.5),
    step: str = "epoch",
) -> Figure:
    """Draw the loss over the epochs; see `save_learning_curve`."""
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    networks = epochs_of(history)
    longest = max(networks, key=len)
    display = LearningCurveDisplay(
        loss=_curves(networks, "loss"),
        validation_loss=_curves(networks, "validation_loss"),
        learning_rate=[moment.learning_rate for moment in longest],
        best_epoch=best[0] if len(best) == 1 else best,
        step=step,
    ).plot(ax=figure.subplots())
    set_title(display.ax_, title)
    return figure


def _curves(networks: Sequence[History], name: str) -> Floats:
    """Return a curve for each network (T, members); nan after a network's last epoch."""
    curves = np.full((max(map(len, networks)), len(networks)), np.nan)
    for k, epochs in enumerate(networks):
        curves[: len(epochs), k] = [getattr(moment, name) for moment in epochs]
    return curves[:, 0] if len(networks) == 1 else curves
