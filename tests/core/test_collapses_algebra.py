"""Algebraic properties of collapses; the noise over every batch; edge cases of clipping."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from batchprop.errors import InputError, ParameterError
from batchprop.gradient import BatchGradient
from batchprop.params import Layer, Layers, tree_map
from tests.core.comparisons import close, dot, in_dtype, leaves, random_like
from tests.core.strategies import layers_of_factors, numbers, per_example

positive = st.floats(0.01, 100)


def size(g: BatchGradient) -> int:
    """The number of examples m."""
    return int(g.dZ[0].shape[1])


def select_examples(g: BatchGradient, examples: Any) -> BatchGradient:
    """Select examples of a gradient, in any order and with repetition."""
    weights = None if g.weights is None else g.weights[examples]
    return BatchGradient(tuple(M[:, examples] for M in g.dZ), tuple(M[:, examples] for M in g.H), weights)


def norms(g: BatchGradient) -> Any:
    return np.sqrt(g.squared_norms())


def scale(g: BatchGradient) -> float:
    """The accuracy of sums over this gradient's entries, in units of rounding errors."""
    return max(1.0, float(np.max(g.squared_norms())))


def near(actual: Layers, expected: Any, g: BatchGradient) -> None:
    close(actual, expected, rtol=1e-9, atol=1e-13 * scale(g))


def some_gradient(m: int = 5, seed: int = 0, widths: tuple[int, ...] = (3, 4, 2)) -> BatchGradient:
    rng = np.random.default_rng(seed)
    return BatchGradient(
        tuple(rng.normal(size=(n, m)) for n in widths[1:]),
        tuple(rng.normal(size=(n, m)) for n in widths[:-1]),
        rng.uniform(0.5, 2.0, size=m),
    )


# Inner products.


@given(layers_of_factors(), numbers, st.integers(0, 9))
def test_dot_is_linear_in_the_direction(g: BatchGradient, factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    U, V = random_like(g.mean(), rng), random_like(g.mean(), rng)
    both = tree_map(lambda u, v: u + factor * v, U, V)
    assert_allclose(g.dot(both), g.dot(U) + factor * g.dot(V), rtol=1e-9, atol=1e-10 * scale(g))


@given(layers_of_factors(), st.data())
def test_dot_with_a_collapse_equals_the_collapsed_gram_matrix(g: BatchGradient, data: st.DataObject) -> None:
    c = data.draw(per_example(size(g)))
    assert_allclose(g.dot(g.collapse(c)), g.gram() @ c, rtol=1e-9, atol=1e-11 * scale(g))


@given(layers_of_factors())
def test_examples_are_the_slices_of_the_tensor(g: BatchGradient) -> None:
    for i in range(-size(g), size(g)):
        near(g.example(i), [(g.tensor(k)[:, :, i], g.bias_matrix(k)[:, i]) for k in range(len(g.dZ))], g)


@given(layers_of_factors())
def test_the_gram_matrix_holds_inner_products(g: BatchGradient) -> None:
    K, m = g.gram(), size(g)
    assert_allclose(np.diag(K), g.squared_norms(), rtol=1e-12)
    assert_allclose(K, K.T, rtol=1e-12, atol=1e-13 * scale(g))
    assert np.linalg.eigvalsh(K).min() >= -1e-12 * scale(g) * m
    examples = [g.example(i) for i in range(m)]
    assert_allclose(K, [[dot(a, b) for b in examples] for a in examples], rtol=1e-9, atol=1e-12 * scale(g))


@given(layers_of_factors(), st.data())
def test_gram_with_a_subset_is_a_submatrix(g: BatchGradient, data: st.DataObject) -> None:
    picked = data.draw(st.lists(st.integers(0, size(g) - 1), min_size=1, max_size=4))
    part = g.gram(select_examples(g, picked))
    assert_allclose(part, g.gram()[:, picked], rtol=1e-12, atol=1e-13 * scale(g))
    assert_allclose(part.T, select_examples(g, picked).gram(g), rtol=1e-12, atol=1e-13 * scale(g))


@given(layers_of_factors())
def test_layers_add_up_to_the_squared_norms(g: BatchGradient) -> None:
    assert_allclose(sum(g.squared_norms_per_layer()), g.squared_norms(), rtol=1e-12)


# Statistics.


@given(layers_of_factors(), st.data())
def test_variance_sums_to_the_scatter_of_the_gradients(g: BatchGradient, data: st.DataObject) -> None:
    g = g._replace(weights=data.draw(per_example(size(g), positive)))
    variance, mean = g.variance(), g.mean()
    assert all(np.all(leaf >= 0) for leaf in leaves(variance))
    total = sum(np.sum(leaf) for leaf in leaves(variance))
    assert_allclose(
        total, g.normalized_weights() @ g.squared_norms() - dot(mean, mean), rtol=1e-9, atol=1e-11 * scale(g)
    )


@given(layers_of_factors(), st.integers(2, 5))
def test_equal_examples_have_zero_variance(g: BatchGradient, times: int) -> None:
    one = select_examples(g, [0])
    same = select_examples(g, [0] * times)
    near(same.variance(), tree_map(np.zeros_like, g.mean()), one)
    trace, squared_norm = same.noise()
    assert_allclose(trace, 0, atol=1e-12 * scale(one))
    assert_allclose(squared_norm, one.squared_norms()[0], rtol=1e-9)


@given(layers_of_factors(), st.data())
def test_integer_weights_equal_repetition(g: BatchGradient, data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 3), min_size=size(g), max_size=size(g)).filter(any))
    repeated = select_examples(g, np.repeat(np.arange(size(g)), times))
    weighted = g._replace(weights=np.array(times, float))
    near(weighted.mean(), repeated.mean(), g)
    near(weighted.variance(), repeated.variance(), g)
    for ours, theirs in zip(weighted.kronecker_factors(), repeated.kronecker_factors(), strict=True):
        assert_allclose(ours.A, theirs.A, rtol=1e-9, atol=1e-11)
        assert_allclose(ours.G, theirs.G, rtol=1e-9, atol=1e-11)


