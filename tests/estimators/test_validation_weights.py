"""Validation weighs rows as training does: sample weights and class weights, in losses and in scores."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import neural_network
from sklearn.metrics import log_loss, roc_auc_score

import batchprop as bp
from tests.estimators.tables import CLASS_TARGETS, TARGETS, estimator, quiet, refused, table
from tests.estimators.test_streaming import Small

pytestmark = quiet

CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
CLASS_WEIGHTS: dict[str, Any] = {
    "binary": {"yes": 7.0, "no": 0.25},
    "multiclass": {10: 3.0, 12: 0.5},
    "multilabel": [{1: 3.0}, {0: 0.25}, {1: 0.5, 0: 2.0}],
    "multioutput": [{0: 2.0, 2: 0.5}, {7: 5.0}],
}


def weights_of_classes(target: str, y: np.ndarray) -> np.ndarray:
    """Each row's class weight, looked up label by label: slow, and written without the library."""
    of_targets = CLASS_WEIGHTS[target] if y.ndim == 2 else [CLASS_WEIGHTS[target]]
    rows = y if y.ndim == 2 else y[:, None]
    return np.array(
        [
            np.prod([weights.get(label, 1.0) for weights, label in zip(of_targets, row, strict=True)])
            for row in rows.tolist()
        ]
    )


def check_same_curves(one: Any, other: Any, tolerance: float = 1e-6) -> None:
    """Assert that two fits have the same curves and the same best epoch."""
    for name in CURVES:
        actual, wanted = getattr(one, name), getattr(other, name)
        assert (actual is None) == (wanted is None), name
        if wanted is not None:
            np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=1e-8)
    assert one.best_iteration_ == other.best_iteration_


ROWS = ["held out", "own", "streamed"]


