"""The learning curve: loss, validation score and learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError
from batchprop.plots.scales import FEW_POINTS, epoch_axis, log_axis
from batchprop.plots.style import COLOURS, GREY, get_axes, style_axes
from batchprop.plots.validation import check_fitted

_SIZE = (8.0, 4.5)
_TRAINING, _VALIDATION, _SCORE = COLOURS[:3]
_LOGARITHMIC_FROM = 20
_HEIGHT = 4  # of the losses, where a panel beneath has 1


class LearningCurveDisplay:
    """The training and validation loss over the epochs, which of them was best, and the learning rate.

    Where there is a validation score, or the learning rate changes, a thin panel beneath shows it; it takes
    its room from the axes, as a colour bar does.

    Args:
        loss: of each epoch, in training ``(T,)``; NaN where it is withheld, as by private training.
        validation_loss: on the validation rows ``(T,)``, or None.
        validation_score: of the validation rows ``(T,)``, higher is better, or None.
        score_name: what the score is.
        learning_rate: of each epoch ``(T,)``, or None; drawn where it changes.
        best_epoch: counted from 1, or None.
        step: what an entry stands for: ``"epoch"``, or ``"iteration"`` of L-BFGS.

    Attributes:
        ax_: the axes of the losses.
        figure_: their figure.
        training_line_: the training loss; it and the others are None where they are not drawn.
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

    def __init__(
        self,
        *,
        loss: ArrayLike,
        validation_loss: ArrayLike | None = None,
        validation_score: ArrayLike | None = None,
        score_name: str = "score",
        learning_rate: ArrayLike | None = None,
        best_epoch: int | None = None,
        step: str = "epoch",
    ) -> None:
        self.loss = loss
        self.validation_loss = validation_loss
        self.validation_score = validation_score
        self.score_name = score_name
        self.learning_rate = learning_rate
        self.best_epoch = best_epoch
        self.step = step

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the curve of a fitted estimator, whatever its solver.

        Args:
            estimator: fitted.
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display, drawn.

        Raises:
            InputError: it is no network of this library, or there is no epoch with a loss to draw.
            NotFittedError: it is not fitted.
        """
        check_fitted(estimator)
        # Minus the validation loss says nothing that its own curve does not.
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
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display.

        Raises:
            InputError: there is no loss to draw, or a curve has not as many entries as the others.
        """
        loss, validation, score, rate = self._curves()
        self.ax_ = ax = get_axes(ax, _SIZE)
        self.figure_ = ax.figure
        epochs = np.arange(1, len(np.asarray(self.loss)) + 1)
        marker = "o" if len(epochs) <= FEW_POINTS else None
        self.training_line_ = _line(ax, epochs, loss, color=_TRAINING, marker=marker, label="training")
        style = {"color": _VALIDATION, "marker": marker, "linestyle": "--", "label": "validation"}
        self.validation_line_ = _line(ax, epochs, validation, **style)
        _scale(ax)
        beneath = _panels(ax, (score is not None) + (rate is not None))
        panels = [ax, *beneath]
        self.score_ax_: Any = beneath.pop(0) if score is not None else None
        self.rate_ax_: Any = beneath.pop(0) if rate is not None else None
        style = {"color": _SCORE, "marker": marker, "linestyle": "-."}
        self.score_line_ = _line(self.score_ax_, epochs, score, **style)
        self.rate_line_ = _line(self.rate_ax_, epochs, rate, color=GREY, drawstyle="steps-mid")
        self.best_line_ = self._mark_best(panels)
        for panel, name in ((self.score_ax_, self.score_name), (self.rate_ax_, "learning\nrate")):
            if panel is not None:
                panel.set_ylabel(name)
        panels[-1].set_xlabel(self.step)
        _finish(panels, len(epochs))
        return self

    def _curves(self) -> list[NDArray[np.floating] | None]:
        """Loss, validation loss, score and rate, or None for what is not to be drawn."""
        given = (self.loss, self.validation_loss, self.validation_score, self.learning_rate)
        curves = [None if curve is None else np.asarray(curve, dtype=float) for curve in given]
        lengths = [len(curve) for curve in curves if curve is not None]
        if len(set(lengths)) > 1:
            raise InputError(f"the curves have {lengths} entries: give as many of each, one for each epoch")
        told = [curve if curve is not None and np.isfinite(curve).any() else None for curve in curves]
        if told[0] is None and told[1] is None:
            raise InputError(
                f"no loss among {lengths[0]} entries: train for an epoch at least; private training "
                "withholds its loss, but not that of validation rows: fit with X_val and y_val"
            )
        # A constant rate needs no picture.
        if told[3] is not None and np.ptp(told[3][np.isfinite(told[3])]) == 0:
            told[3] = None
        return told

    def _mark_best(self, panels: Sequence[Any]) -> Any:
        if self.best_epoch is None:
            return None
        label = f"best: {self.step} {self.best_epoch}"
        style = {"color": GREY, "linewidth": 1, "linestyle": ":", "label": label}
        lines = [panel.axvline(self.best_epoch, **style) for panel in panels]
        return lines[0]


def _score_name(estimator: Any) -> str:
    from sklearn.base import is_classifier

    if isinstance(estimator.scoring, str):
        return str(estimator.scoring).replace("_", " ")
    if estimator.scoring is not None:
        return "score"
    return "accuracy" if is_classifier(estimator) else "R²"


def _line(ax: Any, epochs: NDArray[np.intp], curve: NDArray[np.floating] | None, **style: Any) -> Any:
    return None if curve is None else ax.plot(epochs, curve, **style)[0]


def _scale(ax: Any) -> None:
    """A logarithmic scale where the losses span much, before a vertical line hides what they span."""
    low, high = ax.dataLim.intervaly
    ax.set_ylabel("loss")
    if low > 0 and high > _LOGARITHMIC_FROM * low:
        log_axis(ax, "loss")


def _panels(ax: Any, count: int) -> list[Any]:
    """Thin axes beneath, in room taken from those given."""
    if not count:
        return []
    whole, slot = ax.figure, ax.get_subplotspec()
    if slot is None:  # axes placed by hand
        box = ax.get_position()
        slot = whole.add_gridspec(1, 1, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1)[0]
    grid = slot.subgridspec(1 + count, 1, height_ratios=[_HEIGHT] + [1] * count, hspace=0.1)
    ax.set_subplotspec(grid[0])
    ax.tick_params(labelbottom=False)
    panels = [whole.add_subplot(grid[1 + k], sharex=ax) for k in range(count)]
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return panels


def _finish(panels: Sequence[Any], epochs: int) -> None:
    """Limits, ticks, grid and legend."""
    from matplotlib.ticker import MaxNLocator

    epoch_axis(panels[0], epochs)
    panels[0].legend(frameon=False)
    for panel in panels:
        style_axes(panel)
    for panel in panels[1:]:
        panel.yaxis.set_major_locator(MaxNLocator(3))
    panels[0].figure.align_ylabels(panels)
