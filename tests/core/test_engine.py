"""The NumPy engine: microbatches, the penalty, dropout's masks, and overflow without noise."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from batchprop import batches, optimizers
from batchprop.backprop import backprop
from batchprop.batches import Dataset
from batchprop.engines import numpy as engine
from batchprop.engines.numpy import NumpyEngine, random_source, value_and_gradient
from batchprop.errors import InputError, ParameterError
from batchprop.network import Network
from batchprop.objective import Objective, dropout_masks
from batchprop.training import EpochResult, TrainConfig, init_state
from tests.core.comparisons import close, dot, move, random_like
from tests.core.problems import (
    ACTIVATION_NAMES,
    HEAD_MAKERS,
    SHAPES,
    Problem,
    problem,
    problems_of_every_head,
)

DEEPEST = max(SHAPES, key=lambda shape: len(shape.sizes))


def table_of(case: Problem, *, weighted: bool = True) -> Dataset:
    return Dataset(case.B.T, case.Y.T, case.weights if weighted else None)


def with_microbatch_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "microbatches", partial(batches.microbatches, size=size))


@pytest.mark.untraced
@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_a_batch_equals_its_microbatches(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_microbatch_size(2, monkeypatch)
    for case in problems_of_every_head(activation):
        rows = np.arange(case.B.shape[1])
        for weighted in (False, True):
            whole = backprop(case.net, case.B, case.Y, case.weights if weighted else None)
            parts = value_and_gradient(case.net, table_of(case, weighted=weighted), rows, Objective())
            assert_allclose(parts.loss, whole.loss, rtol=1e-12)
            close(parts.gradient, whole.gradient.mean())


def test_penalty_is_added_once_per_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = problem("one per layer", "softmax", DEEPEST)
    of_rows = partial(value_and_gradient, case.net, table_of(case), np.arange(7))
    whole = of_rows(Objective(alpha=0.7))
    with_microbatch_size(2, monkeypatch)
    parts = of_rows(Objective(alpha=0.7))
    assert_allclose(parts.loss, whole.loss)
    close(parts.gradient, whole.gradient)


@pytest.mark.untraced
@pytest.mark.parametrize("head", HEAD_MAKERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_gradient_of_the_penalised_loss(head: str, weighted: bool) -> None:
    case, far = problem("tanh", head, DEEPEST), 1e-6
    table, objective = table_of(case, weighted=weighted), Objective(alpha=0.7)
    rows = np.array([0, 2, 3, 6])
    of_net = partial(value_and_gradient, dataset=table, rows=rows, objective=objective)
    gradient, rng = of_net(case.net).gradient, np.random.default_rng(0)
    for _ in range(3):
        V = random_like(gradient, rng)
        nets = (case.net.replace_layers(move(case.net.layers, V, sign * far)) for sign in (1, -1))
        ahead, behind = (of_net(net).loss for net in nets)
        assert_allclose((ahead - behind) / (2 * far), dot(gradient, V), rtol=1e-6, atol=1e-8)


def test_penalty_matches_scikit_learn() -> None:
    case, rows = problem("tanh", "softmax", DEEPEST), np.arange(7)
    squares = sum(np.sum(W**2) for W, _ in case.net.layers)
    for weighted, size in ((False, 7), (True, case.weights.sum())):
        table = table_of(case, weighted=weighted)
        plain, penalised = (value_and_gradient(case.net, table, rows, Objective(alpha)) for alpha in (0, 0.7))
        assert_allclose(penalised.loss - plain.loss, 0.35 * squares / size)
        for with_penalty, without, layer in zip(
            penalised.gradient, plain.gradient, case.net.layers, strict=True
        ):
            assert_allclose(with_penalty.W, without.W + 0.7 * layer.W / size)
            assert_allclose(with_penalty.b, without.b)


def test_loss_scale_changes_only_the_reported_loss() -> None:
    case, rows = problem("tanh", "squared_error", DEEPEST), np.arange(7)
    of_objective = partial(value_and_gradient, case.net, table_of(case), rows)
    plain, halved = of_objective(Objective()), of_objective(Objective(loss_scale=0.5))
    assert_allclose(halved.loss, plain.loss / 2)
    close(halved.gradient, plain.gradient)


@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_rows_equal_dense_ones(weighted: bool) -> None:
    case, rows = problem("tanh", "softmax", DEEPEST), np.array([4, 1, 1])
    dense = table_of(case, weighted=weighted)
    csr = dense._replace(X=sparse.csr_array(dense.X))
    ours, theirs = (value_and_gradient(case.net, table, rows, Objective(0.1)) for table in (csr, dense))
    assert_allclose(ours.loss, theirs.loss)
    close(ours.gradient, theirs.gradient)


def test_batch_of_zero_weight_has_zero_loss_and_gradient() -> None:
    case = problem("tanh", "softmax", DEEPEST)
    weightless = table_of(case)._replace(weights=np.zeros(7))
    for table, rows in ((weightless, np.arange(7)), (table_of(case), np.arange(0))):
        loss, gradient = value_and_gradient(case.net, table, rows, Objective(alpha=1.0))
        assert loss == 0
        assert not any(theta.any() for layer in gradient for theta in layer)


WIDE = Network.create([1, 300, 200, 1], random_state=0)


def test_dropout_mask_keeps_the_expected_share() -> None:
    masks = dropout_masks(WIDE, 500, (0.25, 0.5), random_source(np.random.default_rng(0)).uniform)
    for mask, p, width in zip(masks, (0.25, 0.5), (300, 200), strict=True):
        assert mask is not None
        assert mask.shape == (width, 500)
        assert mask.dtype == np.float32
        assert set(np.unique(mask)) == {np.float32(0), np.float32(1) / np.float32(1 - p)}
        # Four standard errors of a mean of p/(1 - p) variance.
        assert abs(mask.mean() - 1) < 4 * np.sqrt(p / (1 - p) / mask.size)


def test_successive_masks_differ_and_are_reproducible() -> None:
    bits = random_source(np.random.default_rng(0)).uniform
    first, second = (np.array(dropout_masks(WIDE, 5, (0.5, 0.5), bits)[0]) for _ in range(2))
    again = np.array(dropout_masks(WIDE, 5, (0.5, 0.5), random_source(np.random.default_rng(0)).uniform)[0])
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)


def test_without_dropout_there_are_no_masks() -> None:
    bits = random_source(np.random.default_rng(0)).uniform
    assert dropout_masks(WIDE, 5, (), None) == dropout_masks(WIDE, 5, (None, None), bits) == (None, None)
    assert [mask is None for mask in dropout_masks(WIDE, 5, (None, 0.5), bits)] == [True, False]


def test_dropout_without_randomness_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"dropout=\(0\.5, None\) needs .*NumpyEngine\(np\.random\."):
        dropout_masks(WIDE, 5, (0.5, None), None)


@pytest.mark.untraced
def test_dropout_is_unbiased() -> None:
    net = Network.create([3, 6, 2], activation="tanh", head="squared_error", random_state=0, dtype="float64")
    rng = np.random.default_rng(0)
    B, bits = rng.normal(size=(3, 4)), random_source(np.random.default_rng(1)).uniform
    answers = [
        backprop(net, B, np.zeros((2, 4)), masks=dropout_masks(net, 4, (0.3,), bits)).P for _ in range(4000)
    ]
    plain = backprop(net, B, np.zeros((2, 4))).P
    error = np.std(answers, axis=0) / np.sqrt(len(answers))
    assert np.all(np.abs(np.mean(answers, axis=0) - plain) < 4.5 * error)


def run_batches(case: Problem, rows: Any, rates: Any, **settings: Any) -> EpochResult:
    recipe = TrainConfig(case.net, optimizers.sgd(), Objective(**settings))
    engine = NumpyEngine(np.random.default_rng(0))
    return engine.run_batches(recipe, init_state(recipe), table_of(case), rows, rates)


def test_each_batch_uses_its_own_learning_rate() -> None:
    case = problem("tanh", "softmax", DEEPEST)
    rows = [np.array([0, 1]), np.array([2, 3, 4]), np.array([5, 6])]
    state, _, losses, *_ = run_batches(case, rows, [0.5, 0.0, 0.25])
    assert state.steps == len(losses) == 3
    layers = case.net.layers
    for part, rate in zip(rows, [0.5, 0.0, 0.25], strict=True):
        net = case.net.replace_layers(layers)
        step = backprop(net, case.B[:, part], case.Y[:, part], case.weights[part])
        layers = move(layers, step.gradient.mean(), -rate)
    close(state.layers, layers)


def test_no_step_is_taken_after_a_nonfinite_loss() -> None:
    case = problem("identity", "squared_error", DEEPEST)
    rows = [np.arange(7)] * 50
    state, _, losses, *_ = run_batches(case, rows, [1e30] * 50)
    assert len(losses) < 50
    assert not np.isfinite(losses[-1])
    assert np.isfinite(losses[:-1]).all()
    assert state.steps == len(losses) - 1


def test_dropout_is_applied_in_training_steps() -> None:
    case = problem("tanh", "softmax", DEEPEST)
    rows = [np.arange(7)]
    plain, dropped = (run_batches(case, rows, [0.1], dropout=p).losses for p in ((), (0.5, 0.5, 0.5)))
    assert plain != dropped


def test_restored_rng_state_continues_the_random_numbers() -> None:
    random = np.random.default_rng(0)
    runs = NumpyEngine(random)
    stood = runs.rng_state()
    first = random.random(3)
    runs.set_rng_state(stood)
    np.testing.assert_array_equal(random.random(3), first)
    NumpyEngine().set_rng_state(stood)
    runs.set_rng_state(None)
    with pytest.raises(InputError, match=r"the random numbers cannot continue from \{'bit_"):
        runs.set_rng_state({"bit_generator": "PCG64"})
