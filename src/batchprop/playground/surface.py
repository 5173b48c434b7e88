"""The decision surface: the rows as points on two features, and the network's output around them."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif, f_regression

from batchprop.backprop import predict
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.playground.data import PlaygroundData

GRID_SIZE = 64
"""Grid points in each direction."""

MAX_POINTS = 2_000

_MARGIN = 0.08  # of the points' range, on each side


class Plane(NamedTuple):
    """The drawn rows as points ``(2, n)`` on two features, and a grid as a batch ``(n_0, 64 · 64)``."""

    axes: tuple[int, int | None]
    rows: NDArray[np.intp]
    points: NDArray[np.float64]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    grid: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)


def best_axes(data: PlaygroundData) -> tuple[int, int | None]:
    """Return the two features with the largest F statistics; the second is None where there is only one.

    Example:
        >>> X = np.array([[0.0, 5, 1], [1, 5.1, 2], [0, 7, 8], [1, 7.1, 9]])
        >>> data = PlaygroundData(
        ...     "", "classes", X, np.array([0.0, 0, 1, 1]), ("a", "b", "c"), ("x", "y"), ()
        ... )
        >>> best_axes(data)
        (1, 2)
    """
    if data.X.shape[1] == 1:
        return 0, None
    test = f_classif if data.task == "classes" else f_regression
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # constant features
        scores = np.nan_to_num(test(data.X, data.values)[0], posinf=np.finfo(float).max)
    first, second = np.sort(np.argsort(-scores, kind="stable")[:2]).tolist()
    return first, second


def make_plane(data: PlaygroundData, axes: tuple[int, int | None]) -> Plane:
    """Lay out the rows by two of their features; of more than 2,000 rows, draw a random sample.

    Example:
        >>> from batchprop.playground.toy_datasets import make_toy
        >>> make_plane(make_toy("moons", 100, 0.1, 0), (0, 1)).points.shape
        (2, 100)
    """
    n_features, (first, second) = len(data.features), axes
    selected = [first] if second is None else [first, second]
    if len(set(selected)) < len(selected) or not all(0 <= axis < n_features for axis in selected):
        raise ParameterError(
            f"axes={list(axes)} are not allowed: give two of the {n_features:,} features, counted from 0"
        )
    if second is None and n_features > 1:
        raise ParameterError(
            f"axes={list(axes)} are not allowed: there are {n_features:,} features, give two"
        )
    n = len(data.X)
    # A fixed random sample: the first rows of a sorted table might all be of one class.
    rows = np.sort(np.random.RandomState(0).permutation(n)[:MAX_POINTS])
    xs = data.X[:, first]
    # Without a second feature, spread the points so that each can be seen.
    ys = np.linspace(-1, 1, n) if second is None else data.X[:, second]
    plane = Plane(axes, rows, np.stack([xs, ys])[:, rows], _padded_range(xs), _padded_range(ys))
    return plane._replace(grid=_grid(data, plane))


def decision_surface(network: Network, plane: Plane) -> NDArray[np.floating]:
    """Return the network's output P ``(K, 64 · 64)`` on the grid, row by row from the lowest y."""
    with np.errstate(all="ignore"):
        P: NDArray[np.floating] = predict(network, plane.grid)
    return P


def _grid(data: PlaygroundData, plane: Plane) -> NDArray[np.float32]:
    """Return the grid as a batch, other features at their means; made once, as every state uses it."""
    xs, ys = np.linspace(*plane.x_range, GRID_SIZE), np.linspace(*plane.y_range, GRID_SIZE)
    B = np.repeat(data.X.mean(axis=0)[:, None], GRID_SIZE * GRID_SIZE, axis=1)
    first, second = plane.axes
    B[first] = np.tile(xs, GRID_SIZE)
    if second is not None:
        B[second] = np.repeat(ys, GRID_SIZE)
    return B.astype(np.float32)


def _padded_range(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return low - margin, high + margin
