"""Feeding: the batches of an epoch as arrays of one fixed shape, for engines that compile.

Batches are cut into microbatches of at most ``width`` rows. A microbatch with fewer rows is filled up with
examples of weight 0, so that all have one shape; a *feed* is a fixed number of microbatches, the last feed of
an epoch filled up with microbatches that are never run. A compiled program therefore sees the same shapes
whatever the number of rows.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import (
    MICROBATCH_SIZE,
    Dataset,
    EpochBatches,
    Indices,
    SequentialBatches,
    batch_sizes,
    microbatches,
    take_rows,
)
from batchprop.engines.auto import Workload, estimate_numpy_seconds
from batchprop.errors import InputError

FEED_BYTES = 16_000_000
"""About how much of a table one feed holds: enough to hide what a call costs."""

ALIGNMENT = 64
"""The address of an array handed to a device begins at a multiple of so many bytes, lest it be copied."""

FEED_SECONDS = 0.3
"""About how long a feed may take in NumPy: so long may Ctrl-C have to wait."""

MAX_AT_ONCE = 4096
"""Microbatches in a feed at most."""


class PaddedChunk(NamedTuple):
    """Some microbatches of ``width`` examples each; S of them, of which the first ``filled`` are run.

    Attributes:
        filled: how many.
        X: inputs ``(S, width, n_0)``; None where the device holds the table and gathers ``rows`` itself.
        Y: targets ``(S, width, K)``; None likewise.
        rows: row numbers ``(S, width)``, or None.
        weights: how much each example counts ``(S, width)``; 0 for those that fill up.
        shares: ``1 / Σw`` over the whole batch ``(S,)``; 0 where it weighs nothing.
        parts: the number of the microbatch within its batch ``(S,)``.
        closes: whether it is its batch's last ``(S,)``; None where every batch is one microbatch.
        rates: the learning rate of its batch ``(S,)``.
    """

    filled: int
    X: Any
    Y: Any
    rows: Any
    weights: Any
    inverse_weights: Any
    microbatch_index: Any
    is_last: Any
    rates: Any


class Microbatches(NamedTuple):
    """The microbatches of some batches, as row numbers.

    Attributes:
        rows: row numbers ``(E, width)``; an example that fills up repeats a row of its own batch.
        weights: ``(E, width)``, 0 for those that fill up.
        shares: ``(E,)``; see ``PaddedChunk``, also for ``microbatch_index`` and ``is_last``.
        batches: the number of its batch ``(E,)``.
        parts: ``(E,)``.
        closes: ``(E,)``.
    """

    rows: Indices
    weights: NDArray[np.floating]
    shares: NDArray[np.floating]
    batches: NDArray[np.intp]
    parts: NDArray[np.int32]
    closes: NDArray[np.bool_]

    def part(self, some: slice) -> "Microbatches":
        """Some of them."""
        rows, weights, shares, batches, parts, closes = self
        return Microbatches(rows[some], weights[some], shares[some], batches[some], parts[some], closes[some])


def padded_batch_size(batches: EpochBatches, room: int = 1) -> int:
    """Return the size of batch that microbatches are cut for.

    What there was room for, where that is enough. Else the batch size where all batches have it but the last;
    where sizes vary, the next power of two, so that an epoch with a slightly larger batch needs no other
    program.

    Args:
        batches: of an epoch.
        room: what there was room for before.

    Returns:
        ``room``, or up to ``MICROBATCH``.

    Example:
        >>> (
        ...     padded_batch_size([np.arange(30), np.arange(30), np.arange(7)]),
        ...     padded_batch_size([np.arange(5), np.arange(30)]),
        ... )
        (30, 32)
    """
    sizes = batch_sizes(batches)
    largest = int(sizes.max())
    if largest <= room:
        return room
    uniform = bool((sizes[:-1] == largest).all())
    return max(room, min(MICROBATCH_SIZE, largest if uniform else power_of_two(largest)))


def poisson_batch_capacity(expected_size: int) -> int:
    """Return room for batches that take each row by chance: one in 30 000 is larger.

    Four standard deviations above the expected size.

    Example:
        >>> poisson_batch_capacity(200), poisson_batch_capacity(4096)
        (257, 4352)
    """
    return math.ceil(expected_size + 4 * math.sqrt(expected_size))


def microbatch_width(room: int) -> int:
    """Return how many examples every microbatch holds: all of a batch, or one of the fewest equal parts.

    Args:
        room: the size of the batch.

    Returns:
        From 1 to ``MICROBATCH``.

    Example:
        >>> microbatch_width(200), microbatch_width(4352)
        (200, 2176)
    """
    return math.ceil(room / math.ceil(room / MICROBATCH_SIZE))


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is no less than a number.

    Example:
        >>> power_of_two(5), power_of_two(8)
        (8, 8)
    """
    return 1 << max(number - 1, 0).bit_length()


