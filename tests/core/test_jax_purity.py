"""The JAX engine modifies neither its inputs nor the process, and returns plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop import optimizers, schedules
from batchprop.backprop import backprop
from batchprop.batches import Dataset, minibatches
from batchprop.engines import compiled, padding
from batchprop.engines import jax as jax_engine
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.optimizers import OPTIMIZERS
from batchprop.training import EpochRecord, EpochResult, TrainConfig, init_state, train
from tests.core.comparisons import in_dtype, leaves

N = 40
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
TABLE = Dataset(X, np.eye(2)[(X @ [1.0, -2.0, 0.5] > 0).astype(int)], RNG.uniform(0.5, 2.0, size=N))
NET = Network.create([3, 5, 2], activation="tanh", random_state=0, dtype="float64")


def use_small_chunks(monkeypatch: pytest.MonkeyPatch, *, large: bool) -> None:
    monkeypatch.setattr(padding, "CHUNK_BYTES", 2 * 8 * 5 * 8)
    if large:
        monkeypatch.setattr(jax_engine, "LARGE_BYTES", 0)


def epochs(engine: JaxEngine, count: int, dtype: str = "float64", **objective: Any) -> list[EpochRecord]:
    table = Dataset(*(np.asarray(part, dtype) for part in TABLE))
    net = NET.replace_layers(in_dtype(NET.layers, dtype))
    recipe = TrainConfig(net, optimizers.adam(), Objective(**objective))
    plan = minibatches(N, 8, np.random.RandomState(0))
    return list(
        islice(train(recipe, init_state(recipe), table, plan, schedules.constant(0.05), engine), count)
    )


def copies(state: Any) -> list[np.ndarray]:
    return [np.array(leaf) for leaf in leaves(state)]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("resident", [False, True])
def test_input_state_is_not_modified(large: bool, resident: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_chunks(monkeypatch, large=large)
    engine = JaxEngine(resident=resident)
    recipe = TrainConfig(NET, optimizers.adam(), Objective(alpha=0.1))
    state, rows = init_state(recipe), next(minibatches(N, 8))
    for _ in range(3):
        before = copies(state)
        once, again = (engine.run_batches(recipe, state, TABLE, rows, [0.05] * 5) for _ in range(2))
        for leaf, copy in zip(copies(state), before, strict=True):
            assert np.array_equal(leaf, copy)
        assert once.losses == again.losses
        state = once.state


@pytest.mark.parametrize("large", [False, True])
def test_earlier_records_stay_usable(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_chunks(monkeypatch, large=large)
    run = epochs(JaxEngine(), 4)
    first = run[0]
    losses = [float(np.mean(NumpyEngine().map_rows(loss_of, as_numpy(epoch), X, TABLE.Y))) for epoch in run]
    assert len(set(losses)) == 4
    recipe = TrainConfig(NET, optimizers.adam(), Objective())
    rest = JaxEngine().run_batches(recipe, first.state, TABLE, next(minibatches(N, 8)), [0.05] * 5)
    assert rest.finite
    assert first.state.steps == 5


def as_numpy(epoch: EpochRecord) -> Network:
    return epoch.network.replace_layers(jax.tree.map(np.asarray, epoch.network.layers))


def loss_of(net: Network, B: Any, Y: Any) -> Any:
    return backprop(net, B, Y).losses


@pytest.mark.parametrize("resident", [False, True])
def test_numpy_arrays_are_not_modified(resident: bool) -> None:
    given = [np.array(part) for part in (*TABLE, *leaves(NET.layers))]
    rows = next(minibatches(N, 8))
    order = [part.copy() for part in rows]
    engine = JaxEngine(resident=resident)
    recipe = TrainConfig(NET, optimizers.adam(), Objective())
    rates = [0.05] * 5
    engine.run_batches(recipe, init_state(recipe), TABLE, rows, rates)
    engine.value_and_gradient(NET, TABLE, rows[0], Objective())
    engine.map_rows(loss_of, NET, X, TABLE.Y)
    for part, copy in zip((*TABLE, *leaves(NET.layers)), given, strict=True):
        assert np.array_equal(part, copy)
        assert part.flags.writeable
    assert rates == [0.05] * 5
    for part, copy in zip(rows, order, strict=True):
        assert np.array_equal(part, copy)


@pytest.mark.parametrize(("name", "size"), [*zip(OPTIMIZERS, cycle([4096, 3]), strict=False)])
def test_counters_are_python_integers(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", size)
    engine, recipe = JaxEngine(), TrainConfig(NET, OPTIMIZERS[name](), Objective())
    ran = EpochResult(init_state(recipe), (), [], finite=True)
    for number in (1, 2):
        ran = engine.run_batches(recipe, ran.state, TABLE, next(minibatches(N, 8)), [0.05] * 5)
        assert type(ran.state.steps) is int
        assert ran.state.steps == 5 * number
        scalars = [leaf for leaf in leaves(ran.state) if not getattr(leaf, "ndim", 0)]
        assert {type(leaf) for leaf in scalars} == {int}
        assert type(ran.finite) is bool
        assert {type(loss) for loss in ran.losses} == {float}


SETTINGS: dict[str, Callable[[Any], Any]] = {
    "nesterov": lambda kind: optimizers.Nesterov(kind(0.9)),
    "adamw": lambda kind: optimizers.AdamW(optimizers.Adam(kind(0.9), kind(0.999), kind(1e-8)), kind(0.01)),
}


# AdamW holds Adam. Only float32 can be lifted by the optimiser's numbers; of float64 one shows that it stays.
@pytest.mark.parametrize(
    ("name", "dtype"), [("nesterov", "float32"), ("adamw", "float32"), ("adamw", "float64")]
)
def test_numpy_scalars_do_not_promote_the_dtype(name: str, dtype: str) -> None:
    table = Dataset(*(np.asarray(part, dtype) for part in TABLE))
    net = NET.replace_layers(in_dtype(NET.layers, dtype))
    results = []
    kind: Any
    for kind in (float, np.float64, np.float32 if dtype == "float32" else np.float64):
        objective = Objective(kind(0.125), (kind(0.25),), kind(0.5), kind(0.5))
        recipe = TrainConfig(net, SETTINGS[name](kind), objective)
        rates = [kind(0.0625)] * 5
        ran = JaxEngine(seed=0).run_batches(recipe, init_state(recipe), table, next(minibatches(N, 8)), rates)
        assert {leaf.dtype.name for leaf in leaves(ran.state) if hasattr(leaf, "dtype")} == {dtype}
        results.append(ran.losses)
    assert results[0] == results[1]
    assert_allclose(results[2], results[0], rtol=1e-6)


def test_float32_stays_float32_in_every_method() -> None:
    net = NET.replace_layers(in_dtype(NET.layers, "float32"))
    table = Dataset(*(np.asarray(part, "float32") for part in TABLE))
    engine = JaxEngine()
    loss, gradient = engine.value_and_gradient(net, table, np.arange(9), Objective(alpha=0.1))
    assert np.asarray(loss).dtype == "float32"
    assert {leaf.dtype.name for leaf in leaves(gradient)} == {"float32"}
    assert engine.map_rows(loss_of, net, table.X, table.Y).dtype == "float32"


# ---- the process


def configuration() -> tuple[Any, ...]:
    """JAX's settings, as a user's program sees them."""
    config: Any = jax.config
    return (
        config.jax_enable_x64,
        config.jax_default_device,
        config.jax_default_matmul_precision,
        jnp.ones(1).dtype,
        jnp.ones(1).devices(),
        (jnp.ones(1) * 1.5).dtype,
    )


def call_every_method(engine: JaxEngine) -> None:
    recipe = TrainConfig(NET, optimizers.adam(), Objective(dropout=(0.5,)))
    engine.run_batches(recipe, init_state(recipe), TABLE, next(minibatches(N, 8)), [0.05] * 5)
    engine.value_and_gradient(NET, TABLE, np.arange(5), Objective())
    engine.map_rows(loss_of, NET, X, TABLE.Y)


@pytest.mark.parametrize("x64", [False, True])
def test_global_jax_settings_are_unchanged(x64: bool) -> None:
    with jax.enable_x64(x64):
        before = configuration()
        call_every_method(JaxEngine("cpu", seed=0, precision="float32"))
        assert configuration() == before


@pytest.mark.parametrize("program", ["run", "accumulate", "map_rows"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_global_jax_settings_are_unchanged_after_a_failure(
    program: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        assert configuration()[0]
        raise error

    before = configuration()
    monkeypatch.setattr(jax_engine, program, fails)
    with pytest.raises(error):
        call_every_method(JaxEngine("cpu", seed=0, precision="float32"))
    assert configuration() == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_of_records_keep_the_training_dtype(dtype: str) -> None:
    """Callbacks use the network in its training dtype, outside the engine."""
    for epoch in epochs(JaxEngine(), 2, dtype):
        step = backprop(epoch.network, X.T.astype(dtype), TABLE.Y.T.astype(dtype))
        plain = backprop(as_numpy(epoch), X.T.astype(dtype), TABLE.Y.T.astype(dtype))
        assert {str(matrix.dtype) for matrix in (*step.Z, *step.H, *step.dZ)} == {dtype}
        assert_allclose(step.losses, plain.losses, rtol=1e-5 if dtype == "float32" else 1e-10)


def test_states_of_earlier_chunks_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch of a thousand chunks keeps a few states alive, not a thousand."""
    use_small_chunks(monkeypatch, large=False)
    alive: list[int] = []
    recipe = TrainConfig(NET, optimizers.adam(), Objective())

    def watched(*arguments: Any) -> Any:
        alive.append(sum(array.shape == (5, 3) for array in jax.live_arrays()))
        return compiled.run(*arguments)

    monkeypatch.setattr(jax_engine, "run", watched)
    rows = [part for epoch in islice(minibatches(N, 8), 8) for part in epoch]
    JaxEngine().run_batches(recipe, init_state(recipe), TABLE, rows, [0.05] * len(rows))
    assert len(alive) == 20
    # W and Adam's two moments, of the previous chunk and the one before it.
    assert max(alive[4:]) <= alive[0] + 3 * 3
