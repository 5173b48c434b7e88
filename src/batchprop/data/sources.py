"""Sources: tables that are read in runs of rows, as often as needed, and need not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from batchprop.errors import InputError

MAX_ABS_TARGET = 1e30
"""The largest size of a target or a weight: its predictions must fit into float32, whose end is 3e38."""

BLOCK_ROWS = 16_384
"""Rows that are read of a run at a time, where the buffer is large."""

PARTITION_ROWS = 1 << 16
"""Rows of a run of a matrix."""


class RowBlock(NamedTuple):
    """Rows of a table, as they were read.

    Attributes:
        first: the number of the first of them in the whole table.
        X: inputs ``(m, n_0)``.
        y: their targets, as ``fit`` takes them.
        weights: how much each counts ``(m,)``, or None.
    """

    start_row: int
    X: Any
    y: Any
    weights: Any = None


class DataSource(Protocol):
    """A table that is read in runs, as often as needed."""

    @property
    def partitions(self) -> tuple[int, ...]:
        """How many rows each run has."""

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a run in order, some ``rows`` of it at a time."""


class ArraySource:
    """Matrices of any kind that can be cut into rows, on a disk for instance, as a source.

    Args:
        X: inputs ``(n, n_0)``: a ``numpy.memmap``, or whatever else has a shape and gives rows for a slice.
        y: targets ``(n,)`` or ``(n, K)``.
        weights: how much each row counts ``(n,)``, or None.

    Raises:
        InputError: their numbers of rows differ.

    Example:
        >>> source = ArraySource(np.zeros((5, 2)), np.arange(5))
        >>> [block.y.tolist() for block in source.iter_blocks(0, rows=3)]
        [[0, 1, 2], [3, 4]]
    """

    def __init__(self, X: Any, y: Any, weights: Any = None) -> None:
        lengths = {name: len(of) for name, of in (("X", X), ("y", y), ("weights", weights)) if of is not None}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise InputError(f"the numbers of rows differ: {told}; give as many of each")
        self.X, self.y, self.weights = X, y, weights

    @property
    def partitions(self) -> tuple[int, ...]:
        """How many rows each run has: ``PARTITION_ROWS``, the last one what is left."""
        n = len(self.X)
        return tuple(min(PARTITION_ROWS, n - start) for start in range(0, n, PARTITION_ROWS))

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a run in order, some rows at a time."""
        begin = partition * PARTITION_ROWS
        end = begin + self.partitions[partition]
        for first in range(begin, end, rows):
            some = slice(first, min(first + rows, end))
            weights = None if self.weights is None else np.asarray(self.weights[some])
            yield RowBlock(first, np.asarray(self.X[some]), np.asarray(self.y[some]), weights)


class IterableSource:
    """Chunks ``(X, y)`` or ``(X, y, weights)`` that come from anywhere, as a source.

    Chunks that have numbers (a list, or anything else with a length and an index) are taken in another order
    in each epoch; others, which can only be gone through, always in theirs.

    Args:
        chunks: of rows; gone through once to count them, and again in every epoch. Or a function that begins
            them anew, such as a generator function.

    Raises:
        InputError: they can be gone through only once; one is no such pair; there is none.

    Example:
        >>> source = IterableSource([(np.zeros((3, 2)), [1, 2, 3]), (np.zeros((1, 2)), [4])])
        >>> source.partitions, [block.start_row for block in source.iter_blocks(1)]
        ((3, 1), [3])
    """

    def __init__(self, chunks: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        if callable(chunks):
            chunks = _Reiterable(chunks)
        if iter(chunks) is chunks:
            raise InputError(
                "the chunks can be gone through only once, and every epoch needs them: give a list of them, "
                "or the function that makes them, without calling it"
            )
        self.chunks = chunks
        self._numbered = isinstance(chunks, Sequence) or hasattr(chunks, "__getitem__")
        lengths = [_length(_validate_chunk(chunk, i)[0]) for i, chunk in enumerate(chunks)]
        if not sum(lengths):
            raise InputError("there are no rows: give chunks (X, y) of rows")
        self.partitions = tuple(lengths) if self._numbered else (sum(lengths),)
        self._firsts = [0, *np.cumsum(lengths).tolist()]

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a run in order, some rows at a time."""
        chunks: Any = self.chunks
        for i, chunk in [(partition, chunks[partition])] if self._numbered else enumerate(chunks):
            X, *others = _validate_chunk(chunk, i)
            y, *weights = (np.asarray(part) for part in others)
            # Named columns stay named, for the order that they are in to be seen; sparse rows stay sparse.
            X = X if hasattr(X, "shape") else np.asarray(X)
            n = _length(X)
            if i + 1 >= len(self._firsts) or n != self._firsts[i + 1] - self._firsts[i]:
                raise InputError(
                    f"chunk {i} has {n} rows, and had another number when they were counted: give the "
                    "same chunks each time"
                )
            for start in range(0, n, rows):
                some = slice(start, start + rows)
                of_rows = weights[0][some] if weights else None
                X_some = X.iloc[some] if hasattr(X, "iloc") else X[some]
                yield RowBlock(self._firsts[i] + start, X_some, y[some], of_rows)


class _Reiterable:
    """What a function makes, made anew each time that it is gone through."""

    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return iter(self._make())


def _validate_chunk(chunk: Any, number: int) -> Any:
    if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
        raise InputError(
            f"chunk {number} is {type(chunk).__name__}, not (X, y) or (X, y, weights): give such tuples"
        )
    if not all(hasattr(part, "__len__") for part in chunk):
        raise InputError(f"chunk {number} is {chunk!r:.60}, not (X, y) of rows: give tuples of arrays")
    lengths = [_length(part) for part in chunk]
    if len(set(lengths)) > 1:
        raise InputError(
            f"chunk {number} has {' and '.join(map(str, lengths))} rows in its parts: give as many of each"
        )
    return chunk


def _length(rows: Any) -> int:
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)