@pytest.mark.untraced
@given(layers_of_factors(), st.data())
def test_weight_0_excludes_an_example(g: BatchGradient, data: st.DataObject) -> None:
    weights = data.draw(per_example(size(g), positive))
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=size(g), max_size=size(g)).filter(any)))
    g = g._replace(weights=np.where(kept, weights, 0.0))
    alone = select_examples(g, kept)
    near(g.mean(), alone.mean(), g)
    near(g.variance(), alone.variance(), g)
    near(g.clipped(0.5).mean(), alone.clipped(0.5).mean(), g)
    assert_allclose(g.noise(), alone.noise(), rtol=1e-9, atol=1e-12 * scale(g))


@given(layers_of_factors(), st.floats(0.1, 10), st.data())
def test_statistics_scale_with_the_squared_factor(
    g: BatchGradient, factor: float, data: st.DataObject
) -> None:
    g = g._replace(weights=data.draw(per_example(size(g), positive)))
    larger = g.scaled(np.full(size(g), factor))
    near(larger.variance(), tree_map(lambda v: factor**2 * v, g.variance()), larger)
    noise = np.array(g.noise())
    assert_allclose(larger.noise(), factor**2 * noise, rtol=1e-9, atol=1e-11 * scale(g) * max(1, factor**2))


@given(layers_of_factors(), positive, st.data())
def test_statistics_depend_only_on_relative_weights(
    g: BatchGradient, factor: float, data: st.DataObject
) -> None:
    weights = data.draw(per_example(size(g), positive))
    weighted, more = g._replace(weights=weights), g._replace(weights=factor * weights)
    near(weighted.variance(), more.variance(), g)
    assert_allclose(weighted.noise(), more.noise(), rtol=1e-9, atol=1e-11 * scale(g))
    assert_allclose(
        g.noise(), g._replace(weights=np.full(size(g), factor)).noise(), rtol=1e-9, atol=1e-11 * scale(g)
    )


