"""One pass over a batch: its results, masks, and invalid batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.backprop import backprop
from batchprop.engines.numpy import random_source
from batchprop.errors import InputError
from batchprop.gradient import BatchGradient
from batchprop.network import Network
from batchprop.objective import dropout_masks
from tests.core.comparisons import close, dot, move, random_like
from tests.core.problems import ACTIVATION_NAMES, HEAD_MAKERS, SHAPES, Problem, problem

DEEPEST = max(SHAPES, key=lambda shape: len(shape.sizes))


def deep_problem(activation: str = "one per layer", head: str = "softmax") -> Problem:
    return problem(activation, head, DEEPEST)


def test_tensor_of_the_worked_example() -> None:
    dZ, H = np.ones((4, 5)), np.ones((7, 5))
    g = BatchGradient((dZ,), (H,))
    assert g.tensor(0).shape == (4, 7, 5)
    assert g.bias_matrix(0).shape == (4, 5)
    (layer,) = g.mean()
    assert layer.W.shape == (4, 7)
    assert layer.b.shape == (4,)


def test_step_contains_every_matrix_of_the_pass() -> None:
    case = deep_problem()
    step = backprop(case.net, case.B, case.Y, case.weights)
    widths, m = case.net.sizes, DEEPEST.m
    assert step.H[0] is case.B
    assert [Z.shape for Z in step.Z] == [dZ.shape for dZ in step.dZ] == [(n, m) for n in widths[1:]]
    assert [H.shape for H in step.H] == [(n, m) for n in widths[:-1]]
    assert step.P.shape == case.Y.shape
    assert step.losses.shape == (m,)
    assert step.weights is case.weights
    assert np.array_equal(step.dZ[-1], step.P - case.Y)


def test_negative_layer_indices_count_from_the_end() -> None:
    case = deep_problem()
    g = backprop(case.net, case.B, case.Y).gradient
    assert np.array_equal(g.tensor(-1), g.tensor(3))
    assert np.array_equal(g.bias_matrix(-1), g.dZ[3])


def test_collapse_is_a_weighted_sum_of_slices() -> None:
    case = deep_problem()
    g = backprop(case.net, case.B, case.Y, case.weights).gradient
    c = np.random.default_rng(0).normal(size=DEEPEST.m)
    close(g.collapse(c), [(g.tensor(k) @ c, g.bias_matrix(k) @ c) for k in range(4)])
    close(g.collapse(g.normalized_weights()), g.mean())


def test_factors_and_weights_differ() -> None:
    case = deep_problem()
    g = backprop(case.net, case.B, case.Y).gradient
    f = np.arange(float(DEEPEST.m))
    close(g.scaled(f).mean(), g.collapse(f / DEEPEST.m))
    close(g._replace(weights=f).mean(), g.collapse(f / f.sum()))
    assert_allclose(g.scaled(f).squared_norms(), f**2 * g.squared_norms())


def test_weights_equal_repetition() -> None:
    case, times = deep_problem(), np.array([2, 0, 1, 3, 1, 0, 2])
    weighted = backprop(case.net, case.B, case.Y, times.astype(float))
    repeated = backprop(case.net, case.B.repeat(times, axis=1), case.Y.repeat(times, axis=1))
    close(weighted.gradient.mean(), repeated.gradient.mean())
    assert_allclose(weighted.loss, repeated.loss)


@pytest.mark.parametrize("head", HEAD_MAKERS)
def test_batch_of_zero_weight_has_zero_gradient(head: str) -> None:
    case = deep_problem(head=head)
    nobody = backprop(case.net, case.B[:, :0], case.Y[:, :0])
    weightless = backprop(case.net, case.B, case.Y, 0 * case.weights)
    for step in (nobody, weightless):
        assert step.loss == 0
        assert not any(theta.any() for layer in step.gradient.mean() for theta in layer)


def masks_of(case: Problem) -> tuple[Any, ...]:
    return dropout_masks(
        case.net, DEEPEST.m, (0.5, None, 0.3), random_source(np.random.default_rng(2)).uniform
    )


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_masked_gradient_is_the_gradient_of_the_masked_loss(activation: str) -> None:
    case = deep_problem(activation)
    masks, far = masks_of(case), 1e-6
    gradient = backprop(case.net, case.B, case.Y, case.weights, masks).gradient.mean()
    rng = np.random.default_rng(0)
    for _ in range(3):
        V = random_like(gradient, rng)
        nets = (case.net.replace_layers(move(case.net.layers, V, sign * far)) for sign in (1, -1))
        ahead, behind = (backprop(net, case.B, case.Y, case.weights, masks).loss for net in nets)
        assert_allclose((ahead - behind) / (2 * far), dot(gradient, V), rtol=1e-6, atol=1e-8)


def test_masked_unit_has_no_output_and_no_gradient() -> None:
    case = deep_problem()
    out = np.ones((4, DEEPEST.m))
    out[1] = 0
    step = backprop(case.net, case.B, case.Y, masks=(out, None, None))
    assert not step.H[1][1].any()
    assert not step.dZ[0][1].any()
    assert not step.gradient.tensor(1)[:, 1].any()


def test_masks_of_ones_change_nothing() -> None:
    case = deep_problem()
    ones = tuple(np.ones((len(b), DEEPEST.m)) for _, b in case.net.layers[:-1])
    masked, plain = backprop(case.net, case.B, case.Y, masks=ones), backprop(case.net, case.B, case.Y)
    close(masked.gradient.mean(), plain.gradient.mean())


def test_a_batch_in_rows_is_refused() -> None:
    net = Network.create([3, 2], random_state=0)
    for B in (np.ones((5, 3)), np.ones(3), np.ones((3, 1, 1))):
        with pytest.raises(InputError, match=r"B has shape .*takes \(3, m\).*pass X\.T"):
            backprop(net, B, np.ones((2, 5)))


def test_targets_of_the_wrong_shape_are_refused() -> None:
    net, B = Network.create([3, 2], random_state=0), np.ones((3, 5))
    for Y in (np.ones((5, 2)), np.ones((2, 4)), np.ones(5)):
        with pytest.raises(InputError, match=r"Y has shape .*must be \(2, 5\)"):
            backprop(net, B, Y)


def test_weights_of_the_wrong_shape_are_refused() -> None:
    net, B, Y = Network.create([3, 2], random_state=0), np.ones((3, 5)), np.ones((2, 5))
    for weights in (np.ones(4), np.ones((1, 5))):
        with pytest.raises(InputError, match=r"weights have shape .*5 numbers, one for each example"):
            backprop(net, B, Y, weights)
