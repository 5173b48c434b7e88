"""The same lines on NumPy, on array-api-strict (nothing but the standard), and on JAX under `jax.jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.arrays import namespace
from batchprop.backprop import Step, backprop
from batchprop.batches import Batch
from batchprop.engines.numpy import random_source
from batchprop.objective import Objective, add, add_l2_penalty, dropout_masks, microbatch_gradient
from batchprop.optimizers import OPTIMIZERS
from batchprop.params import Layers, tree_map
from batchprop.training import TrainConfig, TrainState, apply_gradient, init_state
from tests.core.comparisons import close
from tests.core.problems import SOME_PAIRS, Problem, Shape, problem, problems

TWO_HIDDEN = Shape((3, 4, 3, 5), 7)
DROPPED = (0.4, None, 0.5)
STRICT = type(array_api_strict.asarray(0.0))
OBJECTIVE = Objective(alpha=0.1, dropout=DROPPED, max_grad_norm=0.5, loss_scale=0.5)


def as_numpy(array: Any) -> Any:
    """Convert to NumPy; array-api-strict supports only DLPack."""
    return np.from_dlpack(array) if isinstance(array, STRICT) else np.asarray(array)


def masks_of(case: Problem) -> tuple[Any, ...]:
    rates = DROPPED[: len(case.net.activations)]
    return dropout_masks(case.net, case.B.shape[1], rates, random_source(np.random.default_rng(0)).uniform)


def run_step(case: Problem, asarray: Callable[[Any], Any]) -> Step:
    """One pass over the problem's batch with weights and masks, on the arrays that `asarray` makes."""
    masks = tuple(None if mask is None else asarray(mask) for mask in masks_of(case))
    net = case.net.replace_layers(tree_map(asarray, case.net.layers))
    return backprop(net, asarray(case.B), asarray(case.Y), asarray(case.weights), masks)


def check_same_step(actual: Step, expected: Step) -> None:
    g, reference = actual.gradient, expected.gradient
    pairs = [
        (actual.losses, expected.losses),
        (actual.loss, expected.loss),
        (actual.P, expected.P),
        *zip(actual.Z, expected.Z, strict=True),
        *zip(actual.H, expected.H, strict=True),
        *zip(actual.dZ, expected.dZ, strict=True),
        *((g.tensor(k), reference.tensor(k)) for k in range(len(g.dZ))),
        (g.squared_norms(), reference.squared_norms()),
    ]
    for ours, theirs in pairs:
        assert_allclose(as_numpy(ours), theirs, rtol=1e-12, atol=1e-14)
    close(tree_map(as_numpy, g.mean()), reference.mean())
    close(tree_map(as_numpy, g.scaled(g.H[0][0, :]).mean()), reference.scaled(reference.H[0][0]).mean())


@pytest.mark.parametrize(("activation", "head"), SOME_PAIRS)
def test_only_the_array_api_standard_is_used(activation: str, head: str) -> None:
    for case in problems(activation, head):
        check_same_step(run_step(case, array_api_strict.asarray), run_step(case, np.asarray))


# Compiling takes longer than running. The engine compiles every activation and head in test_jax_parity.py.
COMPILED = [("one per layer", "softmax"), ("mish", "quantile, 0.9"), ("softplus", "softmax, in groups")]


@pytest.mark.parametrize(("activation", "head"), COMPILED)
@pytest.mark.usefixtures("jnp64")
def test_a_batch_compiles(activation: str, head: str) -> None:
    case = problem(activation, head, TWO_HIDDEN)

    @jax.jit
    def compiled(layers: Layers, B: Any, Y: Any, weights: Any, masks: Any) -> tuple[Any, Layers]:
        step = backprop(case.net.replace_layers(layers), B, Y, weights, masks)
        return step.loss, step.gradient.mean()

    loss, gradient = compiled(case.net.layers, case.B, case.Y, case.weights, masks_of(case))
    expected = run_step(case, np.asarray)
    assert_allclose(loss, expected.loss, rtol=1e-12)
    close(gradient, expected.gradient.mean(), rtol=1e-11)


