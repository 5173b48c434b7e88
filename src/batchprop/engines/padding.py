"""Padding: the batches of an epoch as arrays of one fixed shape, for engines that compile.

Batches are split into microbatches of at most ``width`` rows. A microbatch with fewer rows is padded with
examples of weight 0, so that all have one shape; a chunk is S microbatches, the last chunk of an epoch padded
with microbatches that are never run. A compiled program thus sees the same shapes for any number of rows.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import (
    MICROBATCH_SIZE,
    Dataset,
    EpochBatches,
    Indices,
    SharedBatches,
    batch_sizes,
    flat_rows,
    own_batches,
    share_sizes,
    take_rows,
    weight_unit,
)
from batchprop.engines.auto import Workload, estimate_numpy_seconds
from batchprop.errors import InputError

CHUNK_BYTES = 16_000_000
"""The approximate size of a chunk's rows: enough to hide the cost of a call."""

CHUNK_SECONDS = 0.3
"""The approximate time of a chunk in NumPy, and so the longest wait for Ctrl-C."""

MAX_CHUNK_SIZE = 4096
"""The most microbatches in a chunk."""

ALIGNMENT = 64
"""On the processor JAX copies an array whose address is not a multiple of this number of bytes."""


class PaddedChunk(NamedTuple):
    """S microbatches of ``width`` examples each; the first ``filled`` of them are run.

    Attributes:
        filled: the number of microbatches to run.
        X: inputs ``(S, width, n_0)``; None if the device has the dataset and gathers ``rows`` itself.
        Y: targets ``(S, width, K)``; None likewise.
        rows: row numbers ``(S, width)``, or None.
        weights: how much each example counts ``(S, width)``, from ``rescale_weights``; 0 for padding.
        inverse_weights: ``1 / Σw`` over the whole batch ``(S,)``; 0 if the batch has weight 0.
        microbatch_index: the microbatch's number in its batch ``(S,)``.
        is_last: whether it is its batch's last ``(S,)``; None if every batch is one microbatch.
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


class BatchWeights(NamedTuple):
    """The weights of batches whose rows several processes hold.

    Attributes:
        largest: the largest weight in each batch ``(b,)``.
        totals: their sum Σw ``(b,)``.
    """

    largest: NDArray[np.float64]
    totals: NDArray[np.float64]

    def subset(self, index: slice) -> "BatchWeights":
        """Return those of some of the batches."""
        return BatchWeights(self.largest[index], self.totals[index])


class Microbatches(NamedTuple):
    """E microbatches of some batches, as row numbers.

    Attributes:
        rows: row numbers ``(E, width)``; padding repeats a row of its own batch.
        weights: ``(E, width)``, 0 for padding.
        inverse_weights: ``(E,)``, as in ``PaddedChunk``, like the next two.
        microbatch_index: ``(E,)``.
        is_last: ``(E,)``.
        batch_index: the number of its batch ``(E,)``.
    """

    rows: Indices
    weights: NDArray[np.floating]
    inverse_weights: NDArray[np.floating]
    microbatch_index: NDArray[np.int32]
    is_last: NDArray[np.bool_]
    batch_index: NDArray[np.intp]

    def subset(self, index: slice) -> "Microbatches":
        """Return some of the microbatches."""
        return Microbatches._make(values[index] for values in self)


def padded_batch_size(batches: EpochBatches, capacity: int = 1) -> int:
    """Return the batch size to compile for: the capacity so far, or a larger one of at most 4096 rows."""
    sizes = share_sizes(batches)
    largest = int(sizes.max())
    # A share that is larger than planned is split: of another width sums would be rounded otherwise, and a
    # resumed fit would not end as an uninterrupted one.
    if largest <= (2 * capacity if isinstance(batches, SharedBatches) else capacity):
        return capacity
    # Where only the last batch is smaller, the batch size itself pads least. Where sizes vary, a power of two
    # spares a new program for an epoch whose largest batch is slightly larger.
    uniform = bool((sizes[:-1] == largest).all())
    return max(capacity, min(MICROBATCH_SIZE, largest if uniform else power_of_two(largest)))


def poisson_batch_capacity(expected_size: int) -> int:
    """Return a batch size that only one Poisson batch in 30 000 exceeds."""
    # Four standard deviations above the mean.
    return math.ceil(expected_size + 4 * math.sqrt(expected_size))


def share_capacity(batch_size: int, fraction: float) -> int:
    """Return a size that a process's share of a batch rarely exceeds, a multiple of 8.

    Args:
        batch_size: m, the rows of all processes.
        fraction: of all rows, that the process holds.

    Example:
        >>> share_capacity(200, 0.25), share_capacity(200, 1.0)
        (88, 200)
    """
    # Five standard deviations above the mean.
    size = batch_size * fraction + 5 * math.sqrt(batch_size * fraction * (1 - fraction))
    return max(min(batch_size, -(-math.ceil(size) // 8) * 8), 1)


def microbatch_width(capacity: int) -> int:
    """Return the size of the fewest equal parts of a batch that hold at most 4096 rows each."""
    # Equal parts: of 4352 rows, 4096 and a rest of 256 would pad 3840 rows, two of 2176 none.
    return math.ceil(capacity / math.ceil(capacity / MICROBATCH_SIZE))


def chunk_size(sizes: Sequence[int], width: int, itemsize: int, *, resident: bool) -> int:
    """Return S, a power of two from 1 to 4096, for a network of these widths."""
    # The number of rows does not matter, so that datasets of any length run the same program.
    in_bytes = MAX_CHUNK_SIZE if resident else CHUNK_BYTES // (width * (sizes[0] + sizes[-1]) * itemsize)
    in_time = int(CHUNK_SECONDS / estimate_numpy_seconds(Workload(sizes, width, width, 1)))
    return 1 << min(max(in_bytes, 1), max(in_time, 1), MAX_CHUNK_SIZE).bit_length() - 1


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is at least a number."""
    return 1 << max(number - 1, 0).bit_length()


