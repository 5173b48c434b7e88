"""Dropout on the JAX engine: correct masks that depend only on the seed and the step."""

from __future__ import annotations

from itertools import combinations, islice
from typing import Any

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop import optimizers
from batchprop.batches import Dataset, EpochBatches, Indices, gather, minibatches
from batchprop.dp_sgd import DPMechanism, FlatClipping
from batchprop.engines import padding
from batchprop.engines.devices import make_key
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine
from batchprop.engines.prng import random_source
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.objective import Objective, add, add_l2_penalty, dropout_masks, microbatch_gradient
from batchprop.training import EpochResult, TrainConfig, TrainState, apply_gradient, init_state
from tests.core.comparisons import leaves, same_run

N = 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
TABLE = Dataset(X, np.eye(2)[(X @ [1.0, -2.0, 0.5] > 0).astype(int)], RNG.uniform(0.5, 2.0, size=N))
NET = Network.create([3, 6, 6, 2], activation="tanh", random_state=0, dtype="float64")
RATES = (0.25, 0.5)


def recipe(dropout: Any = RATES) -> TrainConfig:
    return TrainConfig(NET, optimizers.adam(), Objective(alpha=0.1, dropout=dropout))


def plan(epochs: int) -> list[EpochBatches]:
    """Three batches of 7 and one of 3 in each epoch."""
    return list(islice(minibatches(N, 7, np.random.RandomState(0)), epochs))


def run(
    engine: Any, epochs: list[EpochBatches], state: TrainState | None = None, dropout: Any = RATES
) -> EpochResult:
    """Train epoch by epoch, and return the last result with all losses."""
    losses: list[float] = []
    state = state or init_state(recipe(dropout))
    for rows in epochs:
        ran = engine.run_batches(recipe(dropout), state, TABLE, rows, [0.05] * len(rows))
        state, losses = ran.state, [*losses, *ran.losses]
    return EpochResult(state, ran.layers, losses, ran.finite)


def uniform_of(seed: int, step: int, part: int = 0) -> Any:
    """The engine's random numbers at a step, as NumPy arrays."""
    key = make_key(seed)

    def uniform(shape: tuple[int, int], dtype: Any) -> Any:
        with jax.enable_x64(True):
            return np.asarray(draw(shape, dtype))

    draws = random_source(key, np.asarray(step), np.asarray(part))
    assert draws is not None
    draw = draws.uniform
    return uniform


def masks_of(net: Network, m: int, seed: int, step: int, part: int = 0) -> list[np.ndarray]:
    masks = dropout_masks(net, m, RATES, uniform_of(seed, step, part))
    return [np.asarray(mask) for mask in masks]


@pytest.mark.untraced
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mask_keeps_the_expected_share(dtype: str) -> None:
    net = Network.create([1, 300, 300, 1], random_state=0, dtype=dtype)
    for mask, p in zip(masks_of(net, 500, seed=0, step=0), RATES, strict=True):
        assert mask.shape == (300, 500)
        assert mask.dtype == dtype
        assert_allclose(np.unique(mask), [0, 1 / (1 - p)], rtol=1e-6)
        error = np.sqrt(p / (1 - p) / mask.size)
        # Four standard errors overall, and five over each unit's examples and each example's units.
        assert abs(mask.mean() - 1) < 4 * error
        for axis in (0, 1):
            spread = np.abs(mask.mean(axis=axis) - 1)
            assert np.max(spread) < 5 * np.sqrt(p / (1 - p) / mask.shape[axis])


@pytest.mark.untraced
def test_masks_differ_across_seeds_steps_microbatches_and_layers() -> None:
    net = Network.create([1, 40, 40, 1], random_state=0)
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 2, 0), (0, 0, 1), (0, 0, 2), (0, 1, 1), (2**32 - 1, 0, 0)]
    drawn = [(mask > 0).ravel() for place in places for mask in masks_of(net, 50, *place)]
    # Masks that keep ¾ and ½ agree at ½ of their entries, two that keep ¾ at ⅝; equal ones everywhere.
    for one, other in combinations(drawn, 2):
        kept = one.mean(), other.mean()
        expected = kept[0] * kept[1] + (1 - kept[0]) * (1 - kept[1])
        assert abs(np.mean(one == other) - expected) < 5 * 0.5 / np.sqrt(one.size)


