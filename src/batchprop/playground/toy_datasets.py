"""Toy data sets: points on a plane that are easy to see, and not all easy to learn."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.preprocessing import StandardScaler

from batchprop.playground.data import PlaygroundData, Task

Points = tuple[Any, Any]

_TURNS = 1.5
_SQUARES = 4


class ToyDataset(NamedTuple):
    """A toy data set: ``sample(rows, noise, seed)`` returns X ``(n, 2)`` and the targets ``(n,)``."""

    description: str
    task: Task
    sample: Callable[[int, float, int], Points]


def make_toy(name: str, rows: int, noise: float, seed: int) -> PlaygroundData:
    """Sample a toy data set, standardised.

    Example:
        >>> moons = make_toy("moons", 100, 0.1, 0)
        >>> moons.X.shape, moons.outputs, np.bincount(moons.values.astype(int))
        ((100, 2), ('class 1', 'class 2'), array([50, 50]))
    """
    toy = TOY_DATASETS[name]
    X, values = toy.sample(rows, noise, seed)
    outputs: tuple[str, ...] = ("height",)
    if toy.task == "classes":
        outputs = tuple(f"class {k + 1}" for k in range(int(values.max()) + 1))
    else:
        values = StandardScaler().fit_transform(values[:, None])[:, 0]
    names = tuple(f"point {i + 1}" for i in range(rows))
    X = StandardScaler().fit_transform(X)
    return PlaygroundData(toy.description, toy.task, X, values.astype(float), ("x₁", "x₂"), outputs, names)


def _moons(rows: int, noise: float, seed: int) -> Points:
    X, values = make_moons(rows, noise=noise, random_state=seed)
    return X, values


def _circles(rows: int, noise: float, seed: int) -> Points:
    X, values = make_circles(rows, noise=noise / 2, factor=0.5, random_state=seed)
    return X, values


def _blobs(rows: int, noise: float, seed: int) -> Points:
    centers = [(-2.0, -1.0), (0.0, 2.0), (2.0, -1.0)]
    X, values = make_blobs(rows, centers=centers, cluster_std=0.2 + 2 * noise, random_state=seed)
    return X, values


def _spirals(rows: int, noise: float, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    arm = np.arange(rows) % 2
    t = np.sqrt(rng.uniform(0.02, 1, rows))
    angle = 2 * np.pi * _TURNS * t + np.pi * arm
    X = 3 * t[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return X + rng.normal(scale=noise, size=X.shape), arm


def _quarters(rows: int, noise: float, seed: int) -> Points:
    return _squares(rows, noise, seed, 2)


def _chessboard(rows: int, noise: float, seed: int) -> Points:
    return _squares(rows, noise, seed, _SQUARES)


def _squares(rows: int, noise: float, seed: int, side: int) -> Points:
    """Squares of a chessboard; a point that strays keeps the class of its square."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, side, (rows, 2))
    label = np.floor(X).sum(axis=1) % 2
    return X + rng.normal(scale=noise / 2, size=X.shape), label


def _hills(rows: int, noise: float, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (rows, 2))
    height = np.sin(2 * X[:, 0]) * np.cos(1.5 * X[:, 1]) + X[:, 0] / 3
    return X, height + rng.normal(scale=noise, size=rows)


TOY_DATASETS: dict[str, ToyDataset] = {
    "moons": ToyDataset("Two moons", "classes", _moons),
    "circles": ToyDataset("Two circles", "classes", _circles),
    "blobs": ToyDataset("Three clouds", "classes", _blobs),
    "spirals": ToyDataset("Two spirals", "classes", _spirals),
    "quarters": ToyDataset("Four quarters", "classes", _quarters),
    "chessboard": ToyDataset("A chessboard", "classes", _chessboard),
    "hills": ToyDataset("Hills (regression)", "numbers", _hills),
}
"""Every toy data set by name."""