@pytest.mark.usefixtures("jnp64")
def test_every_collapse_compiles() -> None:
    case = problem("one per layer", "softmax", TWO_HIDDEN)
    g = run_step(case, np.asarray).gradient
    collapses = jax.jit(lambda g: (g.squared_norms(), g.tensor(1), g.scaled(g.squared_norms()).mean()))
    norms, tensor, scaled = collapses(g)
    assert_allclose(norms, g.squared_norms(), rtol=1e-12)
    assert_allclose(tensor, g.tensor(1), rtol=1e-12, atol=1e-14)
    close(scaled, g.scaled(g.squared_norms()).mean(), rtol=1e-11)


def training_step(
    recipe: TrainConfig, state: TrainState, batch: Batch, masks: Any, rate: Any
) -> tuple[Any, TrainState]:
    """One step as an engine composes it, from two microbatches."""
    net, weights = recipe.network.replace_layers(state.layers), batch.weights
    assert weights is not None
    share = 1.0 / namespace(weights).sum(weights)
    cut = batch.B.shape[1] // 2
    parts = [
        microbatch_gradient(
            net,
            Batch(batch.B[:, part], batch.Y[:, part], weights[part]),
            share,
            tuple(None if mask is None else mask[:, part] for mask in masks),
        )[0]
        for part in (slice(0, cut), slice(cut, None))
    ]
    loss, gradient = add_l2_penalty(add(*parts), state.layers, recipe.objective, share)
    return loss, apply_gradient(recipe, state, gradient, rate)


def three_steps(
    optimizer: str, asarray: Callable[[Any], Any], step: Callable[..., tuple[Any, TrainState]] = training_step
) -> tuple[list[Any], Layers]:
    """Return the losses of three steps, and the final layers."""
    case = problem("one per layer", "softmax", TWO_HIDDEN)
    masks = tuple(None if mask is None else asarray(mask) for mask in masks_of(case))
    net = case.net.replace_layers(tree_map(asarray, case.net.layers))
    recipe = TrainConfig(net, OPTIMIZERS[optimizer](), OBJECTIVE)
    batch = Batch(asarray(case.B), asarray(case.Y), asarray(case.weights))
    state, losses = init_state(recipe), list[Any]()
    for rate in (0.1, 0.05, 0.2):
        loss, state = step(recipe, state, batch, masks, rate)
        losses.append(as_numpy(loss))
    return losses, tree_map(as_numpy, state.layers)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_step_uses_only_the_array_api_standard(optimizer: str) -> None:
    expected_losses, expected = three_steps(optimizer, np.asarray)
    losses, layers = three_steps(optimizer, array_api_strict.asarray)
    assert_allclose(losses, expected_losses, rtol=1e-12)
    close(layers, expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.usefixtures("jnp64")
def test_a_training_step_compiles(optimizer: str) -> None:
    traced = list[int]()
    compiled: dict[str, Any] = {}

    def step(recipe: TrainConfig, state: TrainState, *batch_and_rate: Any) -> tuple[Any, TrainState]:
        def traced_step(*arrays: Any) -> tuple[Any, TrainState]:
            traced.append(1)
            return training_step(recipe, *arrays)

        run = compiled.setdefault("step", jax.jit(traced_step))
        loss, state = run(state, *batch_and_rate)
        return loss, state

    expected_losses, expected = three_steps(optimizer, np.asarray)
    losses, layers = three_steps(optimizer, jnp.asarray, step)
    assert_allclose(losses, expected_losses, rtol=1e-10)
    close(layers, expected, rtol=1e-9, atol=1e-12)
    # Step counts are arrays from the second call on; from then on one program serves all.
    assert len(traced) <= 2


def test_namespace_is_looked_up_once_per_type() -> None:
    assert namespace(np.ones(1)) is namespace(np.zeros((2, 2)))
    assert namespace(array_api_strict.ones(1)) is array_api_strict


def test_input_that_is_not_an_array_has_no_namespace() -> None:
    with pytest.raises(TypeError):
        namespace("no array")