@pytest.mark.untraced
def test_masks_are_reproducible() -> None:
    net = Network.create([1, 40, 40, 1], random_state=0)
    for one, other in zip(masks_of(net, 50, 3, 7, 1), masks_of(net, 50, 3, 7, 1), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.untraced
@pytest.mark.parametrize("resident", [False, True])
def test_training_continued_from_a_record_is_the_same(resident: bool) -> None:
    epochs = plan(4)
    whole = run(JaxEngine(seed=3, resident=resident), epochs)
    half = run(JaxEngine(seed=3, resident=resident), epochs[:2])
    rest = run(JaxEngine(seed=3, resident=resident), epochs[2:], half.state)
    assert [*half.losses, *rest.losses] == whole.losses
    for leaf, other in zip(leaves(rest.state), leaves(whole.state), strict=True):
        assert np.array_equal(leaf, other)


def test_loss_curve_depends_only_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = plan(2)
    losses = run(JaxEngine(seed=3), epochs).losses
    engine = JaxEngine(seed=4)
    assert run(engine, epochs).losses != losses
    assert run(JaxEngine(seed=3, resident=True), epochs).losses == pytest.approx(losses, rel=1e-12)
    monkeypatch.setattr(padding, "CHUNK_BYTES", 1000)
    assert run(JaxEngine(seed=3), epochs).losses == pytest.approx(losses, rel=1e-12)


@pytest.mark.untraced
@pytest.mark.parametrize(("size", "dropout"), [(4096, (None, 0.5)), (3, RATES), (3, (0.25, None))])
def test_loss_curve_matches_numpy_with_the_same_masks(
    size: int, dropout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", size)
    epochs = plan(2)
    ours = run(JaxEngine(seed=5), epochs, dropout=dropout)
    width = min(size, 7)
    state, losses = init_state(recipe(dropout)), []
    for rows in (rows for epoch in epochs for rows in epoch):
        with_masks = step_with_masks(state, rows, width, dropout)
        losses.append(with_masks[1])
        state = with_masks[0]
    same_run(ours, EpochResult(state, state.layers, losses, finite=True))


def step_with_masks(state: TrainState, rows: Indices, width: int, dropout: Any) -> tuple[TrainState, float]:
    """NumPy's step by microbatches, with the masks that the JAX engine draws at this step."""
    parts = [rows[start : start + width] for start in range(0, len(rows), width)]
    net, objective = NET.replace_layers(state.layers), recipe(dropout).objective
    weights = TABLE.weights
    assert weights is not None
    share, total = 1 / weights[rows].sum(), None
    for number, part in enumerate(parts):
        uniform = uniform_of(5, state.steps, number)
        # A mask is drawn for the whole width; padded examples are not compared.
        masks = dropout_masks(net, width, dropout, uniform)
        cut = tuple(None if mask is None else mask[:, : len(part)] for mask in masks)
        added, _ = microbatch_gradient(net, gather(TABLE, part), share, cut)
        total = added if total is None else add(total, added)
    assert total is not None
    loss, gradient = add_l2_penalty(total, net.layers, objective, share)
    return apply_gradient(recipe(dropout), state, gradient, 0.05), float(loss)


def test_dropout_without_randomness_is_refused() -> None:
    with pytest.raises(
        ParameterError, match=r"dropout=\(0\.25, 0\.5\) needs randomness: .*JaxEngine\(seed=0\)"
    ):
        run(JaxEngine(), plan(1))


@pytest.mark.untraced
def test_a_seed_without_dropout_changes_nothing() -> None:
    same_run(run(JaxEngine(seed=1), plan(2), dropout=()), run(NumpyEngine(), plan(2), dropout=()))


@pytest.mark.parametrize(
    "objective", [Objective(dropout=RATES), Objective(mechanism=DPMechanism(FlatClipping(1.0), None, 9.0))]
)
def test_line_search_refuses_dropout_and_a_privacy_mechanism(objective: Objective) -> None:
    with pytest.raises(ParameterError, match=r"(dropout|mechanism)=.* has no place in a single loss"):
        JaxEngine(seed=0).value_and_gradient(NET, TABLE, np.arange(9), objective)
