"""The JAX engine matches NumPy's steps: every optimiser, objective, batch type and execution mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import cycle, islice, product
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from batchprop import batches, optimizers, schedules
from batchprop.batches import Dataset, EpochBatches, Indices, minibatches
from batchprop.engines import jax as jax_engine
from batchprop.engines import padding
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine
from batchprop.errors import DivergedError
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.optimizers import OPTIMIZERS, Optimizer
from batchprop.schedules import Schedule
from batchprop.training import Engine, TrainConfig, init_state, train
from tests.core.comparisons import in_dtype, same_run

N = 30
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
Y = np.eye(2)[(X @ [1.0, -2.0, 0.5] > 0).astype(int)]
WEIGHTS = RNG.uniform(0.5, 2.0, size=N)
TABLE = Dataset(X, Y)
NET = Network.create([3, 4, 2], activation="tanh", random_state=0, dtype="float64")


def use_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two microbatches per chunk."""
    monkeypatch.setattr(padding, "CHUNK_BYTES", 2 * 8 * 5 * 8)
    monkeypatch.setattr(padding, "MAX_CHUNK_SIZE", 2)


def use_donation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Donate the memory of the previous chunk's state."""
    use_small_chunks(monkeypatch)
    monkeypatch.setattr(jax_engine, "LARGE_BYTES", 0)


def split_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split batches into several microbatches, which may continue in the next chunk."""
    use_small_chunks(monkeypatch)
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", 3)


def split_batches_with_donation(monkeypatch: pytest.MonkeyPatch) -> None:
    split_batches(monkeypatch)
    use_donation(monkeypatch)


WAYS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], dict[str, Any]]] = {
    "one feed": (lambda _: None, {}),
    "small feeds": (use_small_chunks, {}),
    "small feeds, in place": (use_donation, {}),
    "microbatches": (split_batches, {}),
    "microbatches, in place": (split_batches_with_donation, {}),
    "on the device": (lambda _: None, {"resident": True}),
    "on the device, microbatches, in place": (split_batches_with_donation, {"resident": True}),
}


@pytest.fixture(params=WAYS)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> JaxEngine:
    """A JAX engine in each execution mode."""
    arrange, settings = WAYS[request.param]
    arrange(monkeypatch)
    return JaxEngine(**settings)


SOME_WAYS = pytest.mark.parametrize(
    "engine", ["one feed", "microbatches, in place", "on the device, microbatches, in place"], indirect=True
)


def in_turn(values: Iterable[Any], n_ways: int = 2) -> list[Any]:
    """Each value with some of the ways, and every way with some value.

    A program is compiled for each pair, but what is trained knows nothing of how it is fed: one way each
    where batches are ordinary ones.
    """
    ways = cycle(WAYS)
    return [
        pytest.param(way, value, id=f"{way}-{value}" if isinstance(value, str) else f"{way}-{number}")
        for number, value in enumerate(values)
        for way in islice(ways, n_ways)
    ]


def ways_with(name: str, values: Iterable[Any], n_ways: int = 2) -> pytest.MarkDecorator:
    """Run a test for each value on engines that run in some of the ways."""
    return pytest.mark.parametrize(("engine", name), in_turn(values, n_ways), indirect=["engine"])


def check_same_training(
    engine: Engine,
    optimizer: Optimizer | None = None,
    *,
    table: Dataset = TABLE,
    epochs: Any = None,
    schedule: Schedule | None = None,
    **objective: Any,
) -> None:
    """Train two epochs (default batches of 8, 8, 8 and 6) on this engine and on NumPy's, and compare."""
    recipe = TrainConfig(NET, optimizer or optimizers.adam(), Objective(**objective))
    epochs = epochs or list(islice(minibatches(N, 8, np.random.RandomState(0)), 2))
    schedule, reference = schedule or schedules.constant(0.05), NumpyEngine()
    ours = theirs = init_state(recipe)
    for rows in epochs:
        rates = [schedule(theirs.steps + i) for i in range(len(rows))]
        mine, numpys = (
            one.run_batches(recipe, state, table, rows, rates)
            for one, state in ((engine, ours), (reference, theirs))
        )
        same_run(mine, numpys)
        ours, theirs = mine.state, numpys.state