@pytest.mark.parametrize(
    ("target", "engine", "dtype", "rows"),
    [
        *(
            (target, "numpy", dtype, rows)
            for (target, rows), dtype in zip(
                product(CLASS_TARGETS, ROWS), cycle(["float64", "float32"]), strict=False
            )
        ),
        *zip(cycle(["binary", "multiclass"]), ["jax"] * 3, cycle(["float32", "float64"]), ROWS, strict=False),
    ],
)
def test_class_weights_validate_like_the_same_sample_weights(
    target: str, engine: str, dtype: str, rows: str
) -> None:
    X, y = table(target, 300)
    weights = np.linspace(0.5, 2.0, 300)
    parameters = {"early_stopping": True, "scoring": "loss", "engine": engine, "dtype": dtype, "max_iter": 6}
    own = {"X_val": X[200:], "y_val": y[200:]} if rows == "own" else {}
    fits = list[Any]()
    for class_weight, total in (
        (CLASS_WEIGHTS[target], weights),
        (None, weights * weights_of_classes(target, y)),
    ):
        model = estimator(target, class_weight=class_weight, **parameters)
        if rows == "own":
            # Once with weights of the validation rows besides those of the classes.
            fits.append(model.fit(X[:200], y[:200], total[:200], **own, sample_weight_val=total[200:]))
        elif rows == "held out":
            fits.append(model.fit(X, y, total))
        else:
            fits.append(model.fit(Small(X, y, total)))
    check_same_curves(fits[0], fits[1], 1e-10 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("target", ["binary", "multiclass"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_class_weights_choose_the_best_epoch_as_scikit_learn_does_with_sample_weights(
    target: str, solver: str
) -> None:
    X, y = table(target, 200)
    weights = weights_of_classes(target, y)
    parameters: dict[str, Any] = {
        "hidden_layer_sizes": (8,),
        "solver": solver,
        "learning_rate_init": 0.05,
        "max_iter": 40,
        "early_stopping": True,
        "n_iter_no_change": 5,
        "random_state": 1,
    }
    theirs = neural_network.MLPClassifier(**parameters).fit(X, y, weights)
    ours: Any = bp.MLPClassifier(**parameters, class_weight=CLASS_WEIGHTS[target], dtype="float64").fit(X, y)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    assert ours.n_iter_ == theirs.n_iter_
    for one, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_balanced_class_weights_give_the_weighted_loss_and_scores() -> None:
    X, y = table("binary", 400)
    y = np.where(np.arange(400) % 10 == 0, y, "no")
    clf = estimator("binary", class_weight="balanced", early_stopping=True, scoring="roc_auc", max_iter=15)
    clf.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    # By hand: n / (2 n_k) of the training rows.
    each = {label: 300 / (2 * np.sum(y[:300] == label)) for label in ("no", "yes")}
    w = np.array([each[label] for label in y[300:]])
    P = clf.predict_proba(X[300:])
    best = clf.best_iteration_ - 1
    wanted = log_loss(y[300:], P, sample_weight=w, labels=["no", "yes"])
    assert clf.validation_loss_curve_[best] == pytest.approx(wanted, rel=1e-5)
    assert clf.best_validation_score_ == pytest.approx(
        roc_auc_score(y[300:] == "yes", P[:, 1], sample_weight=w), rel=1e-6
    )
    by_loss = estimator("binary", class_weight="balanced", early_stopping=True, scoring="loss", max_iter=15)
    by_loss.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert by_loss.best_iteration_ == 1 + int(np.argmin(by_loss.validation_loss_curve_))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scoring", [None, "loss"])
@settings(max_examples=3, deadline=None)
@given(counts=st.lists(st.integers(0, 4), min_size=20, max_size=20).filter(lambda counts: sum(counts) > 2))
def test_validation_row_of_weight_n_equals_n_rows(
    target: str, scoring: str | None, counts: list[int]
) -> None:
    X, y = table(target, 80)
    rows = np.repeat(np.arange(60, 80), counts)
    if target in {"single", "several"} and len(set(rows.tolist())) < 2:
        return  # one number has no R²
    fits = []
    for part, weights in ((np.arange(60, 80), counts), (rows, None)):
        model = estimator(target, early_stopping=True, scoring=scoring, max_iter=3, dtype="float64")
        if target in CLASS_TARGETS:
            model.set_params(class_weight=CLASS_WEIGHTS[target])
        own = {"X_val": X[part], "y_val": y[part]}
        fits.append(model.fit(X[:60], y[:60], **own, sample_weight_val=weights))
    check_same_curves(fits[0], fits[1], 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-40, 1.0, 1e37])
def test_validation_weights_of_any_size_and_rows_of_weight_0(dtype: str, scale: float) -> None:
    X, y = table("single", 300)
    w = np.where(np.arange(100) % 4 == 0, 0.0, 1.0)
    fits = []
    for value in (y[200:], *(np.where(w > 0, y[200:], fill) for fill in (1e20, np.nan))):
        reg = estimator("single", early_stopping=True, scoring="loss", dtype=dtype, max_iter=5)
        fits.append(reg.fit(X[:200], y[:200], X_val=X[200:], y_val=value, sample_weight_val=w * scale))
    plain = estimator("single", early_stopping=True, scoring="loss", dtype=dtype, max_iter=5)
    plain.fit(X[:200], y[:200], X_val=X[200:][w > 0], y_val=y[200:][w > 0])
    for reg in fits:
        np.testing.assert_allclose(reg.validation_loss_curve_, plain.validation_loss_curve_, rtol=1e-5)


def test_without_weights_nothing_changes() -> None:
    X, y = table("multiclass")
    fits = [
        estimator("multiclass", early_stopping=True).fit(
            X[:80], y[:80], X_val=X[80:], y_val=y[80:], sample_weight_val=weights
        )
        for weights in (None, np.ones(40), 3.0)
    ]
    for fit in fits[1:]:
        check_same_curves(fit, fits[0])


def test_scorers_get_the_class_weights_too() -> None:
    X, y = table("binary")
    seen: list[Any] = []

    def scorer(model: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        seen.append((y, sample_weight))
        return float(model.score(X, y, sample_weight))

    parameters = {"early_stopping": True, "class_weight": CLASS_WEIGHTS["binary"], "max_iter": 2}
    clf = estimator("binary", scoring=scorer, **parameters).fit(X, y)
    labels, weights = seen[0]
    np.testing.assert_array_equal(weights, weights_of_classes("binary", labels))
    own = estimator("binary", **parameters).fit(X, y)
    assert clf.validation_scores_ == pytest.approx(own.validation_scores_)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        (np.arange(40) - 3.0, ["in X_val and y_val: sample_weight_val[0]=-3 is negative: give 0"]),
        (np.zeros(40), ["sample_weight_val is zero in every row, so nothing is left"]),
        (np.ones(7), ["sample_weight_val has shape (7,): give 40 numbers, one for each row"]),
        (np.full(40, np.nan), ["sample_weight_val contains NaN, first in row 0: leave out such rows"]),
        (["a"] * 40, ["sample_weight_val holds 'a', which is not a number: give numbers"]),
    ],
    ids=["negative", "zero", "length", "nan", "text"],
)
def test_invalid_validation_weights_are_refused(weights: Any, parts: list[str]) -> None:
    X, y = table("single")
    with refused(*parts):
        estimator("single").fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:], sample_weight_val=weights)


def test_validation_weights_need_validation_rows() -> None:
    X, y = table("single")
    with refused("sample_weight_val weighs the rows of X_val, and X_val is missing: give X_val and y_val"):
        estimator("single", early_stopping=True).fit(X, y, sample_weight_val=np.ones(12))


def test_class_weights_that_leave_nothing_to_validate_on_are_refused() -> None:
    X, y = table("binary")
    clf = estimator("binary", class_weight={"no": 0})
    with refused("sample_weight_val times class_weight is zero in every row, so nothing is left"):
        clf.fit(X, y, X_val=X[y == "no"], y_val=y[y == "no"])
    with refused("sample_weight times class_weight is zero in every row, so nothing is left"):
        clf.fit(X, y, (y == "no").astype(float))
    # A piece of the data may hold such rows only.
    clf.partial_fit(X, y, classes=["no", "yes"]).partial_fit(X[y == "no"], y[y == "no"])
    X, y = table("multiclass", 60)
    held = estimator("multiclass", early_stopping=True, class_weight={10: 0, 11: 0, 12: 1})
    rare = np.where(np.arange(60) == 59, 12, np.where(y == 12, 11, y))
    with refused("sample_weight times class_weight is zero in every row of the validation set"):
        held.fit(X, rare)
