"""How weights, and what the layers make of some rows, are spread in each layer while a network learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError, ParameterError
from batchprop.plots.style import make_axes, style_axes
from batchprop.plots.validation import check_fitted, iter_row_chunks, layer_names

BINS = 60
"""Bars of a histogram."""

_COLUMNS = 3
_INCHES = (2.8, 3.4)
_HEIGHT = 1.4  # of the highest bar, where ridges stand 1 apart
_ROOM = 0.35  # at the right, for the shares of zeros
_TOLD_FROM = 0.005  # a smaller share of zeros is not worth a word

Arrays = list[NDArray[np.floating]]
Values = Callable[[], Iterator[Arrays]]
"""All values of a checkpoint, some pieces of each layer at a time."""


class Histograms(NamedTuple):
    """What is drawn, for each layer.

    Attributes:
        edges: of the bars ``(bins + 1,)``.
        densities: of the values that are not 0 ``(c, bins)``: a row's area and its share of zeros make 1.
        zeros: the share of values that are exactly 0 ``(c,)``, as relu makes them.
    """

    edges: Arrays
    densities: Arrays
    zeros: Arrays


class RidgePlot:
    """A panel for each layer, in it a ridge for each checkpoint, the first at the top."""

    _quantity: ClassVar[str]

    def __init__(
        self,
        *,
        epochs: ArrayLike,
        edges: Sequence[Any],
        densities: Sequence[Any],
        zeros: Sequence[Any],
    ) -> None:
        self.epochs = epochs
        self.edges = edges
        self.densities = densities
        self.zeros = zeros

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the ridges; all of a panel are to one scale.

        Args:
            ax: as many matplotlib axes as there are layers, in any shape, as ``plt.subplots(1, 3)[1]``; None
                makes a figure.

        Returns:
            The display.

        Raises:
            InputError: there are more or fewer axes than layers.
        """
        names = layer_names(len(self.edges))
        self.axes_ = _panels(ax, len(names))
        self.figure_ = self.axes_[0].figure
        epochs = np.asarray(self.epochs).tolist()
        self.ridges_ = []
        for panel, name, edges, densities, zeros in zip(
            self.axes_, names, self.edges, self.densities, self.zeros, strict=True
        ):
            self.ridges_.append(_ridges(panel, np.asarray(edges), np.asarray(densities)))
            _tell_zeros(panel, np.asarray(zeros))
            panel.set_title(name, fontsize=11)
            panel.set(xlabel=self._quantity, ylim=(len(epochs) - 0.7, -1.1 * _HEIGHT))
            panel.set_yticks(range(len(epochs)), [str(epoch) for epoch in epochs])
            panel.tick_params(axis="y", length=0)
            style_axes(panel)
            panel.spines["left"].set_visible(False)
        self.axes_[0].set_ylabel("after epoch")
        return self

    @classmethod
    def _drawn(cls, points: Sequence[Any], values: Sequence[Values], bins: int, ax: Any) -> Self:
        """Count the values of each checkpoint, and draw them."""
        found = _histograms(values, bins)
        return cls(epochs=[point.epoch for point in points], **found._asdict()).plot(ax=ax)


class WeightHistogramDisplay(RidgePlot):
    """How each layer's weights, the entries of W, are spread at each checkpoint.

    Args:
        epochs: after how many of them each checkpoint was taken ``(c,)``.
        edges: of the bars, for each layer ``(bins + 1,)``.
        densities: of the weights that are not 0, for each layer ``(c, bins)``.
        zeros: the share of weights that are exactly 0, for each layer ``(c,)``.

    Attributes:
        axes_: the axes drawn on, one for each layer ``(L + 1,)``.
        figure_: their figure.
        ridges_: for each layer its ridges, a ``StepPatch`` for each checkpoint.

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
            estimator: fitted.
            bins: bars of a histogram.
            ax: as many matplotlib axes as there are layers, in any shape; None makes a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: it is no network of this library, or the axes are more or fewer than the layers.
            NotFittedError: it is not fitted.
            ParameterError: ``bins`` is no whole number, or below 1.
        """
        check_fitted(estimator)
        points = estimator.weight_snapshots_
        return cls._drawn(points, [partial(_weights, point) for point in points], bins, ax)


