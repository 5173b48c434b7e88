"""Counted compilations: hyperparameters are arguments, and shapes are reused where possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import batchprop as bp
from batchprop import heads, optimizers
from batchprop.backprop import output_and_losses, predict
from batchprop.batches import Dataset, minibatches, poisson_batches
from batchprop.engines import jax as jax_engine
from batchprop.engines import padding
from batchprop.engines.jax import JaxEngine
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.training import TrainConfig, TrainState, init_state

COMPILED = "/jax/core/compile/backend_compile_duration"

WIDTHS = count(101)
"""A width that no other program of this process has, for each test."""


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """The names of the programs compiled during the test."""
    names: list[str] = []

    def listen(event: str, duration_secs: float, **about: Any) -> None:
        if event == COMPILED:
            names.append(str(about.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


class Fit:
    """A small network and table with a unique width."""

    def __init__(self, rows: int = 30, head: str | heads.Head = "softmax", dtype: str = "float32") -> None:
        width, rng = next(WIDTHS), np.random.default_rng(0)
        self.net = Network.create([width, 4, 3], head=head, random_state=0, dtype=dtype)
        X = rng.normal(size=(rows, width)).astype(dtype)
        self.table = Dataset(X, np.eye(3, dtype=dtype)[rng.integers(3, size=rows)])

    def run(self, epochs: list[Any], engine: JaxEngine | None = None, **numbers: Any) -> TrainState:
        """Train on a new engine, or on the given one."""
        engine = engine or JaxEngine(seed=0)
        optimizer = optimizers.adamw(numbers.pop("beta_1", 0.9), weight_decay=numbers.pop("decay", 0.1))
        rate, table = numbers.pop("rate", 0.1), self.table._replace(weights=numbers.pop("weights", None))
        recipe = TrainConfig(self.net, optimizer, Objective(**numbers))
        state = init_state(recipe)
        for rows in epochs:
            state = engine.run_batches(recipe, state, table, rows, [rate] * len(rows)).state
        return state


def plan(rows: int, size: int, epochs: int = 3) -> list[Any]:
    return list(islice(minibatches(rows, size, np.random.RandomState(0)), epochs))


def test_fixture_counts_compilations(compiled: list[str]) -> None:
    jax.jit(lambda x: x + next(WIDTHS))(1.0)
    assert len(compiled) == 1


@pytest.mark.parametrize(("dtype", "resident"), [("float32", True), ("float64", False)])
def test_an_epoch_is_one_program(compiled: list[str], dtype: str, resident: bool) -> None:
    fit = Fit(dtype=dtype)
    fit.run(plan(30, 8), JaxEngine(resident=resident))
    assert compiled == ["jit(_run)"]
    fit.run(plan(30, 8), JaxEngine(resident=resident))
    assert compiled == ["jit(_run)"]


@pytest.mark.parametrize("large", [False, True])
def test_many_chunks_need_at_most_two_programs(
    compiled: list[str], large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(padding, "CHUNK_BYTES", 1)
    if large:
        monkeypatch.setattr(jax_engine, "LARGE_BYTES", 0)
    fit = Fit(100)
    fit.run(plan(100, 8))
    assert compiled == ["jit(_run)"] * (2 if large else 1)


def test_hyperparameters_are_arguments_of_the_program(compiled: list[str]) -> None:
    fit = Fit()
    both: dict[str, Any] = {"alpha": 0.1, "dropout": (0.5,), "max_grad_norm": 1.0}
    fit.run(plan(30, 8), **both)
    first = len(compiled)
    assert first
    for numbers in (
        {"rate": 0.01},
        {"rate": np.float64(0.02)},
        {"alpha": 0.5},
        {"beta_1": 0.5},
        {"decay": 0.0},
        {"dropout": (0.1,)},
        {"max_grad_norm": 5},
        {"loss_scale": 0.5},
        {"weights": np.linspace(0, 1, 30, dtype="float32")},
    ):
        fit.run(plan(30, 8), **{**both, **numbers})
    fit.run(plan(30, 8), JaxEngine(seed=7), **both)
    assert compiled[first:] == []


def test_enabled_feature_compiles_another_program(compiled: list[str]) -> None:
    fit, seen = Fit(), 0
    for numbers in ({}, {"alpha": 0.1}, {"dropout": (0.5,)}):
        fit.run(plan(30, 8), **numbers)
        assert len(compiled) > seen
        seen = len(compiled)


def test_the_last_batch_may_have_any_number_of_rows(compiled: list[str]) -> None:
    fit = Fit(32)
    fit.run(plan(32, 8))
    first = len(compiled)
    assert first
    for rows in (25, 26, 31):
        fit.run(plan(rows, 8))
    assert compiled[first:] == []


def test_batches_of_varying_size_share_a_program(compiled: list[str]) -> None:
    fit, engine = Fit(60), JaxEngine()
    epochs = list(islice(poisson_batches(60, 0.2, 5, np.random.RandomState(0)), 20))
    fit.run(epochs, engine)
    # One program for each new largest width, a power of two.
    assert 1 <= len(compiled) <= 2, compiled


def test_equal_head_does_not_recompile(compiled: list[str]) -> None:
    makers: list[Callable[[], heads.Head]] = [
        lambda: heads.get_head("softmax"),
        lambda: heads.softmax(label_smoothing=0.1),
        lambda: heads.sigmoid_cross_entropy(label_smoothing=0.1),
        lambda: heads.huber(0.3),
        lambda: heads.quantile(0.9),
        lambda: heads.softmax_groups([1, 2]),
    ]
    # By this JAX finds a program again.
    assert all(make() == make() and hash(make()) == hash(make()) for make in makers)
    fit = Fit(head=makers[-1]())
    fit.run(plan(30, 8))
    first = len(compiled)
    fit.net = Network(fit.net.layers, fit.net.activations, makers[-1]())
    fit.run(plan(30, 8))
    assert compiled[first:] == []


def test_functions_of_rows_share_a_program(compiled: list[str]) -> None:
    fit = Fit(64)
    engine, X, Y = JaxEngine(), fit.table.X, fit.table.Y
    engine.map_rows(predict, fit.net, X)
    engine.map_rows(output_and_losses, fit.net, X, Y)
    first = len(compiled)
    assert first == 2
    for n in (33, 50, 64):
        JaxEngine().map_rows(predict, fit.net, X[:n])
        JaxEngine().map_rows(output_and_losses, fit.net, X[:n], Y[:n])
    assert compiled[first:] == []


def test_a_line_search_compiles_once(compiled: list[str]) -> None:
    fit, engine = Fit(dtype="float64"), JaxEngine()
    for alpha in (0.1, 0.2, 0.3):
        engine.value_and_gradient(fit.net, fit.table, np.arange(30), Objective(alpha=alpha))
    assert compiled == ["jit(accumulate)"]


# ---- a grid search

GRIDS: dict[str, dict[str, Any]] = {
    "adam": {"dropout": [0.1, 0.5], "beta_1": [0.8, 0.9]},
    "sgd": {"class_weight": [{0: 1.0}, {0: 2.0, 1: 0.5}], "momentum": [0.5, 0.9]},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_search_compiles_three_programs_at_most(compiled: list[str], name: str) -> None:
    rng = np.random.RandomState(0)
    X, y = rng.randn(100, next(WIDTHS)), np.arange(100) % 2
    clf = bp.MLPClassifier(
        (7,),
        solver=name,
        max_iter=3,
        batch_size=32,
        engine="jax",
        random_state=0,
    )
    grid = {"learning_rate_init": [1e-4, 1e-2], **GRIDS[name]}
    search = GridSearchCV(clf, grid, cv=3).fit(X, y)
    assert len(search.cv_results_["params"]) == 8
    # 24 fits of 66 or 67 rows, one of 100, and the prediction.
    assert "jit(_run)" in compiled
    assert len(compiled) <= 3, compiled
    first = len(compiled)
    search.best_estimator_.fit(X, y)
    clone(search.best_estimator_).set_params(learning_rate_init=0.5, random_state=1).fit(X, y)
    assert compiled[first:] == []


@pytest.mark.filterwarnings("ignore:Got .batch_size.*is cut:UserWarning")
def test_partial_fit_chunks_of_any_size_share_a_program(compiled: list[str]) -> None:
    rng = np.random.RandomState(0)
    X, y = rng.randn(5000, next(WIDTHS)), np.arange(5000) % 2
    clf = bp.MLPClassifier((7,), batch_size=64, engine="jax", random_state=0, dropout=0.1)
    for size in (1000, 1500, 777, 64, 63, 20, 4999):
        clf.partial_fit(X[:size], y[:size], classes=[0, 1])
    assert compiled == ["jit(_run)"]
