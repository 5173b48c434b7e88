"""The gradient noise scale over the epochs, beside the batch size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError
from batchprop.plots.scales import MAX_MARKERS, epoch_axis, log_axis
from batchprop.plots.style import COLOURS, GREY, get_axes, style_axes
from batchprop.plots.validation import check_fitted

_SIZE = (8.0, 4.5)
_SCALE, _GAP_COLOUR = COLOURS[0], COLOURS[1]
_AUTO_BATCH_SIZE = 200  # of batch_size="auto", as in scikit-learn, or all rows if there are fewer


@dataclass(kw_only=True, eq=False, repr=False)
class NoiseScaleDisplay:
    """The gradient noise scale ``tr Σ / ‖G‖²`` of each epoch, and the batch size.

    A batch far smaller than the scale can be enlarged with almost full gain; a batch far larger gains little.
    The curve has a gap where the scale is infinite (the batches were too small to estimate the gradient) or
    undefined (no batch had two examples). Marks at the edge show these epochs, and the legend counts them.

    Args:
        noise_scale: the noise scale of each epoch, in examples ``(T,)``.
        batch_size: in examples, one for all epochs or one for each ``(T,)``; None draws none.

    Attributes:
        ax_: the axes drawn on.
        figure_: their figure.
        line_: the noise scale, NaN at gaps.
        batch_line_: the batch size, or None.
        infinite_: marks at the top for epochs in which the scale is infinite, or None.
        undefined_: marks at the bottom for epochs in which it is undefined, or None.

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

    noise_scale: ArrayLike
    batch_size: ArrayLike | None = None

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the noise scale of a fit with ``monitor=("noise_scale",)`` or ``batch_size="noise"``.

        Args:
            estimator: a fitted estimator.
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            InputError: the noise scale was not monitored, or the estimator is of another library.
            NotFittedError: the estimator is not fitted.
        """
        check_fitted(estimator)
        metrics = estimator.monitor_
        if "noise_scale" not in metrics:
            raise InputError(
                f"monitor_ holds {', '.join(metrics) or 'nothing'}: fit with monitor=('noise_scale',), "
                "and solver='adam' or 'sgd'"
            )
        return cls(noise_scale=metrics["noise_scale"], batch_size=_batch_size(estimator)).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the curve.

        Args:
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display.

        Raises:
            InputError: there is no epoch, or not one batch size, or one for each epoch.
        """
        scale, sizes = self._validate_arrays()
        epochs = np.arange(1, len(scale) + 1)
        self.ax_ = ax = get_axes(ax, _SIZE)
        self.figure_ = ax.figure
        finite = np.isfinite(scale)
        # A point between two gaps has no line, and would be invisible without a marker.
        marker = "o" if len(scale) <= MAX_MARKERS or not finite.all() else None
        style: dict[str, Any] = {"color": _SCALE, "marker": marker, "markersize": 4}
        self.line_ = ax.plot(epochs, np.where(finite, scale, np.nan), label="noise scale", **style)[0]
        self.batch_line_: Any = None
        if sizes is not None:
            style = {"color": GREY, "linestyle": "--", "drawstyle": "steps-mid"}
            self.batch_line_ = ax.plot(epochs, sizes, label="batch size", **style)[0]
        self.infinite_ = _mark_at_edge(
            ax, epochs[np.isposinf(scale)], 1.0, "^", "infinite: batches too small"
        )
        self.undefined_ = _mark_at_edge(ax, epochs[np.isnan(scale)], 0.0, "x", "undefined: too few examples")
        ax.set(xlabel="epoch", ylabel="examples")
        if finite.any() and (scale[finite] > 0).all():
            log_axis(ax, "examples")
        epoch_axis(ax, len(scale))
        style_axes(ax)
        ax.legend(frameon=False)
        return self

    def _validate_arrays(self) -> tuple[NDArray[np.floating], NDArray[np.floating] | None]:
        scale = np.asarray(self.noise_scale, dtype=float)
        if not scale.size:
            raise InputError("noise_scale is empty: train for at least one epoch")
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
    """Return the monitored batch sizes, or the parameter, or the size that "auto" and "full" mean."""
    scale, sizes = estimator.monitor_["noise_scale"], estimator.monitor_.get("batch_size")
    if sizes is not None:
        # A resumed fit may have a noise scale for all epochs, and batch sizes only since batches grow.
        return sizes if len(sizes) == len(scale) else None
    if not isinstance(estimator.batch_size, str):
        return estimator.batch_size
    rows = round(estimator.t_ / len(estimator.loss_curve_))
    return {"auto": min(_AUTO_BATCH_SIZE, rows), "full": rows}.get(estimator.batch_size)


def _mark_at_edge(ax: Any, epochs: NDArray[np.intp], height: float, marker: str, reason: str) -> Any:
    if not epochs.size:
        return None
    label = f"{reason} ({epochs.size} epoch{'s' * (epochs.size > 1)})"
    return ax.plot(
        epochs,
        np.full(epochs.shape, height),
        transform=ax.get_xaxis_transform(),
        linestyle="none",
        marker=marker,
        color=_GAP_COLOUR,
        clip_on=False,
        label=label,
    )[0]
