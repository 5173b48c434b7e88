"""The learning curve: loss, validation score and learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError
from batchprop.plots.scales import MAX_MARKERS, epoch_axis, log_axis
from batchprop.plots.style import COLOURS, GREY, get_axes, style_axes
from batchprop.plots.validation import check_fitted

_SIZE = (8.0, 4.5)
_TRAINING, _VALIDATION, _SCORE = COLOURS[:3]
_LOG_MIN_RATIO = 20
_THIN = 0.8
_LOSS_HEIGHT_RATIO = 4  # of the losses; each panel below has 1


@dataclass(kw_only=True, eq=False, repr=False)
class LearningCurveDisplay:
    """The training and validation loss over the epochs, the best epoch, and the learning rate.

    A thin panel below shows the validation score if there is one, and another the learning rate if it
    changes. The panels take their space from the axes, as a colour bar does.

    Args:
        loss: the training loss of each epoch ``(T,)``; NaN where private training withholds it. Of several
            networks ``(T, members)``, NaN after the last epoch of each.
        validation_loss: the loss on the validation rows, in the same shape, or None.
        validation_score: the score on the validation rows ``(T,)``, higher is better, or None.
        score_name: the label of the score.
        learning_rate: the learning rate of each epoch ``(T,)``, or None.
        best_epoch: the best epoch, counted from 1, or that of each network, or None.
        step: the unit of an entry: ``"epoch"``, or ``"iteration"`` of L-BFGS.

    Attributes:
        ax_: the axes of the losses.
        figure_: their figure.
        training_line_: the training loss, of the first network; this and the attributes below are None if not
            drawn.
        validation_line_: the validation loss.
        best_line_: the vertical line at the best epoch.
        score_ax_: the panel of the score, ``score_line_`` its line.
        rate_ax_: the panel of the learning rate, ``rate_line_`` its line.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(tol=0.01, random_state=0).fit(X, y)
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> display = LearningCurveDisplay.from_estimator(clf)
        >>> display.training_line_.get_ydata().tolist() == clf.loss_curve_
        True
    """

    loss: ArrayLike
    validation_loss: ArrayLike | None = None
    validation_score: ArrayLike | None = None
    score_name: str = "score"
    learning_rate: ArrayLike | None = None
    best_epoch: int | Sequence[int] | None = None
    step: str = "epoch"

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the curve of a fitted estimator, of any solver.

        Args:
            estimator: a fitted estimator.
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            InputError: the estimator is of another library, or no epoch has a loss to draw.
            NotFittedError: the estimator is not fitted.
        """
        check_fitted(estimator)
        # With scoring="loss" the score is minus the validation loss, which has its own curve.
        scores = None if estimator.scoring == "loss" else estimator.validation_scores_
        return cls(
            loss=estimator.loss_curve_,
            validation_loss=estimator.validation_loss_curve_,
            validation_score=scores,
            score_name=_score_name(estimator),
            learning_rate=estimator.learning_rate_curve_,
            best_epoch=estimator.best_iteration_ or None,
            step="iteration" if estimator.solver == "lbfgs" else "epoch",
        ).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the curve.

        Args:
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display.

        Raises:
            InputError: there is no loss to draw, or the curves have different lengths.
        """
        loss, validation, score, rate = self._validate_curves()
        self.ax_ = ax = get_axes(ax, _SIZE)
        self.figure_ = ax.figure
        epochs = np.arange(1, len(np.asarray(self.loss)) + 1)
        marker = "o" if len(epochs) <= MAX_MARKERS else None
        self.training_line_ = _plot_line(ax, epochs, loss, color=_TRAINING, marker=marker, label="training")
        style = {"color": _VALIDATION, "marker": marker, "linestyle": "--", "label": "validation"}
        self.validation_line_ = _plot_line(ax, epochs, validation, **style)
        _scale_losses(ax)
        below = _add_panels(ax, (score is not None) + (rate is not None))
        panels = [ax, *below]
        self.score_ax_: Any = below.pop(0) if score is not None else None
        self.rate_ax_: Any = below.pop(0) if rate is not None else None
        style = {"color": _SCORE, "marker": marker, "linestyle": "-."}
        self.score_line_ = _plot_line(self.score_ax_, epochs, score, **style)
        self.rate_line_ = _plot_line(self.rate_ax_, epochs, rate, color=GREY, drawstyle="steps-mid")
        self.best_line_ = self._mark_best(panels)
        for panel, name in ((self.score_ax_, self.score_name), (self.rate_ax_, "learning\nrate")):
            if panel is not None:
                panel.set_ylabel(name)
        panels[-1].set_xlabel(self.step)
        _style_panels(panels, len(epochs))
        return self

    def _validate_curves(self) -> list[NDArray[np.floating] | None]:
        """Return loss, validation loss, score and learning rate, each None if not drawn."""
        inputs = (self.loss, self.validation_loss, self.validation_score, self.learning_rate)
        curves = [None if curve is None else np.asarray(curve, dtype=float) for curve in inputs]
        lengths = [len(curve) for curve in curves if curve is not None]
        if len(set(lengths)) > 1:
            raise InputError(f"the curves have {lengths} entries: give as many of each, one for each epoch")
        curves = [curve if curve is not None and np.isfinite(curve).any() else None for curve in curves]
        loss, validation_loss, _, rate = curves
        if loss is None and validation_loss is None:
            raise InputError(
                f"no loss among {lengths[0]} entries: train for at least one epoch; private training "
                "withholds its loss, but not that of validation rows: fit with X_val and y_val"
            )
        # A constant learning rate needs no panel.
        if rate is not None and np.ptp(rate[np.isfinite(rate)]) == 0:
            curves[3] = None
        return curves

    def _mark_best(self, panels: Sequence[Any]) -> Any:
        if self.best_epoch is None:
            return None
        epochs = [self.best_epoch] if isinstance(self.best_epoch, int | np.integer) else [*self.best_epoch]
        of = str(epochs[0]) if len(epochs) == 1 else "of each network"
        style = {"color": GREY, "linewidth": 1, "linestyle": ":"}
        lines = [panel.axvline(epoch, **style) for panel in panels for epoch in epochs]
        lines[0].set_label(f"best: {self.step} {of}")
        return lines[0]


def _score_name(estimator: Any) -> str:
    from sklearn.base import is_classifier

    if isinstance(estimator.scoring, str):
        return str(estimator.scoring).replace("_", " ")
    if estimator.scoring is not None:
        return "score"
    return "accuracy" if is_classifier(estimator) else "R²"


def _plot_line(ax: Any, epochs: NDArray[np.intp], curve: NDArray[np.floating] | None, **style: Any) -> Any:
    if curve is None:
        return None
    lines = ax.plot(epochs, curve, **style)
    for line in lines[1:]:
        line.set_label("_nolegend_")
    if len(lines) > 1:
        for line in lines:
            line.set(linewidth=_THIN, marker="")
    return lines[0]


def _scale_losses(ax: Any) -> None:
    """Make the axis logarithmic if the losses span a wide range."""
    # Called before the line at the best epoch, which spans the whole axis, changes the data limits.
    low, high = ax.dataLim.intervaly
    ax.set_ylabel("loss")
    if low > 0 and high > _LOG_MIN_RATIO * low:
        log_axis(ax, "loss")


def _add_panels(ax: Any, count: int) -> list[Any]:
    """Add thin axes below, in space taken from ``ax``."""
    if not count:
        return []
    figure, slot = ax.figure, ax.get_subplotspec()
    if slot is None:  # axes positioned by hand
        box = ax.get_position()
        slot = figure.add_gridspec(1, 1, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1)[0]
    grid = slot.subgridspec(1 + count, 1, height_ratios=[_LOSS_HEIGHT_RATIO] + [1] * count, hspace=0.1)
    ax.set_subplotspec(grid[0])
    ax.tick_params(labelbottom=False)
    panels = [figure.add_subplot(grid[1 + k], sharex=ax) for k in range(count)]
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return panels


def _style_panels(panels: Sequence[Any], epochs: int) -> None:
    """Set limits, ticks, grid and legend."""
    from matplotlib.ticker import MaxNLocator

    epoch_axis(panels[0], epochs)
    # With many networks their curves run behind it.
    panels[0].legend(framealpha=0.85, edgecolor="none")
    for panel in panels:
        style_axes(panel)
    for panel in panels[1:]:
        panel.yaxis.set_major_locator(MaxNLocator(3))
    panels[0].figure.align_ylabels(panels)
