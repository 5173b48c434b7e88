"""Promises of private fits that could break without a word: each way round is tried."""

from __future__ import annotations

import math
from typing import Any

import pytest

from batchprop.errors import ParameterError
from batchprop.privacy import Privacy
from tests.estimators.tables import estimator, quiet, table

NOISY = Privacy(delta=1e-5, noise_multiplier=1.0)
X, Y = table("multiclass")


def private(**settings: Any) -> Any:
    given = {"max_iter": 2, "batch_size": 16, "privacy": NOISY, "dtype": "float64"} | settings
    return estimator("multiclass").set_params(**given)


@quiet
def test_private_training_does_not_go_on_from_lbfgs() -> None:
    model = private(privacy=None, solver="lbfgs", warm_start=True).fit(X, Y)
    with pytest.raises(ParameterError, match="trained without privacy"):
        model.set_params(privacy=NOISY, solver="adam").fit(X, Y)
    with pytest.raises(ParameterError, match="trained without privacy"):
        model.partial_fit(X, Y)


@quiet
def test_lbfgs_from_private_weights_promises_nothing() -> None:
    model = private(warm_start=True).fit(X, Y)
    assert math.isfinite(model.privacy_spent_.epsilon)
    assert model.set_params(privacy=None, solver="lbfgs").fit(X, Y).privacy_spent_ is None


class BrokenError(Exception):
    """What a callback raises."""


def breaks(epoch: Any) -> None:
    raise BrokenError


@quiet
@pytest.mark.parametrize("before", [None, NOISY])
def test_a_private_fit_that_failed_leaves_no_weights_of_another_account(before: Any) -> None:
    model = private(privacy=before, max_iter=50).fit(X, Y)
    with pytest.raises(BrokenError):
        model.set_params(privacy=NOISY, callbacks=[breaks], max_iter=1).fit(X, Y)
    assert not hasattr(model, "coefs_")
    model.set_params(callbacks=None, warm_start=True).fit(X, Y)
    assert model.n_iter_ == 1


@quiet
@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_a_shuffled_run_stays_in_the_account(again: str) -> None:
    shuffled = Privacy(delta=1e-5, noise_multiplier=1.0, sampling="shuffled")
    model = private(privacy=shuffled, warm_start=True).fit(X, Y)
    getattr(model.set_params(privacy=NOISY), again)(X, Y)
    spent = model.privacy_spent_
    assert spent.epsilon == math.inf
    assert spent.sampling == "shuffled"
    assert [run.sampling for run in spent.runs] == ["shuffled", "poisson"]
    assert "No epsilon is promised: batches were shuffled" in str(spent)
    with pytest.raises(ParameterError, match="epsilon=50 cannot be promised after a run with shuffled"):
        getattr(model.set_params(privacy=Privacy(epsilon=50, delta=1e-5)), again)(X, Y)
