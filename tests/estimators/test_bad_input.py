"""Bad input to the estimators: clear errors that name the value and a fix."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError

from batchprop.errors import DivergedError
from batchprop.estimators import MLPRegressor
from batchprop.tabular import TabularRegressor
from tests.estimators.tables import estimator, quiet, refused, table

pytestmark = quiet


def table_with_value(value: float) -> tuple[np.ndarray, np.ndarray]:
    """A table with the given value in row 7, column 2."""
    X, y = table("binary")
    X[7, 2] = value
    return X, y


# ---- X and y


@pytest.mark.parametrize("call", ["fit", "partial_fit", "predict", "backprop"])
@pytest.mark.parametrize(
    ("value", "named"), [(math.nan, "NaN"), (math.inf, "infinity"), (-math.inf, "infinity")]
)
@pytest.mark.parametrize("to", [np.array, csr_matrix, pd.DataFrame], ids=["dense", "sparse", "pandas"])
def test_nonfinite_cell_is_refused(call: str, value: float, named: str, to: Any) -> None:
    X, y = table_with_value(value)
    clf = estimator("binary", max_iter=1).fit(to(np.nan_to_num(X, posinf=0, neginf=0)), y)
    column = "column 2 (2)" if to is pd.DataFrame else "column 2"
    remedy = "leave out such rows, or fill them in" if named == "NaN" else "correct or rescale"
    with refused(f"X contains {named}, first in row 7, {column}: {remedy}"):
        getattr(clf, call)(*((to(X),) if call == "predict" else (to(X), y)))


def test_missing_cell_of_a_named_column_is_refused() -> None:
    X, y = table_with_value(math.nan)
    with refused("X contains NaN, first in row 7, column 2 ('age'): "):
        estimator("binary").fit(pd.DataFrame(X, columns=["a", "b", "age", "c", "d"]), y)


def test_nonfinite_cell_of_an_unknown_table_type_is_refused() -> None:
    """Without access to the cells, the message still states the problem and a fix."""

    class Foreign:
        shape = (120, 5)

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return table_with_value(math.nan)[0]

        def __len__(self) -> int:
            return 120

        def to_numpy(self) -> None: ...

    with refused("X contains NaN: leave out such rows, or fill them in"):
        estimator("binary").fit(Foreign(), table("binary")[1])


def test_value_too_large_for_float32_is_refused() -> None:
    X, y = table("single", rows=3000)
    X[8, 1] = 1e300
    with refused(
        "X contains infinity or a value too large for float32, first in row 8, column 1: correct or"
    ):
        estimator("single").fit(X, y)
    y[5] = 1e300
    with refused("y holds a value too large for float32: rescale y, or use dtype='float64'"):
        estimator("single").fit(np.ones_like(X), y)


@pytest.mark.parametrize("call", ["predict", "partial_fit", "backprop", "activations", "fit"])
def test_wrong_number_of_columns_is_refused(call: str) -> None:
    X, y = table("binary")
    clf = estimator("binary", max_iter=1).fit(X, y)
    arguments: dict[str, Any] = {"X": X[:, :3]}
    if call in {"partial_fit", "backprop"}:
        arguments["y"] = y
    if call == "fit":
        arguments = {"X": X, "y": y, "X_val": X[:, :3], "y_val": y}
    with refused(
        "X has 3 features, but MLPClassifier is expecting 5 features as input: give the columns that"
    ):
        getattr(clf, call)(**arguments)


def test_text_columns_of_a_data_frame_are_refused() -> None:
    X, y = table("binary")
    mixed = pd.DataFrame({"size": X[:, 0], "colour": "red", "shape": "round"})
    with refused(
        "X holds 'red' in columns 'colour', 'shape', which is not a number: encode text", "OneHotEncoder"
    ):
        estimator("binary").fit(mixed, y)
    clf = estimator("binary", max_iter=1).fit(mixed.assign(colour=1, shape=2), y)
    with refused("X holds 'red' in column 'colour', which is not a number: encode text first"):
        clf.predict(mixed.assign(shape=2))
    with refused("X holds dates in column 'day': turn them into numbers first"):
        estimator("binary").fit(pd.DataFrame({"size": X[:, 0], "day": pd.Timestamp("2024-02-29")}), y)


@pytest.mark.parametrize("dtype", [object, str])
def test_text_array_is_refused(dtype: Any) -> None:
    _, y = table("binary")
    X = np.array([["red", "round"]] * len(y), dtype=dtype)
    with refused("X holds 'red', which is not a number: encode text first"):
        estimator("binary").fit(X, y)


# ---- classes


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.999])
def test_unusable_validation_fraction_is_refused(fraction: float) -> None:
    with refused(f"validation_fraction={fraction} of 120 rows"):
        estimator("binary", early_stopping=True, validation_fraction=fraction).fit(*table("binary"))


# ---- weights and other arguments of fit


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        (np.arange(120) - 3.0, ["sample_weight[0]=-3 is negative: give 0 to leave a row out"]),
        (
            np.zeros(120),
            ["sample_weight is zero in every row, so nothing is left: give some", "a positive weight"],
        ),
        (0, ["sample_weight is zero in every row"]),
        (np.ones(7), ["sample_weight has shape (7,): give 120 numbers, one for each row"]),
        (np.ones((120, 1)), ["sample_weight has shape (120, 1): give 120 numbers, one for each row"]),
        (np.where(np.arange(120) == 9, np.nan, 1), ["sample_weight contains NaN, first in row 9: leave out"]),
        (["a"] * 120, ["sample_weight holds 'a', which is not a number: give numbers"]),
        (
            np.ma.masked_less(np.arange(120), 3),
            ["sample_weight is an array with masked values, 3 of 120"],
        ),
    ],
    ids=["negative", "zero", "zero for all", "length", "shape", "nan", "text", "masked"],
)
@pytest.mark.parametrize("call", ["fit", "partial_fit", "backprop"])
def test_invalid_sample_weights_are_refused(weights: Any, parts: list[str], call: str) -> None:
    X, y = table("single")
    reg = estimator("single", max_iter=1).fit(X, y)
    with refused(*parts):
        getattr(reg, call)(X, y, sample_weight=weights)


def test_partial_fit_refuses_options_that_need_all_rows() -> None:
    X, y = table("binary")
    with refused("partial_fit does not support early_stopping=True: it sees", "set early_stopping=False"):
        estimator("binary", early_stopping=True).partial_fit(X, y, classes=["no", "yes"])
    with refused("class_weight='balanced' cannot be computed from a piece of the data: give", "a dict"):
        estimator("binary", class_weight="balanced").partial_fit(X, y, classes=["no", "yes"])


def test_weights_that_leave_no_training_or_validation_rows_are_refused() -> None:
    X, y = table("single")
    held = np.zeros(120)
    held[find_validation_rows()] = 1
    with refused("sample_weight is zero in every row that the validation set leaves to train on"):
        estimator("single", early_stopping=True).fit(X, y, held)
    with refused("sample_weight is zero in every row of the validation set"):
        estimator("single", early_stopping=True).fit(X, y, 1 - held)


def find_validation_rows() -> np.ndarray:
    """The rows that early stopping holds out, identified by their targets."""
    X, y = table("single")
    seen: list[np.ndarray] = []

    def scorer(model: Any, X: Any, y: np.ndarray) -> float:
        seen.append(y)
        return 0.0

    estimator("single", early_stopping=True, scoring=scorer, max_iter=1).fit(X, y)
    return np.flatnonzero(np.isin(y, seen[0]))


def test_x_val_without_y_val_is_refused() -> None:
    X, y = table("single")
    with refused("y_val is missing: give both X_val and y_val, or neither"):
        estimator("single").fit(X, y, X_val=X)
    with refused("X_val is missing: give both X_val and y_val, or neither"):
        estimator("single").fit(X, y, y_val=y)


def test_invalid_initial_weights_are_refused() -> None:
    X, y = table("single")
    right: dict[str, Any] = {
        "coefs_init": [np.ones((5, 8)), np.ones((8, 1))],
        "intercepts_init": [np.ones(8), np.ones(1)],
    }
    estimator("single").fit(X, y, **right)
    for name, wrong, result in (
        ("coefs_init", [np.ones((8, 5)), np.ones((1, 8))], "[(8, 5), (1, 8)]"),
        ("coefs_init", None, "None"),
        ("intercepts_init", 3, "3"),
    ):
        with refused(f"{name} has shapes {result}: hidden_layer_sizes, X and y ask for [("):
            estimator("single").fit(X, y, **{**right, name: wrong})
    right["intercepts_init"][0][0] = math.nan
    with refused("intercepts_init holds values that are not finite"):
        estimator("single").fit(X, y, **right)


# ---- divergence


def test_diverged_fit_leaves_the_estimator_unfitted() -> None:
    X, y = table("single")
    reg = estimator("single", solver="sgd", learning_rate_init=100)
    with pytest.raises(DivergedError):
        reg.fit(1e9 * X, y)
    with pytest.raises(NotFittedError):
        reg.predict(X)


def test_divergence_error_names_epoch_batch_and_rate() -> None:
    X, y = table("single")
    reg = estimator("single", solver="sgd", learning_rate_init=100, batch_size=20, max_iter=50)
    remedy = "try a smaller learning rate, max_grad_norm=1.0, or scaling the columns of X to similar ranges"
    pattern = r"the loss became (inf|nan) in epoch \d+, batch \d+ \(learning rate 100\): " + re.escape(remedy)
    with pytest.raises(DivergedError, match=pattern):
        reg.fit(100 * X, y)


def test_diverging_lbfgs_is_an_error() -> None:
    X, y = table("single")
    with refused(
        "L-BFGS ended with a loss of", "scale the columns of X to similar ranges", kind=DivergedError
    ):
        estimator("single", solver="lbfgs", dtype="float64").fit(1e300 * X, y)


@pytest.mark.filterwarnings("ignore:R.2 score is not well-defined")
def test_score_that_is_always_nan_is_an_error() -> None:
    X, y = table("single")
    with refused("the validation score (scoring=None) is nan on the 1 row to validate on", "scoring='loss'"):
        estimator("single", early_stopping=True).fit(X, y, X_val=X[:1], y_val=y[:1])


def test_weights_that_overflow_float32_are_an_error() -> None:
    X, y = table("single")
    with refused("the weights grew beyond what float32 holds: try a smaller", kind=DivergedError):
        estimator("single", learning_rate_init=1e39, max_iter=1, dtype="float32").fit(X[:10], y[:10])


def test_small_table_must_fit_into_float32() -> None:
    X, y = table("binary")
    with refused("X contains infinity or a value too large for float32, first in row 0"):
        estimator("binary", dtype="float32").fit(1e60 * X[:10], y[:10])


@pytest.mark.parametrize(
    ("values", "X_part", "y_part"),
    [
        (
            np.full(120, "2026-11-22", dtype="datetime64[D]"),
            "X holds dates: turn them into numbers first",
            "y holds dates: turn them into numbers first",
        ),
        (
            np.ma.masked_less(np.arange(120), 3),
            "leave out such rows, or make them missing by X.astype(float).filled(np.nan)",
            "y is an array with masked values, 3 of 120: leave out such rows",
        ),
    ],
    ids=["dates", "masked"],
)
@pytest.mark.parametrize("kind", [MLPRegressor, TabularRegressor])
def test_values_that_are_no_numbers_are_refused(kind: Any, values: Any, X_part: str, y_part: str) -> None:
    X, y = table("single")
    if kind is MLPRegressor or "missing" in X_part:  # a table may hold dates
        with refused(X_part):
            kind().fit(values[:, None], y)
    with refused(y_part):
        kind().fit(X, values)
