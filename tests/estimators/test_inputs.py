"""X, y and weights from any data frame: the same network as from arrays, and one check of their kinds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from batchprop.tabular import TabularClassifier
from tests.estimators.tables import estimator, quiet, refused, table

pytestmark = quiet

NAMES = ["a", "b", "c", "d", "e"]
FRAMES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "pyarrow": pa.table,
    "narwhals": lambda columns: nw.from_native(pl.DataFrame(columns)),
}
SERIES: dict[str, Callable[[Any], Any]] = {
    "list": list,
    "numpy": lambda values: np.array(values, dtype=object),
    "pandas": pd.Series,
    "polars": pl.Series,
    "pyarrow": lambda values: pa.chunked_array([values]),
    "array": pa.array,
}


def columns(X: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, np.ascontiguousarray(X.T), strict=True))


@pytest.mark.parametrize("to", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("target", ["binary", "single"])
def test_frame_trains_the_network_of_its_array(to: Callable[..., Any], target: str) -> None:
    X, y = table(target)
    frame = to(columns(X))
    by_frame = estimator(target).fit(frame, y, X_val=frame, y_val=y, sample_weight=np.ones(len(y)))
    by_array = estimator(target).fit(X, y, X_val=X, y_val=y, sample_weight=np.ones(len(y)))
    assert by_frame.loss_curve_ == by_array.loss_curve_
    assert by_frame.validation_loss_curve_ == by_array.validation_loss_curve_
    assert by_frame.feature_names_in_.tolist() == NAMES
    assert by_frame.predict(frame).tolist() == by_array.predict(X).tolist()
    assert by_frame.score(frame, y) == by_array.score(X, y)
    other = to(dict(reversed(columns(X).items())))
    with refused("feature names should match", kind=ValueError):
        by_frame.predict(other)


@pytest.mark.parametrize("to", list(SERIES)[2:])
@pytest.mark.parametrize("target", ["binary", "multiclass", "single"])
def test_target_and_weights_may_be_columns(to: str, target: str) -> None:
    X, y = table(target)
    weights = np.linspace(0, 1, len(y))
    by_array = estimator(target).fit(X, y, sample_weight=weights)
    labels, by_row = SERIES[to](y.tolist()), SERIES[to](weights.tolist())
    by_column = estimator(target).fit(X, labels, sample_weight=by_row)
    assert by_column.loss_curve_ == by_array.loss_curve_
    assert by_column.predict(X).tolist() == by_array.predict(X).tolist()
    assert by_column.score(X, labels, by_row) == by_array.score(X, y, weights)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([10**17 + 1, 10**17 + 2], "Int64"),
        ([10**17 + 1, 10**17 + 2], "int64[pyarrow]"),
        ([2**63 + 1, 2**63 + 2], "UInt64"),
        ([False, True], "boolean"),
    ],
)
def test_labels_in_types_of_pandas_stay_apart_and_come_back(labels: list[Any], dtype: str) -> None:
    X, y = np.arange(40.0)[:, None], pd.Series(labels * 20, dtype=dtype)
    for clf in (estimator("binary"), TabularClassifier(max_iter=1, n_members=1)):
        clf.fit(X, y)
        assert clf.classes_.tolist() == labels
        assert clf.predict(X).dtype.kind == np.array(labels).dtype.kind
        assert clf.score(X, pd.Series(clf.predict(X), dtype=dtype)) == 1


DATED = {
    "date": date(2020, 2, 29),
    "moment": pd.Timestamp("2020-02-29 12:00"),
    "time": time(12, 30),
    "duration": timedelta(days=1),
}


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    X, y = table("binary", rows=20)
    return X[:, :2], y


@pytest.fixture(scope="module")
def clf(rows: tuple[np.ndarray, np.ndarray]) -> Any:
    return estimator("binary", max_iter=1).fit(*rows)


@pytest.mark.parametrize("to", [*FRAMES, "list", "array", "objects"])
def test_dates_in_x_are_refused(to: str, clf: Any) -> None:
    makers = {
        **FRAMES,
        "list": lambda columns: list(map(list, zip(*columns.values(), strict=True))),
        "array": lambda columns: pd.DataFrame(columns).to_numpy(),
        "objects": lambda columns: pd.DataFrame(columns).astype(object),
    }
    named = "" if to in {"list", "array"} else " in column 'when'"
    remedy = ": turn them into numbers first, as year and month, or train with batchprop.tabular.train_table"
    for value in DATED.values():
        with refused(f"X holds dates{named}{remedy}"):
            clf.predict(makers[to]({"a": [0.5] * 20, "when": [value] * 20}))


def test_dates_are_refused_by_every_method(clf: Any, rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    bad = pl.DataFrame({"a": X[:, 0], "when": [date(2020, 2, 29)] * len(y)})
    calls: list[Callable[[], Any]] = [
        *(lambda call=call: getattr(clf, call)(bad) for call in ("predict", "predict_proba", "activations")),
        *(
            lambda call=call: getattr(clf, call)(bad, y)
            for call in ("fit", "partial_fit", "score", "backprop")
        ),
        lambda: clf.fit(X, y, X_val=bad, y_val=y),
        lambda: clf.fit([(bad, y)]),
    ]
    for call in calls:
        with refused("X holds dates in column 'when'"):
            call()


@pytest.mark.parametrize("to", SERIES.values(), ids=SERIES)
def test_dates_in_target_and_weights_are_refused(
    to: Callable[..., Any], clf: Any, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = rows
    for value in DATED.values():
        dates = to([value] * len(y))
        for call in (clf.fit, clf.partial_fit, clf.score, estimator("single").fit):
            with refused("y holds dates: turn them into numbers first"):
                call(X, dates)
        with refused("sample_weight holds dates: give one number for each row"):
            clf.fit(X, y, sample_weight=dates)
        with refused("sample_weight_val holds dates: give one number for each row"):
            clf.fit(X, y, X_val=X, y_val=y, sample_weight_val=dates)


ODD = {
    "period": (pd.Period("2020-02"), "Period('2020-02', 'M')"),
    "interval": (pd.Interval(0, 1), "Interval(0, 1, closed='right')"),
    "record": ({"a": 1}, "{'a': 1}"),
    "list": ([1], "[1]"),
}


@pytest.mark.parametrize(("value", "shown"), ODD.values(), ids=ODD)
def test_values_of_other_types_are_refused(
    value: Any, shown: str, clf: Any, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = rows
    frame = pd.DataFrame({"a": X[:, 0], "b": pd.Series([1.0, *[value] * 19], dtype=object)})
    for call in (clf.predict, lambda bad: clf.fit(bad, y)):
        with refused(f"X holds {shown} in row 1, column 1 ('b'), which is no number: encode such values"):
            call(frame)
    with refused(f"y holds {shown} in row 1, which is no number or label: turn the labels into text"):
        clf.fit(X, frame["b"])
    with refused(f"sample_weight holds {shown} in row 1, which is no number: give one number for each row"):
        clf.fit(X, y, sample_weight=frame["b"])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
def test_missing_labels_are_refused(missing: Any, clf: Any, rows: tuple[np.ndarray, np.ndarray]) -> None:
    for dtype in (object, "string", "category"):
        labels = pd.Series(["yes", "no", missing, *["no"] * 17]).astype(dtype)
        for call in (clf.fit, clf.score):
            with refused("y ", ", first in row 2: leave out rows without a label"):
                call(rows[0], labels)


@pytest.mark.parametrize("to", ["pandas", "polars", "pyarrow"])
def test_missing_numbers_and_words_of_a_frame_are_refused_by_name(to: str) -> None:
    y = table("binary", rows=20)[1]
    gaps = [FRAMES[to]({"a": [0.5] * 20, "age": [*range(19), None]})]
    if to == "pandas":
        gaps.append(pd.DataFrame({"a": [0.5] * 20, "age": pd.Series([*range(19), pd.NA], dtype=object)}))
    for gap in gaps:
        with refused("X contains NaN, first in row 19, column 1 ('age'): leave out such rows, or fill them"):
            estimator("binary").fit(gap, y)
    words = FRAMES[to]({"a": [0.5] * 20, "colour": ["red"] * 20})
    with refused("X holds 'red' in column 'colour', which is not a number: encode text first"):
        estimator("binary").fit(words, y)
