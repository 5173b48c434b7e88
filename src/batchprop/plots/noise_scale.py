"""The gradient noise scale over the epochs, beside the batch size."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError
from batchprop.plots.scales import FEW_POINTS, epoch_axis, log_axis
from batchprop.plots.style import COLOURS, GREY, get_axes, style_axes
from batchprop.plots.validation import check_fitted

_SIZE = (8.0, 4.5)
_SCALE, _ODD = COLOURS[0], COLOURS[1]
_AUTO = 200  # rows in a batch with batch_size="auto", where there are so many


class NoiseScaleDisplay:
    """The gradient noise scale ``tr Σ / ‖G‖²`` of each epoch, and the size of its batches.

    While batches are far smaller than the scale, larger ones pay almost fully; far above it, hardly at all.
    Where the scale is infinite (the batches were too small to see the gradient) or not a number (no batch had
    two examples) the curve has a gap; marks at the edge say which epochs these are, the legend how many.

    Args:
        noise_scale: of each epoch, in examples ``(T,)``.
        batch_size: in examples, one for all epochs or one for each ``(T,)``; None draws none.

    Attributes:
        ax_: the axes drawn on.
        figure_: their figure.
        line_: the noise scale, NaN at gaps.
        batch_line_: the batch size, or None.
        infinite_: marks at the top, of the epochs where the scale is infinite, or None.
        undefined_: marks at the bottom, of the epochs where it is not a number, or None.

    Source:
        McCandlish et al. 2018, arXiv 1812.06162.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(batch_size=16, tol=0.01, random_state=0)
        >>> clf = clf.fit(X, y, monitor=("noise_scale",))
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> NoiseScaleDisplay.from_estimator(clf).batch_line_.get_ydata()[:3]
        array([16., 16., 16.])
    """

    def __init__(self, *, noise_scale: ArrayLike, batch_size: ArrayLike | None = None) -> None:
        self.noise_scale = noise_scale
        self.batch_size = batch_size

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw what a fit with ``monitor=("noise_scale",)`` or ``batch_size="noise"`` kept.

        Args:
            estimator: fitted.
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display, drawn.

        Raises:
            InputError: nothing was monitored, or it is no network of this library.
            NotFittedError: it is not fitted.
        """
        check_fitted(estimator)
        found = estimator.monitor_
        if "noise_scale" not in found:
            raise InputError(
                f"monitor_ holds {', '.join(found) or 'nothing'}: fit with monitor=('noise_scale',), "
                "and solver='adam' or 'sgd'"
            )
        return cls(noise_scale=found["noise_scale"], batch_size=_batch_size(estimator)).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the curve.

        Args:
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display.

        Raises:
            InputError: there is no epoch, or there are other than one batch size or one for each epoch.
        """
        scale, sizes = self._figures()
        epochs = np.arange(1, len(scale) + 1)
        self.ax_ = ax = get_axes(ax, _SIZE)
        self.figure_ = ax.figure
        known = np.isfinite(scale)
        # A point between two gaps has no line, and would not be seen without a marker.
        marker = "o" if len(scale) <= FEW_POINTS or not known.all() else None
        style: dict[str, Any] = {"color": _SCALE, "marker": marker, "markersize": 4}
        self.line_ = ax.plot(epochs, np.where(known, scale, np.nan), label="noise scale", **style)[0]
        self.batch_line_: Any = None
        if sizes is not None:
            style = {"color": GREY, "linestyle": "--", "drawstyle": "steps-mid"}
            self.batch_line_ = ax.plot(epochs, sizes, label="batch size", **style)[0]
        self.infinite_ = _at_edge(ax, epochs[np.isposinf(scale)], 1.0, "^", "infinite: gradient not seen")
        self.undefined_ = _at_edge(ax, epochs[np.isnan(scale)], 0.0, "x", "undefined: too few examples")
        ax.set(xlabel="epoch", ylabel="examples")
        if known.any() and (scale[known] > 0).all():
            log_axis(ax, "examples")
        epoch_axis(ax, len(scale))
        style_axes(ax)
        ax.legend(frameon=False)
        return self

    def _figures(self) -> tuple[NDArray[np.floating], NDArray[np.floating] | None]:
        scale = np.asarray(self.noise_scale, dtype=float)
        if not scale.size:
            raise InputError("noise_scale is empty: train for an epoch at least")
        if self.batch_size is None:
            return scale, None
        sizes = np.asarray(self.batch_size, dtype=float)
        if sizes.shape not in ((), scale.shape):
            raise InputError(
                f"batch_size has shape {sizes.shape}: give one number, or one for each of "
                f"the {len(scale)} epochs"
            )
        return scale, np.broadcast_to(sizes, scale.shape).copy()


def _batch_size(estimator: Any) -> Any:
    """Rows in a batch: what was monitored, what was asked for, or what "auto" and "full" came to."""
    scale, found = estimator.monitor_["noise_scale"], estimator.monitor_.get("batch_size")
    if found is not None:
        # An earlier fit may have been monitored while its batches did not grow.
        return found if len(found) == len(scale) else None
    if not isinstance(estimator.batch_size, str):
        return estimator.batch_size
    rows = round(estimator.t_ / len(estimator.loss_curve_))
    return {"auto": min(_AUTO, rows), "full": rows}.get(estimator.batch_size)


def _at_edge(ax: Any, epochs: NDArray[np.intp], height: float, marker: str, what: str) -> Any:
    if not epochs.size:
        return None
    label = f"{what} ({epochs.size} epoch{'s' * (epochs.size > 1)})"
    return ax.plot(
        epochs,
        np.full(epochs.shape, height),
        transform=ax.get_xaxis_transform(),
        linestyle="none",
        marker=marker,
        color=_ODD,
        clip_on=False,
        label=label,
    )[0]
