"""Validation rows, early stopping with its best weights, callbacks, verbose output and Ctrl-C."""

from __future__ import annotations

import math
import re
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score, log_loss, make_scorer, mean_absolute_error, r2_score

from batchprop.training import EpochRecord
from tests.estimators.tables import CLASS_TARGETS, TARGETS, declared, estimator, quiet, table

pytestmark = quiet


def loss_of(model: Any, X: Any, y: Any) -> float:
    """The mean loss without the penalty, by ``backprop``."""
    scale = model.n_outputs_ if getattr(model, "loss", "") == "squared_error" else 1
    return float(model.backprop(np.asarray(X), np.asarray(y)).loss) / scale


# ---- validation rows


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_given_validation_rows_are_evaluated_after_every_epoch(target: str, solver: str) -> None:
    X, y = table(target)
    model = estimator(target, solver=solver).fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    assert len(model.validation_loss_curve_) == model.n_iter_
    assert model.validation_loss_curve_[-1] == pytest.approx(loss_of(model, X[80:], y[80:]), rel=1e-5)
    assert model.validation_scores_ is None
    alone = estimator(target, solver=solver).fit(X[:80], y[:80])
    np.testing.assert_array_equal(alone.coefs_[0], model.coefs_[0])
    assert alone.validation_loss_curve_ is None


def test_validation_rows_may_be_any_container() -> None:
    X, y = table("binary")
    curves = [
        estimator("binary").fit(X, y, X_val=to(X[:40]), y_val=y[:40]).validation_loss_curve_
        for to in (np.array, csr_matrix, lambda rows: rows.astype("float32"), np.ndarray.tolist)
    ]
    for curve in curves[1:]:
        np.testing.assert_allclose(curve, curves[0], rtol=1e-5)
    names = list("abcde")
    by_name = estimator("binary").fit(
        pd.DataFrame(X, columns=names), y, X_val=pd.DataFrame(X[:40], columns=names), y_val=y[:40]
    )
    np.testing.assert_allclose(by_name.validation_loss_curve_, curves[0])


def test_early_stopping_uses_the_given_validation_rows() -> None:
    X, y = table("multiclass")
    clf = estimator("multiclass", early_stopping=True).fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    # No row is held out, so every epoch uses all of them.
    assert clf.t_ == 80 * clf.n_iter_
    assert clf.best_validation_score_ == max(clf.validation_scores_) == clf.score(X[80:], y[80:])


# ---- early stopping

SCORERS = {
    "accuracy or R²": None,
    "loss": "loss",
    "name": "neg_log_loss",
    "f1": "f1_macro",
    "scorer": make_scorer(f1_score, average="macro"),
    "callable": lambda model, X, y: -log_loss(y, model.predict_proba(X)),
}


def expected_scores(scoring: str, model: Any, X: np.ndarray, y: np.ndarray) -> float:
    """The validation score that early stopping should compute."""
    if scoring == "accuracy or R²":
        return float(model.score(X, y))
    if scoring in {"loss", "name", "callable"}:
        return -loss_of(model, X, y)
    return float(f1_score(y, model.predict(X), average="macro"))


