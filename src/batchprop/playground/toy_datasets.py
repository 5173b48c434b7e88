"""Toy data sets on a plane: the page makes the same points of the same name, number and seed."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import ParameterError, unknown_option_error
from batchprop.playground.random import Stream, normals, uniforms

Numbers = NDArray[np.float64]
Points = tuple[Numbers, Numbers, Numbers]
"""Both coordinates, and the class or the number."""

Column = Callable[[int], Numbers]
"""A column of random numbers, by its number."""

MIN_ROWS = 5

_TURNS = 1.5
_CENTERS = np.array([(-2.0, -1.0), (0.0, 2.0), (2.0, -1.0)])


class ToyDataset(NamedTuple):
    """A toy data set: ``sample(rows, noise, uniform, normal)`` returns its points."""

    title: str
    is_classification: bool
    sample: Callable[[int, float, Column, Column], Points]


def make_toy(
    name: str, rows: int = 300, noise: float = 0.2, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make a toy data set of the playground, standardised.

    Args:
        name: moons, circles, blobs, spirals, quarters, chessboard or hills.
        rows: the number of points, at least 5.
        noise: how far points stray.
        seed: of the points.

    Returns:
        X ``(rows, 2)`` and the targets Y: classes one-hot ``(rows, K)``, the heights of hills ``(rows, 1)``.

    Raises:
        ParameterError: the name is unknown, or there are too few rows.

    Example:
        >>> X, Y = make_toy("moons", rows=100)
        >>> X.shape, Y.sum(axis=0).tolist()
        ((100, 2), [50.0, 50.0])
    """
    if name not in TOY_DATASETS:
        raise unknown_option_error("name", name, TOY_DATASETS)
    if rows < MIN_ROWS:
        raise ParameterError(f"rows={rows!r} is not allowed: give a whole number from {MIN_ROWS}")
    toy = TOY_DATASETS[name]

    def uniform(column: int) -> Numbers:
        return uniforms(rows, seed, Stream.DATA, column)

    def normal(column: int) -> Numbers:
        return normals(rows, seed, Stream.DATA, column)

    x, y, values = toy.sample(rows, noise, uniform, normal)
    X = np.column_stack([_standardize(x), _standardize(y)]).astype(np.float32)
    if toy.is_classification:
        return X, np.eye(int(values.max()) + 1, dtype=np.float32)[values.astype(int)]
    return X, _standardize(values)[:, None].astype(np.float32)


def _standardize(values: Numbers) -> Numbers:
    scaled: Numbers = (values - values.mean()) / (values.std() or 1.0)
    return scaled


def _moons(rows: int, noise: float, uniform: Column, normal: Column) -> Points:
    angle, label = np.pi * uniform(0), np.arange(rows, dtype=np.float64) % 2
    x = np.where(label, 1 - np.cos(angle), np.cos(angle))
    y = np.where(label, 0.5 - np.sin(angle), np.sin(angle))
    return x + noise * normal(1), y + noise * normal(2), label


def _circles(rows: int, noise: float, uniform: Column, normal: Column) -> Points:
    angle, label = 2 * np.pi * uniform(0), np.arange(rows, dtype=np.float64) % 2
    radius = np.where(label, 0.5, 1.0)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return x + noise / 2 * normal(1), y + noise / 2 * normal(2), label


def _blobs(rows: int, noise: float, uniform: Column, normal: Column) -> Points:  # noqa: ARG001 one signature
    label, spread = np.arange(rows) % 3, 0.2 + 2 * noise
    x, y = _CENTERS[label].T
    return x + spread * normal(1), y + spread * normal(2), label.astype(float)


def _spirals(rows: int, noise: float, uniform: Column, normal: Column) -> Points:
    t, label = np.sqrt(0.02 + 0.98 * uniform(0)), np.arange(rows, dtype=np.float64) % 2
    angle = 2 * np.pi * _TURNS * t + np.pi * label
    return 3 * t * np.cos(angle) + noise * normal(1), 3 * t * np.sin(angle) + noise * normal(2), label


def _squares(side: int) -> Callable[[int, float, Column, Column], Points]:
    """Squares of a chessboard; a point that strays keeps the class of its square."""

    def sample(rows: int, noise: float, uniform: Column, normal: Column) -> Points:  # noqa: ARG001 one signature
        x, y = side * uniform(0), side * uniform(3)
        label = (np.floor(x) + np.floor(y)) % 2
        return x + noise / 2 * normal(1), y + noise / 2 * normal(2), label

    return sample


def _hills(rows: int, noise: float, uniform: Column, normal: Column) -> Points:  # noqa: ARG001 one signature
    x, y = 4 * uniform(0) - 2, 4 * uniform(3) - 2
    return x, y, np.sin(2 * x) * np.cos(1.5 * y) + x / 3 + noise * normal(1)


TOY_DATASETS: dict[str, ToyDataset] = {
    "moons": ToyDataset("Two moons", True, _moons),
    "circles": ToyDataset("Two circles", True, _circles),
    "blobs": ToyDataset("Three clouds", True, _blobs),
    "spirals": ToyDataset("Two spirals", True, _spirals),
    "quarters": ToyDataset("Four quarters", True, _squares(2)),
    "chessboard": ToyDataset("A chessboard", True, _squares(4)),
    "hills": ToyDataset("Hills (numbers)", False, _hills),
}
"""Every toy data set by name."""
