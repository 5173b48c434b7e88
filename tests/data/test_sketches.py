"""One-pass sketches: exact while everything is kept, then within the stated error, for any blocks."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchprop.data.sketches import (
    DistinctCounter,
    FrequentItems,
    QuantileSketch,
    WeightedSamples,
    hash_whole,
)


def fill(sketch, values, size):
    for start in range(0, len(values), size):
        sketch.add(values[start : start + size])
    return sketch


finite = st.floats(-1e100, 1e100)


@given(values=st.lists(finite, min_size=1, max_size=60), gaps=st.integers(0, 9))
def test_five_number_summary_equals_numpy_exactly(values, gaps):
    ranked = fill(QuantileSketch(), np.array(values), 7).samples()
    median = np.median(values)
    assert ranked.median == median
    filled = np.array([*values, *[median] * gaps])
    five = np.percentile(filled, [0, 25, 50, 75, 100])
    five[2] = np.median(filled)
    assert ranked.insert(median, gaps).five().tolist() == five.tolist()


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), st.integers(1, 5)), min_size=1, max_size=3))
def test_weights_equal_repetition(runs):
    values, weights = np.array(sorted(runs)).T
    ranked = WeightedSamples(values, weights.astype(np.int64))
    every = np.repeat(values, weights.astype(int))
    for q in (0, 0.1, 0.25, 0.5, 0.9, 1):
        assert ranked.quantile(q) == pytest.approx(np.quantile(every, q), abs=1e-12)


ORDERS: dict[str, Callable[[Any], Any]] = {
    "shuffled": lambda x: np.random.default_rng(0).permutation(x),
    "rising": np.sort,
    "falling": lambda x: np.sort(x)[::-1],
    "ends first": lambda x: np.sort(x)[np.argsort(-np.abs(np.arange(len(x)) - len(x) / 2), kind="stable")],
    "two at once": lambda x: np.repeat(np.sort(x)[::2], 2)[: len(x)],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [64, 1024])
def test_ranks_are_within_the_reported_error(order, size):
    values = ORDERS[order](np.random.default_rng(1).normal(size=50_000))
    sketch = fill(QuantileSketch(size), values, 999)
    assert not sketch.exact
    ranked, every = sketch.samples(), np.sort(values)
    assert ranked.weights.sum() == len(values)
    told = np.cumsum(ranked.weights) / len(values)
    # The rank of equal numbers is that of the last one.
    last = np.append(np.diff(ranked.values) > 0, True)
    true = np.searchsorted(every, ranked.values, side="right") / len(values)
    assert np.abs(told - true)[last].max() <= sketch.error + 1 / len(values)
    assert sketch.error <= np.log2(len(values) / size) / (2 * size) + 2 / size
    assert (ranked.values[0], ranked.values[-1]) == (every[0], every[-1])


def test_error_bound_holds_for_forty_million_rows():
    sketch = QuantileSketch()
    block = np.arange(4_000_000.0)
    for _ in range(10):
        sketch.add(block)
    assert sketch.error < 0.0004
    assert sketch.memory_items < 16_384 * 6


@given(st.lists(st.integers(0, 5000), max_size=5))
def test_quantiles_do_not_depend_on_block_boundaries(places):
    values = np.random.default_rng(0).normal(size=5000)
    whole, blocks = fill(QuantileSketch(64), values, 5000), QuantileSketch(64)
    for start, end in itertools.pairwise([0, *sorted(places), 5000]):
        blocks.add(values[start:end])
    assert blocks.samples().values.tolist() == whole.samples().values.tolist()
    assert blocks.samples().weights.tolist() == whole.samples().weights.tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50), st.integers(1, 10))
def test_few_distinct_numbers_are_counted_exactly(values, size):
    array = np.array(values, dtype=np.int64)
    sketch = fill(DistinctCounter(), hash_whole(array), size)
    assert sketch.count == len(set(values))
    assert sketch.exact
    assert sketch.repeated == (len(set(values)) < len(values))


@pytest.mark.parametrize("n", [100_000, 1_000_000])
def test_many_distinct_numbers_are_counted_within_two_percent(n):
    sketch = fill(DistinctCounter(), hash_whole(np.arange(n) * 3), 20_000)
    assert sketch.count == pytest.approx(n, rel=0.02)
    assert not sketch.exact
    assert not sketch.repeated
    assert sketch.memory_items <= 65_536
    again = fill(sketch, hash_whole(np.arange(n) * 3), 20_000)
    assert again.repeated
    assert again.count == pytest.approx(n, rel=0.02)


letters = st.lists(st.one_of(st.none(), st.sampled_from("abcdé🙂")), max_size=60)


@given(letters, st.integers(1, 9))
def test_few_words_are_counted_exactly(words, size):
    sketch = fill(FrequentItems(most=6), pa.array(words, pa.large_string()), size)
    true = pd.Series([word for word in words if word is not None], dtype=object).value_counts()
    assert sketch.counts().to_dict() == true.to_dict()
    assert list(sketch.counts().index) == sorted(true.index)
    assert sketch.distinct == len(true)
    assert sketch.exact


def test_frequent_words_are_kept_with_the_reported_error():
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in rng.zipf(1.3, 400_000) % 200_000])
    sketch = fill(FrequentItems(most=1000), pa.array(words, pa.large_string()), 30_000)
    true = pd.Series(words).value_counts()
    kept = sketch.counts()
    assert 0 < sketch.lost <= len(words) / 1000
    assert (kept <= true[kept.index]).all()
    assert (kept + sketch.lost >= true[kept.index]).all()
    assert set(true[true > sketch.lost].index) <= set(kept.index)
    assert sketch.distinct == pytest.approx(len(true), rel=0.03)
    assert not sketch.exact


def test_long_words_take_bounded_memory():
    words = pa.array([f"{i} " + "x" * 10_000 for i in range(2000)], pa.large_string())
    sketch = fill(FrequentItems(most=100_000, most_bytes=1 << 20), words, 100)
    assert sketch.memory_items <= 210
    assert sketch.distinct == 2000
    assert len(sketch.counts()) > 0