@pytest.mark.parametrize("scoring", SCORERS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_the_best_weights_are_restored(scoring: str, solver: str) -> None:
    X, y = table("multiclass")
    clf = estimator(
        "multiclass",
        solver=solver,
        # Steps so long that the last epoch is not the best.
        learning_rate_init=0.3,
        early_stopping=True,
        scoring=SCORERS[scoring],
        n_iter_no_change=5,
        max_iter=60,
    )
    clf.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    best = int(np.argmax(clf.validation_scores_))
    assert best < len(clf.validation_scores_) - 1
    assert clf.best_iteration_ == best + 1
    assert clf.best_validation_score_ == clf.validation_scores_[best]
    assert expected_scores(scoring, clf, X[80:], y[80:]) == pytest.approx(
        clf.best_validation_score_, rel=1e-5
    )
    assert clf.best_loss_ is None


def test_early_stopping_of_a_regressor_with_any_scorer() -> None:
    X, y = table("several")
    for scoring, metric in (
        ("neg_mean_absolute_error", mean_absolute_error),
        (None, r2_score),
        ("r2", r2_score),
    ):
        reg = estimator("several", early_stopping=True, scoring=scoring).fit(X, y, X_val=X, y_val=y)
        value = metric(y, reg.predict(X)) * (-1 if metric is mean_absolute_error else 1)
        assert reg.best_validation_score_ == pytest.approx(value, rel=1e-5)


def test_scorer_gets_the_weights_of_the_validation_rows() -> None:
    X, y = table("binary")
    weights = np.linspace(0.1, 2, len(y))
    seen: list[Any] = []

    def scorer(model: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        seen.append(sample_weight)
        return float(model.score(X, y, sample_weight))

    clf = estimator("binary", early_stopping=True, scoring=scorer, max_iter=3).fit(X, y, weights)
    own = estimator("binary", early_stopping=True, max_iter=3).fit(X, y, weights)
    assert seen[0].shape == (12,)
    assert set(seen[0]) <= set(weights)
    assert clf.validation_scores_ == pytest.approx(own.validation_scores_)


@pytest.mark.parametrize(
    "scoring", ["neg_max_error", lambda model, X, _: -float(model.predict(X).max())], ids=["name", "callable"]
)
def test_scorer_without_sample_weight_gets_no_weights(scoring: Any) -> None:
    X, y = table("single")
    reg = estimator("single", early_stopping=True, scoring=scoring).fit(X, y, np.ones(len(y)))
    assert len(reg.validation_scores_) == reg.n_iter_


@pytest.mark.parametrize("target", TARGETS)
def test_early_stopping_stops_for_every_target_type(target: str) -> None:
    X, y = table(target)
    model = estimator(target, early_stopping=True, scoring="loss", tol=0.5, n_iter_no_change=2, max_iter=50)
    assert model.fit(X, y).n_iter_ < 50
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == model.n_iter_
    np.testing.assert_allclose(model.validation_loss_curve_, -np.array(model.validation_scores_))


def test_patience_without_validation_uses_the_training_loss() -> None:
    X, y = table("single")
    reg = estimator("single", tol=10.0, n_iter_no_change=3, max_iter=50).fit(X, y)
    # The first epoch improves; the next 4 exceed the patience.
    assert reg.n_iter_ == 5
    assert reg.best_loss_ == min(reg.loss_curve_)
    assert reg.best_iteration_ == 1 + int(np.argmin(reg.loss_curve_))
    endless = estimator("single", tol=10.0, n_iter_no_change=np.inf, max_iter=50).fit(X, y)
    assert endless.n_iter_ == 50


# ---- callbacks


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_callbacks_get_every_epochs_record(solver: str) -> None:
    X, y = table("multiclass")
    epochs: list[EpochRecord] = []
    clf = estimator("multiclass", solver=solver, callbacks=[epochs.append])
    clf.fit(X, y, X_val=X[:30], y_val=y[:30])
    assert [epoch.number for epoch in epochs] == list(range(1, clf.n_iter_ + 1))
    assert [epoch.loss for epoch in epochs] == clf.loss_curve_
    assert [epoch.validation_loss for epoch in epochs] == clf.validation_loss_curve_
    assert {(epoch.rows, epoch.validation_score) for epoch in epochs} == {(120, None)}
    assert all(epoch.seconds > 0 for epoch in epochs)
    np.testing.assert_allclose(epochs[-1].network.layers[0].W.T, clf.coefs_[0], rtol=1e-6)
    rates = [epoch.learning_rate for epoch in epochs]
    # A line search has no learning rate.
    assert all(map(math.isnan, rates)) if solver == "lbfgs" else rates == [0.01] * 10


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("answer", [True, np.True_])
def test_callback_that_returns_true_stops_training(solver: str, answer: Any) -> None:
    X, y = table("multiclass")
    seen: list[int] = []
    callbacks = [lambda epoch: answer if epoch.number == 3 else None, lambda epoch: seen.append(epoch.number)]
    clf = estimator("multiclass", solver=solver, callbacks=callbacks).fit(X, y)
    assert clf.n_iter_ == len(clf.loss_curve_) == 3
    assert seen == [1, 2, 3]
    assert not clf.interrupted_


def test_only_true_stops_training() -> None:
    X, y = table("single")
    reg = estimator("single", callbacks=(lambda _: 1, lambda _: "go on", lambda _: False)).fit(X, y)
    assert reg.n_iter_ == 10


def test_callbacks_get_the_validation_score() -> None:
    X, y = table("binary")
    epochs: list[EpochRecord] = []
    clf = estimator("binary", early_stopping=True, callbacks=[epochs.append]).fit(X, y)
    assert [epoch.validation_score for epoch in epochs] == clf.validation_scores_


def test_partial_fit_calls_callbacks() -> None:
    X, y = table("binary")
    epochs: list[EpochRecord] = []
    clf = estimator("binary", callbacks=[epochs.append])
    clf.partial_fit(X, y, **declared("binary", y)).partial_fit(X, y)
    assert [epoch.number for epoch in epochs] == [1, 1]


def test_verbose_prints_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = table("binary")
    estimator("binary", verbose=True, early_stopping=True, max_iter=2).fit(X, y)
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Iteration 1, loss = 0\.\d{8}, validation loss = .*, Validation score: .*", first)
    assert second.startswith("Iteration 2, ")
    estimator("binary", max_iter=2).fit(X, y)
    assert capsys.readouterr().out == ""


# ---- Ctrl-C


def interrupt(epoch: EpochRecord) -> None:
    """What a callback does when the user presses Ctrl-C in the third epoch."""
    if epoch.number == 3:
        raise KeyboardInterrupt


@pytest.mark.parametrize("target", ["single", *CLASS_TARGETS])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_interrupted_fit_keeps_its_weights(target: str, solver: str) -> None:
    X, y = table(target)
    model = estimator(target, solver=solver, callbacks=[interrupt])
    with pytest.warns(UserWarning, match="Ctrl-C ended training after 3 epochs") as warned:
        assert model.fit(X, y) is model
    assert warned[0].filename == __file__
    assert model.interrupted_
    assert model.n_iter_ == len(model.loss_curve_) == 3
    whole = estimator(target, solver=solver, max_iter=3).fit(X, y)
    assert not whole.interrupted_
    for one, other in zip(model.coefs_, whole.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert model.score(X, y) == pytest.approx(whole.score(X, y))


def test_an_interrupted_early_stopping_keeps_the_best_weights() -> None:
    X, y = table("multiclass")
    clf = estimator("multiclass", early_stopping=True, learning_rate_init=1.0, callbacks=[interrupt])
    with pytest.warns(UserWarning, match="Ctrl-C ended"):
        clf.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    assert clf.score(X[80:], y[80:]) == max(clf.validation_scores_)


def test_interrupt_before_the_first_epoch_keeps_the_initial_weights() -> None:
    X, y = table("single")

    def rate(step: int) -> float:
        raise KeyboardInterrupt

    reg = estimator("single", learning_rate=rate)
    with pytest.warns(UserWarning, match="Ctrl-C ended training after 0 epochs"):
        reg.fit(X, y)
    assert (reg.n_iter_, reg.loss_curve_) == (0, [])
    assert reg.predict(X).shape == y.shape
    reg.set_params(learning_rate="constant", warm_start=True).fit(X, y)
    assert reg.n_iter_ == 10


def test_warnings_point_at_the_callers_line() -> None:
    X, y = table("single")
    for parameters in ({}, {"solver": "lbfgs"}):
        with pytest.warns(ConvergenceWarning) as warned:
            estimator("single", max_iter=2, **parameters).fit(X, y)
        assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match="batch_size=500 is larger than the 120 rows") as warned:
        estimator("single", batch_size=500).partial_fit(X, y)
    assert warned[0].filename == __file__


@quiet
def test_lbfgs_iterations_report_their_own_seconds() -> None:
    records: list[EpochRecord] = []
    X, y = table("binary")
    began = perf_counter()
    estimator("binary", solver="lbfgs", max_iter=20, callbacks=[records.append]).fit(X, y)
    assert len(records) > 1
    assert 0 < sum(record.seconds for record in records) <= perf_counter() - began