@ways_with("name", OPTIMIZERS, n_ways=1)
def test_every_optimiser_matches_numpy(engine: JaxEngine, name: str) -> None:
    check_same_training(engine, OPTIMIZERS[name]())


OBJECTIVES: dict[str, dict[str, Any]] = {
    "penalty": {"alpha": 0.7},
    "limit": {"max_grad_norm": 0.05},
    "limit out of reach": {"max_grad_norm": 1e6},
    "all": {"alpha": 0.7, "max_grad_norm": 0.05, "loss_scale": 0.5},
}


@ways_with("name", OBJECTIVES, n_ways=1)
def test_every_objective_matches_numpy(engine: JaxEngine, name: str) -> None:
    check_same_training(engine, table=TABLE._replace(weights=WEIGHTS), **OBJECTIVES[name])


PLANS: dict[str, Schedule] = {
    "cosine": schedules.cosine(0.1, 8),
    "warmup_cosine": schedules.warmup_cosine(0.1, 8, 0.5),
    "one_cycle": schedules.one_cycle(0.1, 8, 0.3),
    "by hand": lambda step: [0.5, 0.0, 0.1, 0.02][step % 4],
}


@ways_with("plan", PLANS, n_ways=1)
def test_each_batch_uses_its_own_learning_rate(engine: JaxEngine, plan: str) -> None:
    check_same_training(engine, optimizers.momentum(), schedule=PLANS[plan])


EMPTY: Indices = np.arange(0)


def batches_of_sizes(*sizes: int) -> list[Indices]:
    rng = np.random.default_rng(1)
    return [rng.permutation(N)[:size] for size in sizes]


EPOCHS: dict[str, list[EpochBatches]] = {
    "one row at a time": [batches_of_sizes(*[1] * 9)],
    "all rows": [batches_of_sizes(N)] * 3,
    "a short last batch": [batches_of_sizes(8, 8, 1)] * 2,
    "a long last batch": [batches_of_sizes(8, 8, 11)],
    "a last batch of none": [[*batches_of_sizes(8, 8), EMPTY]],
    "one batch of none": [[EMPTY]],
    "batches of none": [[EMPTY, *batches_of_sizes(5), EMPTY, EMPTY, *batches_of_sizes(7)]],
    "growing and shrinking": [
        batches_of_sizes(3, 3),
        batches_of_sizes(8, 8, 2),
        batches_of_sizes(1, 2, 3, 9),
        batches_of_sizes(3, 3),
    ],
    "rows twice": [[np.array([4, 4, 4, 1]), np.array([1, 4])]],
    "rows of 32 bits": [[rows.astype("int32") for rows in batches_of_sizes(8, 8, 3)]],
    "poisson": list(islice(batches.poisson_batches(N, 0.2, 6, np.random.RandomState(3)), 3)),
    "poisson, mostly none": list(islice(batches.poisson_batches(N, 0.02, 6, np.random.RandomState(0)), 2)),
}


# How a batch is cut into parts and feeds depends on both; NumPy alone cuts them in test_padding.py.
@ways_with("kind", EPOCHS, n_ways=1)
def test_batches_of_every_size_match_numpy(engine: JaxEngine, kind: str) -> None:
    check_same_training(engine, epochs=EPOCHS[kind], alpha=0.3)


@ways_with("kind", ["a short last batch", "poisson"], n_ways=4)
def test_weighted_batches_of_every_size_match_numpy(engine: JaxEngine, kind: str) -> None:
    check_same_training(engine, epochs=EPOCHS[kind], alpha=0.3, table=TABLE._replace(weights=WEIGHTS))


@SOME_WAYS
def test_batches_of_zero_weight_match_numpy(engine: JaxEngine) -> None:
    weights = np.where(np.arange(N) < 20, 0.0, WEIGHTS)
    epochs = [[np.arange(8), np.arange(16, 24), np.arange(8, 16), np.arange(20, 30)]]
    check_same_training(engine, table=TABLE._replace(weights=weights), epochs=epochs, alpha=1.0)


@ways_with("given", product([sparse.csr_array, sparse.csr_matrix], [None, WEIGHTS]), n_ways=1)
def test_sparse_rows_match_numpy(engine: JaxEngine, given: tuple[Any, Any]) -> None:
    (kind, weights), thin = given, np.where(X > 0.3, X, 0.0)
    check_same_training(engine, table=Dataset(kind(thin), Y, weights))