def split_microbatches(
    table: Dataset, batches: EpochBatches, width: int, expected_size: float | None = None
) -> Microbatches:
    """Cut batches into microbatches of one shape.

    Args:
        table: the examples; only its weights are looked at.
        batches: some; an empty one becomes a microbatch of weight 0.
        width: examples in each.
        expected_size: what every batch's sum is divided by; None for its own weight.

    Returns:
        All microbatches.

    Example:
        >>> table = Dataset(np.zeros((5, 1)), np.zeros((5, 1)))
        >>> split_microbatches(table, [np.array([4, 3, 2]), np.array([1])], 2).weights
        array([[1., 1.],
               [1., 0.],
               [1., 0.]])
    """
    sizes = batch_sizes(batches)
    counts = np.maximum(-(-sizes // width), 1)
    closes = np.zeros(counts.sum(), dtype=bool)
    closes[np.cumsum(counts) - 1] = True
    of_batch = np.repeat(np.arange(len(batches)), counts)
    parts = np.arange(len(of_batch)) - (np.cumsum(counts) - counts)[of_batch]
    rows, present = _pad(batches, sizes, width, len(of_batch))
    _require_rows(rows, table.n_rows)
    weights = np.asarray(present if table.weights is None else present * table.weights[rows], table.Y.dtype)
    totals = np.bincount(of_batch, weights=weights.sum(axis=1, dtype=np.float64), minlength=len(batches))
    if expected_size is not None:
        totals = np.full(len(batches), expected_size)
    shares = np.divide(1.0, totals, out=np.zeros(len(batches)), where=totals > 0)
    return Microbatches(
        rows, weights, shares[of_batch].astype(table.Y.dtype), of_batch, parts.astype(np.int32), closes
    )


def _require_rows(rows: Indices, n: int) -> None:
    for row in (rows.min(), rows.max()):
        if not 0 <= row < max(n, 1):
            raise InputError(f"the plan names row {row}: the table has the rows 0 to {n - 1}")


def _pad(
    batches: EpochBatches, sizes: NDArray[np.intp], width: int, n: int
) -> tuple[Indices, NDArray[np.bool_]]:
    """Row numbers ``(n, width)`` and whether they are there; an absent one repeats its batch's first row."""
    if (sizes[:-1] == width).all() and 0 < sizes[-1] <= width:
        missing = width - int(sizes[-1])
        flat = batches.rows if isinstance(batches, SequentialBatches) else np.concatenate(batches)
        if missing:
            flat = np.concatenate([flat, np.repeat(batches[-1][:1], missing)])
        present = np.arange(n * width) < n * width - missing
        return flat.reshape(n, width), present.reshape(n, width)
    filled, there = np.zeros((n, width), dtype=np.intp), np.zeros((n, width), dtype=bool)
    cut_up = chain.from_iterable(list(microbatches(rows, width)) or [rows] for rows in batches)
    for i, part in enumerate(cut_up):
        filled[i, : len(part)], there[i, : len(part)] = part, True
        filled[i, len(part) :] = part[0] if len(part) else 0
    return filled, there


def valid_mask(sizes: NDArray[np.intp], width: int) -> NDArray[np.bool_]:
    """Return which entries of all microbatches are rows of their batches, and not there to fill up.

    Args:
        sizes: of the batches.
        width: examples in a microbatch.

    Returns:
        ``(number of microbatches, width)``.

    Example:
        >>> valid_mask(np.array([3, 0]), 2)
        array([[ True,  True],
               [ True, False],
               [False, False]])
    """
    counts = np.maximum(-(-sizes // width), 1)
    ends = np.cumsum(counts)
    before = (np.arange(ends[-1]) - np.repeat(ends - counts, counts)) * width
    left = np.repeat(sizes, counts) - before
    there: NDArray[np.bool_] = np.arange(width) < left[:, None]
    return there


def iter_padded_chunks(
    table: Dataset,
    batches: EpochBatches,
    rates: NDArray[np.floating],
    width: int,
    S: int,
    *,
    resident: bool = False,
    expected_size: float | None = None,
) -> Iterator[PaddedChunk]:
    """Fill feed after feed with the microbatches of an epoch.

    They are cut as they are needed, so that an epoch takes a few feeds and one batch, besides the table and
    its order.

    Args:
        table: the examples as rows, dense or in SciPy's CSR form.
        batches: of the epoch.
        rates: the learning rate of each batch.
        width: examples in a microbatch.
        S: microbatches in a feed.
        resident: whether the device holds the table, so that row numbers are enough.
        expected_size: see ``split_microbatches``.

    Yields:
        The feeds.
    """
    largest = -(-int(batch_sizes(batches).max()) // width)
    at_once = max(S // max(largest, 1), 1)
    for first in range(0, len(batches), at_once):
        some = slice(first, first + at_once)
        cut_up = split_microbatches(table, batches[some], width, expected_size)
        for start in range(0, len(cut_up.rows), S):
            part = cut_up.part(slice(start, start + S))
            yield pad(table, part, rates[some], S, split=largest > 1, resident=resident)


def pad(
    table: Dataset, part: Microbatches, rates: NDArray[np.floating], S: int, *, split: bool, resident: bool
) -> PaddedChunk:
    """Return some microbatches as arrays of the one shape that is compiled."""
    X, Y = (None if resident else gather_rows(matrix, part, S) for matrix in (table.X, table.Y))
    return PaddedChunk(
        filled=len(part.rows),
        X=X,
        Y=Y,
        rows=pad_to(part.rows, S) if resident else None,
        weights=pad_to(part.weights, S),
        inverse_weights=pad_to(part.shares, S),
        microbatch_index=pad_to(part.parts, S),
        is_last=pad_to(part.closes, S) if split else None,
        rates=pad_to(rates[part.batches], S),
    )


def chunk_size(sizes: Sequence[int], width: int, itemsize: int, *, resident: bool) -> int:
    """Return S, how many microbatches a feed holds; the number of rows plays no part.

    Args:
        sizes: the widths of the network, input and output included.
        width: examples in a microbatch.
        itemsize: bytes in a number.
        resident: whether a feed holds row numbers only.

    Returns:
        A power of two from 1 to ``MAX_AT_ONCE``.

    Example:
        >>> chunk_size((64, 64, 10), 32, 4, resident=False)
        1024
        >>> chunk_size((2, 1024, 1024, 1), 200, 4, resident=False)
        8
    """
    in_bytes = MAX_AT_ONCE if resident else FEED_BYTES // (width * (sizes[0] + sizes[-1]) * itemsize)
    in_time = int(FEED_SECONDS / estimate_numpy_seconds(Workload(sizes, width, width, 1)))
    return 1 << min(max(in_bytes, 1), max(in_time, 1), MAX_AT_ONCE).bit_length() - 1


def gather_rows(X: Any, part: Microbatches, S: int) -> NDArray[Any]:
    """Copy rows into a new array ``(S, width, columns)`` that a device on the processor can use as it lies.

    Args:
        X: ``(n, columns)``, dense or in SciPy's CSR form.
        part: S microbatches or fewer; what lies beyond them is not filled.
        S: microbatches in the feed.

    Returns:
        The array, in X's dtype. In a batch that weighs nothing it holds zeros, for its rows may not be
        numbers, and zero times infinity is not zero.
    """
    n, width = part.rows.shape
    out = aligned((S, width, X.shape[1]), X.dtype)
    copy_rows(X, part.rows.reshape(-1), out[:n].reshape(n * width, X.shape[1]))
    out[:n][part.shares == 0] = 0
    return out


def copy_rows(X: Any, rows: Indices, out: NDArray[Any]) -> None:
    """Copy some rows of a dense or CSR matrix into a dense one."""
    if isinstance(X, np.ndarray) and X.flags.c_contiguous:
        # ``split_microbatches`` has looked at the row numbers; "clip" spares NumPy a buffer.
        np.take(X, rows, axis=0, out=out, mode="clip")
    else:
        out[:] = take_rows(X, rows)


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an empty array whose address is a multiple of ``ALIGNMENT``.

    Example:
        >>> aligned((2, 3), "float32").ctypes.data % ALIGNMENT
        0
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    found: NDArray[Any] = memory[start : start + size].view(dtype).reshape(shape)
    return found


def pad_to(values: NDArray[Any], S: int) -> NDArray[Any]:
    """The same with S entries; what those added hold is never looked at."""
    stretched = np.empty((S, *values.shape[1:]), dtype=values.dtype)
    stretched[: len(values)] = values
    return stretched
