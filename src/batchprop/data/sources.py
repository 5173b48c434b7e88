"""Sources: tables that are read in partitions, as often as needed, and need not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from batchprop.data.frames import to_exact
from batchprop.errors import InputError
from batchprop.format import pluralize

MAX_ABS_TARGET = 1e30
"""The largest size of a target or a weight: its predictions must fit into float32, whose limit is 3e38."""

BLOCK_ROWS = 16_384
"""The rows of a partition to read at a time, for a large buffer."""

PARTITION_ROWS = 1 << 16
"""The rows of a partition of a matrix, which has no partitions of its own."""


class RowBlock(NamedTuple):
    """Rows of a table, as read.

    Attributes:
        start_row: the number of the first one in the whole table.
        X: inputs ``(m, n_0)``.
        y: their targets, as ``fit`` takes them.
        weights: how much each row counts ``(m,)``, or None.
    """

    start_row: int
    X: Any
    y: Any
    weights: Any = None


class DataSource(Protocol):
    """A table that is read in partitions, as often as needed."""

    @property
    def partitions(self) -> tuple[int, ...]:
        """The number of rows of each partition."""

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a partition in order, about ``rows`` rows at a time."""


class ArraySource:
    """Matrices of any kind that give rows for a slice, for example on disk, as a source.

    Args:
        X: inputs ``(n, n_0)``: a ``numpy.memmap``, or anything with a shape that gives rows for a slice.
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
            info = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise InputError(f"the numbers of rows differ: {info}; give as many of each")
        self.X, self.y, self.weights = X, y, weights

    @property
    def partitions(self) -> tuple[int, ...]:
        """The number of rows of each partition: ``PARTITION_ROWS``, and the rest in the last one."""
        n = len(self.X)
        return tuple(min(PARTITION_ROWS, n - start) for start in range(0, n, PARTITION_ROWS))

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a partition in order, some rows at a time."""
        begin = partition * PARTITION_ROWS
        end = begin + self.partitions[partition]
        for start in range(begin, end, rows):
            block = slice(start, min(start + rows, end))
            weights = None if self.weights is None else np.asarray(self.weights[block])
            yield RowBlock(start, np.asarray(self.X[block]), np.asarray(self.y[block]), weights)


class IterableSource:
    """Chunks ``(X, y)`` or ``(X, y, weights)`` from anywhere, as a source.

    Chunks with an index (a list, for example) are shuffled in each epoch; others, which can only be iterated
    over, come in their own order.

    Args:
        chunks: iterated over once to count rows, and again in every epoch; or a function that makes such an
            iterable, a generator function for instance.

    Raises:
        InputError: they can be iterated over only once; one is not such a tuple; there are none.

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
        self._indexable = isinstance(chunks, Sequence) or hasattr(chunks, "__getitem__")
        lengths = [_length(_validate_chunk(chunk, i)[0]) for i, chunk in enumerate(chunks)]
        if not sum(lengths):
            raise InputError("there are no rows: give chunks (X, y) of rows")
        self.partitions = tuple(lengths) if self._indexable else (sum(lengths),)
        self._starts = [0, *np.cumsum(lengths).tolist()]

    def iter_blocks(self, partition: int, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Read a partition in order, some rows at a time."""
        chunks: Any = self.chunks
        n_chunks, i = len(self._starts) - 1, partition - 1
        try:
            numbered = [(partition, chunks[partition])] if self._indexable else enumerate(chunks)
        except LookupError:
            numbered = []
        for i, chunk in numbered:
            X, *others = _validate_chunk(chunk, i)
            y, *weights = (np.asarray(to_exact(part)) for part in others)
            # Named columns keep their names, so that their order can be checked; sparse rows stay sparse.
            X = X if hasattr(X, "shape") else np.asarray(X)
            n = _length(X)
            if i >= n_chunks or n != self._starts[i + 1] - self._starts[i]:
                raise InputError(
                    f"chunk {i} has {pluralize(n, 'row')}, and had another number when they were counted: "
                    "give the same chunks each time"
                )
            for start in range(0, n, rows):
                block = slice(start, start + rows)
                block_weights = weights[0][block] if weights else None
                block_X = X.iloc[block] if hasattr(X, "iloc") else X[block]
                yield RowBlock(self._starts[i] + start, block_X, y[block], block_weights)
        if i + 1 < (partition + 1 if self._indexable else n_chunks):
            raise InputError(
                f"the chunks end after {i + 1}, and {n_chunks} were counted: give the same chunks each time"
            )


class _Reiterable:
    """An iterable that calls a function for each iteration."""

    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return iter(self._make())


def _validate_chunk(chunk: Any, number: int) -> Any:
    if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
        raise InputError(
            f"chunk {number} is {type(chunk).__name__}, not (X, y) or (X, y, weights): give such tuples"
        )
    if not all(map(_has_rows, chunk)):
        raise InputError(f"chunk {number} is {chunk!r:.60}, not (X, y) of rows: give tuples of arrays")
    lengths = [_length(part) for part in chunk]
    if len(set(lengths)) > 1:
        raise InputError(
            f"chunk {number} has {' and '.join(map(str, lengths))} rows in its parts: give as many of each"
        )
    return chunk


def _has_rows(part: Any) -> bool:
    # An array of no dimension has a length, and no rows; so has text.
    return hasattr(part, "__len__") and not isinstance(part, str | bytes) and getattr(part, "shape", 1) != ()


def _length(rows: Any) -> int:
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)
