"""Streams: the epochs of a table that does not fit in memory.

The table is read in *runs*, stretches of rows that are read in order (a row group of a Parquet file, say).
Each epoch takes the runs in another order, reads several of them at a time, and shuffles what it has read in
a buffer. That is no full shuffle, but near to one as long as the buffer sees the whole table: the runs open
at one time come from all parts of it.

Source: Xu et al. 2022, arXiv 2206.05830 (CorgiPile), for the shuffling of runs and then of rows in a buffer;
that the runs are taken from all parts of the table alike is ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import Chunk, Dataset, EpochIterator, Indices, SequentialBatches
from batchprop.data.sources import BLOCK_ROWS

Item = TypeVar("Item")

MAX_OPEN_PARTITIONS = 16
"""Runs that are open at a time, at most."""

BUFFER_BYTES = 1 << 27
"""What the buffer holds at most: with memory enough, the order does not depend on how much there is."""


class ShuffleConfig(NamedTuple):
    """How rows are mixed.

    Attributes:
        rows: how many the buffer holds.
        runs: how many are open at a time.
    """

    rows: int
    partitions: int


def shuffle_config(n_runs: int, row_bytes: int, memory: int, partition_bytes: int = 0) -> ShuffleConfig:
    """Return how to mix rows within some memory.

    Four buffers are about: the one trained on, the next one, and what that one is made of. Runs that are
    open may take a quarter of the memory.

    Args:
        n_runs: of the table.
        row_bytes: what a row takes, inputs and targets together.
        memory: how many bytes there are.
        partition_bytes: what a run takes that is open.

    Returns:
        The mixing: at least a row, and a run.

    Example:
        >>> (
        ...     shuffle_config(1000, 128, 500_000_000),
        ...     shuffle_config(1000, 128, 10**9, partition_bytes=10**8),
        ... )
        (ShuffleConfig(rows=262144, partitions=16), ShuffleConfig(rows=524288, partitions=2))
    """
    rows = min(memory // 8, BUFFER_BYTES) // max(row_bytes, 1)
    runs = min(n_runs, MAX_OPEN_PARTITIONS, memory // 4 // max(partition_bytes, 1))
    return ShuffleConfig(1 << max(rows, 1).bit_length() - 1, max(runs, 1))


def shuffled_chunks(
    open_run: Callable[[int, int], Iterator[Dataset]],
    n_runs: int,
    batch_size: int,
    mixing: ShuffleConfig,
    seed: int | None,
) -> EpochIterator:
    """Run epochs over runs that are shuffled, and rows that are shuffled in a buffer.

    The order of an epoch follows from the seed and the epoch's number. Every row is taken once; every batch
    has ``batch_size`` rows but the last.

    Args:
        open_run: ``(run, rows)`` to the run's rows in order, about so many at a time.
        n_runs: how many runs there are.
        batch_size: m.
        mixing: how much is mixed.
        seed: of the order; None keeps the rows in order.

    Yields:
        For each epoch its pieces, the next one made while one is worked on.

    Example:
        >>> def open_run(run, rows):
        ...     yield Dataset(np.full((4, 1), run), np.arange(4.0)[:, None])
        >>> epoch = next(
        ...     shuffled_chunks(open_run, 3, 5, ShuffleConfig(rows=8, partitions=2), seed=0)
        ... )
        >>> [[len(batch) for batch in piece.batches] for piece in epoch]
        [[5], [5], [2]]
    """
    for epoch in count(1):
        random = None if seed is None else np.random.default_rng([seed, epoch])
        runs = (
            np.arange(n_runs) if random is None else stratified_permutation(n_runs, mixing.partitions, random)
        )
        at_a_time = 1 if random is None else mixing.partitions
        block = max(min(BLOCK_ROWS, mixing.rows // at_a_time), 1)
        tables = interleave((open_run(int(run), block) for run in runs), at_a_time)
        yield prefetch(_buffered_chunks(tables, batch_size, mixing.rows, random))


def _buffered_chunks(
    tables: Iterator[Dataset], batch_size: int, room: int, random: np.random.Generator | None
) -> Iterator[Chunk]:
    """Fill the buffer, cut it into whole batches, and keep what is left for the next one."""
    left = list[Dataset]()
    for filled in _fill_buffer(tables, room):
        table = _concat([*left, *filled])
        order = np.arange(table.n_rows) if random is None else random.permutation(table.n_rows)
        whole = table.n_rows // batch_size * batch_size
        if whole:
            yield Chunk(table, SequentialBatches(order[:whole], batch_size))
        left = [_subset(table, order[whole:])]
    if left and left[0].n_rows:
        yield Chunk(left[0], SequentialBatches(np.arange(left[0].n_rows), batch_size))


def _fill_buffer(tables: Iterator[Dataset], room: int) -> Iterator[list[Dataset]]:
    """Tables that have so many rows together, or a little more."""
    filled, n_rows = list[Dataset](), 0
    for table in tables:
        filled.append(table)
        n_rows += table.n_rows
        if n_rows >= room:
            yield filled
            filled, n_rows = [], 0
    if filled:
        yield filled


def _concat(tables: list[Dataset]) -> Dataset:
    X, Y, weights = zip(*tables, strict=True)
    weighted = weights[0] is not None
    return Dataset(np.concatenate(X), np.concatenate(Y), np.concatenate(weights) if weighted else None)


def _subset(table: Dataset, rows: Indices) -> Dataset:
    return Dataset(table.X[rows], table.Y[rows], None if table.weights is None else table.weights[rows])


def stratified_permutation(n_runs: int, at_a_time: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Return the runs in an order in which those that follow each other come from all parts of the table.

    The table is cut into ``at_a_time`` parts of neighbouring runs; each part is shuffled, and they take
    turns, in a new order each turn.

    Example:
        >>> stratified_permutation(8, 4, np.random.default_rng(0)) // 2
        array([3, 2, 1, 0, 1, 3, 0, 2])
    """
    parts = [random.permutation(part) for part in np.array_split(np.arange(n_runs), max(at_a_time, 1))]
    turns = (random.permutation([part[i] for part in parts if i < len(part)]) for i in range(len(parts[0])))
    return np.concatenate([np.empty(0, dtype=np.intp), *turns])


def interleave(streams: Iterator[Iterator[Item]], at_a_time: int) -> Iterator[Item]:
    """Take an item of each of several streams in turn; where one has ended, the next stream begins.

    Example:
        >>> "".join(interleave(map(iter, ["aaa", "b", "ccc"]), 2))
        'abacacc'
    """
    opened = deque(islice(streams, at_a_time))
    while opened:
        stream = opened.popleft()
        for item in stream:
            yield item
            opened.append(stream)
            break
        else:
            opened.extendleft(islice(streams, 1))


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Have the next item made in another thread while one is worked on.

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
    """Return a number in [0, 1) for each row that depends on nothing but the row's number and the seed.

    Args:
        rows: row numbers ``(n,)``.
        seed: other seeds draw other lots.

    Returns:
        ``(n,)``.

    Source:
        Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).

    Example:
        >>> (
        ...     hash_uniform(np.arange(3)).round(3),
        ...     bool(abs(np.mean(hash_uniform(np.arange(10_000)) < 0.2) - 0.2) < 0.01),
        ... )
        (array([0.883, 0.432, 0.026]), True)
    """
    with np.errstate(over="ignore"):
        z = (np.asarray(rows).astype(np.uint64) + np.uint64(1 + (seed << 32))) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return np.asarray((z >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
