"""The data that a playground's network trains on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import Dataset
from batchprop.errors import DataError

Task = Literal["classes", "numbers"]

MAX_ROWS, MAX_FEATURES, MAX_CLASSES = 20_000, 500, 10
MIN_ROWS = 5
"""Enough for one validation row."""


@dataclass(frozen=True)
class PlaygroundData:
    """A table in numbers: standardised inputs ``(n, n_0)``, targets ``(n,)``, and names."""

    title: str
    task: Task
    X: NDArray[np.float64]
    values: NDArray[np.float64]
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[str, ...]

    @property
    def dataset(self) -> Dataset:
        """The data set for training: float32, classes one-hot."""
        if self.task == "numbers":
            return Dataset(self.X.astype(np.float32), self.values[:, None].astype(np.float32))
        Y = np.eye(len(self.outputs), dtype=np.float32)[self.values.astype(np.intp)]
        return Dataset(self.X.astype(np.float32), Y)


def check_size(title: str, rows: int, features: int = 1, classes: int = 1) -> None:
    """Raise DataError where a table has too few rows, or too many rows, features or classes.

    Example:
        >>> check_size("wide.csv", 100, 501, 2)
        Traceback (most recent call last):
        batchprop.errors.DataError: wide.csv has 501 features: the playground takes up to 500; ...
    """
    if rows < MIN_ROWS:
        raise DataError(f"{title} has too few rows ({rows}): the playground needs at least {MIN_ROWS}")
    limits = [
        (rows, MAX_ROWS, "rows"),
        (features, MAX_FEATURES, "features"),
        (classes, MAX_CLASSES, "classes"),
    ]
    for count, limit, what in limits:
        if count > limit:
            raise DataError(
                f"{title} has {count:,} {what}: the playground takes up to {limit:,}; "
                "`batchprop train` has no such limit"
            )
