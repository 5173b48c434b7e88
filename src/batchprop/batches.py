"""Batches: which rows make up each batch of each epoch, and how rows become the columns of a batch.

A *sampler* is an iterator over epochs; an epoch is a sequence of batches; a batch is an array of row numbers.
Rows that lie in memory are shuffled here (``minibatches``), all others in ``data.shuffle``.
Outside, examples are rows, as everywhere in Python; ``gather`` is the one place where they become columns.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from batchprop.arrays import Array, namespace
from batchprop.errors import ParameterError
from batchprop.processes import Share

Indices: TypeAlias = NDArray[np.integer]
EpochBatches: TypeAlias = Sequence[Indices]
BatchSampler: TypeAlias = Iterator[EpochBatches]

MICROBATCH_SIZE = 4096
"""The number of rows processed at once; a larger batch, which may not fit, is a sum of microbatches."""


ORDINARY_WEIGHT = 2.0**20
"""Weights whose largest lies between this and its reciprocal keep their size, which the penalty heeds."""


class Dataset(NamedTuple):
    """The examples as rows.

    Attributes:
        X: inputs ``(n, n_0)``, dense or in SciPy's CSR form.
        Y: targets ``(n, K)``.
        weights: how much each row counts ``(n,)``, or None for equal weights. A row of weight 0 counts as
            absent, whatever numbers it holds, NaN and infinity too.
    """

    X: Any
    Y: NDArray[np.floating]
    weights: NDArray[np.floating] | None = None

    @property
    def n_rows(self) -> int:
        """The number of examples."""
        return int(self.X.shape[0])


class Batch(NamedTuple):
    """The examples of one batch as columns: ``B (n_0, m)``, ``Y (K, m)``, ``weights (m,)`` or None."""

    B: Array
    Y: Array
    weights: Array | None


def gather(dataset: Dataset, rows: Indices) -> Batch:
    """Fetch rows ``(m,)``, and turn them into the columns of a batch; sparse rows come out dense.

    Example:
        >>> dataset = Dataset(np.arange(6.0).reshape(3, 2), np.ones((3, 1)))
        >>> gather(dataset, np.array([2, 0])).B
        array([[4., 0.],
               [5., 1.]])
    """
    weights = None if dataset.weights is None else dataset.weights[rows]
    return Batch(take_columns(dataset.X, rows), take_columns(dataset.Y, rows), weights)


def rescale_weights(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return weights in float64, in units of their largest where that is far from 1.

    In a batch's loss and gradient only ratios of weights matter. The penalty ``½ α ‖W‖² / Σw`` heeds their
    size, as in scikit-learn, as long as their largest lies between 2⁻²⁰ and 2²⁰: beyond, their sum is no
    number of rows, it may overflow or round to 0, and their largest counts as 1.

    Example:
        >>> rescale_weights(np.array([1e-300, 0.0, 5e-301])), rescale_weights(np.array([3.0, 1.0]))
        (array([1. , 0. , 0.5]), array([3., 1.]))
    """
    in_float64, largest = np.asarray(weights, dtype=np.float64), float(np.max(weights, initial=0))
    return in_float64 if _is_ordinary(largest) else in_float64 / largest


def weight_unit(
    largest: NDArray[np.float64] | float, ordinary: float = ORDINARY_WEIGHT
) -> NDArray[np.float64]:
    """Return the unit of weights by their largest: itself where it is far from 1, else 1; elementwise."""
    return np.where(_is_ordinary(largest, ordinary), 1.0, largest)


def _is_ordinary(largest: Any, ordinary: float = ORDINARY_WEIGHT) -> Any:
    return (largest == 0) | ((largest >= 1 / ordinary) & (largest <= ordinary))


def take_columns(X: Any, rows: Indices | slice) -> Array:
    """Return some rows of a dense or CSR matrix ``(n, k)`` as the columns ``(k, m)`` of a dense one.

    Example:
        >>> take_columns(np.arange(6.0).reshape(3, 2), np.array([2, 0]))
        array([[4., 0.],
               [5., 1.]])
    """
    # Rows are contiguous in memory and columns are not: gathering columns was measured 30 times slower.
    return take_rows(X, rows).T


def take_rows(X: Any, rows: Indices | slice) -> Array:
    """Return some rows of a dense or CSR matrix as the rows of a dense one; a slice of them may be a view."""
    if isinstance(X, np.ndarray):
        # ``take`` is faster, but would first copy all of X into row order.
        return X.take(rows, axis=0) if X.flags.c_contiguous and not isinstance(rows, slice) else X[rows]
    return X[rows].toarray() if hasattr(X, "toarray") else namespace(X).take(X, rows, axis=0)


