"""Stopping a fit on the JAX engine: callbacks, Ctrl-C between epochs and chunks, divergence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.backprop import backprop
from batchprop.engines import compiled, padding
from batchprop.engines import jax as jax_engine
from batchprop.errors import DivergedError
from batchprop.training import EpochRecord
from tests.estimators.tables import estimator, quiet, table
from tests.estimators.test_engines import alike, pair

pytestmark = quiet


@pytest.mark.untraced
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_callbacks_can_run_the_network(solver: str, dtype: str) -> None:
    """A callback that runs the network gets the same result as on NumPy."""
    X, y = table("single", rows=240, dtype=dtype)
    curves = []
    for engine in ("jax", "numpy"):
        losses: list[float] = []

        def look(epoch: EpochRecord, losses: list[float] = losses) -> None:
            net, kind = epoch.network, epoch.network.layers[0].W.dtype
            losses.append(float(backprop(net, X.T.astype(kind), y[None].astype(kind)).loss))

        estimator("single", engine=engine, solver=solver, dtype=dtype, max_iter=4, callbacks=[look]).fit(X, y)
        curves.append(losses)
    assert_allclose(curves[0], curves[1], rtol=1e-4 if dtype == "float32" else 1e-6)


@pytest.mark.untraced
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callback_stops_training(solver: str) -> None:
    X, y = table("binary")
    ours, theirs = pair("binary", solver=solver, callbacks=[lambda epoch: epoch.number == 3])
    alike(ours.fit(X, y), theirs.fit(X, y), X, y, 1e-6)
    assert ours.n_iter_ == 3


def interrupt_in(epoch_number: int) -> Any:
    def callback(epoch: EpochRecord) -> None:
        if epoch.number == epoch_number:
            raise KeyboardInterrupt

    return callback


@pytest.mark.untraced
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.filterwarnings("ignore:Training interrupted by user. Ctrl-C")
def test_an_interrupted_fit_keeps_its_weights(solver: str) -> None:
    X, y = table("binary")
    ours, theirs = pair("binary", solver=solver, callbacks=[interrupt_in(4)])
    alike(ours.fit(X, y), theirs.fit(X, y), X, y, 1e-6)
    assert ours.interrupted_
    assert len(ours.loss_curve_) == 4


def stops_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise KeyboardInterrupt between two chunks, after so many."""
    left = iter(range(calls))

    def run(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return compiled.run(*arguments)

    monkeypatch.setattr(jax_engine, "run", run)


@pytest.mark.untraced
@pytest.mark.parametrize("large", [False, True])
def test_interrupt_between_chunks_keeps_the_last_epoch(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table("binary")
    monkeypatch.setattr(padding, "CHUNK_BYTES", 1)
    parameters: dict[str, Any] = {"batch_size": 30, "engine": "jax", "dtype": "float64"}
    shorter = estimator("binary", max_iter=2, **parameters).fit(X, y)
    if large:
        monkeypatch.setattr(jax_engine, "LARGE_BYTES", 0)
    # Four batches are four chunks: Ctrl-C comes in the middle or at the start of the third epoch.
    stops_after(2 if large else 10, monkeypatch)
    with pytest.warns(UserWarning, match="Ctrl-C ended training after 2 epochs"):
        model = estimator("binary", **parameters).fit(X, y)
    assert model.interrupted_
    for array, reference in zip(model.coefs_, shorter.coefs_, strict=True):
        assert np.array_equal(array, reference)
    assert model.score(X, y) == shorter.score(X, y)


@pytest.mark.untraced
def test_interrupt_in_the_first_epoch_keeps_the_initial_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = table("binary")
    monkeypatch.setattr(padding, "CHUNK_BYTES", 1)
    stops_after(2, monkeypatch)
    with pytest.warns(UserWarning, match="Ctrl-C ended training after 0 epochs"):
        model = estimator("binary", batch_size=30, engine="jax").fit(X, y)
    untrained = estimator("binary", learning_rate_init=1e-30, max_iter=1, engine="numpy").fit(X, y)
    assert_allclose(model.coefs_[0], untrained.coefs_[0])


def test_an_interrupted_early_stopping_keeps_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table("multiclass")
    parameters: dict[str, Any] = {
        "early_stopping": True,
        "engine": "jax",
        "learning_rate_init": 1.0,
        "max_iter": 30,
        "dtype": "float64",
    }
    nets: list[EpochRecord] = []
    seen = estimator("multiclass", callbacks=[nets.append], **parameters).fit(X, y)
    best = seen.best_iteration_
    assert best < seen.n_iter_
    stops_after(seen.n_iter_ - 1, monkeypatch)
    with pytest.warns(UserWarning, match=f"Ctrl-C ended training after {seen.n_iter_ - 1} epochs"):
        model = estimator("multiclass", **parameters).fit(X, y)
    assert model.best_iteration_ == best
    assert np.array_equal(model.coefs_[0], np.asarray(nets[best - 1].network.layers[0].W).T)


@pytest.mark.untraced
def test_divergence_error_matches_numpy() -> None:
    X, y = table("single")
    errors = []
    for engine in ("jax", "numpy"):
        with pytest.raises(DivergedError) as caught:
            estimator(
                "single",
                engine=engine,
                solver="sgd",
                learning_rate_init=1e3,
                max_iter=50,
                activation="identity",
            ).fit(X, y)
        # Whether large numbers of both signs sum to infinity or nan depends on the order.
        errors.append(str(caught.value).replace("became nan", "became inf"))
    assert errors[0] == errors[1]
    assert "batch" in errors[0]
