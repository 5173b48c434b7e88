"""Divergence: an error, or a rewind to the best epoch with a lower learning rate."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import batchprop as bp
from batchprop.errors import DivergedError
from batchprop.estimators import fit as fit_module
from batchprop.estimators.checkpoints import Checkpoints
from tests.estimators.tables import quiet, refused
from tests.estimators.test_checkpoints import DiedError, dying_after, same

pytestmark = quiet


@pytest.fixture(autouse=True)
def one_batch_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "CHUNK_SECONDS", 0.0)


def steep(**parameters: Any) -> tuple[Any, Any, Any]:
    """Rows on which rates of 1 and 1/2 diverge after a while, and a rate of 1/4 does not."""
    rng = np.random.RandomState(0)
    X = rng.randn(400, 3)
    y = X @ [1.0, 2.0, 3.0]
    model = bp.MLPRegressor(
        hidden_layer_sizes=(), solver="sgd", momentum=0, learning_rate_init=4.0, max_iter=12, tol=0,
        batch_size=8, n_iter_no_change=99, random_state=0, **parameters,
    )  # fmt: skip
    return model, X, y


def test_divergence_is_an_error_by_default() -> None:
    model, X, y = steep()
    with pytest.raises(DivergedError):
        model.fit(X, y)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_diverging_fit_rewinds_and_halves_the_learning_rate(engine: str) -> None:
    model, X, y = steep(on_divergence="rewind", engine=engine)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, y)
    messages = [str(warning.message) for warning in told]
    assert any("training continues from the end of epoch" in message for message in messages)
    rewinds = sum("of the learning rate" in message for message in messages)
    assert 1 <= rewinds <= 3
    assert model.learning_rate_curve_[-1] == 4.0 / 2**rewinds
    assert model.loss_curve_[-1] < 1e-3
    assert len(model.loss_curve_) == model.n_iter_ == 12


def test_three_rewinds_are_the_maximum() -> None:
    model, X, y = steep(on_divergence="rewind")
    model.set_params(learning_rate_init=1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DivergedError, match="after going back and halving the learning rate 3 times"):
            model.fit(X, y)


@pytest.mark.parametrize("writes", [150, 300], ids=["between two", "after two"])
def test_checkpoint_stores_the_rewinds(writes: int, tmp_path: Path) -> None:
    model, X, y = steep(on_divergence="rewind")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = model.fit(X, y)
        again, _, _ = steep(on_divergence="rewind")
        with dying_after(writes), pytest.raises(DiedError):
            again.fit(X, y, checkpoint=Checkpoints(tmp_path, "0s"))
        resumed = again.fit(X, y, checkpoint=tmp_path, resume=True)
    same(resumed, whole)


def test_error_begins_with_scikit_learns_sentence_and_names_the_remedy() -> None:
    sentence = (
        "Solver produced non-finite parameter weights. The input data may contain large values and need "
        "to be preprocessed: "
    )
    model, X, y = steep()
    with refused(f"{sentence}the loss became", "(learning rate 4): try a smaller", kind=DivergedError):
        model.fit(X, y)
    with refused(f"{sentence}L-BFGS ended with a loss of", kind=DivergedError):
        bp.MLPRegressor(solver="lbfgs", dtype="float64").fit(1e300 * X, y)
    with refused(f"{sentence}the loss", kind=DivergedError):
        bp.MLPRegressor(solver="sgd", dtype="float64").fit(1e300 * X, y)
    # The same rows cannot even be read in float32.
    with refused(f"{sentence}X contains infinity or a value too large for float32", "rescale such values"):
        bp.MLPRegressor(solver="sgd").fit(1e300 * X, y)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scoring", [None, "loss", "neg_mean_absolute_error"])
def test_early_stopping_keeps_the_best_weights_of_a_fit_that_diverges(
    engine: str, dtype: str, scoring: str | None
) -> None:
    parameters = {"early_stopping": True, "engine": engine, "dtype": dtype, "scoring": scoring}
    rates = [0.1, 0.1, 1e30 if dtype == "float64" else 1e8]

    def rate(step: int) -> float:
        return rates[min(step // 45, 2)]

    model, X, y = steep(**parameters, learning_rate=rate)
    with pytest.warns(RuntimeWarning, match="training ends with the best weights so far, those of epoch 2"):
        model.fit(X, y)
    before, _, _ = steep(**parameters, learning_rate=rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before.set_params(max_iter=2).fit(X, y)
    for one, other in zip(model.coefs_, before.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    # The epoch that diverged counts, as in scikit-learn.
    assert model.n_iter_ == len(model.validation_scores_) == len(model.loss_curve_) == 3
    assert np.isnan(
        [model.loss_curve_[-1], model.validation_scores_[-1], model.validation_loss_curve_[-1]]
    ).all()
    assert isinstance(model.validation_scores_[-1], float)
    assert model.best_iteration_ == 2
    assert model.best_validation_score_ == max(model.validation_scores_[:2])
    # What follows starts from finite weights.
    model.set_params(warm_start=True, learning_rate="constant", learning_rate_init=0.01).fit(X, y)
    assert model.score(X, y) > 0.99


def test_early_stopping_without_best_weights_is_an_error() -> None:
    model, X, y = steep(early_stopping=True)
    with refused("the loss became", "in epoch 1, batch", kind=DivergedError):
        model.set_params(learning_rate_init=1e30).fit(X, y)
    assert not hasattr(model, "coefs_")


def test_saved_fit_that_diverged_under_early_stopping_has_ended(tmp_path: Path) -> None:
    def rate(step: int) -> float:
        return 0.1 if step < 90 else 1e30

    model, X, y = steep(early_stopping=True, learning_rate=rate, dtype="float64")
    with pytest.warns(RuntimeWarning, match="training ends with the best weights so far"):
        whole = model.fit(X, y, checkpoint=tmp_path)
    again, _, _ = steep(early_stopping=True, learning_rate=rate, dtype="float64")
    with pytest.warns(UserWarning, match="this fit ended after 3 epochs"):
        again.fit(X, y, checkpoint=tmp_path, resume=True)
    for one, other in zip(again.coefs_, whole.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.validation_scores_, whole.validation_scores_)
