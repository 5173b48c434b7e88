"""Shuffling rows that do not fit in memory: the epochs of a table that is read in partitions.

A *partition* is a range of rows that are read in order, such as a row group of a Parquet file. Each epoch
takes the partitions in a different order, reads several of them at a time, and shuffles their rows in a
buffer. This is not a full shuffle, but close to one: the partitions open at one time come from all parts of
the table.

Source: Xu et al. 2022, arXiv 2206.05830 (CorgiPile), for the shuffling of partitions and then of rows in a
buffer; the stratification of the partitions over the table is batchprop's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import (
    Chunk,
    Dataset,
    EpochIterator,
    Indices,
    RaggedBatches,
    SequentialBatches,
    SharedBatches,
)
from batchprop.data.sources import BLOCK_ROWS
from batchprop.errors import InputError

Item = TypeVar("Item")

MAX_OPEN_PARTITIONS = 16
"""The largest number of open partitions."""

BUFFER_BYTES = 1 << 27
"""The largest buffer: with enough memory for it, the order of the rows does not depend on the memory."""


class ShuffleConfig(NamedTuple):
    """How rows are shuffled: the number of rows in the buffer and of open partitions."""

    rows: int
    partitions: int


def shuffle_config(n_partitions: int, row_bytes: int, memory: int, partition_bytes: int = 0) -> ShuffleConfig:
    """Return how to shuffle rows within some memory.

    Args:
        n_partitions: of the table.
        row_bytes: the size of a row, inputs and targets together.
        memory: the memory budget in bytes.
        partition_bytes: the memory of an open partition.

    Returns:
        At least one row and one partition.

    Example:
        >>> shuffle_config(1000, 128, 500_000_000)
        ShuffleConfig(rows=262144, partitions=16)
        >>> shuffle_config(1000, 128, 10**9, partition_bytes=10**8)
        ShuffleConfig(rows=524288, partitions=2)
    """
    # Half the memory is for four buffers: the current one, the next one, and the rows that it is built from.
    rows = min(memory // 8, BUFFER_BYTES) // max(row_bytes, 1)
    # A quarter is for the readers of open partitions.
    partitions = min(n_partitions, MAX_OPEN_PARTITIONS, memory // 4 // max(partition_bytes, 1))
    # Powers of two: slightly more or less memory gives the same shuffle.
    return ShuffleConfig(1 << max(rows, 1).bit_length() - 1, max(partitions, 1))


def shuffled_chunks(
    open_partition: Callable[[int, int], Iterator[Dataset]],
    n_partitions: int,
    batch_size: int,
    config: ShuffleConfig,
    seed: int | None,
) -> EpochIterator:
    """Yield epochs over shuffled partitions, whose rows are shuffled in a buffer.

    The seed and the epoch's number determine the order of an epoch, so that a resumed fit can skip to it.
    Every row is taken once; every batch except the last has ``batch_size`` rows.

    Args:
        open_partition: ``(partition, rows)`` to its rows in order, about ``rows`` at a time.
        n_partitions: the number of partitions.
        batch_size: m.
        config: the sizes of the shuffle.
        seed: of the order; None keeps the rows in order.

    Yields:
        For each epoch its chunks; the next one is prepared while the engine runs the current one.

    Example:
        >>> def open_partition(partition, rows):
        ...     yield Dataset(np.full((4, 1), partition), np.arange(4.0)[:, None])
        >>> epoch = next(
        ...     shuffled_chunks(open_partition, 3, 5, ShuffleConfig(rows=8, partitions=2), seed=0)
        ... )
        >>> [[len(batch) for batch in chunk.batches] for chunk in epoch]
        [[5], [5], [2]]
    """
    for epoch in count(1):
        rng = None if seed is None else np.random.default_rng([seed, epoch])
        order = (
            np.arange(n_partitions)
            if rng is None
            else stratified_permutation(n_partitions, config.partitions, rng)
        )
        n_open = 1 if rng is None else config.partitions
        block = max(min(BLOCK_ROWS, config.rows // n_open), 1)
        datasets = interleave((open_partition(int(partition), block) for partition in order), n_open)
        yield prefetch(_buffered_chunks(datasets, batch_size, config.rows, rng))


def _buffered_chunks(
    datasets: Iterator[Dataset], batch_size: int, capacity: int, rng: np.random.Generator | None
) -> Iterator[Chunk]:
    """Fill the buffer, cut it into whole batches, and keep the rest for the next buffer."""
    rest = list[Dataset]()
    for filled in _fill_buffer(datasets, capacity):
        dataset = _concat([*rest, *filled])
        order = np.arange(dataset.n_rows) if rng is None else rng.permutation(dataset.n_rows)
        whole = dataset.n_rows // batch_size * batch_size
        if whole:
            yield Chunk(dataset, SequentialBatches(order[:whole], batch_size))
        rest = [_subset(dataset, order[whole:])]
    if rest and rest[0].n_rows:
        yield Chunk(rest[0], SequentialBatches(np.arange(rest[0].n_rows), batch_size))


def shared_chunks(
    open_partition: Callable[[int, int], Iterator[Dataset]],
    partitions: Sequence[int],
    counts: NDArray[np.intp],
    process: int,
    config: ShuffleConfig,
    seed: int | None,
    empty: Dataset,
) -> EpochIterator:
    """Yield epochs over the partitions of one of several processes, each of which has a part of every batch.

    All processes yield the same number of chunks, of as many batches each. Together they keep as many rows in
    their buffers as one process would.

    Args:
        open_partition: ``(partition, rows)`` to its rows in order, about ``rows`` at a time.
        partitions: of this process.
        counts: the number of rows of each process ``(n_p,)`` in each batch: ``(n_processes, n_batches)``.
        process: the number of this process.
        config: the sizes of the shuffle, of all processes.
        seed: of the order; None keeps the rows in order.
        empty: no rows, in the form of all others.

    Yields:
        For each epoch its chunks; the next one is prepared while the engine runs the current one.
    """
    n_processes, n_batches = counts.shape
    sizes, shares = counts.sum(axis=0), counts.max(axis=0)
    own_config = ShuffleConfig(max(config.rows // n_processes, 1), max(config.partitions // n_processes, 1))
    n_at_once = max(config.rows // max(int(sizes.max(initial=1)), 1), 1)
    for epoch in count(1):
        rng = None if seed is None else np.random.default_rng([seed, epoch, process])
        order = np.arange(len(partitions))
        if rng is not None and len(partitions):
            order = stratified_permutation(len(partitions), own_config.partitions, rng)
        n_open = 1 if rng is None else own_config.partitions
        block = max(min(BLOCK_ROWS, own_config.rows // n_open), 1)
        datasets = interleave((open_partition(partitions[int(i)], block) for i in order), n_open)
        groups = [slice(i, i + n_at_once) for i in range(0, n_batches, n_at_once)]
        own = _exact_buffers(datasets, [counts[process, group] for group in groups], rng, empty)
        yield prefetch(
            Chunk(dataset, SharedBatches(batches, batches, sizes[group], shares[group]))
            for group, (dataset, batches) in zip(groups, own, strict=True)
        )


def _exact_buffers(
    datasets: Iterator[Dataset],
    groups: Sequence[NDArray[np.intp]],
    rng: np.random.Generator | None,
    empty: Dataset,
) -> Iterator[tuple[Dataset, RaggedBatches]]:
    """Fill a buffer for each group of batches of given sizes, and keep what is more for the next."""
    rest = empty
    for sizes in groups:
        needed, filled, n_rows = int(sizes.sum()), [rest], rest.n_rows
        while n_rows < needed:
            dataset = next(datasets, None)
            if dataset is None:
                raise InputError(
                    f"the table has fewer rows than when they were counted ({needed - n_rows} are missing): "
                    "give the same table in every epoch"
                )
            filled.append(dataset)
            n_rows += dataset.n_rows
        dataset = _concat(filled)
        order = np.arange(n_rows) if rng is None else rng.permutation(n_rows)
        yield dataset, RaggedBatches(order[:needed], sizes)
        rest = _subset(dataset, order[needed:])


def _fill_buffer(datasets: Iterator[Dataset], capacity: int) -> Iterator[list[Dataset]]:
    """Datasets that together have this number of rows, or slightly more."""
    filled, n_rows = list[Dataset](), 0
    for dataset in datasets:
        filled.append(dataset)
        n_rows += dataset.n_rows
        if n_rows >= capacity:
            yield filled
            filled, n_rows = [], 0
    if filled:
        yield filled


def _concat(datasets: list[Dataset]) -> Dataset:
    X, Y, weights = zip(*datasets, strict=True)
    weighted = weights[0] is not None
    return Dataset(np.concatenate(X), np.concatenate(Y), np.concatenate(weights) if weighted else None)


def _subset(dataset: Dataset, rows: Indices) -> Dataset:
    weights = None if dataset.weights is None else dataset.weights[rows]
    return Dataset(dataset.X[rows], dataset.Y[rows], weights)


def stratified_permutation(n: int, n_strata: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return 0 to n - 1 in an order in which neighbours come from all parts of the range.

    Example:
        >>> stratified_permutation(8, 4, np.random.default_rng(0)) // 2
        array([3, 2, 1, 0, 1, 3, 0, 2])
    """
    # Each stratum of neighbours is shuffled, and the strata take turns in an order that changes each turn: in
    # a table sorted by its target, a plain permutation would give some buffers far more rows of one class.
    strata = [rng.permutation(stratum) for stratum in np.array_split(np.arange(n), max(n_strata, 1))]
    turns = (rng.permutation([s[i] for s in strata if i < len(s)]) for i in range(len(strata[0])))
    return np.concatenate([np.empty(0, dtype=np.intp), *turns])


def interleave(streams: Iterator[Iterator[Item]], n_open: int) -> Iterator[Item]:
    """Take items of several streams alternately; when one ends, the next stream begins.

    Example:
        >>> "".join(interleave(map(iter, ["aaa", "b", "ccc"]), 2))
        'abacacc'
    """
    opened = deque(islice(streams, n_open))
    while opened:
        stream = opened.popleft()
        for item in stream:  # one, if there is one
            yield item
            opened.append(stream)
            break
        else:
            opened.extendleft(islice(streams, 1))


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Compute the next item in another thread while the caller uses the current one.

    Example:
        >>> list(prefetch(iter("abc")))
        ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1, "batchprop-reading") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def hash_uniform(rows: Indices, seed: int = 0) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each row ``(n,)`` that depends only on its number and the seed.

    Source:
        Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).

    Example:
        >>> hash_uniform(np.arange(3)).round(3)
        array([0.883, 0.432, 0.026])
        >>> bool(abs(np.mean(hash_uniform(np.arange(10_000)) < 0.2) - 0.2) < 0.01)
        True
    """
    with np.errstate(over="ignore"):
        z = (np.asarray(rows).astype(np.uint64) + np.uint64(1 + (seed << 32))) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return np.asarray((z >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