@given(layers_of_factors(), st.data())
def test_kronecker_factors_are_second_moments(g: BatchGradient, data: st.DataObject) -> None:
    g = g._replace(weights=data.draw(per_example(size(g), positive)))
    for k, (A, G) in enumerate(g.kronecker_factors()):
        for factor, columns in ((A, g.H[k]), (G, g.dZ[k])):
            assert_allclose(factor, factor.T, rtol=1e-12, atol=1e-10)
            assert np.linalg.eigvalsh(factor).min() >= -1e-9
            assert_allclose(
                np.trace(factor), g.normalized_weights() @ np.sum(columns**2, axis=0), rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize("size_of_batch", [2, 3])
@pytest.mark.parametrize("shares", [None, (1.0, 3.0, 0.5)])
def test_noise_estimates_are_unbiased(size_of_batch: int, shares: tuple[float, ...] | None) -> None:
    population = some_gradient(4)._replace(weights=None)
    G = population.mean()
    squared_norm = dot(G, G)
    trace = float(np.mean(population.squared_norms())) - squared_norm
    weights = None if shares is None else np.array(shares[:size_of_batch])
    estimates: Any = [
        select_examples(population, list(drawn))._replace(weights=weights).noise()
        for drawn in product(range(4), repeat=size_of_batch)  # every batch, drawn with replacement
    ]
    assert_allclose(np.mean(estimates, axis=0), [trace, squared_norm], rtol=1e-12)


def test_noise_scale_is_nan_or_infinite_in_edge_cases() -> None:
    g = some_gradient(4)
    assert np.isnan(select_examples(g, [0]).noise_scale())
    assert np.all(np.isnan(g._replace(weights=np.zeros(4)).noise()))
    assert np.isnan(g._replace(weights=np.array([0.0, 2.0, 0.0, 0.0])).noise_scale())
    assert np.isnan(select_examples(g, []).noise_scale())
    opposed = select_examples(g, [0, 0]).scaled(np.array([1.0, -1.0]))._replace(weights=None)
    assert opposed.noise().squared_norm < 0
    assert opposed.noise_scale() == np.inf
    zeros = select_examples(g, [0, 1]).scaled(np.zeros(2))
    assert zeros.noise_scale() == np.inf
    assert select_examples(g, [0, 0]).noise_scale() < 1e-12


# Clipping.


@given(layers_of_factors(), positive)
def test_clipped_norms_are_at_most_the_limit(g: BatchGradient, limit: float) -> None:
    before, cut = norms(g), g.clipped(limit)
    assert_allclose(norms(cut), np.minimum(before, limit), rtol=1e-9)
    untouched = before < limit * (1 - 1e-9)
    for ours, theirs in zip(cut.dZ, g.dZ, strict=True):
        assert_array_equal(ours[:, untouched], theirs[:, untouched])
    assert_allclose(norms(cut.clipped(limit)), norms(cut), rtol=1e-9)


@given(layers_of_factors(), positive)
def test_clipping_preserves_directions(g: BatchGradient, limit: float) -> None:
    for cut in (g.clipped(limit), g.normalized(limit)):
        assert_allclose(np.diag(cut.gram(g)), norms(cut) * norms(g), rtol=1e-9, atol=1e-12)
        assert_array_equal(norms(cut) == 0, norms(g) == 0)
        assert cut.H is g.H


@given(layers_of_factors(), st.data())
def test_infinite_limit_does_not_clip(g: BatchGradient, data: st.DataObject) -> None:
    g = g._replace(weights=data.draw(per_example(size(g), positive)))
    for unlimited in (g.clipped(np.inf), g.clipped(1e9), g.clipped_per_layer([1e9] * len(g.dZ))):
        assert_array_equal(leaves(unlimited.dZ)[0], g.dZ[0])
        assert all(map(np.array_equal, leaves(unlimited.mean()), leaves(g.mean())))


@given(layers_of_factors(), st.data())
def test_per_layer_clipping_bounds_each_layer(g: BatchGradient, data: st.DataObject) -> None:
    limits = [data.draw(positive) for _ in g.dZ]
    cut = g.clipped_per_layer(limits)
    for before, after, limit in zip(
        g.squared_norms_per_layer(), cut.squared_norms_per_layer(), limits, strict=True
    ):
        assert_allclose(np.sqrt(after), np.minimum(np.sqrt(before), limit), rtol=1e-9)
    one = BatchGradient(g.dZ[:1], g.H[:1])
    near(one.clipped_per_layer(limits[:1]).mean(), one.clipped(limits[0]).mean(), g)


@given(layers_of_factors(), positive, st.floats(1e-3, 1))
def test_automatic_clipping_stays_below_its_limit(g: BatchGradient, limit: float, stability: float) -> None:
    before = norms(g)
    assert_allclose(norms(g.normalized(limit, stability)), limit * before / (before + stability), rtol=1e-9)
    assert np.all(norms(g.normalized(limit, stability)) <= limit * (1 + 1e-12))


CLIPPERS: dict[str, Callable[[BatchGradient, Any], BatchGradient]] = {
    "clipped": lambda g, limit: g.clipped(limit),
    "clipped_per_layer": lambda g, limit: g.clipped_per_layer([limit] * len(g.dZ)),
    "normalized": lambda g, limit: g.normalized(limit),
}


def narrow(g: BatchGradient, asarray: Callable[[Any], Any] = np.asarray) -> BatchGradient:
    """Cast the gradient to float32."""
    arrays = (tuple(asarray(M.astype("float32")) for M in matrices) for matrices in (g.dZ, g.H))
    return BatchGradient(*arrays)


@pytest.mark.untraced
@pytest.mark.parametrize(("clipper", "asarray"), [*product(CLIPPERS, [np.asarray]), ("clipped", jnp.asarray)])
def test_long_gradients_are_clipped_in_float32(clipper: str, asarray: Any) -> None:
    # Their squared norms overflow float32, and so do those of whole layers.
    g = narrow(some_gradient(5), asarray)
    long = BatchGradient(tuple(1e16 * dZ for dZ in g.dZ), tuple(1e16 * H for H in g.H))
    cut = CLIPPERS[clipper](long, 1.0)
    exact = norms(
        BatchGradient(*(tuple(np.asarray(M, "float64") for M in part) for part in (cut.dZ, long.H)))
    )
    most = np.sqrt(2) if clipper == "clipped_per_layer" else 1.0
    assert_allclose(exact, most, rtol=1e-5)


@pytest.mark.untraced
@pytest.mark.parametrize("clipper", CLIPPERS)
@pytest.mark.parametrize("asarray", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(("of_dZ", "of_H"), [(1e25, 1e25), (1e37, 1e37), (0.0, 1e25)])
def test_gradients_with_a_norm_above_the_largest_number_become_zero(
    clipper: str, asarray: Any, of_dZ: float, of_H: float
) -> None:
    g = narrow(some_gradient(5))
    far = np.array([1, 0, 1, 0, 0], "float32")
    long = BatchGradient(
        tuple(asarray(dZ * (1 + far * np.float32(of_dZ - 1))) for dZ in g.dZ),
        tuple(asarray(H * (1 + far * np.float32(of_H - 1))) for H in g.H),
    )
    for cut in CLIPPERS[clipper](long, 1.0).dZ:
        assert np.all(np.isfinite(cut))
        assert np.all(np.asarray(cut)[:, far == 1] == 0)
        assert np.all(np.asarray(cut)[:, far == 0] != 0)


def test_float32_stays_float32() -> None:
    g = narrow(some_gradient(5))._replace(weights=np.ones(5, "float32"))
    direction = in_dtype(g.mean(), "float32")
    limit = np.float64(0.5)  # NumPy's own would lift the type
    answers = (
        *(g.example(0), g.squared_norms_per_layer(), g.dot(direction), g.gram(), g.variance()),
        *(tuple(g.noise()), g.noise_scale(), g.kronecker_factors(), g.clipped(limit).dZ),
        *(g.clipped_per_layer(np.full(2, limit)).dZ, g.normalized(limit, np.float64(0.1)).dZ),
    )
    assert {leaf.dtype.name for leaf in leaves(answers)} == {"float32"}


@pytest.mark.untraced
def test_one_compiled_program_serves_every_limit() -> None:
    traced = list[int]()

    @jax.jit
    def clipped(g: BatchGradient, limit: Any) -> tuple[Any, ...]:
        traced.append(1)
        by_layer = g.clipped_per_layer(jnp.stack([limit, 2 * limit]))
        return g.clipped(limit).mean(), by_layer.mean(), g.normalized(limit, limit).mean()

    g = narrow(some_gradient(5))
    for limit in (0.1, 1.0, 10.0):
        ours = clipped(g, limit)
        by_layer = g.clipped_per_layer([limit, 2 * limit])
        theirs = (g.clipped(limit).mean(), by_layer.mean(), g.normalized(limit, limit).mean())
        for mine, other in zip(ours, theirs, strict=True):
            close(mine, other, rtol=1e-4, atol=1e-6)
    assert len(traced) == 1


def test_traced_index_selects_its_example() -> None:
    g = narrow(some_gradient(5))
    close(jax.jit(lambda g, i: g.example(i))(g, 3), g.example(3), rtol=1e-6)


# Invalid arguments.


@pytest.mark.parametrize("i", [5, -6, np.int64(7)])
def test_missing_example_is_refused(i: int) -> None:
    with pytest.raises(InputError, match=rf"example {i} is not there: the batch has 5"):
        some_gradient(5).example(i)


def test_direction_of_the_wrong_shape_is_refused() -> None:
    g = some_gradient(5)
    for wrong in (g.mean()[:1], g.mean()[::-1], tuple(Layer(V.W.T, V.b) for V in g.mean())):
        with pytest.raises(InputError, match=r"the layers' own, \[\(\(4, 3\), \(4,\)\)"):
            g.dot(wrong)


def test_gram_with_another_network_is_refused() -> None:
    with pytest.raises(InputError, match=r"two batches through the same network"):
        some_gradient(5).gram(some_gradient(5, widths=(3, 5, 2)))


NO_LIMITS = (0, -1.0, float("nan"), np.float32(0), np.array(-1.0), np.array(np.nan), jnp.array(-1.0))
NO_NUMBERS = (None, "a", "1.0", True, np.True_, np.array([1.0]), [1.0], 1j)


@pytest.mark.parametrize("limit", [*NO_LIMITS, *NO_NUMBERS], ids=repr)
@pytest.mark.parametrize("clipper", CLIPPERS)
def test_nonpositive_limit_is_refused(clipper: str, limit: Any) -> None:
    with pytest.raises(ParameterError, match=r"max_norm=.* is not allowed: give a number above 0"):
        CLIPPERS[clipper](some_gradient(5), limit)


@pytest.mark.parametrize("stability", [*NO_LIMITS, *NO_NUMBERS], ids=repr)
def test_nonpositive_stability_is_refused(stability: Any) -> None:
    with pytest.raises(ParameterError, match=r"stability=.* is not allowed"):
        some_gradient(5).normalized(1.0, stability)


@pytest.mark.parametrize("limits", [1.0, None, "ab", np.array(1.0)], ids=repr)
def test_limits_that_are_not_a_sequence_are_refused(limits: Any) -> None:
    with pytest.raises(InputError, match=r"max_norms=.* has shape .* give one limit for each layer"):
        some_gradient(5).clipped_per_layer(limits)


@pytest.mark.parametrize("limits", [[1.0], np.ones(3), np.ones((2, 1))])
def test_wrong_number_of_limits_is_refused(limits: Any) -> None:
    with pytest.raises(InputError, match=r"for 2 layers: give one limit for each layer"):
        some_gradient(5).clipped_per_layer(limits)
