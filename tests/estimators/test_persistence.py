"""The fitted state is plain arrays and numbers, and survives every kind of storage."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io

from tests.estimators.tables import CLASS_TARGETS, TARGETS, declared, estimator, quiet, require_plain, table

pytestmark = quiet

OURS = {
    "batchprop.estimators.classifier.MLPClassifier",
    "batchprop.estimators.regressor.MLPRegressor",
}


def through_joblib(model: Any) -> Any:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def through_skops(model: Any) -> Any:
    """Load, trusting only the estimator's own types."""
    stored = skops.io.dumps(model)
    needed = set(skops.io.get_untrusted_types(data=stored))
    assert needed <= OURS
    return skops.io.loads(stored, trusted=sorted(needed))


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": through_joblib,
    "copy": copy.deepcopy,
    "skops": through_skops,
}

SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "plain": {"solver": "sgd", "momentum": 0, "learning_rate": "invscaling"},
    "adamw": {"solver": "adamw", "learning_rate": "one_cycle", "dropout": 0.2, "max_grad_norm": 1.0},
}


def same(one: Any, other: Any, X: np.ndarray) -> None:
    """Assert that two estimators have the same fitted state."""
    for array, copied in zip(
        [*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True
    ):
        np.testing.assert_array_equal(array, copied)
        assert array.dtype == copied.dtype
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert one.loss_curve_ == other.loss_curve_
    assert one.get_params() == other.get_params()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_type_survives_storage(way: str, target: str) -> None:
    X, y = table(target)
    model = estimator(target).fit(X, y)
    stored = WAYS[way](model)
    same(model, stored, X)
    if target in CLASS_TARGETS:
        np.testing.assert_array_equal(model.predict_proba(X), stored.predict_proba(X))
        assert str(model.classes_) == str(stored.classes_)
    same(model.partial_fit(X, y), stored.partial_fit(X, y), X)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("target", ["multiclass", "single"])
def test_stored_estimator_continues_training(way: str, settings: str, target: str) -> None:
    X, y = table(target)
    model = estimator(target, **SETTINGS[settings])
    model.partial_fit(X, y, **declared(target, y)).partial_fit(X, y)
    stored = WAYS[way](model)
    for _ in range(3):
        same(model.partial_fit(X, y), stored.partial_fit(X, y), X)
    assert model.learning_rate_curve_ == stored.learning_rate_curve_


@pytest.mark.parametrize("way", WAYS)
def test_stored_warm_start_continues(way: str) -> None:
    X, y = table("binary")
    clf = estimator("binary", warm_start=True, early_stopping=True, class_weight={"no": 2.0}).fit(X, y)
    stored = WAYS[way](clf)
    same(clf.fit(X, y), stored.fit(X, y), X)
    assert clf.validation_scores_ == stored.validation_scores_


@pytest.mark.parametrize("way", WAYS)
def test_unfitted_estimator_survives_storage(way: str) -> None:
    X, y = table("single")
    reg = estimator("single", hidden_layer_sizes=[4, 3], activation=("relu", "tanh"))
    same(reg.fit(X, y), WAYS[way](estimator("single", **reg.get_params())).fit(X, y), X)


def test_fitted_attributes_are_plain_arrays_and_numbers() -> None:
    """No attribute contains a function, a network or a generator."""
    X, y = table("multioutput")
    clf = estimator("multioutput", early_stopping=True, class_weight="balanced").fit(X, y)
    require_plain(clf)
