"""A table in numbers, as the playground's page takes it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import DataError
from batchprop.webdata import encode_matrix

Task = Literal["classes", "numbers"]

MAX_ROWS, MAX_FEATURES, MAX_CLASSES = 5_000, 500, 10
MIN_ROWS = 5
"""Enough for one row held out."""


@dataclass(frozen=True)
class Table:
    """A table in numbers.

    Attributes:
        title: what the page calls it.
        task: whether the targets are classes or numbers.
        X: standardised inputs ``(n, n_0)``.
        values: the class of each row, counted from 0, or its number, standardised ``(n,)``.
        features: the names of the inputs.
        outputs: the names of the classes, or of the target.
        rows: the names of the rows.
        notes: what was left out.
    """

    title: str
    task: Task
    X: NDArray[np.float32]
    values: NDArray[np.float32]
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the table as JSON values, with matrices in base64."""
        return {
            "title": self.title,
            "task": self.task,
            "features": self.features,
            "outputs": self.outputs,
            "rows": self.rows,
            "notes": self.notes,
            "X": encode_matrix(self.X),
            "values": encode_matrix(self.values[:, None]),
        }


def fit_table(table: Table, random_state: int) -> Table:
    """Return a table that the page takes: of more than 5,000 rows, a random sample.

    Raises:
        DataError: the table has too few rows, or too many features or classes.

    Example:
        >>> X, values = np.zeros((6_000, 1), "f4"), np.arange(6_000, dtype="f4") % 2
        >>> table = Table("long", "classes", X, values, ("x",), ("a", "b"), ("row",) * 6_000)
        >>> fit_table(table, 0).notes
        ('5,000 of 6,000 rows, drawn at random',)
    """
    n, k = table.X.shape
    if n < MIN_ROWS:
        raise DataError(f"{table.title} has too few rows ({n}): the playground needs at least {MIN_ROWS}")
    for count, limit, what in ((k, MAX_FEATURES, "features"), (len(table.outputs), MAX_CLASSES, "classes")):
        if count > limit:
            raise DataError(
                f"{table.title} has {count:,} {what}: the playground takes up to {limit:,}; "
                "`batchprop train` has no such limit"
            )
    if n <= MAX_ROWS:
        return table
    rows = np.sort(np.random.default_rng(random_state).permutation(n)[:MAX_ROWS])
    return replace(
        table,
        X=table.X[rows],
        values=table.values[rows],
        rows=tuple(table.rows[row] for row in rows),
        notes=(*table.notes, f"{MAX_ROWS:,} of {n:,} rows, drawn at random"),
    )


def standardize(values: Any) -> NDArray[np.float64]:
    """Return each column with mean 0 and deviation 1; a constant column becomes 0.

    Example:
        >>> standardize([[1.0, 5.0], [3.0, 5.0]]).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    numbers = np.asarray(values, dtype=np.float64)
    deviation = numbers.std(axis=0)
    scaled: NDArray[np.float64] = (numbers - numbers.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return scaled


def encode_target(
    name: str, y: Any, *, is_classification: bool
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return the values and the outputs' names: classes counted from 0, or standardised numbers."""
    if not is_classification:
        return standardize(y).astype(np.float32), (name,)
    classes, values = np.unique(np.asarray(y), return_inverse=True)
    return values.astype(np.float32), tuple(map(str, classes.tolist()))
