"""The plane: two features of the examples as points, and what the network answers around them."""

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
"""The surface has so many places in each direction."""

MAX_POINTS = 2_000

_MARGIN = 0.08  # of the points' range, on each side


class Plane(NamedTuple):
    """Where points lie.

    Attributes:
        axes: which features, the second None where there is one only.
        drawn: which examples are drawn, ``(n,)``.
        points: their places ``(2, n)``.
        x: the ends of the first axis.
        y: the ends of the second.
        grid: places all over it as a batch ``(n_0, 64 · 64)``, row by row from the lowest y.
    """

    axes: tuple[int, int | None]
    drawn: NDArray[np.intp]
    points: NDArray[np.float64]
    x: tuple[float, float]
    y: tuple[float, float]
    grid: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)


def best_axes(examples: PlaygroundData) -> tuple[int, int | None]:
    """Return the two features that tell most of the target, each by itself, by their F statistics.

    Args:
        examples: to look through.

    Returns:
        Their numbers, ascending; the second None where there is one feature only.

    Example:
        >>> X = np.array([[0.0, 5, 1], [1, 5.1, 2], [0, 7, 8], [1, 7.1, 9]])
        >>> some = PlaygroundData(
        ...     "", "classes", X, np.array([0.0, 0, 1, 1]), ("a", "b", "c"), ("x", "y"), ()
        ... )
        >>> best_axes(some)
        (1, 2)
    """
    if examples.X.shape[1] == 1:
        return 0, None
    test = f_classif if examples.task == "classes" else f_regression
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a feature may be the same everywhere
        scores = np.nan_to_num(test(examples.X, examples.values)[0], posinf=np.finfo(float).max)
    first, second = np.sort(np.argsort(-scores, kind="stable")[:2]).tolist()
    return first, second


def make_plane(examples: PlaygroundData, axes: tuple[int, int | None]) -> Plane:
    """Lay the examples out by two of their features.

    Args:
        examples: n of them; of more than 2,000 as many are drawn, by lot.
        axes: which features.

    Raises:
        ParameterError: there is no such feature, or both are the same.

    Example:
        >>> from batchprop.playground.toy_datasets import make_toy
        >>> make_plane(make_toy("moons", 100, 0.1, 0), (0, 1)).points.shape
        (2, 100)
    """
    n_features, (first, second) = len(examples.features), axes
    wanted = [first] if second is None else [first, second]
    if len(set(wanted)) < len(wanted) or not all(0 <= axis < n_features for axis in wanted):
        raise ParameterError(
            f"axes={list(axes)} are not allowed: give two of the {n_features} features, counted from 0"
        )
    if second is None and n_features > 1:
        raise ParameterError(f"axes={list(axes)} are not allowed: there are {n_features} features, give two")
    n = len(examples.X)
    # The same ones always: of a table that is sorted, the first would be of one class.
    drawn = np.sort(np.random.RandomState(0).permutation(n)[:MAX_POINTS])
    xs = examples.X[:, first]
    # Where there is no second feature, points are spread so that each can be seen.
    ys = np.linspace(-1, 1, n) if second is None else examples.X[:, second]
    plane = Plane(axes, drawn, np.stack([xs, ys])[:, drawn], _ends(xs), _ends(ys))
    return plane._replace(grid=_grid(examples, plane))


def decision_surface(network: Network, plane: Plane) -> NDArray[np.floating]:
    """Return what the network answers on the grid over the plane.

    Args:
        network: to ask.
        plane: where.

    Returns:
        P ``(K, 64 · 64)``, row by row from the lowest y.
    """
    with np.errstate(all="ignore"):
        P: NDArray[np.floating] = predict(network, plane.grid)
    return P


def _grid(examples: PlaygroundData, plane: Plane) -> NDArray[np.float32]:
    """Places all over the plane as a batch, other features at their means: made once, asked every frame."""
    xs, ys = np.linspace(*plane.x, GRID_SIZE), np.linspace(*plane.y, GRID_SIZE)
    B = np.repeat(examples.X.mean(axis=0)[:, None], GRID_SIZE * GRID_SIZE, axis=1)
    first, second = plane.axes
    B[first] = np.tile(xs, GRID_SIZE)
    if second is not None:
        B[second] = np.repeat(ys, GRID_SIZE)
    return B.astype(np.float32)


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return low - margin, high + margin
