"""Metrics computed during training: per example in row order, and per step."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop import optimizers
from batchprop.arrays import Array, namespace
from batchprop.backprop import Step, backprop
from batchprop.batches import Dataset, EpochBatches
from batchprop.engines import padding
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine, value_and_gradient
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.params import Layers
from batchprop.training import Engine, EpochResult, MetricFns, TrainConfig, init_state
from tests.core.comparisons import same_run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 3))
Y = np.eye(2)[(X @ [1.0, -2.0, 0.5] > 0).astype(int)]
WEIGHTS = RNG.uniform(0.5, 2.0, size=23) * (np.arange(23) % 5 > 0)
TABLE, WEIGHTED = Dataset(X, Y), Dataset(X, Y, WEIGHTS)
NET = Network.create([3, 4, 2], activation="tanh", random_state=0, dtype="float64")

ROWS = np.random.default_rng(1).permutation(23)
EVEN = [ROWS[:8], ROWS[8:16], ROWS[16:]]
UNEVEN = [ROWS[:5], ROWS[5:5], ROWS[5:16], ROWS[3:7]]


def example_metrics(step: Step, Y: Array) -> Array:
    """Return the loss, the squared gradient norm and the first target."""
    return namespace(Y).stack([step.losses, step.gradient.squared_norms(), Y[0, :]])


def step_metrics(gradient: Layers, before: Layers, after: Layers) -> Array:
    """Return two numbers that depend on all arguments."""
    xp = namespace(gradient[0].b)
    return xp.stack([xp.sum(gradient[0].W * before[0].W), xp.sum(gradient[1].b * after[1].b)])


WATCHED = MetricFns(example_metrics, step_metrics)


def run_metrics(
    engine: Engine, table: Dataset, batches: EpochBatches, watched: MetricFns = WATCHED
) -> tuple[Any, Any]:
    return train_epoch(engine, table, batches, watched).metrics


def train_epoch(
    engine: Engine, table: Dataset, batches: EpochBatches, watched: MetricFns = WATCHED
) -> EpochResult:
    recipe = TrainConfig(NET, optimizers.sgd(), Objective(alpha=0.1), watched)
    return engine.run_batches(recipe, init_state(recipe), table, batches, [0.1] * len(batches))


def metrics_by_hand(table: Dataset, batches: EpochBatches) -> tuple[Any, Any]:
    """Compute the same metrics batch by batch, from plain functions."""
    recipe = TrainConfig(NET, optimizers.sgd(), Objective(alpha=0.1))
    state, examples, steps = init_state(recipe), [], []
    for rows in batches:
        net = NET.replace_layers(state.layers)
        step = backprop(net, table.X[rows].T, table.Y[rows].T)
        examples.append(example_metrics(step, table.Y[rows].T).T)
        data = value_and_gradient(net, table, rows, Objective()).gradient
        after = NumpyEngine().run_batches(recipe, state, table, [rows], [0.1]).state
        steps.append(step_metrics(data, state.layers, after.layers))
        state = after
    return np.concatenate(examples), np.stack(steps)


ENGINES: dict[str, Any] = {
    "numpy": NumpyEngine,
    "jax": JaxEngine,
    "jax, on the device": lambda: JaxEngine(resident=True),
}


# All in NumPy; in JAX, which compiles each, every two of batches, weights and parts once.
CASES = [
    (engine, batches, table, parts)
    for engine in ENGINES
    for batches, table, parts in product(["even", "uneven, one empty"], ["plain", "weighted"], [None, 3])
    if engine == "numpy" or ((batches == "even") + (table == "plain") + (parts is None)) % 2
]


@pytest.mark.untraced
@pytest.mark.parametrize(("engine", "batches", "table", "parts"), CASES)
def test_metrics_match_plain_functions(
    engine: str, batches: Any, table: Any, parts: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = EVEN if batches == "even" else UNEVEN
    table = TABLE if table == "plain" else WEIGHTED
    monkeypatch.setattr(padding, "MAX_CHUNK_SIZE", 2)
    if parts is not None:
        monkeypatch.setattr(padding, "MICROBATCH_SIZE", parts)
    examples, steps = metrics_by_hand(table, batches)
    seen_examples, seen_steps = run_metrics(ENGINES[engine](), table, batches)
    assert_allclose(seen_examples, examples, rtol=1e-10, atol=1e-12)
    assert_allclose(seen_steps, steps, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_metrics_do_not_change_training(engine: str) -> None:
    watched, plain = (
        train_epoch(ENGINES[engine](), WEIGHTED, UNEVEN, what) for what in (WATCHED, MetricFns())
    )
    same_run(watched, plain)
    assert plain.metrics.examples is None
    assert plain.metrics.steps is None


@pytest.mark.untraced
@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_example_and_step_metrics_work_alone(engine: str) -> None:
    both = run_metrics(ENGINES[engine](), TABLE, EVEN)
    examples, no_steps = run_metrics(ENGINES[engine](), TABLE, EVEN, MetricFns(examples=example_metrics))
    no_examples, steps = run_metrics(ENGINES[engine](), TABLE, EVEN, MetricFns(steps=step_metrics))
    assert no_steps is None
    assert no_examples is None
    assert_allclose(examples, both[0])
    assert_allclose(steps, both[1], rtol=1e-12)


def test_example_metrics_cover_batches_larger_than_a_microbatch() -> None:
    rows = [np.arange(5_000) % 23]
    examples, _ = run_metrics(NumpyEngine(), TABLE, rows)
    assert_allclose(examples, metrics_by_hand(TABLE, rows)[0], rtol=1e-10)
