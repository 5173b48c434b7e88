"""What a network of the playground learns from, whatever it was made of."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import Dataset
from batchprop.errors import DataError

Task = Literal["classes", "numbers"]

MAX_ROWS, MAX_FEATURES, MAX_CLASSES = 20_000, 500, 10
MIN_ROWS = 5
"""Enough for one to be held out."""


@dataclass(frozen=True)
class PlaygroundData:
    """A table in numbers.

    Attributes:
        title: what it is called.
        task: whether the target is one of some classes, or a number.
        X: the inputs ``(n, n_0)``, each column about 0 with a spread of about 1.
        values: the targets ``(n,)``: the number of the class, counted from 0, or the number itself.
        features: names of the inputs ``(n_0,)``.
        outputs: names of the classes ``(K,)``, or of the one number.
        rows: names of the examples ``(n,)``.
    """

    title: str
    task: Task
    X: NDArray[np.float64]
    values: NDArray[np.float64]
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[str, ...]

    @property
    def table(self) -> Dataset:
        """The examples as training takes them: float32, a class as a row of zeros and a one."""
        if self.task == "numbers":
            return Dataset(self.X.astype(np.float32), self.values[:, None].astype(np.float32))
        Y = np.eye(len(self.outputs), dtype=np.float32)[self.values.astype(np.intp)]
        return Dataset(self.X.astype(np.float32), Y)


def check_size(title: str, rows: int, features: int = 1, classes: int = 1) -> None:
    """Refuse what a playground is too small for.

    Args:
        title: of the table.
        rows: n.
        features: n_0, once text and dates are numbers.
        classes: K, or 1 for numbers.

    Raises:
        DataError: there are too few rows, or too many rows, features or classes.

    Example:
        >>> check_size("wide.csv", 100, 501, 2)
        Traceback (most recent call last):
        batchprop.errors.DataError: wide.csv has 501 features: the playground takes up to 500; ...
    """
    if rows < MIN_ROWS:
        raise DataError(f"{title} has too few rows ({rows}): the playground needs {MIN_ROWS} at least")
    bounds = [
        (rows, MAX_ROWS, "rows"),
        (features, MAX_FEATURES, "features"),
        (classes, MAX_CLASSES, "classes"),
    ]
    for found, most, what in bounds:
        if found > most:
            raise DataError(
                f"{title} has {found:,} {what}: the playground takes up to {most:,}; "
                "`batchprop train` takes them all"
            )
