"""The gradient of every test problem against several references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.backprop import Step, backprop
from batchprop.params import tree_map
from tests.core.comparisons import close, dot, move, random_like
from tests.core.jax_oracle import example_gradients
from tests.core.oracle import loop
from tests.core.problems import (
    ACTIVATION_NAMES,
    SOME_PAIRS,
    Problem,
    problems,
    problems_of_every_head,
    sampled_problems,
)

for_every_activation = pytest.mark.parametrize("activation", ACTIVATION_NAMES)
over_a_sample = pytest.mark.parametrize(("activation", "head"), SOME_PAIRS)


def step(problem: Problem, weights: Any = None) -> Step:
    return backprop(problem.net, problem.B, problem.Y, weights)


@for_every_activation
def test_a_batch_equals_its_examples_one_at_a_time(activation: str) -> None:
    for case in problems_of_every_head(activation):
        ours = step(case)
        looped = loop(case.net.layers, case.sigma, case.head, case.B, case.Y)
        assert_allclose(ours.losses, looped.losses, rtol=1e-10, atol=1e-12)
        assert_allclose(ours.loss, looped.losses.mean(), rtol=1e-10, atol=1e-12)
        for k in range(len(case.net.layers)):
            assert_allclose(ours.gradient.tensor(k), looped.tensors[k], rtol=1e-10, atol=1e-12)
            assert_allclose(ours.gradient.bias_matrix(k), looped.bias_matrices[k], rtol=1e-10, atol=1e-12)


@over_a_sample
def test_weighted_mean_equals_the_averaged_tensor(activation: str, head: str) -> None:
    for case in problems(activation, head):
        weighted = step(case, case.weights)
        g = weighted.gradient
        layers = range(len(case.net.layers))
        averaged = [
            tuple(np.average(D, axis=-1, weights=case.weights) for D in (g.tensor(k), g.bias_matrix(k)))
            for k in layers
        ]
        close(g.mean(), averaged, rtol=1e-12, atol=1e-14)
        assert_allclose(weighted.loss, np.average(weighted.losses, weights=case.weights), rtol=1e-12)


@for_every_activation
def test_gradient_matches_central_differences(activation: str) -> None:
    rng, far = np.random.default_rng(0), 1e-6
    for case in problems_of_every_head(activation):
        gradient = step(case, case.weights).gradient.mean()
        for _ in range(3):
            V = random_like(gradient, rng)
            nets = (case.net.replace_layers(move(case.net.layers, V, sign * far)) for sign in (1, -1))
            ahead, behind = (backprop(net, case.B, case.Y, case.weights).loss for net in nets)
            assert_allclose((ahead - behind) / (2 * far), dot(gradient, V), rtol=1e-6, atol=1e-8)


@over_a_sample
@pytest.mark.usefixtures("jnp64")
def test_jax_per_example_gradients_match(activation: str, head: str) -> None:
    for case, _ in sampled_problems(activation, head):
        theirs = example_gradients(case.sigma, head, case.net.layers, case.B, case.Y)
        g = step(case).gradient
        for k, (dW, db) in enumerate(theirs):
            assert_allclose(g.tensor(k), dW, rtol=1e-10, atol=1e-12)
            assert_allclose(g.bias_matrix(k), db, rtol=1e-10, atol=1e-12)


@over_a_sample
def test_weight_0_excludes_an_example(activation: str, head: str) -> None:
    for case in problems(activation, head):
        m = case.B.shape[1]
        kept = np.arange(m) % 2 == 0
        weighted = step(case, np.where(kept, case.weights, 0.0))
        alone = backprop(case.net, case.B[:, kept], case.Y[:, kept], case.weights[kept])
        close(weighted.gradient.mean(), alone.gradient.mean(), rtol=1e-12, atol=1e-14)
        assert_allclose(weighted.loss, alone.loss, rtol=1e-12)


@over_a_sample
def test_float32_stays_float32_and_close_to_float64(activation: str, head: str) -> None:
    for case in problems(activation, head):
        layers = tree_map(lambda theta: theta.astype("float32"), case.net.layers)
        B, Y, weights = (array.astype("float32") for array in (case.B, case.Y, case.weights))
        narrow = backprop(case.net.replace_layers(layers), B, Y, weights)
        gradient = narrow.gradient.mean()
        parameters = (theta for layer in gradient for theta in layer)
        arrays = [narrow.losses, narrow.P, *narrow.Z, *narrow.H, *narrow.dZ, *parameters]
        assert {array.dtype.name for array in arrays} == {"float32"}
        close(gradient, step(case, case.weights).gradient.mean(), rtol=1e-3, atol=1e-5)
