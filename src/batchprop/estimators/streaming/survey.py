"""The survey: one look through a table that is read in runs, before a fit on it begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from batchprop.data.shuffle import hash_uniform
from batchprop.data.sources import DataSource, RowBlock
from batchprop.errors import InputError
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.keeping.saving import checksum_of
from batchprop.estimators.streaming.streamed import MEMORY
from batchprop.estimators.targets import to_dense
from batchprop.estimators.validation import check_sample_weight

HELD_SHARE = 8
"""Rows to validate on take at most the memory divided by this."""


class Survey(NamedTuple):
    """What one look through a source tells.

    Attributes:
        n_rows: how many rows there are to train on.
        y: rows of y that between them hold every label; the first ones, where it holds numbers.
        counts: for each column of y how often each label occurs; None where it holds numbers.
        held: the rows to validate on, blocks of ``(X, y, weights)``.
        fraction: which part of the rows that is.
        dtype: of X.
        checksum: of all rows, where it is wanted.
    """

    n_rows: int
    y: NDArray[Any]
    counts: list[Counter[Any]] | None
    held: list[tuple[Any, Any, Any]]
    fraction: float
    dtype: Any
    checksum: int


def survey(
    estimator: FitInterface,
    source: DataSource,
    fraction: float,
    seed: int,
    *,
    reset: bool = True,
    summed: bool = False,
) -> Survey:
    """Look through a source once: how many rows there are, which labels, whether all can be used.

    Args:
        estimator: checks the rows, and learns how many columns there are.
        source: of the rows.
        fraction: of them to be held out to validate on, as far as they take an eighth of the memory.
        seed: of the lots by which they are held out.
        reset: whether the first rows say how many columns there are.
        summed: whether a checksum of all rows is wanted.

    Returns:
        What was seen.

    Raises:
        InputError: some rows cannot be used; the message says which.
    """
    first = next(blocks(source), None)
    if first is None:
        raise InputError("there are no rows: give a table with some")
    X, y, weights = checked(estimator, first, reset=reset)
    fraction = min(fraction, _affordable(source, X))
    checksum = 0
    labels = Labels() if is_classifier(estimator) else None
    n_rows, held, weighted = 0, list[tuple[Any, Any, Any]](), weights is not None
    for block in blocks(source):
        of_block = checked(estimator, block, reset=False)
        if weighted != (of_block[2] is not None):
            raise InputError(
                f"the rows from row {block.start_row} on have {'no ' if weighted else ''}weights, "
                "unlike those "
                "before them: give weights for all rows or for none"
            )
        checksum = checksum_of(*of_block, start=checksum) if summed else 0
        if labels is not None:
            labels.see(of_block[1])
        aside = held_out(block, fraction, seed)
        n_rows += int(np.count_nonzero(~aside))
        if aside.any():
            held.append(part(of_block, aside))
    some = y if labels is None else labels.some()
    counts = None if labels is None else labels.counts
    return Survey(n_rows, some, counts, held, fraction, X.dtype, checksum)


def blocks(source: DataSource) -> Iterator[RowBlock]:
    """All blocks of a source that have rows, in order."""
    runs = (source.iter_blocks(run) for run in range(len(source.partitions)))
    return (block for run in runs for block in run if block.X.shape[0])


def checked(estimator: FitInterface, block: RowBlock, *, reset: bool) -> tuple[Any, Any, Any]:
    """Return X, y and weights of a block, as an estimator takes them.

    Raises:
        InputError: they cannot be used; the message says which rows.
    """
    if block.y is None:
        raise InputError("the table has no target: name its column, as in scan(..., target='price')")
    with _telling_rows(block):
        X, y = estimator._validate_data(block.X, block.y, reset=reset)
        return X, y, check_sample_weight(block.weights, X.shape[0], X.dtype, some=False)


def part(of_block: tuple[Any, Any, Any], chosen: NDArray[np.bool_]) -> tuple[Any, Any, Any]:
    """Some rows of X, y and weights."""
    X, y, weights = of_block
    return X[chosen], y[chosen], None if weights is None else weights[chosen]


def held_out(block: RowBlock, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Whether each row of a block is held out ``(m,)``: the same at every reading."""
    return hash_uniform(block.start_row + np.arange(block.X.shape[0]), seed) < fraction


class Labels:
    """The labels of each column of y, counted as blocks of it pass by.

    Attributes:
        counts: for each column.

    Example:
        >>> labels = LabelEncoding()
        >>> labels.see(np.array(["a", "b"])), labels.see(np.array(["a", "c"]))
        (None, None)
        >>> labels.some(), labels.counts[0]["a"]
        (array(['a', 'b', 'c'], dtype='<U1'), 2)
    """

    def __init__(self) -> None:
        self.counts: list[Counter[Any]] = []
        self._columns = 0

    def see(self, y: NDArray[Any]) -> None:
        """Count the labels of some rows."""
        matrix = y[:, None] if y.ndim == 1 else y
        if not self.counts:
            self.counts = [Counter() for _ in range(matrix.shape[1])]
            self._columns = y.ndim - 1
        for counts, column in zip(self.counts, matrix.T, strict=True):
            labels, times = np.unique(column, return_counts=True)
            counts.update(dict(zip(labels.tolist(), times.tolist(), strict=True)))

    def some(self) -> NDArray[Any]:
        """Rows of y that between them hold every label, in the shape that y has."""
        longest = max(map(len, self.counts))
        columns = [np.resize(np.array(sorted(counts)), longest) for counts in self.counts]
        return np.column_stack(columns) if self._columns else columns[0]


def _affordable(source: DataSource, X: Any) -> float:
    """Which part of all rows takes an eighth of the memory."""
    memory: int = getattr(source, "memory", MEMORY)
    return memory / HELD_SHARE / (int(to_dense(X[:1]).nbytes) * max(sum(source.partitions), 1))


@contextmanager
def _telling_rows(block: RowBlock) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        last = block.start_row + block.X.shape[0] - 1
        raise InputError(f"in the rows {block.start_row} to {last} (counted from there): {error}") from error
