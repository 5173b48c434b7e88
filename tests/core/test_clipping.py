"""Per-example gradient norms and clip factors at the limits of floating point."""

from typing import Any

import jax
import numpy as np
import pytest

from batchprop.arrays import shortcut_if
from batchprop.backprop import predict
from batchprop.clipping import (
    automatic_clip_factors,
    clip_columns,
    clip_factors,
    global_norm,
    per_layer_limits,
    squared_factor_norms,
)
from batchprop.dp_sgd import DPMechanism, FlatClipping, with_finite_activations
from batchprop.gradient import BatchGradient, layer_shapes
from batchprop.network import Network
from batchprop.params import Layer


def layer_norms(dZ: Any, H: Any, resolution: float | None = None) -> Any:
    """Return the norms, in each layer, from which the clipping of one layer makes its factors."""
    received: list[Any] = []

    def factors(norms: Any) -> Any:
        received.append(norms)
        return norms

    clip_columns((dZ,), (H,), factors, resolution=resolution)
    return received[0]


def test_squared_factor_norms_include_the_bias() -> None:
    [(dz, h)] = squared_factor_norms((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
    np.testing.assert_array_equal(dz, [1.0, 4.0])
    np.testing.assert_array_equal(h, [10.0, 17.0])


def test_zero_derivative_has_norm_zero_whatever_the_input() -> None:
    [norms] = layer_norms(np.array([[3.0, 0.0, 1e-200]]), np.array([[0.0, np.inf, 1e200]]))
    np.testing.assert_allclose(norms, [3.0, 0.0, 1.0])


def test_norms_far_below_the_resolution_may_underflow_to_zero() -> None:
    dZ, H = np.array([[1e-30, 1.0]], "float32"), np.array([[1e3, 0.0]], "float32")
    [exact], [coarse] = layer_norms(dZ, H), layer_norms(dZ, H, resolution=1e-3)
    np.testing.assert_allclose(exact, [1e-27, 1.0], rtol=1e-6)
    np.testing.assert_allclose(coarse, [0.0, 1.0], atol=1e-10)


def test_global_norm_does_not_overflow() -> None:
    norms = [np.array([3e30], "float32"), np.array([4e30], "float32")]
    np.testing.assert_allclose(global_norm(norms), np.array([5e30], "float32"), rtol=1e-6)
    np.testing.assert_array_equal(global_norm([np.array([0.0, np.inf]), np.array([0.0, 1.0])]), [0.0, np.inf])


def test_clip_factors_are_one_up_to_the_limit_and_zero_without_a_norm() -> None:
    norms = np.array([0.0, 1.0, 4.0, np.inf, np.nan])
    np.testing.assert_array_equal(clip_factors(norms, 2.0), [1.0, 1.0, 0.5, 0.0, 0.0])
    np.testing.assert_array_equal(clip_factors(norms[:4], np.inf), np.ones(4))


def test_automatic_clip_factors_divide_by_norm_and_stability() -> None:
    factors = automatic_clip_factors(np.array([0.0, 9.99, np.inf, np.nan]), 1.0, 0.01)
    np.testing.assert_allclose(factors, [100.0, 0.1, 0.0, 0.0])


def test_per_layer_limits_are_a_tuple() -> None:
    assert per_layer_limits([1.0, 0.5], 2) == (1.0, 0.5)


def test_layer_shapes_are_those_of_the_weights() -> None:
    assert layer_shapes(BatchGradient((np.ones((2, 5)),), (np.ones((3, 5)),))) == [(2, 3)]


def test_example_whose_norm_overflows_adds_zeros_to_the_clipped_sum() -> None:
    g = BatchGradient((np.array([[3.0, np.inf]]),), (np.array([[0.0, 7.0]]),))
    [layer] = DPMechanism(FlatClipping(1.0), None, 2.0).clipped_sum(g, np.array([0.5, 0.5]))
    assert (layer.W.tolist(), layer.b.tolist()) == ([[0.0]], [0.5])


def test_noise_has_the_deviation_of_the_mechanism() -> None:
    rng, zeros = np.random.default_rng(0), (Layer(np.zeros((1, 1)), np.zeros(1)),)
    mechanism = DPMechanism(FlatClipping(2.0), 1.5, 10.0)
    [layer] = mechanism.add_noise(zeros, rng.standard_normal)
    assert float(layer.W[0, 0]) == pytest.approx(0.03771907, rel=1e-6)
    assert float(layer.b[0]) == pytest.approx(-0.03963146, rel=1e-6)


def test_unit_that_overflows_gives_zero() -> None:
    net = Network.create([1, 1, 1], activation="identity", head="squared_error", random_state=0)
    assert predict(with_finite_activations(net), np.array([[np.inf]]))[0, 0] == net.layers[1].b[0]


def test_products_below_the_smallest_normal_number_become_zero() -> None:
    dZ = (np.array([[1.0, 1e-38, np.nan, 1.0]], "float32"),)
    factors = np.array([0.5, 0.1, 0.0, 1e-40], "float32")
    [clipped] = clip_columns(dZ, (np.zeros((1, 4), "float32"),), lambda _: (factors,))
    np.testing.assert_array_equal(clipped, [[0.5, 0.0, 0.0, 0.0]])


def test_a_shortcut_that_cannot_be_decided_while_jax_traces_is_not_taken() -> None:
    # As where no engine has registered how its compiled programs branch.
    choose = shortcut_if.dispatch(object)
    answers = [choose(valid, lambda x: x + 1, lambda x: x - 1, 5) for valid in (np.True_, np.False_)]
    assert answers == [6, 4]
    assert jax.jit(lambda valid, x: choose(valid, lambda x: x + 1, lambda x: x - 1, x))(True, 5) == 4