def microbatches(rows: Indices, size: int = MICROBATCH_SIZE) -> Iterator[Indices]:
    """Split a batch into parts of at most ``size`` rows; an empty batch has none.

    Example:
        >>> [len(part) for part in microbatches(np.arange(10), 4)]
        [4, 4, 2]
    """
    return (rows[start : start + size] for start in range(0, len(rows), size))


class SequentialBatches(Sequence[Indices]):
    """The batches of an epoch that takes rows in one order: batch i is ``rows[i m : (i + 1) m]``.

    Args:
        rows: row numbers in the order of the epoch.
        batch_size: m.

    Example:
        >>> list(SequentialBatches(np.arange(5), 2))
        [array([0, 1]), array([2, 3]), array([4])]
    """

    # A sequence of views, not a list of arrays: an epoch of a million batches of one row is made at once.
    def __init__(self, rows: Indices, batch_size: int) -> None:
        self.rows = rows
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    @overload
    def __getitem__(self, i: int) -> Indices: ...
    @overload
    def __getitem__(self, i: slice) -> "SequentialBatches": ...
    def __getitem__(self, i: int | slice) -> "Indices | SequentialBatches":
        m = self.batch_size
        if isinstance(i, slice):
            start, stop, step = i.indices(len(self))
            if step != 1:
                raise ParameterError(
                    f"SequentialBatches have slices in steps of 1, not {step}: make a list of them first"
                )
            return SequentialBatches(self.rows[start * m : stop * m], m)
        start = range(len(self))[i] * m
        return self.rows[start : start + m]


class RaggedBatches(Sequence[Indices]):
    """Batches of any sizes over rows in one order.

    Args:
        rows: row numbers, batch after batch.
        sizes: how many of them each batch has.

    Example:
        >>> list(RaggedBatches(np.arange(5), np.array([2, 0, 3])))
        [array([0, 1]), array([], dtype=int64), array([2, 3, 4])]
    """

    def __init__(self, rows: Indices, sizes: NDArray[np.intp]) -> None:
        self.rows, self.sizes = rows, sizes
        self._ends = np.cumsum(sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, i: int) -> Indices: ...
    @overload
    def __getitem__(self, i: slice) -> "RaggedBatches": ...
    def __getitem__(self, i: int | slice) -> "Indices | RaggedBatches":
        if isinstance(i, slice):
            first, last, _ = i.indices(len(self))
            return RaggedBatches(self.rows[self._end(first) : self._end(last)], self.sizes[first:last])
        i = range(len(self))[i]
        return self.rows[self._end(i) : self._end(i + 1)]

    def _end(self, i: int) -> int:
        return int(self._ends[i - 1]) if i else 0


class SharedBatches(Sequence[Indices]):
    """Batches whose rows several processes hold: each runs its own part of every batch.

    Args:
        batches: the batches of all, by rows that are numbered through.
        own: the parts of this process, by its own row numbers.
        sizes: the number of rows of each batch, of all processes.
        shares: the largest number of rows that a process has of each batch.
        share: the rows of this process; None where nobody numbers the rows of all.
    """

    def __init__(
        self,
        batches: EpochBatches,
        own: EpochBatches,
        sizes: NDArray[np.intp],
        shares: NDArray[np.intp],
        share: Share | None = None,
    ) -> None:
        self.batches, self.own, self.sizes, self.shares, self.share = batches, own, sizes, shares, share

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, i: int) -> Indices: ...
    @overload
    def __getitem__(self, i: slice) -> "SharedBatches": ...
    def __getitem__(self, i: int | slice) -> "Indices | SharedBatches":
        if isinstance(i, slice):
            return SharedBatches(self.batches[i], self.own[i], self.sizes[i], self.shares[i], self.share)
        return self.batches[i]


def share_batches(batches: EpochBatches, share: Share) -> SharedBatches:
    """Return batches of the rows of all processes with the part of this process.

    Args:
        batches: by rows that are numbered through.
        share: the rows of this process.

    Example:
        >>> shared = share_batches([np.array([0, 3, 1]), np.array([2])], Share((0, 2, 4), 0))
        >>> list(shared.own), shared.shares
        ([array([0, 1]), array([], dtype=int64)], array([2, 1]))
    """
    rows, sizes = flat_rows(batches), batch_sizes(batches)
    owners, n_processes = share.owners(rows), len(share.starts) - 1
    of_batch = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.bincount(owners * len(sizes) + of_batch, minlength=n_processes * len(sizes))
    counts = counts.reshape(n_processes, len(sizes))
    own = RaggedBatches(rows[owners == share.process] - share.start, counts[share.process])
    return SharedBatches(batches, own, sizes, counts.max(axis=0), share)


