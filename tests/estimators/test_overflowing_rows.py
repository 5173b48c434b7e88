"""Rows whose outputs overflow are named and refused, wherever something is predicted."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

import numpy as np
import pytest

from batchprop import MLPClassifier, MLPRegressor
from batchprop.errors import InputError, RowError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # three epochs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
KINDS = ["binary", "multiclass", "multilabel", "multioutput", "numbers", "counts"]
DTYPES = ["float32", "float64"]


def targets(kind: str) -> Any:
    score = X @ [1.0, -2.0, 0.5]
    thirds = np.digitize(score, [-1, 1])
    return {
        "binary": (score > 0).astype(int),
        "multiclass": thirds,
        "multilabel": np.column_stack([score > 0, score > 1]).astype(int),
        "multioutput": np.column_stack([thirds, (thirds + 1) % 3]),
        "numbers": score,
        "counts": thirds,
    }[kind]


def fitted(kind: str, **options: Any) -> Any:
    options = {"hidden_layer_sizes": (8,), "max_iter": 3, "tol": 0.0, "random_state": 0} | options
    made: Any = {"numbers": MLPRegressor, "counts": MLPRegressor}.get(kind, MLPClassifier)
    return made(**({"loss": "poisson"} if kind == "counts" else {}) | options).fit(X, targets(kind))


def with_far_rows(dtype: str) -> Any:
    """Rows 7 and 30 are at the limit of the type; their sums overflow in every unit that adds them up."""
    rows = X.astype(dtype)
    rows[[7, 30]] = 0.99 * np.finfo(dtype).max * np.array([[1, -1, 1], [-1, 1, -1]])
    return rows


# Of a kind on JAX, one type: that is another program.
@pytest.mark.parametrize(
    ("kind", "engine", "dtype"),
    [
        *product(KINDS, ["numpy"], DTYPES),
        *((kind, "jax", dtype) for kind, dtype in zip(KINDS, cycle(DTYPES), strict=False)),
    ],
)
def test_predicting_names_the_rows_that_overflow(kind: str, engine: str, dtype: str) -> None:
    estimator, rows = fitted(kind, engine=engine), with_far_rows(dtype)
    # So that every row at the limit overflows, whatever the initial weights.
    estimator.coefs_ = [10 * np.sign(coef) + coef for coef in estimator.coefs_]
    ways = ["predict"] + ([] if kind in {"numbers", "counts"} else ["predict_proba", "predict_log_proba"])
    for way in ways:
        with pytest.raises(RowError, match=rf"2 of 60 rows, first for row 7: .*{dtype}.*scale") as error:
            getattr(estimator, way)(rows)
        assert error.value.row == 7
    with pytest.raises(RowError, match="first for row 7"):
        estimator.score(rows, targets(kind))
    kept = np.delete(np.arange(60), [7, 30])
    np.testing.assert_array_equal(estimator.predict(rows[kept]), estimator.predict(X.astype(dtype))[kept])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "numbers"])
@pytest.mark.parametrize("scoring", [None, "loss", "own"])
def test_validation_rows_that_overflow_are_named(kind: str, scoring: Any) -> None:
    metric = "r2" if kind == "numbers" else "accuracy"
    made = MLPRegressor if kind == "numbers" else MLPClassifier
    estimator = made(
        hidden_layer_sizes=(8,),
        activation="identity",
        max_iter=3,
        random_state=0,
        dtype="float64",
        engine="numpy",
        early_stopping=True,
        scoring=metric if scoring == "own" else scoring,
    )
    far, y = X.copy(), targets(kind)
    far[4] = 1.7e308
    sizes = [(3, 8), (8, 3 if kind == "multiclass" else 1)]
    start: dict[str, Any] = {
        "coefs_init": [np.ones(size) for size in sizes],
        "intercepts_init": [np.zeros(n) for _, n in sizes],
    }
    with pytest.raises(InputError, match=r"rows to validate on: .*1 of 60 rows, first for row 4"):
        estimator.fit(X, y, X_val=far, y_val=y, **start)


def test_validation_score_is_nan_where_outputs_are_not_finite() -> None:
    clf = fitted("multiclass")
    P = np.full((60, 3), 1 / 3)
    P[5] = np.nan
    assert np.isnan(clf._default_score(targets("multiclass"), P, None))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_underflow_is_no_error_where_numpy_is_set_to_raise(solver: str) -> None:
    far, y = 1e5 * X, targets("binary")
    options: Any = {"activation": "silu", "solver": solver, "max_iter": 2, "random_state": 0}
    options["engine"] = "numpy"
    expected = MLPClassifier((4,), **options).fit(far, y).predict_log_proba(far)
    with np.errstate(under="raise"):
        result = MLPClassifier((4,), **options).fit(far, y).predict_log_proba(far)
    np.testing.assert_array_equal(result, expected)
