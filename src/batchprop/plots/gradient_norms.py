"""How long single examples' gradients are in each layer, from the start of a training to its end."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError
from batchprop.plots.scales import log_axis
from batchprop.plots.style import COLOURS, STYLES, get_axes, style_axes
from batchprop.plots.validation import check_fitted, iter_row_chunks, layer_names

_SIZE = (8.0, 4.5)
_QUANTILES = (0.05, 0.5, 0.95)
_DIMENSIONS = 3  # layers, checkpoints, quantiles
_MARGIN = 1.5  # below the least and above the greatest
_WIDTH = 0.5  # of the layers side by side, where checkpoints stand 1 apart
_LABEL = "gradient norm of an example:\nmedian, 5 to 95%"
_COLUMNS = 3  # of the legend
_LINE = 0.09  # the part of the height that a line of it takes
_MARKERS = "osD^v*P"


class GradientNormDisplay:
    """Each layer's gradient norms of single examples over the epochs: the median, and from 5 to 95%.

    An example's norm in layer l is ``‖g_i‖ = ‖dz_i‖ √(‖h_i‖² + 1)``, 1 for the bias. A layer whose norms are
    far below those of the others learns little; a long bar says that few examples do most of the pulling.
    Where most norms are 0, the median stands at the bottom of the scale, which has none.

    Args:
        epochs: after how many of them each checkpoint was taken ``(c,)``, ascending.
        quantiles: of the norms over the examples ``(L + 1, c, 3)``: 5%, 50% and 95%.

    Attributes:
        ax_: the axes drawn on.
        figure_: their figure.
        lines_: the medians, a line for each layer; layers stand side by side at each checkpoint.
        bars_: from 5 to 95%, for each layer a line with a gap after every bar.

    Source:
        The norms: Goodfellow 2015, arXiv 1510.01799.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(tol=0.01, random_state=0).fit(X, y, record_examples=True)
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> display = GradientNormDisplay.from_estimator(clf, X, y)
        >>> [line.get_label() for line in display.lines_], display.epochs[:4]
        (['layer 1', 'output'], [0, 1, 2, 4])
    """

    def __init__(self, *, epochs: ArrayLike, quantiles: ArrayLike) -> None:
        self.epochs = epochs
        self.quantiles = quantiles

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None) -> Self:
        """Draw the norms of some rows, for an estimator fitted with ``record_examples=True``.

        Args:
            estimator: fitted.
            X: inputs ``(n, n_0)``.
            y: their targets, as for ``fit``.
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: X and y do not fit the network or each other, or it is no network of this library.
            NotFittedError: it is not fitted.
        """
        check_fitted(estimator)
        points = estimator.weight_snapshots_
        quantiles = [_quantiles(estimator.at_snapshot(point), X, y) for point in points]
        epochs = [point.epoch for point in points]
        return cls(epochs=epochs, quantiles=np.swapaxes(quantiles, 0, 1)).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the norms.

        Args:
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display.

        Raises:
            InputError: the quantiles have another shape than layers, checkpoints and 3.
        """
        epochs, quantiles = np.asarray(self.epochs), np.asarray(self.quantiles, dtype=float)
        if quantiles.ndim != _DIMENSIONS or quantiles.shape[1:] != (len(epochs), len(_QUANTILES)):
            raise InputError(
                f"quantiles has shape {quantiles.shape}: give (layers, {len(epochs)}, {len(_QUANTILES)}), "
                "for each layer and each of the epochs 5%, 50% and 95%"
            )
        self.ax_ = ax = get_axes(ax, _SIZE)
        self.figure_ = ax.figure
        # A logarithmic scale has no 0: bars that begin there begin at the bottom.
        above = quantiles[quantiles > 0]
        bottom = above.min() / _MARGIN if above.size else 0.0
        self.lines_, self.bars_ = [], []
        names = layer_names(len(quantiles))
        for k, (name, of_layer) in enumerate(zip(names, quantiles, strict=True)):
            low, median, high = np.maximum(of_layer, bottom).T
            places = np.arange(len(epochs)) + _WIDTH * ((k + 0.5) / len(names) - 0.5)
            colour, style = COLOURS[k % len(COLOURS)], STYLES[k % len(STYLES)]
            ends = np.stack([low, high, np.full_like(low, np.nan)], axis=1).ravel()
            self.bars_ += ax.plot(np.repeat(places, 3), ends, color=colour, linewidth=3, alpha=0.4)
            (line,) = ax.plot(places, median, color=colour, linestyle=style, label=name)
            line.set(marker=_MARKERS[k % len(_MARKERS)], markersize=5)
            self.lines_.append(line)
        ax.set_xticks(range(len(epochs)), [str(epoch) for epoch in epochs.tolist()])
        ax.set(xlabel="after epoch", ylabel=_LABEL)
        if above.size:
            log_axis(ax, _LABEL)
            # Bars leave no corner free for a legend: it gets room of its own.
            free = min(_LINE * -(-len(names) // _COLUMNS), 0.5)
            top = above.max() * _MARGIN
            ax.set_ylim(bottom, top * (top / bottom) ** (free / (1 - free)))
        style_axes(ax)
        ax.legend(frameon=False, loc="upper left", ncols=_COLUMNS, handlelength=3, columnspacing=1)
        return self


def _quantiles(estimator: Any, X: Any, y: Any) -> NDArray[np.floating]:
    """The three quantiles in each layer ``(L + 1, 3)``."""
    squared = [estimator.backprop(*rows).gradient.squared_norms_per_layer() for rows in iter_row_chunks(X, y)]
    norms = np.sqrt(np.concatenate(squared, axis=1, dtype=float))
    return np.quantile(norms, _QUANTILES, axis=1).T
