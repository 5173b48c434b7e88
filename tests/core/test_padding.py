"""Padding, against a slow loop: every row of every batch has its weight, and padding weighs 0."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from batchprop.batches import Dataset, EpochBatches, minibatches, share_batches, take_columns
from batchprop.engines import padding
from batchprop.engines.padding import (
    PaddedChunk,
    allocate_aligned,
    chunk_size,
    copy_rows,
    iter_padded_chunks,
    microbatch_width,
    padded_batch_size,
    poisson_batch_capacity,
    power_of_two,
)
from batchprop.errors import InputError
from batchprop.processes import Share

N = 40


def table(dtype: str = "float64", *, weighted: bool = True, kind: Any = np.asarray) -> Dataset:
    """A table whose entries of X encode row and column, and of Y the row."""
    X = (np.arange(N)[:, None] * 10 + np.arange(3)).astype(dtype)
    weights = np.where(np.arange(N) % 5 == 0, 0.0, np.arange(N) / 8).astype(dtype)
    return Dataset(kind(X), np.arange(N, dtype=dtype)[:, None] + 0.5, weights if weighted else None)


class Part(NamedTuple):
    """A microbatch in plain form."""

    rows: list[int]
    weights: list[float]
    share: float
    number: int
    closes: bool
    rate: float


def expected_microbatches(batches: EpochBatches, weights: Any, rates: Any, width: int) -> list[Part]:
    """The expected microbatches, batch by batch and row by row."""
    parts = []
    for rows, rate in zip(batches, rates, strict=True):
        of_rows = [1.0 if weights is None else float(weights[row]) for row in rows]
        share = 1 / sum(of_rows) if sum(of_rows) else 0.0
        count = max(-(-len(rows) // width), 1)
        for k in range(count):
            some = slice(k * width, (k + 1) * width)
            parts.append(Part(list(rows[some]), of_rows[some], share, k, k == count - 1, float(rate)))
    return parts


def executed_microbatches(chunks: list[PaddedChunk]) -> list[Part]:
    """The microbatches that a program receives; trailing examples of weight 0 are padding."""
    parts = []
    for feed in chunks:
        for i in range(feed.filled):
            rows = rows_of(feed, i)
            closes = True if feed.is_last is None else bool(feed.is_last[i])
            assert feed.weights[i].shape == (len(rows),)
            parts.append(
                Part(
                    rows,
                    list(feed.weights[i]),
                    feed.inverse_weights[i],
                    int(feed.microbatch_index[i]),
                    closes,
                    feed.rates[i],
                )
            )
    return parts


def rows_of(feed: PaddedChunk, i: int) -> list[int]:
    """Decode the row numbers from the entries."""
    if feed.rows is not None:
        assert feed.X is feed.Y is None
        return list(feed.rows[i])
    if feed.inverse_weights[i] == 0:
        # Rows of zero weight may be nan, and are not passed on.
        assert not feed.X[i].any()
        assert not feed.Y[i].any()
    else:
        assert np.array_equal(feed.X[i], feed.X[i][:, :1] + np.arange(3))
        assert np.array_equal(feed.Y[i][:, 0] - 0.5, feed.X[i][:, 0] / 10)
    return [round(x / 10) for x in feed.X[i][:, 0]]


def check_microbatches(
    chunks: list[PaddedChunk], batches: EpochBatches, given_table: Dataset, rates: Any, width: int
) -> None:
    """Assert that the chunks contain the expected microbatches, padded with rows of weight 0."""
    expected = expected_microbatches(batches, given_table.weights, rates, width)
    for part, wanted in zip(executed_microbatches(chunks), expected, strict=True):
        count = len(wanted.rows)
        assert len(part.rows) == width
        assert_allclose(part.weights, [*wanted.weights, *[0.0] * (width - count)])
        assert_allclose(part.share, wanted.share, rtol=1e-6)
        assert (part.number, part.closes) == (wanted.number, wanted.closes)
        assert_allclose(part.rate, wanted.rate, rtol=1e-6)
        if wanted.share:
            assert part.rows[:count] == wanted.rows
            # The padding is a row of the batch, so that excluded rows cannot affect it.
            assert set(part.rows[count:]) <= set(wanted.rows)


SIZES = st.lists(st.integers(0, N), min_size=1, max_size=12)
UNIFORM = st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 9)).map(
    lambda drawn: [drawn[0]] * drawn[1] + [min(drawn[0], drawn[2])]
)


@pytest.mark.untraced
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=75)
@given(
    sizes=st.one_of(SIZES, UNIFORM),
    microbatch=st.integers(1, 12),
    feed_bytes=st.integers(1, 20_000),
    at_once=st.sampled_from([1, 2, 8, 4096]),
    resident=st.booleans(),
    weighted=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_chunks_contain_every_batch(
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    microbatch: int,
    feed_bytes: int,
    at_once: int,
    resident: bool,
    weighted: bool,
    dtype: str,
) -> None:
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", microbatch)
    monkeypatch.setattr(padding, "CHUNK_BYTES", feed_bytes)
    monkeypatch.setattr(padding, "MAX_CHUNK_SIZE", at_once)
    rng = np.random.default_rng(sum(sizes))
    batches: EpochBatches = [rng.permutation(N)[:size] for size in sizes]
    rates = rng.uniform(size=len(sizes)).astype(dtype)
    given_table, width = table(dtype, weighted=weighted), microbatch_width(padded_batch_size(batches))
    S = chunk_size((4, 2), width, np.dtype(dtype).itemsize, resident=resident)
    result = list(iter_padded_chunks(given_table, batches, rates, width, S, resident=resident))
    check_microbatches(result, batches, given_table, rates, width)
    assert_one_program(result, width, dtype)


def assert_one_program(chunks: list[PaddedChunk], width: int, dtype: str) -> None:
    """Assert that all chunks of an epoch share shapes and dtypes, and the dtype of the table."""
    shapes = {tuple((a.shape, a.dtype.name) for a in feed[1:] if a is not None) for feed in chunks}
    assert len(shapes) == 1
    (S,) = {len(feed.inverse_weights) for feed in chunks}
    assert power_of_two(S) == S
    for feed in chunks:
        assert 1 <= feed.filled <= S
        assert feed.weights.shape == (S, width)
        floats = [
            a for a in (feed.X, feed.Y, feed.weights, feed.inverse_weights, feed.rates) if a is not None
        ]
        assert {a.dtype.name for a in floats} == {dtype}


@pytest.mark.parametrize("size", [1, 3, 8, 16, N])
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_of_a_sampler(size: int, shuffled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "CHUNK_BYTES", 4 * 8 * 4 * 8)
    epoch = next(minibatches(N, size, np.random.RandomState(0) if shuffled else None))
    rates, given_table = np.linspace(0, 1, len(epoch)), table()
    S = chunk_size((4, 2), microbatch_width(padded_batch_size(epoch)), 8, resident=False)
    result = list(
        iter_padded_chunks(given_table, epoch, rates, microbatch_width(padded_batch_size(epoch)), S)
    )
    check_microbatches(result, list(epoch), given_table, rates, size)
    assert all(feed.is_last is None for feed in result)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_rows_become_dense(kind: Any) -> None:
    batches = [np.array([3, 1]), np.array([7, 7, 0])]
    rates = np.ones(2)
    dense, thin = (
        list(iter_padded_chunks(table(kind=how), batches, rates, 4, 2)) for how in (np.asarray, kind)
    )
    for one, other in zip(dense, thin, strict=True):
        assert type(other.X) is np.ndarray
        assert np.array_equal(one.X[: one.filled], other.X[: other.filled])


@pytest.mark.parametrize(
    ("sizes", "room", "width"),
    [
        ([8, 8, 8], 1, 8),
        ([8, 8, 3], 1, 8),
        ([7], 1, 7),
        ([7, 9], 1, 16),
        ([3, 8, 8], 1, 8),
        ([9, 3, 5], 1, 16),
        ([0], 1, 1),
        ([0, 0, 0], 1, 1),
        ([8, 8, 0], 1, 8),
        ([5, 5], 8, 8),
        ([5000, 5000, 1], 1, 4096),
        ([5000, 1, 1], 1, 4096),
        ([5000, 4999, 4990], 5000, 2500),
        ([4080, 4130, 4095], poisson_batch_capacity(4096), 2176),
        ([4080, 4400, 4095], poisson_batch_capacity(4096), 2176),
    ],
)
def test_microbatch_width_fits_batch_size_and_capacity(sizes: list[int], room: int, width: int) -> None:
    assert microbatch_width(padded_batch_size([np.arange(size) for size in sizes], room)) == width


def test_chunk_size_is_limited_by_bytes_and_time() -> None:
    assert chunk_size((990, 10), 10, 4, resident=False) == 256  # the largest power of two in 16 MB / 40 kB
    assert chunk_size((990, 10), 10, 8, resident=False) == 128
    assert chunk_size((1, 1), 1, 4, resident=True) == 2048  # 0.3 s of calls, 100 µs each
    assert chunk_size((10**6, 1), 4096, 4, resident=False) == 1
    assert chunk_size((2, 4096, 4096, 2), 4096, 4, resident=True) == 1


def test_row_numbers_out_of_range_are_refused() -> None:
    for row in (-1, N):
        with pytest.raises(
            InputError, match=f"the plan names row {row}: the table has the rows 0 to {N - 1}"
        ):
            list(iter_padded_chunks(table(), [np.array([0, row])], np.ones(1), 2, 1))


@pytest.mark.parametrize("order", ["F", "slice"])
def test_column_major_rows_are_gathered_without_copying_the_matrix(order: str) -> None:
    X = np.asfortranarray(np.random.default_rng(0).normal(size=(20_000, 30)))
    if order == "slice":
        X = np.random.default_rng(0).normal(size=(20_000, 60))[:, ::2]
    some = np.arange(100)
    for gather in (take_columns, lambda X, rows: copied_rows(X, rows).T):
        gather(X, some)
        tracemalloc.start()
        result = gather(X, some)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert np.array_equal(result, X[some].T)
        assert peak < X.nbytes / 10


def copied_rows(X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    out = np.empty((len(rows), X.shape[1]))
    copy_rows(X, rows, out)
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 1, 9)])
def test_buffers_for_a_device_are_aligned(dtype: str, shape: tuple[int, ...]) -> None:
    for _ in range(20):
        array = allocate_aligned(shape, dtype)
        assert array.shape == shape
        assert array.dtype.name == dtype
        assert array.ctypes.data % padding.ALIGNMENT == 0
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_rows_are_copied_and_never_shared() -> None:
    given_table, batches = table(), [np.arange(8), np.arange(8, 16)]
    (one,), (other,) = (list(iter_padded_chunks(given_table, batches, np.ones(2), 8, 2)) for _ in range(2))
    for mine, again, source in ((one.X, other.X, given_table.X), (one.Y, other.Y, given_table.Y)):
        assert not np.shares_memory(mine, source)
        assert not np.shares_memory(mine, again)


def test_row_numbers_may_have_any_integer_type() -> None:
    batches = [np.array([3, 1, 39]), np.array([0])]
    expected = list(iter_padded_chunks(table(), batches, np.ones(2), 3, 2))
    for dtype in ("int32", "uint8", "int64"):
        result = list(iter_padded_chunks(table(), [rows.astype(dtype) for rows in batches], np.ones(2), 3, 2))
        for one, other in zip(result, expected, strict=True):
            assert np.array_equal(one.X, other.X)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    cuts=st.lists(st.integers(0, N), min_size=1, max_size=3),
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    width=st.integers(1, 5),
    weighted=st.booleans(),
    seed=st.integers(0, 5),
)
def test_shares_of_processes_make_up_every_batch(
    cuts: list[int], sizes: list[int], width: int, weighted: bool, seed: int
) -> None:
    rng, whole = np.random.default_rng(seed), table(weighted=weighted)
    batches = [rng.permutation(N)[:size] for size in sizes]
    expected = padding.split_microbatches(whole, batches, N)
    starts = (0, *sorted(cuts), N)
    of_rows = np.ones(N) if whole.weights is None else whole.weights
    totals = np.array([of_rows[rows].sum() for rows in batches])
    merged = [list[float]() for _ in batches]
    layouts = set()
    for process, (start, end) in enumerate(pairwise(starts)):
        weights = None if whole.weights is None else whole.weights[start:end]
        own = Dataset(whole.X[start:end], whole.Y[start:end], weights)
        shared = share_batches(batches, Share(starts, process))
        unit = padding.BatchWeights(np.ones(len(batches)), totals) if weighted else None
        part = padding.split_microbatches(own, shared, width, unit)
        assert_allclose(part.inverse_weights, expected.inverse_weights[part.batch_index])
        # Every process runs as many microbatches of every batch.
        if start == end:
            assert not padding.gather_rows(own.X, part, len(part.rows)).any()
        layouts.add((tuple(part.batch_index.tolist()), tuple(part.is_last.tolist())))
        valid = padding.valid_mask(shared, width)
        for batch, rows, mask in zip(part.batch_index, part.rows, valid, strict=True):
            merged[batch] += (rows[mask] + start).tolist()
    assert len(layouts) == 1
    assert [sorted(rows) for rows in merged] == [sorted(rows.tolist()) for rows in batches]
