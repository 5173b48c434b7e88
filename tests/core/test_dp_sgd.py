"""DP-SGD steps: gradients are clipped, noise is added once, and the expected batch size divides."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from batchprop import optimizers
from batchprop.backprop import backprop
from batchprop.batches import Batch, Dataset, EpochBatches, poisson_batches
from batchprop.dp_sgd import AutomaticClipping, Clipping, DPMechanism, FlatClipping, PerLayerClipping
from batchprop.engines import padding
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine, value_and_gradient
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.objective import Objective, microbatch_gradient
from batchprop.params import Layer, Layers
from batchprop.training import Engine, EpochResult, TrainConfig, init_state
from tests.core.comparisons import close, leaves, same_run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.eye(2)[(X @ [1.0, -2.0, 0.5] > 0).astype(int)]
TABLE = Dataset(X, Y)
NET = Network.create([3, 4, 2], activation="tanh", random_state=0, dtype="float64")
NORMS = np.sqrt(backprop(NET, X.T, Y.T).gradient.squared_norms())
MIDDLE = float(np.median(NORMS))

ENGINES: dict[str, Any] = {
    "numpy": lambda seed=0: NumpyEngine(np.random.default_rng(seed)),
    "jax": lambda seed=0: JaxEngine(seed=seed),
}
CLIPPINGS: dict[str, Clipping] = {
    "flat": FlatClipping(MIDDLE),
    "per layer": PerLayerClipping(MIDDLE),
    "automatic": AutomaticClipping(MIDDLE),
}


def train_epoch(engine: Engine, objective: Objective, batches: EpochBatches) -> EpochResult:
    recipe = TrainConfig(NET, optimizers.adam(), objective)
    return engine.run_batches(recipe, init_state(recipe), TABLE, batches, [0.01] * len(batches))


def loop(clipping: Clipping, rows: Any, expected_size: float) -> Layers:
    """Clip the gradients one example at a time, by the papers' formulas."""
    total = [Layer(np.zeros_like(layer.W), np.zeros_like(layer.b)) for layer in NET.layers]
    gradient = backprop(NET, X[rows].T, Y[rows].T).gradient
    factored = list(zip(gradient.dZ, gradient.H, strict=True))
    for i in range(len(rows)):
        own = [Layer(np.outer(dz[:, i], h[:, i]), dz[:, i]) for dz, h in factored]
        norms = np.array([np.sqrt((g.W**2).sum() + (g.b**2).sum()) for g in own])
        norm, limit = np.sqrt((norms**2).sum()), clipping.max_norm
        factors = {
            FlatClipping: [min(1.0, limit / norm)] * len(own),
            PerLayerClipping: [min(1.0, limit / np.sqrt(len(own)) / each) for each in norms],
            AutomaticClipping: [limit / (norm + 0.01)] * len(own),
        }[type(clipping)]
        total = [Layer(t.W + f * g.W, t.b + f * g.b) for t, f, g in zip(total, factors, own, strict=True)]
    return tuple(Layer(t.W / expected_size, t.b / expected_size) for t in total)


