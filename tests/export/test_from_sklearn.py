"""Estimators converted from scikit-learn: the same predictions and the same further training."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor

import batchprop as bp
from batchprop.errors import InputError, ParameterError

rng = np.random.default_rng(0)
X = rng.normal(size=(80, 4))
TARGETS = {
    "two words": np.array(["no", "yes"])[rng.integers(0, 2, 80)],
    "several integers": rng.integers(0, 3, 80) * 2,
    "labels": rng.integers(0, 2, (80, 3)),
}
SETTINGS: Any = {"hidden_layer_sizes": (5, 3), "max_iter": 8, "random_state": 1, "n_iter_no_change": 2}
SOLVERS = ["adam", "sgd", "lbfgs"]


@pytest.fixture(autouse=True)
def few_epochs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def check_history(ours, theirs):
    assert (ours.n_iter_, ours.t_, ours.loss_) == (theirs.n_iter_, theirs.t_, theirs.loss_)
    assert (ours.n_layers_, ours.n_outputs_) == (theirs.n_layers_, theirs.n_outputs_)
    assert ours.out_activation_ == theirs.out_activation_
    assert len(ours.learning_rate_curve_) == len(ours.loss_curve_)
    if theirs.solver != "lbfgs":
        assert ours.loss_curve_ == theirs.loss_curve_
        assert (ours.best_loss_, ours.validation_scores_) == (theirs.best_loss_, theirs.validation_scores_)
        assert ours.best_validation_score_ == theirs.best_validation_score_


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_converted_classifier_predicts_the_same(kind, solver, activation, early_stopping):
    options = {"solver": solver, "activation": activation, "early_stopping": early_stopping}
    theirs = MLPClassifier(**SETTINGS, **options).fit(X, TARGETS[kind])
    ours = bp.MLPClassifier.from_sklearn(theirs)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-12, atol=1e-15)
    given = ours.get_params()
    assert {name: given[name] for name in theirs.get_params()} == theirs.get_params()
    assert ours.backprop(X, TARGETS[kind]).gradient.squared_norms().shape == (80,)
    check_history(ours, theirs)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive", "invscaling"])
def test_warm_start_continues_as_in_scikit_learn(kind, solver, learning_rate):
    options = {"solver": solver, "learning_rate": learning_rate, "warm_start": True}
    theirs = MLPClassifier(**SETTINGS, **options).fit(X, TARGETS[kind])
    ours = bp.MLPClassifier.from_sklearn(theirs).set_params(engine="numpy")
    theirs.fit(X, TARGETS[kind])
    ours.fit(X, TARGETS[kind])
    for one, another in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-6, atol=1e-9)
    if solver != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    assert ours.t_ == theirs.t_


def test_early_stopped_estimator_continues():
    y = TARGETS["two words"]
    theirs = MLPClassifier(**SETTINGS, early_stopping=True, warm_start=True).fit(X, y)
    ours = bp.MLPClassifier.from_sklearn(theirs).fit(X, y)
    for curve in (ours.validation_scores_, ours.validation_loss_curve_):
        assert curve is not None
        assert len(curve) == len(ours.loss_curve_)
    assert ours.best_validation_score_ >= theirs.best_validation_score_


@pytest.mark.filterwarnings("ignore")
def test_best_iteration_of_a_fit_that_diverged_has_a_score():
    X = np.random.RandomState(0).randn(200, 3)
    theirs = MLPRegressor(
        activation="identity", solver="sgd", learning_rate_init=5.0, early_stopping=True, max_iter=15,
        n_iter_no_change=99, random_state=0,
    ).fit(10 * X, X[:, 0])  # fmt: skip
    assert np.isnan(theirs.validation_scores_).any()
    ours = bp.MLPRegressor.from_sklearn(theirs)
    assert ours.best_iteration_ == 1 + int(np.nanargmax(theirs.validation_scores_))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_converted_regressor_predicts_the_same(outputs, solver, loss):
    y = np.random.default_rng(1).poisson(2, (80, outputs)).squeeze().astype(float)
    theirs = MLPRegressor(loss=loss, solver=solver, warm_start=True, **SETTINGS).fit(X, y)
    ours = bp.MLPRegressor.from_sklearn(theirs).set_params(engine="numpy")
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-12)
    assert ours.backprop(X, y).gradient.squared_norms().shape == (80,)
    check_history(ours, theirs)
    np.testing.assert_allclose(ours.fit(X, y).predict(X), theirs.fit(X, y).predict(X), rtol=1e-6)


def test_arrays_are_copied():
    theirs = MLPClassifier(**{**SETTINGS, "random_state": np.random.RandomState(0)}).fit(X, TARGETS["labels"])
    ours = bp.MLPClassifier.from_sklearn(theirs)
    before = ours.predict_proba(X)
    for array in (*theirs.coefs_, *theirs.intercepts_):
        array[:] = 0
    np.testing.assert_array_equal(ours.predict_proba(X), before)
    assert ours.random_state is not theirs.random_state


def test_feature_names_are_copied():
    frame = pd.DataFrame(X, columns=list("abcd"))
    theirs = MLPClassifier(**SETTINGS).fit(frame, TARGETS["two words"])
    ours = bp.MLPClassifier.from_sklearn(theirs)
    assert ours.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(ours.predict(frame), theirs.predict(frame))


def test_float32_weights_stay_float32():
    theirs = MLPClassifier(**SETTINGS).fit(X.astype("float32"), TARGETS["two words"])
    assert bp.MLPClassifier.from_sklearn(theirs).coefs_[0].dtype == np.float32


def test_a_clone_is_a_new_estimator():
    theirs = MLPClassifier(**SETTINGS).fit(X, TARGETS["two words"])
    fresh = clone(bp.MLPClassifier.from_sklearn(theirs)).fit(X, TARGETS["two words"])
    np.testing.assert_allclose(fresh.loss_curve_, theirs.loss_curve_, rtol=1e-6)


def test_unsupported_estimators_are_refused():
    theirs = MLPRegressor(**SETTINGS).fit(X, X[:, 0])
    with pytest.raises(ParameterError, match="a fitted scikit-learn MLPClassifier, not a MLPRegressor"):
        bp.MLPClassifier.from_sklearn(theirs)
    with pytest.raises(ParameterError, match="not a MLPRegressor"):
        bp.MLPRegressor.from_sklearn(bp.MLPRegressor())
    with pytest.raises(NotFittedError):
        bp.MLPRegressor.from_sklearn(MLPRegressor())
    with pytest.raises(InputError, match="knows one class only"):
        bp.MLPClassifier.from_sklearn(MLPClassifier(**SETTINGS).fit(X, np.zeros(80)))
