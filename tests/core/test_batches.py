"""Batches: their rows, their order, and their transposition into columns."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.utils import shuffle

from batchprop import batches
from batchprop.batches import (
    MICROBATCH_SIZE,
    Dataset,
    SequentialBatches,
    batch_sizes,
    gather,
    microbatches,
    minibatches,
    poisson_batches,
)
from batchprop.errors import ParameterError

N = 23


@pytest.mark.parametrize("batch_size", [1, 5, 22, N])
@pytest.mark.parametrize("seed", [None, 3])
def test_epoch_contains_every_row_once(batch_size: int, seed: int | None) -> None:
    random_state = None if seed is None else np.random.RandomState(seed)
    for epoch in islice(minibatches(N, batch_size, random_state), 3):
        assert sorted(np.concatenate(epoch)) == list(range(N))
        assert [len(rows) for rows in epoch[:-1]] == [batch_size] * (len(epoch) - 1)
        assert 1 <= len(epoch[-1]) <= batch_size


def test_orders_match_scikit_learn() -> None:
    theirs, order = np.random.RandomState(7), np.arange(N)
    for epoch in islice(minibatches(N, 4, np.random.RandomState(7)), 4):
        order = shuffle(order, random_state=theirs)
        assert np.array_equal(np.concatenate(epoch), order)


def test_without_randomness_the_rows_stay_in_order() -> None:
    first, second = islice(minibatches(5, 2), 2)
    assert [list(rows) for rows in first] == [list(rows) for rows in second] == [[0, 1], [2, 3], [4]]


def test_subset_of_rows_is_shuffled_the_same_way() -> None:
    some = np.arange(100, 100 + N)
    whole, part = (minibatches(rows, 4, np.random.RandomState(0)) for rows in (N, some))
    for ours, theirs in islice(zip(part, whole, strict=True), 3):
        assert np.array_equal(np.concatenate(ours), 100 + np.concatenate(theirs))
    assert list(some) == list(range(100, 100 + N))


@pytest.mark.parametrize("wrong", [0, -1, 6])
def test_a_batch_size_out_of_range_is_refused(wrong: int) -> None:
    with pytest.raises(ParameterError, match=r"batch_size=.* give 1 to 5, as many as there are rows"):
        minibatches(5, wrong)


def test_poisson_batch_sizes_have_binomial_mean_and_variance() -> None:
    n, q, n_batches = 200, 0.1, 2000
    epoch = next(batches.poisson_batches(n, q, n_batches, np.random.RandomState(0)))
    sizes = np.array([len(rows) for rows in epoch])
    assert len(epoch) == n_batches
    # Four standard errors; those of the variance are those of a normal distribution.
    assert abs(sizes.mean() - n * q) < 4 * np.sqrt(n * q * (1 - q) / n_batches)
    assert abs(sizes.var() / (n * q * (1 - q)) - 1) < 4 * np.sqrt(2 / n_batches)
    seen = np.bincount(np.concatenate(epoch), minlength=n)
    assert np.all(np.abs(seen - q * n_batches) < 5 * np.sqrt(q * (1 - q) * n_batches))


def test_poisson_rows_are_distinct_and_batches_may_be_empty() -> None:
    plan = batches.poisson_batches(3, 0.2, 50, np.random.RandomState(0))
    epochs = list(islice(plan, 2))
    rows = [rows for epoch in epochs for rows in epoch]
    assert all(len(set(batch)) == len(batch) for batch in rows)
    assert any(len(batch) == 0 for batch in rows)
    assert not all(np.array_equal(a, b) for a, b in zip(*epochs, strict=True))


def test_poisson_with_rate_1_takes_every_row() -> None:
    (rows,) = next(batches.poisson_batches(6, 1.0, 1, np.random.RandomState(0)))
    assert list(rows) == list(range(6))


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.1, float("nan")])
def test_a_poisson_rate_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ParameterError, match=r"rate=.*above 0 and at most 1"):
        batches.poisson_batches(5, wrong, 1, np.random.RandomState(0))


def test_an_epoch_without_batches_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"n_batches=0 .*at least 1"):
        batches.poisson_batches(5, 0.5, 0, np.random.RandomState(0))


@pytest.mark.parametrize(
    ("n", "size", "lengths"),
    [
        (0, 4, []),
        (3, 4, [3]),
        (4, 4, [4]),
        (9, 4, [4, 4, 1]),
        (MICROBATCH_SIZE + 1, MICROBATCH_SIZE, [MICROBATCH_SIZE, 1]),
    ],
)
def test_microbatches_contain_every_row_in_order(n: int, size: int, lengths: list[int]) -> None:
    rows = np.arange(n)[::-1]
    parts = list(microbatches(rows, size))
    assert [len(part) for part in parts] == lengths
    assert [row for part in parts for row in part] == list(rows)


def tables() -> list[Any]:
    X = np.arange(12.0).reshape(4, 3) * (np.arange(12).reshape(4, 3) % 2)
    Y, weights = np.arange(8.0).reshape(4, 2), np.arange(4.0)
    csr = [sparse.csr_matrix(X), sparse.csr_array(X)]
    return [Dataset(each, Y, weights) for each in (X, np.asfortranarray(X), *csr)]


@pytest.mark.parametrize("table", tables(), ids=["dense", "dense, Fortran", "csr matrix", "csr array"])
def test_gather_turns_rows_into_columns(table: Dataset) -> None:
    rows = np.array([2, 0, 2])
    dense = tables()[0].X
    batch = gather(table, rows)
    assert table.n_rows == 4
    assert isinstance(batch.B, np.ndarray)
    assert np.array_equal(batch.B, dense[rows].T)
    assert np.array_equal(batch.Y, table.Y[rows].T)
    assert batch.weights is not None
    assert np.array_equal(batch.weights, [2, 0, 2])


def test_batches_of_an_unweighted_table_have_no_weights() -> None:
    assert gather(Dataset(np.ones((3, 1)), np.ones((3, 1))), np.array([1])).weights is None


@pytest.mark.parametrize("table", tables(), ids=["dense", "dense, Fortran", "csr matrix", "csr array"])
def test_gather_of_no_rows_gives_no_columns(table: Dataset) -> None:
    batch = gather(table, np.arange(0))
    assert batch.B.shape == (3, 0)
    assert batch.Y.shape == (2, 0)


def test_number_of_rows_may_be_a_numpy_integer() -> None:
    assert [len(rows) for rows in next(minibatches(np.int64(5), 2))] == [2, 2, 1]


def test_order_can_be_sliced_only_with_step_one() -> None:
    with pytest.raises(ParameterError, match="slices in steps of 1, not 2: make a list of them first"):
        SequentialBatches(np.arange(6), 2)[::2]


def test_batch_sizes_of_an_order_match_its_batches() -> None:
    for order in (
        SequentialBatches(np.arange(7), 3),
        SequentialBatches(np.arange(6), 3),
        SequentialBatches(np.arange(0), 3),
    ):
        assert (
            batch_sizes(order).tolist() == batch_sizes(list(order)).tolist() == [len(rows) for rows in order]
        )


def test_poisson_sampling_reaches_every_row_when_more_gaps_are_drawn() -> None:
    """With this many batches the first draw of gaps ends early in some, and more gaps are drawn."""
    taken = np.zeros(1_000)
    for rows in next(poisson_batches(1_000, 0.05, 4_000, np.random.RandomState(0))):
        taken[rows] += 1
    # Each count is binomial, 200 ± 14; the largest of a thousand lies within five deviations.
    assert abs(taken - 200).max() < 5 * 14
    assert abs(taken[-100:].mean() - 200) < 4 * 1.4
