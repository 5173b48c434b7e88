"""Ways to break the guarantee of private fits silently: each is tried."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from batchprop.activations import ACTIVATIONS, Activation
from batchprop.arrays import namespace
from batchprop.errors import ParameterError
from batchprop.estimators import fit as fit_module
from batchprop.privacy import Privacy
from batchprop.training import run_epochs
from tests.estimators.tables import estimator, quiet, table

NOISY = Privacy(delta=1e-5, noise_multiplier=1.0)
X, Y = table("multiclass")


def private(**settings: Any) -> Any:
    given = {"max_iter": 2, "batch_size": 16, "privacy": NOISY, "dtype": "float64"} | settings
    return estimator("multiclass").set_params(**given)


@quiet
def test_private_training_from_lbfgs_weights_is_refused() -> None:
    model = private(privacy=None, solver="lbfgs", warm_start=True).fit(X, Y)
    with pytest.raises(ParameterError, match="trained without privacy"):
        model.set_params(privacy=NOISY, solver="adam").fit(X, Y)
    with pytest.raises(ParameterError, match="trained without privacy"):
        model.partial_fit(X, Y)


@quiet
def test_lbfgs_from_private_weights_has_no_guarantee() -> None:
    model = private(warm_start=True).fit(X, Y)
    assert math.isfinite(model.privacy_spent_.epsilon)
    assert model.set_params(privacy=None, solver="lbfgs").fit(X, Y).privacy_spent_ is None


class BrokenError(Exception):
    """The exception that a callback raises."""


def raise_broken_error(epoch: Any) -> None:
    raise BrokenError


@quiet
@pytest.mark.parametrize("before", [None, NOISY])
def test_failed_private_fit_removes_earlier_weights(before: Any) -> None:
    model = private(privacy=before, max_iter=50).fit(X, Y)
    with pytest.raises(BrokenError):
        model.set_params(privacy=NOISY, callbacks=[raise_broken_error], max_iter=1).fit(X, Y)
    assert not hasattr(model, "coefs_")
    model.set_params(callbacks=None, warm_start=True).fit(X, Y)
    assert model.n_iter_ == 1


@quiet
@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_shuffled_run_stays_in_the_budget_record(again: str) -> None:
    shuffled = Privacy(delta=1e-5, noise_multiplier=1.0, sampling="shuffled")
    model = private(privacy=shuffled, warm_start=True).fit(X, Y)
    getattr(model.set_params(privacy=NOISY), again)(X, Y)
    spent = model.privacy_spent_
    assert spent.epsilon == math.inf
    assert spent.sampling == "shuffled"
    assert [run.sampling for run in spent.runs] == ["shuffled", "poisson"]
    assert "No epsilon is guaranteed: batches were shuffled" in str(spent)
    with pytest.raises(ParameterError, match="epsilon=50 cannot be guaranteed after a run with shuffled"):
        getattr(model.set_params(privacy=Privacy(epsilon=50, delta=1e-5)), again)(X, Y)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_sampled_batch_sizes_are_not_reported(engine: str) -> None:
    seen: list[Any] = []
    models = [
        private(engine=engine, random_state=seed, max_iter=3, callbacks=[seen.append]).fit(X, Y)
        for seed in range(2)
    ]
    # 120 rows in 8 batches, of 16 on average.
    assert [epoch.rows for epoch in seen] == [128] * 6
    assert [model.t_ for model in models] == [3 * 128] * 2
    assert all(isinstance(model.t_, int) for model in models)


def batches_of(model: Any, monkeypatch: pytest.MonkeyPatch, *calls: str) -> list[list[Any]]:
    """Return the batches of the first epoch of each call."""
    seen: list[list[Any]] = []

    def record_batches(*given: Any) -> Any:
        for number, epoch in enumerate(run_epochs(*given)):
            if number == 0:
                seen.append([rows.tolist() for rows in epoch.batches])
            yield epoch

    monkeypatch.setattr(fit_module, "run_epochs", record_batches)
    for call in calls:
        getattr(model, call)(X, Y)
    return seen


@quiet
@pytest.mark.parametrize("random_state", [0, np.random.RandomState(0)])
def test_seed_gives_different_batches_in_every_call(
    random_state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = private(random_state=random_state, warm_start=True)
    seen = batches_of(model, monkeypatch, "fit", "fit", "partial_fit", "partial_fit")
    assert len(seen) == 4
    firsts = [tuple(map(tuple, batches)) for batches in seen]
    assert len(set(firsts)) == 4
    assert len({batches[0] for batches in firsts}) == 4


def test_seed_reproduces_a_sequence_of_calls() -> None:
    def weights() -> Any:
        model = private(warm_start=True).fit(X, Y)
        return model.partial_fit(X, Y).coefs_[0]

    assert_array_equal(weights(), weights())


@pytest.mark.parametrize("given", [Privacy, SimpleNamespace(noise_multiplier=1.0), "yes"])
def test_privacy_of_the_wrong_type_is_refused_by_name(given: Any) -> None:
    with pytest.raises(ParameterError, match=r"privacy=.* is not allowed: give None, or a batchprop"):
        private(privacy=given).fit(X, Y)


def test_budget_is_spent_even_if_a_callback_raises() -> None:
    model = private(warm_start=True, max_iter=3).fit(X, Y)
    once, weights = model.privacy_spent_, model.coefs_[0]
    with pytest.raises(BrokenError):
        model.set_params(callbacks=[raise_broken_error]).fit(X, Y)
    assert model.privacy_spent_.steps == once.steps + 8
    assert model.privacy_spent_.epsilon > once.epsilon
    assert_array_equal(model.coefs_[0], weights)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize("kind", ["multiclass", "single"])
def test_extreme_row_does_not_end_a_private_fit(kind: str, engine: str) -> None:
    X, y = table(kind)
    X[7] = 3e38
    if kind == "single":
        y[8] = 1e30
    model = estimator(kind).set_params(
        max_iter=3, batch_size=16, privacy=NOISY, engine=engine, dtype="float32"
    )
    model.fit(X, y)
    assert model.n_iter_ == 3
    assert all(np.isfinite(coef).all() for coef in model.coefs_)


def centred(Z: Any) -> Any:
    return Z - namespace(Z).mean(Z, axis=1, keepdims=True)


def of_columns(Z: Any) -> Any:
    return Z - namespace(Z).mean(Z, axis=0, keepdims=True)


TANH = ACTIVATIONS["tanh"]


@pytest.mark.parametrize(
    "leaking",
    [TANH._replace(name="mine", function=centred), TANH._replace(name="mine", derivative=centred)],
)
@pytest.mark.parametrize("layers", [1, 2])
def test_functions_that_mix_the_rows_of_a_batch_are_refused(leaking: Activation, layers: int) -> None:
    activation = leaking if layers == 1 else ["relu", leaking]
    model = private(hidden_layer_sizes=(4,) * layers, activation=activation)
    with pytest.raises(ParameterError, match=r"activation 'mine' does not go with privacy: .* the others"):
        model.fit(X, Y)


@pytest.mark.parametrize(
    "own", [TANH._replace(name="mine"), Activation("mine", of_columns, lambda Z: namespace(Z).ones_like(Z))]
)
def test_custom_activation_can_train_privately(own: Activation) -> None:
    assert private(activation=own).fit(X, Y).privacy_spent_.epsilon > 0


@pytest.mark.parametrize("held", [X, X[:20], X[::3]])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_training_rows_as_validation_rows_are_refused(held: Any, early_stopping: bool) -> None:
    with pytest.raises(ParameterError, match="X_val shares its memory with X"):
        private(early_stopping=early_stopping).fit(X, Y, X_val=held, y_val=Y[: len(held)])


def test_disjoint_views_of_one_array_are_allowed() -> None:
    assert private().fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:]).privacy_spent_.epsilon > 0
    assert private().fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2]).privacy_spent_.epsilon > 0
