"""The optimisers: against scikit-learn's, against the formulas written out, and against each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from batchprop import optimizers
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.optimizers import OPTIMIZERS, Optimizer
from batchprop.params import Layer, Layers, tree_map, zeros_like
from tests.core.comparisons import close, copy_layers, random_like

RATES = [0.1, 0.02, 0.3, 0.05, 0.07]


def start() -> Layers:
    return Network.create([3, 4, 2], random_state=0, dtype="float64").layers


def gradients() -> list[Layers]:
    rng = np.random.default_rng(1)
    return [random_like(start(), rng) for _ in RATES]


def run(optimizer: Optimizer) -> Layers:
    """Return the layers after five fixed gradients and rates."""
    layers, state = start(), optimizer.init(start())
    for gradient, rate in zip(gradients(), RATES, strict=True):
        layers, state = optimizer.update(layers, gradient, state, rate)
    return layers


def scalar(optimizer: Optimizer, theta: float, steps: list[float], rate: float) -> list[float]:
    """Return every θ, for a layer of one weight and one bias with the same gradients."""
    layers: Layers = (Layer(np.full((1, 1), theta), np.full(1, theta)),)
    state, way = optimizer.init(layers), []
    for g in steps:
        layers, state = optimizer.update(
            layers, tree_map(lambda x, g=g: np.full_like(x, g), layers), state, rate
        )
        way.append(float(layers[0].W[0, 0]))
    return way


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (optimizers.sgd(), SGDOptimizer, {"momentum": 0.0, "nesterov": False}),
        (optimizers.momentum(0.8), SGDOptimizer, {"momentum": 0.8, "nesterov": False}),
        (optimizers.nesterov(0.8), SGDOptimizer, {"momentum": 0.8, "nesterov": True}),
        (optimizers.adam(), AdamOptimizer, {}),
        (
            optimizers.adam(0.7, 0.9, 1e-3),
            AdamOptimizer,
            {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3},
        ),
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "adam with settings"],
)
def test_updates_match_scikit_learn(ours: Optimizer, theirs: Any, settings: dict[str, Any]) -> None:
    parameters = [theta for layer in copy_layers(start()) for theta in layer]
    oracle = theirs(parameters, **settings)
    for gradient, rate in zip(gradients(), RATES, strict=True):
        oracle.learning_rate_init = oracle.learning_rate = rate
        oracle.update_params(parameters, [g for layer in gradient for g in layer])
    close(run(ours), list(zip(parameters[::2], parameters[1::2], strict=True)), rtol=1e-12)


def test_sgd_matches_hand_computed_steps() -> None:
    assert_allclose(scalar(optimizers.sgd(), 1.0, [1.0, -2.0], 0.1), [0.9, 1.1])


def test_momentum_matches_hand_computed_steps() -> None:
    # v: -0.1, then 0.5·(-0.1) - 0.1 = -0.15, then 0.5·(-0.15) - 0.1 = -0.175.
    assert_allclose(scalar(optimizers.momentum(0.5), 1.0, [1.0, 1.0, 1.0], 0.1), [0.9, 0.75, 0.575])


def test_nesterov_matches_hand_computed_steps() -> None:
    # v as above; each step goes to 0.5 v - 0.1: -0.15, -0.175, -0.1875.
    assert_allclose(scalar(optimizers.nesterov(0.5), 1.0, [1.0, 1.0, 1.0], 0.1), [0.85, 0.675, 0.4875])


def test_first_step_of_adam_equals_the_learning_rate() -> None:
    for g in (1e-3, 1.0, -1e3):
        assert_allclose(scalar(optimizers.adam(), 1.0, [g], 0.1), [1 - 0.1 * np.sign(g)], rtol=1e-3)


def adam_by_hand(way: list[float], theta: float, rate: float, decay: float) -> list[float]:
    """Adam on one number with β₁ = 0.5, β₂ = 0.75, ε = 0.1, after W ← (1 − rate·decay) W."""
    m = v = 0.0
    result = []
    for t, g in enumerate(way, start=1):
        m, v = 0.5 * m + 0.5 * g, 0.75 * v + 0.25 * g * g
        theta *= 1 - rate * decay
        theta -= rate * np.sqrt(1 - 0.75**t) / (1 - 0.5**t) * m / (np.sqrt(v) + 0.1)
        result.append(theta)
    return result


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adamw_matches_hand_computed_steps(decay: float) -> None:
    way = [1.0, -2.0, 0.5, 0.0]
    ours = scalar(optimizers.adamw(0.5, 0.75, 0.1, weight_decay=decay), 1.0, way, 0.2)
    assert_allclose(ours, adam_by_hand(way, 1.0, 0.2, decay))


def test_weight_decay_does_not_apply_to_biases() -> None:
    optimizer, layers = optimizers.adamw(weight_decay=0.5), start()
    shrunk, _ = optimizer.update(layers, zeros_like(layers), optimizer.init(layers), 0.1)
    close(shrunk, [(0.95 * W, b) for W, b in layers])


def test_optimisers_reduce_to_each_other_at_zero_settings() -> None:
    close(run(optimizers.momentum(0.0)), run(optimizers.sgd()))
    close(run(optimizers.nesterov(0.0)), run(optimizers.sgd()))
    close(run(optimizers.adamw(weight_decay=0.0)), run(optimizers.adam()))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_inputs_are_not_modified(name: str) -> None:
    optimizer, layers, gradient = OPTIMIZERS[name](), start(), gradients()[0]
    before, slope = copy_layers(layers), copy_layers(gradient)
    state = optimizer.init(layers)
    once = optimizer.update(layers, gradient, state, 0.1)[0]
    again = optimizer.update(layers, gradient, state, 0.1)[0]
    close(layers, before, rtol=0, atol=0)
    close(gradient, slope, rtol=0, atol=0)
    close(once, again, rtol=0, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_stays_float32(name: str) -> None:
    optimizer = OPTIMIZERS[name]()
    layers = tree_map(lambda theta: theta.astype("float32"), start())
    state = optimizer.init(layers)
    for _ in range(3):
        layers, state = optimizer.update(layers, layers, state, 0.1)
    assert {theta.dtype.name for layer in layers for theta in layer} == {"float32"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_minimises_a_quadratic(name: str) -> None:
    optimizer, layers = OPTIMIZERS[name](), start()
    state = optimizer.init(layers)
    sizes = []
    for _ in range(4):
        sizes.append(sum(float(np.sum(W**2) + np.sum(b**2)) for W, b in layers))
        layers, state = optimizer.update(layers, layers, state, 0.01)
    assert all(after < before for before, after in pairwise(sizes))


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_a_momentum_out_of_range_is_refused(wrong: float) -> None:
    for maker in (optimizers.momentum, optimizers.nesterov):
        with pytest.raises(ParameterError, match=r"momentum=.*from 0 to 1"):
            maker(wrong)
        maker(1.0)


@pytest.mark.parametrize("maker", [optimizers.adam, optimizers.adamw])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta_1": 1.0}, r"beta_1=1\.0 .*from 0 to below 1"),
        ({"beta_1": -0.1}, "beta_1="),
        ({"beta_2": 1.0}, r"beta_2=1\.0 .*from 0 to below 1"),
        ({"beta_2": float("nan")}, "beta_2="),
        ({"epsilon": 0.0}, r"epsilon=.*small positive number"),
        ({"epsilon": float("nan")}, "epsilon="),
    ],
)
def test_a_setting_of_adam_out_of_range_is_refused(maker: Any, settings: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        maker(**settings)


@pytest.mark.parametrize("wrong", [-0.1, float("nan")])
def test_a_decay_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ParameterError, match=r"weight_decay=.*0 or a positive number"):
        optimizers.adamw(weight_decay=wrong)