@ways_with("order", ["F", "strided", "read-only"], n_ways=3)
def test_tables_of_any_memory_layout_match_numpy(engine: JaxEngine, order: str) -> None:
    table = np.asfortranarray(X) if order == "F" else np.repeat(X, 2, axis=0)[::2]
    table.setflags(write=order != "read-only")
    check_same_training(engine, table=TABLE._replace(X=table))


@pytest.mark.parametrize("way", ["small feeds, in place", "microbatches, in place"])
def test_donation_is_used_where_enabled(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WAYS[way][0](monkeypatch)
    calls: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        program = getattr(jax_engine, name)

        def call(*arguments: Any) -> Any:
            calls.append(name)
            return program(*arguments)

        return call

    for name in ("run", "run_donated"):
        monkeypatch.setattr(jax_engine, name, counted(name))
    check_same_training(JaxEngine(), epochs=[batches_of_sizes(8, 8, 8, 8, 8)])
    assert calls[0] == "run"
    assert len(calls) > 2
    assert set(calls[1:]) == {"run_donated"}


# ---- divergence


def records(engine: Engine, table: Dataset, rate: float, dtype: str = "float32") -> Any:
    net = Network.create([3, 8, 2], activation="identity", head="squared_error", random_state=0, dtype=dtype)
    recipe = TrainConfig(net, optimizers.sgd(), Objective())
    table = Dataset(table.X.astype(dtype), table.Y.astype(dtype), table.weights)
    return train(recipe, init_state(recipe), table, minibatches(N, 7), schedules.constant(rate), engine)


@ways_with("rate", [3.0, 50.0, 1e6, 1e30], n_ways=1)
def test_divergence_error_names_the_same_batch_as_numpy(engine: JaxEngine, rate: float) -> None:
    errors = []
    for one in (engine, NumpyEngine()):
        with pytest.raises(DivergedError) as caught:
            list(islice(records(one, TABLE, rate), 60))
        # Whether large numbers of both signs sum to infinity or nan depends on the order.
        errors.append(str(caught.value).replace("became nan", "became inf"))
    assert errors[0] == errors[1]


@SOME_WAYS
def test_nan_in_the_table_is_reported_with_its_batch(engine: JaxEngine) -> None:
    bad = X.copy()
    bad[16] = np.nan
    with pytest.raises(DivergedError, match="loss became nan in epoch 1, batch 3 "):
        next(records(engine, TABLE._replace(X=bad), 0.01))


@SOME_WAYS
def test_weights_that_overflow_in_the_last_step_are_an_error(engine: JaxEngine) -> None:
    net = Network.create([3, 1], head="squared_error", random_state=0)
    recipe = TrainConfig(net, optimizers.sgd(), Objective())
    table = Dataset(X.astype("float32"), X[:, :1].astype("float32"))
    run = train(recipe, init_state(recipe), table, minibatches(N, N), schedules.constant(1e39), engine)
    with pytest.raises(DivergedError, match=r"weights stopped being finite in epoch 1.*rate 1·10³⁹\)"):
        next(run)


@pytest.mark.parametrize("where", ["no row", "no weight"])
def test_excluded_rows_may_be_infinite(where: str) -> None:
    """NumPy skips the rows of a batch of zero weight."""
    bad, weights = X.copy(), WEIGHTS.copy()
    bad[0] = np.inf
    weights[0] = 0.0
    epochs = [[np.array([3, 4]), EMPTY if where == "no row" else np.array([0]), np.array([5, 6])]]
    check_same_training(JaxEngine(), table=Dataset(bad, Y, weights), epochs=epochs)


@pytest.mark.parametrize("engine", ["microbatches, in place"], indirect=True)
def test_float32_matches_numpy(engine: JaxEngine) -> None:
    recipe = TrainConfig(
        NET.replace_layers(in_dtype(NET.layers, "float32")),
        optimizers.adamw(),
        Objective(alpha=0.1, max_grad_norm=0.5),
    )
    table = Dataset(X.astype("float32"), Y.astype("float32"), WEIGHTS.astype("float32"))
    rows = next(minibatches(N, 8, np.random.RandomState(0)))
    ours, theirs = (
        one.run_batches(recipe, init_state(recipe), table, rows, [0.05] * 4)
        for one in (engine, NumpyEngine())
    )
    same_run(ours, theirs, within=1e-5)
