"""The learning curve as a picture."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator

from batchprop.cli.progress import History

# Two colours of the Okabe-Ito palette, which colour-blind readers can tell apart.
_TRAINING, _VALIDATION, _GREY = "#0072B2", "#D55E00", "#666666"
_FEW_POINTS = 20
_LOGARITHMIC_FROM = 20


def draw_curve(history: History, best: int, title: str, path: Path) -> None:
    """Draw the loss over the epochs, in training and on the validation rows, as a PNG.

    Args:
        history: the epochs.
        best: the number of the epoch whose weights were kept.
        title: what was trained.
        path: the file to write.
    """
    curve_figure(history, best, title).savefig(path)


def curve_figure(history: History, best: int, title: str) -> Figure:
    """Draw the loss over the epochs; see `draw_curve`."""
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    epochs = [moment.epoch for moment in history]
    marker = "o" if len(history) <= _FEW_POINTS else None
    axes.plot(epochs, [moment.loss for moment in history], color=_TRAINING, marker=marker, label="training")
    validation = [moment.validation_loss for moment in history]
    if any(loss is not None for loss in validation):
        axes.plot(
            epochs,
            [float("nan") if loss is None else loss for loss in validation],
            color=_VALIDATION,
            linestyle="--",
            marker=marker,
            label="validation",
        )
    axes.axvline(best, color=_GREY, linewidth=1, linestyle=":", label=f"kept: epoch {best}")
    _dress(axes, title)
    few = len(history) <= _FEW_POINTS
    axes.set_xlim(0.5 if few else 1, len(history) + 0.5 if few else len(history))
    return figure


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(drawable(title), loc="left", fontsize=12, parse_math=False)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = axes.dataLim.intervaly
    if low > 0 and high > _LOGARITHMIC_FROM * low:
        axes.set_yscale("log")
        axes.set_ylabel("loss (logarithmic)")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def drawable(text: str) -> str:
    """Return the text with `?` for each letter that the font lacks."""
    letters = get_font(findfont(FontProperties())).get_charmap()
    return "".join(letter if ord(letter) in letters else "?" for letter in text)