@pytest.mark.untraced
@pytest.mark.parametrize("name", CLIPPINGS)
@pytest.mark.parametrize("engine", ENGINES)
def test_clipped_sum_matches_the_slow_loop(engine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", 8)  # so that JAX sees several of them
    rows, objective = np.arange(3, 33), Objective(mechanism=DPMechanism(CLIPPINGS[name], None, 25.0))
    wanted = loop(CLIPPINGS[name], rows, 25.0)
    assert 0 < (NORMS[rows] > MIDDLE).mean() < 1
    recipe = TrainConfig(NET, optimizers.sgd(), objective)
    after = ENGINES[engine]().run_batches(recipe, init_state(recipe), TABLE, [rows], [1.0])
    moved = [Layer(a.W - b.W, a.b - b.b) for a, b in zip(NET.layers, after.layers, strict=True)]
    close(tuple(moved), wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.untraced
@pytest.mark.parametrize("engine", ENGINES)
def test_without_clipping_and_noise_training_is_plain(engine: str) -> None:
    batches = [np.arange(10), np.arange(10, 20), np.arange(20, 30)]
    private = Objective(alpha=0.1, mechanism=DPMechanism(FlatClipping(1e9), None, 10.0))
    ours, plain = (
        train_epoch(ENGINES[engine](), objective, batches) for objective in (private, Objective(alpha=0.1))
    )
    penalty = 0.5 * 0.1 * sum((layer.W**2).sum() for layer in NET.layers) / 10
    assert_allclose(ours.losses[0], penalty, rtol=1e-12)  # of the rows' own loss nothing is told
    same_run(ours._replace(losses=plain.losses), plain, 1e-12)


@pytest.mark.untraced
@pytest.mark.parametrize("engine", ENGINES)
def test_batches_of_any_size_get_exact_steps(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty batches, one of twice the expected size, each also in microbatches."""
    batches = [np.arange(10), np.arange(0), np.arange(8, 28), np.arange(1)]
    objective = Objective(alpha=0.1, mechanism=DPMechanism(FlatClipping(MIDDLE), None, 10.0))
    recipe = TrainConfig(NET, optimizers.sgd(), objective)
    state = init_state(recipe)
    for rows in batches:
        net = NET.replace_layers(state.layers)
        gradient = value_and_gradient(net, TABLE, rows, objective).gradient
        layers = tuple(
            Layer(t.W - 0.1 * g.W, t.b - 0.1 * g.b) for t, g in zip(net.layers, gradient, strict=True)
        )
        state = state._replace(layers=layers)
    for width in (4, 4096):
        monkeypatch.setattr(padding, "MICROBATCH_SIZE", width)
        result = ENGINES[engine]().run_batches(recipe, init_state(recipe), TABLE, batches, [0.1] * 4)
        close(result.layers, state.layers, rtol=1e-10)


def noise(engine: Engine, batches: EpochBatches, sigma: float = 1.5, expected_size: float = 10.0) -> Any:
    """Return the parameter change of steps with only noise."""
    objective = Objective(mechanism=DPMechanism(FlatClipping(2.0), sigma, expected_size))
    recipe = TrainConfig(NET, optimizers.sgd(), objective)
    after = engine.run_batches(recipe, init_state(recipe), TABLE, batches, [1.0] * len(batches))
    pairs = zip(NET.layers, after.layers, strict=True)
    return np.concatenate([(old - new).ravel() for a, b in pairs for old, new in zip(a, b, strict=True)])


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_is_normal_with_the_stated_deviation(engine: str) -> None:
    drawn = np.concatenate([noise(ENGINES[engine](seed), [np.arange(0)]) for seed in range(150)])
    drawn /= 1.5 * 2.0 / 10.0
    assert len(drawn) == 150 * 26
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    # 3900 independent numbers: mean within 4/√n, variance within 4 √(2/n).
    assert abs(drawn.mean()) < 4 / np.sqrt(len(drawn))
    assert abs(drawn.var() - 1) < 4 * np.sqrt(2 / len(drawn))
    assert len(np.unique(drawn)) == len(drawn)


@pytest.mark.parametrize("engine", ENGINES)
def test_each_step_draws_new_noise(engine: str) -> None:
    one, two = noise(ENGINES[engine](), [np.arange(0)]), noise(ENGINES[engine](), [np.arange(0)] * 2)
    second = (two - one) / 0.3
    assert abs(np.corrcoef(one, second)[0, 1]) < 0.6
    assert 0.4 < second.std() < 1.7


@pytest.mark.untraced
@pytest.mark.parametrize("engine", ENGINES)
def test_noise_is_added_once_per_batch_of_any_number_of_microbatches(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [np.arange(20)]
    objective = Objective(mechanism=DPMechanism(FlatClipping(MIDDLE), 1.0, 10.0))
    whole = train_epoch(ENGINES[engine](), objective, rows)
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", 3)
    same_run(train_epoch(ENGINES[engine](), objective, rows), whole)


@pytest.mark.parametrize("engine", [NumpyEngine(), JaxEngine()], ids=["numpy", "jax"])
def test_noise_without_a_random_source_is_refused(engine: Engine) -> None:
    objective = Objective(mechanism=DPMechanism(FlatClipping(1.0), 1.0, 10.0))
    with pytest.raises(ParameterError, match=r"needs? randomness"):
        train_epoch(engine, objective, [np.arange(3)])


@pytest.mark.untraced
def test_engines_agree_on_poisson_batches_without_noise() -> None:
    batches = next(poisson_batches(40, 0.2, 12, np.random.RandomState(0)))
    objective = Objective(alpha=0.01, mechanism=DPMechanism(FlatClipping(MIDDLE), None, 8.0))
    same_run(train_epoch(JaxEngine(), objective, batches), train_epoch(NumpyEngine(), objective, batches))


@pytest.mark.untraced
@pytest.mark.parametrize("resident", [False, True])
def test_padding_of_an_empty_batch_does_not_use_the_first_row(resident: bool) -> None:
    """Row 0 is the padding row here, and overflows when multiplied."""
    extreme = Dataset(np.where(np.arange(40)[:, None] == 0, 3e38, X).astype("float32"), Y.astype("float32"))
    net = Network.create([3, 4, 2], activation="identity", random_state=0)
    recipe = TrainConfig(
        net, optimizers.sgd(), Objective(alpha=0.1, mechanism=DPMechanism(FlatClipping(1.0), None, 2.0))
    )
    batches = [np.arange(3, 5), np.arange(0), np.arange(7, 9)]
    ours, theirs = (
        engine.run_batches(recipe, init_state(recipe), extreme, batches, [0.1] * 3)
        for engine in (JaxEngine(resident=resident), NumpyEngine())
    )
    assert ours.finite
    close(ours.layers, theirs.layers, rtol=1e-5)


def test_row_that_overflows_a_hidden_unit_adds_nothing_to_the_sum() -> None:
    # Its dZ is set to 0, but 0 times an infinite H would give nan in the layer's matrix product.
    ones = [
        (np.ones((2, 3), "float32"), np.zeros(2, "float32")),
        (np.ones((1, 2), "float32"), np.zeros(1, "float32")),
    ]
    net = Network.from_weights(ones, activation="identity", head="squared_error")
    B, zero = np.full((3, 2), [3e38, 1.0], "float32"), np.zeros((1, 2), "float32")
    mechanism = DPMechanism(FlatClipping(1.0), None, 2.0)
    with np.errstate(over="ignore", invalid="ignore"):
        both, _ = microbatch_gradient(net, Batch(B, zero, None), 0.5, (None,), mechanism)
    alone, _ = microbatch_gradient(net, Batch(B[:, 1:], zero[:, 1:], None), 0.5, (None,), mechanism)
    close(both.gradient, alone.gradient, rtol=1e-6)


EXTREME: dict[str, Any] = {
    "a row": (np.full((1, 3), 3e38), np.array([[1.0, 0.0]])),
    "a row of both signs": (np.array([[3e38, -3e38, 3e38]]), np.array([[0.0, 1.0]])),
    "a target": (np.ones((1, 3)), np.array([[1e30, 0.0]])),
}


def some_networks() -> list[tuple[str, ...]]:
    """All on NumPy's engine; on JAX, which compiles each, every activation, head and clipping once."""
    names = ["relu", "identity", "tanh"], ["softmax", "sigmoid", "squared_error"], list(CLIPPINGS)
    return [
        (engine, *(of[i] for of, i in zip(names, places, strict=True)))
        for engine in ENGINES
        for places in product(range(3), repeat=3)
        if engine == "numpy" or places in {(0, 0, 0), (1, 2, 1), (2, 1, 2)}
    ]


@pytest.mark.untraced
@pytest.mark.parametrize("extreme", EXTREME)
@pytest.mark.parametrize(("engine", "activation", "head", "name"), some_networks())
def test_overflowing_row_changes_the_sum_by_at_most_the_limit(
    engine: str, extreme: str, activation: str, head: str, name: str
) -> None:
    """Its norm is infinite or nan, or that of the target is clipped; the other rows train as without it."""
    row, target = EXTREME[extreme]
    table = Dataset(
        *(np.concatenate(pair).astype("float32") for pair in ((X[:8], row), (Y[:8], target))),
    )
    net = Network.create([3, 4, 2], activation=activation, head=head, random_state=0)
    objective = Objective(mechanism=DPMechanism(CLIPPINGS[name], None, 8.0))
    recipe = TrainConfig(net, optimizers.sgd(), objective)
    with_it, without = (
        one.run_batches(recipe, init_state(recipe), table, [np.arange(n)], [0.5])
        for one, n in ((ENGINES[engine](), 9), (NumpyEngine(), 8))
    )
    assert with_it.finite
    assert np.isfinite(with_it.losses).all()
    pairs = zip(leaves(with_it.layers), leaves(without.layers), strict=True)
    moved = np.sqrt(sum(((np.asarray(one) - other) ** 2).sum() for one, other in pairs))
    # A tanh saturates here, so the layers above may see an ordinary row. The target's norm is a number.
    is_clipped = activation == "tanh" or extreme == "a target"
    assert moved <= (0.5 * MIDDLE / 8.0 if is_clipped else 0.0) + 1e-5