class ActivationHistogramDisplay(RidgePlot):
    """How what each layer makes of some rows is spread at each checkpoint: H of hidden layers, P of the last.

    Values that are exactly 0, as relu makes many, are left out of the ridges; beside each its share of zeros
    is written. Where it nears 100% the layer is dying.

    Args:
        epochs: after how many of them each checkpoint was taken ``(c,)``.
        edges: of the bars, for each layer ``(bins + 1,)``.
        densities: of the values that are not 0, for each layer ``(c, bins)``.
        zeros: the share of values that are exactly 0, for each layer ``(c,)``.

    Attributes:
        axes_: the axes drawn on, one for each layer ``(L + 1,)``.
        figure_: their figure.
        ridges_: for each layer its ridges, a ``StepPatch`` for each checkpoint.

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
        """Draw what an estimator fitted with ``record_examples=True`` made of some rows on the way.

        Args:
            estimator: fitted.
            X: inputs ``(n, n_0)``.
            bins: bars of a histogram.
            ax: as many matplotlib axes as there are layers, in any shape; None makes a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: X does not fit the network, it is no network of this library, or the axes are more or
                fewer than the layers.
            NotFittedError: it is not fitted.
            ParameterError: ``bins`` is no whole number, or below 1.
        """
        check_fitted(estimator)
        points = estimator.weight_snapshots_
        networks = [estimator.at_snapshot(point) for point in points]
        return cls._drawn(points, [partial(_activations, net, X) for net in networks], bins, ax)


def _weights(checkpoint: Any) -> Iterator[Arrays]:
    yield checkpoint.coefs


def _activations(estimator: Any, X: Any) -> Iterator[Arrays]:
    for (rows,) in iter_row_chunks(X):
        yield estimator.activations(rows)[1:]  # without the input, which does not change


def _histograms(values: Sequence[Values], bins: int) -> Histograms:
    """Count values, for each checkpoint arrays of all layers in some pieces, which are gone through twice."""
    if not isinstance(bins, int | np.integer) or bins < 1:
        raise ParameterError(f"bins={bins!r} is not allowed: give at least 1 bar, as {BINS}")
    edges = _edges([piece for of_checkpoint in values for piece in _ranges(of_checkpoint())], bins)
    densities: list[Arrays] = [[] for _ in edges]
    zeros: list[list[float]] = [[] for _ in edges]
    for of_checkpoint in values:
        counts = [np.zeros(bins) for _ in edges]
        nothing, sizes = np.zeros(len(edges)), np.zeros(len(edges))
        for piece in of_checkpoint():
            for k, array in enumerate(piece):
                counts[k] += np.histogram(array[array != 0], edges[k])[0]
                nothing[k] += np.count_nonzero(array == 0)
                sizes[k] += array.size
        for k, count in enumerate(counts):
            densities[k].append(count / (sizes[k] * np.diff(edges[k])))
            zeros[k].append(float(nothing[k] / sizes[k]))
    return Histograms(edges, [np.stack(rows) for rows in densities], [np.asarray(row) for row in zeros])


def _ranges(pieces: Iterator[Arrays]) -> Iterator[NDArray[np.floating]]:
    """The least and the greatest value of each layer ``(L + 1, 2)``, of each piece."""
    for piece in pieces:
        yield np.array([[array.min(), array.max()] for array in piece], dtype=float)


def _edges(ranges: list[NDArray[np.floating]], bins: int) -> Arrays:
    lows, highs = np.min(ranges, axis=0)[:, 0], np.max(ranges, axis=0)[:, 1]
    # NumPy gives a single value a bar of width 1.
    return [np.histogram_bin_edges([], bins, (low, high)) for low, high in zip(lows, highs, strict=True)]


def _panels(ax: Any, count: int) -> NDArray[np.object_]:
    if ax is None:
        columns = min(count, _COLUMNS)
        lines = -(-count // columns)
        ax = make_axes((_INCHES[0] * columns, _INCHES[1] * lines), lines, columns)
        found = np.asarray(ax, dtype=object).ravel()
        for left_over in found[count:]:
            left_over.remove()
        return found[:count]
    found = np.asarray(ax, dtype=object).ravel()
    if len(found) != count:
        raise InputError(
            f"ax holds {len(found)} axes, and there are {count} layers: give one for each, as "
            f"plt.subplots(1, {count})[1], or None"
        )
    return found


def _ridges(panel: Any, edges: NDArray[np.floating], densities: NDArray[np.floating]) -> list[Any]:
    from matplotlib import colormaps

    highest = densities.max() or 1.0
    # From pale to dark; cividis reads the same to colour-blind eyes, and in grey.
    shades = colormaps["cividis_r"](np.linspace(0.15, 0.9, len(densities)))
    return [
        panel.stairs(
            row - _HEIGHT * density / highest,
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


def _tell_zeros(panel: Any, zeros: NDArray[np.floating]) -> None:
    if zeros.max() < _TOLD_FROM:
        return
    left, right = panel.get_xlim()
    panel.set_xlim(left, right + _ROOM * (right - left))
    place = {"transform": panel.get_yaxis_transform(), "ha": "right", "va": "bottom", "fontsize": 8}
    for row, share in enumerate(zeros):
        panel.text(1.0, row, f"{share:.0%} are 0", zorder=5, **place)