def flat_rows(batches: EpochBatches) -> Indices:
    """Return the rows of all batches, one batch after the other."""
    # A million batches of one row are an array already; concatenating them would take seconds.
    if isinstance(batches, SharedBatches):
        return flat_rows(batches.batches)
    return batches.rows if isinstance(batches, SequentialBatches | RaggedBatches) else np.concatenate(batches)


def own_batches(batches: EpochBatches) -> EpochBatches:
    """Return the part of this process, by its own row numbers."""
    return batches.own if isinstance(batches, SharedBatches) else batches


def share_sizes(batches: EpochBatches) -> NDArray[np.intp]:
    """Return the largest number of rows that a process has of each batch: all processes run as many."""
    return batches.shares if isinstance(batches, SharedBatches) else batch_sizes(batches)


def batch_sizes(batches: EpochBatches) -> NDArray[np.intp]:
    """Return how many rows each batch has, in all processes; mostly without a loop over them.

    Example:
        >>> batch_sizes(SequentialBatches(np.arange(5), 2))
        array([2, 2, 1])
    """
    if isinstance(batches, RaggedBatches | SharedBatches):
        return batches.sizes
    if not isinstance(batches, SequentialBatches):
        return np.array([len(rows) for rows in batches], dtype=np.intp)
    sizes = np.full(len(batches), batches.batch_size, dtype=np.intp)
    if len(sizes):
        sizes[-1] -= batches.batch_size * len(sizes) - len(batches.rows)
    return sizes


def minibatches(
    rows: Indices | int | np.integer, batch_size: int, random_state: np.random.RandomState | None = None
) -> BatchSampler:
    """Sample epochs that take every row once, ``batch_size`` at a time; the last batch holds the rest.

    A batch size of 1 is stochastic gradient descent, one of n is batch gradient descent.

    Args:
        rows: which n rows of the table take part, or the number n for its first n.
        batch_size: m, from 1 to n.
        random_state: shuffles the last epoch's order again before each epoch, as scikit-learn does; None
            keeps the rows in order.

    Yields:
        For each epoch, without end, its batches.

    Raises:
        ParameterError: the batch size is not from 1 to n.

    Example:
        >>> [batch.tolist() for batch in next(minibatches(5, 2))]
        [[0, 1], [2, 3], [4]]
    """
    order = np.arange(rows) if isinstance(rows, int | np.integer) else rows
    if not 1 <= batch_size <= len(order):
        raise ParameterError(
            f"batch_size={batch_size!r} is not allowed: give 1 to {len(order)}, as many as there are rows"
        )
    return (SequentialBatches(order, batch_size) for order in _epoch_orders(_as_int32(order), random_state))


class GrowingBatchSampler:
    """Samples as ``minibatches`` does, and doubles the batch size while the noise scale favours it.

    With a noise scale 𝓑, a step along a batch of m makes ``1 / (1 + 𝓑 / m)`` of the progress of a step along
    the true gradient, at a learning rate that much smaller. It takes a time of ``o + m``, in rows;
    o is the fixed cost of a step. Doubling pays while it raises progress per time:
    ``(1 + 𝓑 / m) / (1 + 𝓑 / 2m) > (o + 2m) / (o + m)``, up to about ``m = √(o 𝓑)``.

    Args:
        rows: which rows take part.
        batch_size: the first batch size.
        max_batch_size: the upper bound.
        overhead: o, the fixed cost of a step, as a number of rows.
        random_state: see ``minibatches``.

    Attributes:
        batch_size: m, now.
        step_efficiency: the progress of a step now, as a multiple of that of the first.

    Source:
        McCandlish et al., arXiv 1812.06162, for the progress and the rate of a step.

    Example:
        >>> sampler = GrowingBatchSampler(np.arange(1000), 8, 64, overhead=50)
        >>> for noise_scale in (1.0, 100.0, 1e9, 1e9):
        ...     sampler.update(noise_scale)
        ...     print(sampler.batch_size, len(next(sampler)))
        8 125
        16 63
        32 32
        64 16
    """

    def __init__(
        self,
        rows: Indices,
        batch_size: int,
        max_batch_size: int,
        overhead: float,
        random_state: np.random.RandomState | None = None,
    ) -> None:
        self.batch_size = min(batch_size, len(rows))
        self.max_batch_size = min(max_batch_size, len(rows))
        self.overhead = overhead
        self.step_efficiency = 1.0
        self._orders = _epoch_orders(_as_int32(rows), random_state)

    def __iter__(self) -> Iterator[EpochBatches]:
        return self

    def __next__(self) -> EpochBatches:
        return SequentialBatches(next(self._orders), self.batch_size)

    def update(self, noise_scale: float) -> None:
        """Double the batch size where that pays and the bound allows it; nan changes nothing."""
        m, o = self.batch_size, self.overhead
        faster = 2.0 if math.isinf(noise_scale) else (1 + noise_scale / m) / (1 + noise_scale / (2 * m))
        if 2 * m <= self.max_batch_size and faster > (o + 2 * m) / (o + m):
            self.batch_size *= 2
            self.step_efficiency *= faster