def iter_padded_chunks(
    dataset: Dataset,
    batches: EpochBatches,
    rates: NDArray[np.floating],
    width: int,
    S: int,
    *,
    resident: bool = False,
    batch_weights: BatchWeights | float | None = None,
    keep_weightless: bool = False,
) -> Iterator[PaddedChunk]:
    """Yield the microbatches of an epoch, S at a time.

    ``batch_weights`` are those of batches of which this process holds a part, or a number that replaces a
    private batch's Σw. The rows of a batch of weight 0 are zeros, unless ``keep_weightless``.
    """
    # Batches are split as chunks are taken, so that memory holds a few chunks and one batch, not the epoch.
    parts_per_batch = -(-int(share_sizes(batches).max()) // width)
    batches_at_once = max(S // max(parts_per_batch, 1), 1)
    for first in range(0, len(batches), batches_at_once):
        some = slice(first, first + batches_at_once)
        weights = batch_weights.subset(some) if isinstance(batch_weights, BatchWeights) else batch_weights
        split = split_microbatches(dataset, batches[some], width, weights)
        for start in range(0, len(split.rows), S):
            part = split.subset(slice(start, start + S))
            yield pad(
                dataset,
                part,
                rates[some],
                S,
                has_parts=parts_per_batch > 1,
                resident=resident,
                keep_weightless=keep_weightless,
            )


def split_microbatches(
    dataset: Dataset,
    batches: EpochBatches,
    width: int,
    batch_weights: BatchWeights | float | None = None,
) -> Microbatches:
    """Split batches into microbatches of one shape; an empty batch becomes a microbatch of weight 0."""
    shared, expected_size = (
        (batch_weights, None) if isinstance(batch_weights, BatchWeights) else (None, batch_weights)
    )
    sizes = share_sizes(batches)
    counts = np.maximum(-(-sizes // width), 1)
    is_last = np.zeros(counts.sum(), dtype=bool)
    is_last[np.cumsum(counts) - 1] = True
    batch_index = np.repeat(np.arange(len(batches)), counts)
    microbatch_index = np.arange(len(batch_index)) - (np.cumsum(counts) - counts)[batch_index]
    rows, valid = _pad_rows(own_batches(batches), np.cumsum(counts) - counts, width, len(batch_index))
    _check_rows(rows, dataset.n_rows)
    weights: NDArray[Any] = valid.astype(dataset.Y.dtype)
    if dataset.weights is not None:
        # A process without rows has no weight for the padding, either.
        own = dataset.weights[rows] if dataset.n_rows else np.zeros(rows.shape)
        weights = valid * own.astype(np.float64)
    unit: Any = 1.0
    if dataset.weights is not None and expected_size is None:
        largest = np.maximum.reduceat(weights.max(axis=1), np.cumsum(counts) - counts)
        unit = weight_unit(largest if shared is None else shared.largest)
        weights = weights / unit[batch_index, None]
    # In float64: in float32 a sum of many small weights loses digits.
    totals = np.bincount(batch_index, weights=weights.sum(axis=1, dtype=np.float64), minlength=len(batches))
    if shared is not None:
        totals = shared.totals / unit
    elif isinstance(batches, SharedBatches):
        totals = batch_sizes(batches).astype(np.float64)
    if expected_size is not None:
        totals = np.full(len(batches), expected_size)
    inverse_weights = np.divide(1.0, totals, out=np.zeros(len(batches)), where=totals > 0)
    return Microbatches(
        rows,
        weights.astype(dataset.Y.dtype, copy=False),
        inverse_weights[batch_index].astype(dataset.Y.dtype),
        microbatch_index.astype(np.int32),
        is_last,
        batch_index,
    )


def valid_mask(batches: EpochBatches, width: int) -> NDArray[np.bool_]:
    """Return which entries of all microbatches ``(E, width)`` are rows of their batches and not padding."""
    counts = np.maximum(-(-share_sizes(batches) // width), 1)
    ends = np.cumsum(counts)
    before = (np.arange(ends[-1]) - np.repeat(ends - counts, counts)) * width
    remaining = np.repeat(batch_sizes(own_batches(batches)), counts) - before
    valid: NDArray[np.bool_] = np.arange(width) < remaining[:, None]
    return valid


def pad(
    dataset: Dataset,
    part: Microbatches,
    rates: NDArray[np.floating],
    S: int,
    *,
    has_parts: bool,
    resident: bool,
    keep_weightless: bool = False,
) -> PaddedChunk:
    """Return at most S microbatches as a chunk of S."""
    X, Y = (
        None if resident else gather_rows(matrix, part, S, keep_weightless=keep_weightless)
        for matrix in (dataset.X, dataset.Y)
    )
    return PaddedChunk(
        filled=len(part.rows),
        X=X,
        Y=Y,
        rows=pad_to(part.rows, S) if resident else None,
        weights=pad_to(part.weights, S),
        inverse_weights=pad_to(part.inverse_weights, S),
        microbatch_index=pad_to(part.microbatch_index, S),
        is_last=pad_to(part.is_last, S) if has_parts else None,
        rates=pad_to(rates[part.batch_index], S),
    )


def gather_rows(X: Any, part: Microbatches, S: int, *, keep_weightless: bool = False) -> NDArray[Any]:
    """Return the rows of at most S microbatches in a new array ``(S, width, columns)``, unset beyond them."""
    n, width = part.rows.shape
    out = allocate_aligned((S, width, X.shape[1]), X.dtype)
    if not X.shape[0]:
        # A process without rows still takes part in every step.
        out[:n] = 0
        return out
    copy_rows(X, part.rows.reshape(-1), out[:n].reshape(n * width, X.shape[1]))
    # The rows of a batch of weight 0 may be infinite or NaN, and 0 · ∞ is NaN.
    if not keep_weightless:
        out[:n][part.inverse_weights == 0] = 0
    return out


def copy_rows(X: Any, rows: Indices, out: NDArray[Any]) -> None:
    """Copy some rows of a dense or CSR matrix into a dense one."""
    if isinstance(X, np.ndarray) and X.flags.c_contiguous:
        # split_microbatches has checked the row numbers; mode "clip" spares NumPy a buffer.
        np.take(X, rows, axis=0, out=out, mode="clip")
    else:
        out[:] = take_rows(X, rows)


def allocate_aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an empty array whose address is a multiple of ``ALIGNMENT``."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    result: NDArray[Any] = buffer[start : start + size].view(dtype).reshape(shape)
    return result


def pad_to(values: NDArray[Any], S: int) -> NDArray[Any]:
    """Return the values with S entries, those beyond them unset."""
    padded = np.empty((S, *values.shape[1:]), dtype=values.dtype)
    padded[: len(values)] = values
    return padded


def _pad_rows(
    batches: EpochBatches, first: NDArray[np.intp], width: int, n: int
) -> tuple[Indices, NDArray[np.bool_]]:
    """Return row numbers ``(n, width)`` and which are valid; padding repeats its microbatch's first row.

    ``first`` is the number of each batch's first microbatch.
    """
    sizes, rows = batch_sizes(batches), flat_rows(batches)
    if len(rows) == n * width:
        # Whole batches only.
        return rows.reshape(n, width), np.ones((n, width), dtype=bool)
    # Where each row goes: its batch's first microbatch, and its place in the batch.
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    flat = np.repeat(first * width, sizes) + place
    padded, valid = np.zeros(n * width, dtype=rows.dtype), np.zeros(n * width, dtype=bool)
    padded[flat], valid[flat] = rows, True
    by_part, is_valid = padded.reshape(n, width), valid.reshape(n, width)
    return np.where(is_valid, by_part, by_part[:, :1]), is_valid


def _check_rows(rows: Indices, n: int) -> None:
    for row in (rows.min(), rows.max()):
        if not 0 <= row < max(n, 1):
            raise InputError(f"the plan names row {row}: the table has the rows 0 to {n - 1}")
