"""The norms of per-example gradients in each layer over the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError
from batchprop.plots.scales import log_axis
from batchprop.plots.style import COLOURS, STYLES, get_axes, style_axes
from batchprop.plots.validation import check_fitted, iter_row_chunks, layer_names

_SIZE = (8.0, 4.5)
_QUANTILES = (0.05, 0.5, 0.95)
_NDIM = 3  # layers, snapshots, quantiles
_MARGIN = 1.5  # below the smallest and above the largest value, as a factor
_GROUP_WIDTH = 0.5  # of the layers side by side, where snapshots are 1 apart
_LABEL = "gradient norm of an example:\nmedian, 5 to 95%"
_COLUMNS = 3  # of the legend
_LEGEND_ROW_HEIGHT = 0.09  # as a share of the height of the axes
_MARKERS = "osD^v*P"


@dataclass(kw_only=True, eq=False, repr=False)
class GradientNormDisplay:
    """Per-example gradient norms of each layer over the epochs: the median, and a bar from 5 to 95%.

    The norm of example i in layer l is ``‖g_i‖ = ‖dz_i‖ √(‖h_i‖² + 1)``, where the 1 is the bias. A layer
    whose norms are far below those of the others learns little. A long bar means that a few examples dominate
    the gradient. Where most norms are 0, the median is drawn at the bottom, as a logarithmic scale has no 0.

    Args:
        epochs: the epoch of each weight snapshot ``(c,)``, ascending.
        quantiles: quantiles of the norms over the examples ``(L + 1, c, 3)``: 5%, 50% and 95%.

    Attributes:
        ax_: the axes drawn on.
        figure_: their figure.
        lines_: the medians, a line for each layer; at each snapshot the layers are side by side.
        bars_: from 5 to 95%: for each layer a line with a gap after each bar.

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

    epochs: ArrayLike
    quantiles: ArrayLike

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None) -> Self:
        """Draw the norms of some rows, for an estimator fitted with ``record_examples=True``.

        Args:
            estimator: a fitted estimator.
            X: inputs ``(n, n_0)``.
            y: their targets, as for ``fit``.
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: X and y do not fit the network or each other, or the estimator is of another library.
            NotFittedError: the estimator is not fitted.
        """
        check_fitted(estimator)
        snapshots = estimator.weight_snapshots_
        quantiles = [_norm_quantiles(estimator.at_snapshot(snapshot), X, y) for snapshot in snapshots]
        epochs = [snapshot.epoch for snapshot in snapshots]
        return cls(epochs=epochs, quantiles=np.swapaxes(quantiles, 0, 1)).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the norms.

        Args:
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display.

        Raises:
            InputError: the shape of the quantiles is not (layers, snapshots, 3).
        """
        epochs, quantiles = np.asarray(self.epochs), np.asarray(self.quantiles, dtype=float)
        if quantiles.ndim != _NDIM or quantiles.shape[1:] != (len(epochs), len(_QUANTILES)):
            raise InputError(
                f"quantiles has shape {quantiles.shape}: give (layers, {len(epochs)}, {len(_QUANTILES)}), "
                "for each layer and each of the epochs 5%, 50% and 95%"
            )
        self.ax_ = ax = get_axes(ax, _SIZE)
        self.figure_ = ax.figure
        # A logarithmic scale has no 0: a bar that starts there starts at the bottom of the axes.
        positive = quantiles[quantiles > 0]
        bottom = positive.min() / _MARGIN if positive.size else 0.0
        self.lines_, self.bars_ = [], []
        names = layer_names(len(quantiles))
        for k, (name, layer_quantiles) in enumerate(zip(names, quantiles, strict=True)):
            low, median, high = np.maximum(layer_quantiles, bottom).T
            x = np.arange(len(epochs)) + _GROUP_WIDTH * ((k + 0.5) / len(names) - 0.5)
            colour, style = COLOURS[k % len(COLOURS)], STYLES[k % len(STYLES)]
            ends = np.stack([low, high, np.full_like(low, np.nan)], axis=1).ravel()
            self.bars_ += ax.plot(np.repeat(x, 3), ends, color=colour, linewidth=3, alpha=0.4)
            (line,) = ax.plot(x, median, color=colour, linestyle=style, label=name)
            line.set(marker=_MARKERS[k % len(_MARKERS)], markersize=5)
            self.lines_.append(line)
        ax.set_xticks(range(len(epochs)), [str(epoch) for epoch in epochs.tolist()])
        ax.set(xlabel="after epoch", ylabel=_LABEL)
        if positive.size:
            log_axis(ax, _LABEL)
            # The bars leave no corner free for the legend, so the axis is extended above them.
            legend_height = min(_LEGEND_ROW_HEIGHT * -(-len(names) // _COLUMNS), 0.5)
            top = positive.max() * _MARGIN
            ax.set_ylim(bottom, top * (top / bottom) ** (legend_height / (1 - legend_height)))
        style_axes(ax)
        ax.legend(frameon=False, loc="upper left", ncols=_COLUMNS, handlelength=3, columnspacing=1)
        return self


def _norm_quantiles(estimator: Any, X: Any, y: Any) -> NDArray[np.floating]:
    """Return the three quantiles of each layer ``(L + 1, 3)``."""
    squared = [estimator.backprop(*rows).gradient.squared_norms_per_layer() for rows in iter_row_chunks(X, y)]
    norms = np.sqrt(np.concatenate(squared, axis=1, dtype=float))
    return np.quantile(norms, _QUANTILES, axis=1).T