def poisson_batches(
    n_rows: int, rate: float, n_batches: int, random_state: np.random.RandomState
) -> BatchSampler:
    """Sample epochs whose batches take every row independently with the same chance; some may be empty.

    Args:
        n_rows: n.
        rate: the chance q in (0, 1]; a batch has q n rows on average.
        n_batches: how many batches make an epoch.
        random_state: draws the rows.

    Yields:
        For each epoch, without end, its batches.

    Raises:
        ParameterError: the rate is not in (0, 1], or an epoch has no batch.

    Source:
        Abadi et al., arXiv 1607.00133.

    Example:
        >>> [len(rows) for rows in next(poisson_batches(100, 0.1, 4, np.random.RandomState(0)))]
        [8, 5, 9, 16]
    """
    if not 0 < rate <= 1:
        raise ParameterError(f"rate={rate!r} is not allowed: give the chance of a row, above 0 and at most 1")
    if n_batches < 1:
        raise ParameterError(f"n_batches={n_batches!r} is not allowed: an epoch has at least 1")
    return ([_poisson_indices(n_rows, rate, random_state) for _ in range(n_batches)] for _ in repeat(None))


def _poisson_indices(n: int, rate: float, random_state: np.random.RandomState) -> Indices:
    """Rows taken independently with the same chance."""
    # The gap to the next row taken is geometric: one draw for each row taken, not for each row of the table.
    # With two standard deviations more than the mean, the draws rarely fall short.
    n_draws = int(n * rate + 2 * math.sqrt(n * rate) + 2)
    rows = random_state.geometric(rate, n_draws).cumsum() - 1
    while rows[-1] < n:
        rows = np.concatenate([rows, rows[-1] + random_state.geometric(rate, n_draws).cumsum()])
    return _as_int32(rows[rows < n])


def _epoch_orders(order: Indices, random_state: np.random.RandomState | None) -> Iterator[Indices]:
    while True:
        if random_state is not None:
            # ``permutation`` draws the same in 64 bits: in a large table most of this is waiting for memory.
            shuffled = np.arange(len(order), dtype=order.dtype)
            random_state.shuffle(shuffled)
            order = order[shuffled]
        yield order


def _as_int32(rows: Indices) -> Indices:
    """The row numbers in 32 bits, where they fit."""
    return rows.astype(np.int32) if len(rows) and rows.max() <= np.iinfo(np.int32).max else rows


class Chunk(NamedTuple):
    """Examples, and the batches to take from them."""

    dataset: Dataset
    batches: EpochBatches


EpochIterator: TypeAlias = Iterator[Iterable[Chunk]]


def whole_epochs(dataset: Dataset, sampler: BatchSampler) -> EpochIterator:
    """Return epochs of one chunk each.

    Example:
        >>> dataset = Dataset(np.zeros((5, 1)), np.zeros((5, 1)))
        >>> [chunk] = next(whole_epochs(dataset, minibatches(5, 2)))
        >>> len(chunk.batches)
        3
    """
    return ((Chunk(dataset, batches),) for batches in sampler)


def split_epochs(dataset: Dataset, sampler: BatchSampler, n_batches: int) -> EpochIterator:
    """Return epochs in chunks of ``n_batches``: the same steps, with a chance to save between chunks.

    Example:
        >>> dataset = Dataset(np.zeros((5, 1)), np.zeros((5, 1)))
        >>> [len(chunk.batches) for chunk in next(split_epochs(dataset, minibatches(5, 2), 2))]
        [2, 1]
    """
    return (_split(dataset, batches, n_batches) for batches in sampler)


def _split(dataset: Dataset, batches: EpochBatches, n_batches: int) -> Iterator[Chunk]:
    return (Chunk(dataset, batches[i : i + n_batches]) for i in range(0, len(batches), n_batches))


def skip_batches(chunks: Iterable[Chunk], n_batches: int) -> Iterator[Chunk]:
    """Skip the first batches of an epoch, which are already done.

    Example:
        >>> dataset = Dataset(np.zeros((9, 1)), np.zeros((9, 1)))
        >>> epoch = next(split_epochs(dataset, minibatches(9, 2), 2))
        >>> [chunk.batches[0].tolist() for chunk in skip_batches(epoch, 3)]
        [[6, 7], [8]]
    """
    n_left = n_batches
    for dataset, batches in chunks:
        if n_left < len(batches):
            yield Chunk(dataset, batches[n_left:] if n_left else batches)
        n_left = max(n_left - len(batches), 0)
