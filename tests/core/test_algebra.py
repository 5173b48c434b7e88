"""Algebraic properties of batches, tested with Hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from batchprop import heads, schedules
from batchprop.activations import sigmoid
from batchprop.batches import microbatches, minibatches
from batchprop.clipping import clip_by_global_norm
from batchprop.gradient import BatchGradient
from batchprop.params import Layers, tree_map
from tests.core.comparisons import close, dot
from tests.core.strategies import layers_of_factors, numbers, outputs_by_examples, per_example

positive = st.floats(0.01, 10)


def size(g: BatchGradient) -> int:
    """The number of examples m."""
    return int(g.dZ[0].shape[1])


def near(actual: Layers, expected: Any) -> None:
    """Assert equality up to rounding of sums with terms up to 10⁴."""
    close(actual, expected, rtol=1e-9, atol=1e-9)


def select_examples(g: BatchGradient, examples: Any) -> BatchGradient:
    """Select examples of a gradient, in any order and with repetition."""
    weights = None if g.weights is None else g.weights[examples]
    dZ, H = (tuple(M[:, examples] for M in matrices) for matrices in (g.dZ, g.H))
    return BatchGradient(dZ, H, weights)


@given(layers_of_factors(), st.data())
def test_a_collapse_is_linear(g: BatchGradient, data: st.DataObject) -> None:
    a, b = (data.draw(per_example(size(g))) for _ in range(2))
    near(g.collapse(a + b), tree_map(np.add, g.collapse(a), g.collapse(b)))
    near(g.collapse(a), [(g.tensor(k) @ a, g.bias_matrix(k) @ a) for k in range(len(g.dZ))])


@given(layers_of_factors(), numbers)
def test_common_factor_scales_the_mean(g: BatchGradient, factor: float) -> None:
    near(g.scaled(np.full(size(g), factor)).mean(), tree_map(lambda theta: factor * theta, g.mean()))


@given(layers_of_factors(), positive, st.data())
def test_mean_depends_only_on_relative_weights(g: BatchGradient, c: float, data: st.DataObject) -> None:
    weights = data.draw(per_example(size(g), positive))
    near(g._replace(weights=c * weights).mean(), g._replace(weights=weights).mean())
    near(g._replace(weights=np.full(size(g), c)).mean(), g.mean())


@given(layers_of_factors(), st.data())
def test_integer_weights_equal_repetition(g: BatchGradient, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 3), min_size=size(g), max_size=size(g)).filter(any))
    repeated = select_examples(g, np.repeat(np.arange(size(g)), times))
    near(g._replace(weights=np.array(times, float)).mean(), repeated.mean())


@given(layers_of_factors(), st.data())
def test_mean_does_not_depend_on_the_order_of_examples(g: BatchGradient, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(size(g))))
    near(select_examples(g, order).mean(), g.mean())
    assert_allclose(select_examples(g, order).squared_norms(), g.squared_norms()[order])


@given(layers_of_factors(), st.data())
def test_collapse_of_a_batch_is_the_sum_over_its_parts(g: BatchGradient, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, size(g)))
    shares = data.draw(per_example(size(g)))
    first, rest = slice(0, cut), slice(cut, None)
    parts = (select_examples(g, part).collapse(shares[part]) for part in (first, rest))
    near(g.collapse(shares), tree_map(np.add, *parts))


@given(layers_of_factors(), st.data())
def test_squared_norms_scale_with_the_squared_factor(g: BatchGradient, data: st.DataObject) -> None:
    factors = data.draw(per_example(size(g)))
    norms = g.squared_norms()
    assert np.all(norms >= 0)
    assert_allclose(g.scaled(factors).squared_norms(), factors**2 * norms, atol=1e-9)


@given(layers_of_factors())
def test_mean_norm_is_at_most_the_largest_example_norm(g: BatchGradient) -> None:
    assert dot(g.mean(), g.mean()) <= g.squared_norms().max() * (1 + 1e-9)


@given(layers_of_factors(), positive)
def test_clipping_bounds_every_norm_and_increases_none(g: BatchGradient, longest: float) -> None:
    gradient = g.mean()
    before = np.sqrt(dot(gradient, gradient))
    cut = clip_by_global_norm(gradient, longest)
    assert_allclose(np.sqrt(dot(cut, cut)), min(before, longest), rtol=1e-9)
    assert_allclose(dot(cut, gradient), min(before, longest) * before, rtol=1e-9)


@given(outputs_by_examples(st.floats(-1e4, 1e4)), st.floats(-1e4, 1e4))
def test_softmax_is_a_distribution_invariant_to_offsets(Z: Any, offset: float) -> None:
    P = heads.softmax().output(Z)
    assert np.all(P >= 0)
    assert_allclose(P.sum(axis=0), 1)
    assert_allclose(heads.softmax().output(Z + offset), P, atol=1e-9)


@given(outputs_by_examples(st.floats(-30, 30)))
def test_log_softmax_is_the_log_of_softmax(Z: Any) -> None:
    assert_allclose(heads.log_softmax(Z), np.log(heads.softmax().output(Z)), atol=1e-9)


@given(outputs_by_examples(st.floats(-1e4, 1e4)))
def test_the_sigmoid_is_symmetric(Z: Any) -> None:
    assert_allclose(sigmoid(Z) + sigmoid(-Z), 1)
    assert_allclose(heads.log_sigmoid(Z) - heads.log_sigmoid(-Z), Z, rtol=1e-9, atol=1e-9)


@given(outputs_by_examples(st.floats(-1e3, 1e3)))
def test_two_class_softmax_equals_sigmoid(Z: Any) -> None:
    z = Z[:1]
    P = heads.softmax().output(np.concatenate([z, 0 * z]))
    assert_allclose(P[:1], sigmoid(z), rtol=1e-9)


@given(st.integers(1, 40), st.data())
def test_batches_contain_every_row_once(n: int, data: st.DataObject) -> None:
    batch_size, seed = data.draw(st.integers(1, n)), data.draw(st.integers(0, 9))
    rows = np.concatenate(next(minibatches(n, batch_size, np.random.RandomState(seed))))
    assert sorted(rows) == list(range(n))


@given(st.integers(0, 40), st.integers(1, 50))
def test_concatenated_microbatches_equal_the_batch(n: int, part: int) -> None:
    parts = list(microbatches(np.arange(n), part))
    assert [row for rows in parts for row in rows] == list(range(n))
    assert all(0 < len(rows) <= part for rows in parts)


@given(st.floats(1e-6, 1e3), st.integers(1, 200), st.floats(0, 0.99), st.integers(0, 400))
def test_schedules_stay_between_0_and_the_maximum_rate(
    rate: float, total: int, climb: float, step: int
) -> None:
    for schedule in (
        schedules.cosine(rate, total),
        schedules.warmup_cosine(rate, total, climb),
        schedules.one_cycle(rate, total, climb),
    ):
        assert 0 <= schedule(step) <= rate * (1 + 1e-12)
