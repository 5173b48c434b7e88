"""Histograms of the weights and of the activations of each layer, over the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError, ParameterError
from batchprop.format import format_percent
from batchprop.plots.style import make_axes, style_axes
from batchprop.plots.validation import check_fitted, iter_row_chunks, layer_names

BINS = 60
"""The number of bars of a histogram."""

_COLUMNS = 3
_INCHES = (2.8, 3.4)
_RIDGE_HEIGHT = 1.4  # of the highest bar, where ridges are 1 apart
_LABEL_MARGIN = 0.35  # at the right, for the shares of zeros
_MIN_ZERO_SHARE = 0.005  # a smaller share of zeros would read "0%"

Arrays = list[NDArray[np.floating]]
SnapshotValues = Callable[[], Iterator[Arrays]]
"""Returns an iterator over chunks of a snapshot's values; a chunk has an array for each layer."""


class Histograms(NamedTuple):
    """The histograms of each layer, as ``RidgePlot`` takes them."""

    edges: Arrays
    densities: Arrays
    zeros: Arrays


@dataclass(kw_only=True, eq=False, repr=False)
class RidgePlot:
    """A panel for each layer, with a histogram (a ridge) for each weight snapshot, the first at the top.

    Args:
        epochs: the epoch of each snapshot ``(c,)``.
        edges: the edges of the bars, for each layer ``(bins + 1,)``.
        densities: the density of the values other than 0, for each layer ``(c, bins)``: the area of a
            ridge and its share of zeros sum to 1.
        zeros: the share of values that are exactly 0, for each layer ``(c,)``; relu makes many.

    Attributes:
        axes_: the axes drawn on, one for each layer ``(L + 1,)``.
        figure_: their figure.
        ridges_: for each layer its ridges, a ``StepPatch`` for each snapshot.
    """

    _quantity: ClassVar[str]

    epochs: ArrayLike
    edges: Sequence[Any]
    densities: Sequence[Any]
    zeros: Sequence[Any]

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the ridges; those of one panel have one scale.

        Args:
            ax: an array of one matplotlib axes for each layer, in any shape, as ``plt.subplots(1, 3)[1]``;
                None creates a figure.

        Returns:
            The display.

        Raises:
            InputError: the number of axes is not that of the layers.
        """
        names = layer_names(len(self.edges))
        self.axes_ = _make_panels(ax, len(names))
        self.figure_ = self.axes_[0].figure
        epochs = np.asarray(self.epochs).tolist()
        self.ridges_ = []
        for panel, name, edges, densities, zeros in zip(
            self.axes_, names, self.edges, self.densities, self.zeros, strict=True
        ):
            self.ridges_.append(_draw_ridges(panel, np.asarray(edges), np.asarray(densities)))
            _annotate_zeros(panel, np.asarray(zeros))
            panel.set_title(name, fontsize=11)
            panel.set(xlabel=self._quantity, ylim=(len(epochs) - 0.7, -1.1 * _RIDGE_HEIGHT))
            panel.set_yticks(range(len(epochs)), [str(epoch) for epoch in epochs])
            panel.tick_params(axis="y", length=0)
            style_axes(panel)
            panel.spines["left"].set_visible(False)
        self.axes_[0].set_ylabel("after epoch")
        return self

    @classmethod
    def _from_snapshots(
        cls, snapshots: Sequence[Any], values: Sequence[SnapshotValues], bins: int, ax: Any
    ) -> Self:
        """Count the values of each snapshot, and draw them."""
        histograms = _count_values(values, bins)
        return cls(epochs=[snapshot.epoch for snapshot in snapshots], **histograms._asdict()).plot(ax=ax)


class WeightHistogramDisplay(RidgePlot):
    """Histograms of each layer's weights, the entries of W, at each snapshot: a ``RidgePlot``.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(tol=0.01, random_state=0).fit(X, y, record_examples=True)
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> display = WeightHistogramDisplay.from_estimator(clf)
        >>> (
        ...     [panel.get_title() for panel in display.axes_],
        ...     len(display.ridges_[0]) == len(clf.weight_snapshots_),
        ... )
        (['layer 1', 'output'], True)
    """

    _quantity = "weight"

    @classmethod
    def from_estimator(cls, estimator: Any, *, bins: int = BINS, ax: Any = None) -> Self:
        """Draw the weights of an estimator fitted with ``record_examples=True``.

        Args:
            estimator: a fitted estimator.
            bins: the number of bars of a histogram.
            ax: an array of one matplotlib axes for each layer; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: the estimator is of another library, or the number of axes is not that of the layers.
            NotFittedError: the estimator is not fitted.
            ParameterError: ``bins`` is not an integer, or below 1.
        """
        check_fitted(estimator)
        snapshots = estimator.weight_snapshots_
        values = [partial(_weights, snapshot) for snapshot in snapshots]
        return cls._from_snapshots(snapshots, values, bins, ax)


class ActivationHistogramDisplay(RidgePlot):
    """Histograms of each layer's activations at each snapshot, H of hidden layers and P: a ``RidgePlot``.

    The ridges leave out values that are exactly 0, as relu makes many; a label beside each ridge gives their
    share. A layer whose share nears 100% is dying.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(tol=0.01, random_state=0).fit(X, y, record_examples=True)
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> display = ActivationHistogramDisplay.from_estimator(clf, X)
        >>> [len(edges) for edges in display.edges]
        [61, 61]
    """

    _quantity = "activation"

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, bins: int = BINS, ax: Any = None) -> Self:
        """Draw the activations of some rows, for an estimator fitted with ``record_examples=True``.

        Args:
            estimator: a fitted estimator.
            X: inputs ``(n, n_0)``.
            bins: the number of bars of a histogram.
            ax: an array of one matplotlib axes for each layer; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: X does not fit the network, the estimator is of another library, or the number of
                axes is not that of the layers.
            NotFittedError: the estimator is not fitted.
            ParameterError: ``bins`` is not an integer, or below 1.
        """
        check_fitted(estimator)
        snapshots = estimator.weight_snapshots_
        networks = [estimator.at_snapshot(snapshot) for snapshot in snapshots]
        values = [partial(_activations, network, X) for network in networks]
        return cls._from_snapshots(snapshots, values, bins, ax)


def _weights(snapshot: Any) -> Iterator[Arrays]:
    yield snapshot.coefs


def _activations(estimator: Any, X: Any) -> Iterator[Arrays]:
    for (rows,) in iter_row_chunks(X):
        yield estimator.activations(rows)[1:]  # without the input, which does not change


def _count_values(values: Sequence[SnapshotValues], bins: int) -> Histograms:
    """Count the values of each snapshot in bins that are the same for all snapshots of a layer."""
    if not isinstance(bins, int | np.integer) or bins < 1:
        raise ParameterError(f"bins={bins!r} is not allowed: give at least 1 bar, as {BINS}")
    # Two passes, the first for the range: activations of all rows and snapshots may not fit in memory.
    edges = _edges([chunk for snapshot in values for chunk in _ranges(snapshot())], bins)
    densities: list[Arrays] = [[] for _ in edges]
    zeros: list[list[float]] = [[] for _ in edges]
    for snapshot in values:
        counts = [np.zeros(bins) for _ in edges]
        n_zeros, sizes = np.zeros(len(edges)), np.zeros(len(edges))
        for chunk in snapshot():
            for k, array in enumerate(chunk):
                counts[k] += np.histogram(array[array != 0], edges[k])[0]
                n_zeros[k] += np.count_nonzero(array == 0)
                sizes[k] += array.size
        for k, count in enumerate(counts):
            densities[k].append(count / (sizes[k] * np.diff(edges[k])))
            zeros[k].append(float(n_zeros[k] / sizes[k]))
    return Histograms(edges, [np.stack(rows) for rows in densities], [np.asarray(row) for row in zeros])


def _ranges(chunks: Iterator[Arrays]) -> Iterator[NDArray[np.floating]]:
    """Yield the smallest and the largest value of each layer in each chunk ``(L + 1, 2)``."""
    for chunk in chunks:
        yield np.array([[array.min(), array.max()] for array in chunk], dtype=float)


def _edges(ranges: list[NDArray[np.floating]], bins: int) -> Arrays:
    lows, highs = np.min(ranges, axis=0)[:, 0], np.max(ranges, axis=0)[:, 1]
    # Where all values are equal, NumPy makes bars over a range of width 1.
    return [np.histogram_bin_edges([], bins, (low, high)) for low, high in zip(lows, highs, strict=True)]


def _make_panels(ax: Any, count: int) -> NDArray[np.object_]:
    if ax is None:
        columns = min(count, _COLUMNS)
        rows = -(-count // columns)
        ax = make_axes((_INCHES[0] * columns, _INCHES[1] * rows), rows, columns)
        panels = np.asarray(ax, dtype=object).ravel()
        for unused in panels[count:]:
            unused.remove()
        return panels[:count]
    panels = np.asarray(ax, dtype=object).ravel()
    if len(panels) != count:
        raise InputError(
            f"ax holds {len(panels)} axes, and there are {count} layers: give one for each, as "
            f"plt.subplots(1, {count})[1], or None"
        )
    return panels


def _draw_ridges(panel: Any, edges: NDArray[np.floating], densities: NDArray[np.floating]) -> list[Any]:
    from matplotlib import colormaps

    highest = densities.max() or 1.0
    # From pale to dark as training proceeds; cividis looks the same to colour-blind readers.
    shades = colormaps["cividis_r"](np.linspace(0.15, 0.9, len(densities)))
    return [
        panel.stairs(
            row - _RIDGE_HEIGHT * density / highest,
            edges,
            baseline=row,
            fill=True,
            facecolor=(*shade[:3], 0.85),
            edgecolor="white",
            linewidth=0.5,
            zorder=2 + row / len(densities),
        )
        for row, (density, shade) in enumerate(zip(densities, shades, strict=True))
    ]


def _annotate_zeros(panel: Any, zeros: NDArray[np.floating]) -> None:
    if zeros.max() < _MIN_ZERO_SHARE:
        return
    left, right = panel.get_xlim()
    panel.set_xlim(left, right + _LABEL_MARGIN * (right - left))
    style = {"transform": panel.get_yaxis_transform(), "ha": "right", "va": "bottom", "fontsize": 8}
    for row, share in enumerate(zeros):
        panel.text(1.0, row, f"{format_percent(share, 2)} are 0", zorder=5, **style)
