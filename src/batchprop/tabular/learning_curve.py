"""The learning curve as a file."""

import math
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from batchprop.files import create_file
from batchprop.plots import LearningCurveDisplay
from batchprop.plots.style import set_title
from batchprop.tabular.history import History


def save_learning_curve(history: History, best: int, title: str, path: Path) -> None:
    """Draw the loss over the epochs, in training and on the validation rows, as a PNG.

    Args:
        history: the epochs.
        best: the number of the epoch whose weights were kept.
        title: what was trained.
        path: the file to write.
    """
    with create_file(path) as file:
        curve_figure(history, best, title).savefig(file, format="png")


def curve_figure(
    history: History, best: int, title: str = "", size: tuple[float, float] = (8, 4.5), step: str = "epoch"
) -> Figure:
    """Draw the loss over the epochs; see `save_learning_curve`."""
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    losses = [moment.validation_loss for moment in history]
    display = LearningCurveDisplay(
        loss=[moment.loss for moment in history],
        validation_loss=[math.nan if loss is None else loss for loss in losses],
        learning_rate=[moment.learning_rate for moment in history],
        best_epoch=best,
        step=step,
    ).plot(ax=figure.subplots())
    set_title(display.ax_, title)
    return figure
