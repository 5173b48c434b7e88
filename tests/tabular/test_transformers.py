"""Encoding of columns: any column order, missing values, outliers and new words."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchprop.errors import DataError
from batchprop.tabular.encoding import QuickEncoder
from batchprop.tabular.intervals import bootstrap_regression
from batchprop.tabular.metrics import regression_scores
from batchprop.tabular.preprocessing import fit_streaming
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.target_statistics import RunningMoments
from batchprop.tabular.transformers import (
    ColumnCaster,
    DateParts,
    SmoothClip,
    TargetScaler,
    make_preprocessor,
    squash,
)


def people(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 70, n).astype(float),
            "income": np.exp(rng.normal(0, 3, n)),
            "mostly zero": np.where(rng.random(n) < 0.9, 0.0, 1e6 * rng.random(n)),
            "colour": rng.choice(["red", "green", "blue"], n),
            "member": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
        }
    )


def with_gaps(frame, share=0.2, seed=1):
    gaps = np.random.default_rng(seed).random(frame.shape) < share
    return frame.mask(gaps)


def fitted(frame):
    return make_preprocessor(infer_schema(frame), len(frame)).fit(frame)


def test_features_are_finite_float32_and_small():
    frame = with_gaps(people())
    X = fitted(frame).transform(frame)
    assert X.dtype == np.float32
    assert np.isfinite(X).all()
    assert np.abs(X).max() <= 3


def test_column_order_does_not_matter_and_extra_columns_are_ignored():
    frame = people()
    columns = fitted(frame)
    other = frame[frame.columns[::-1]].assign(more=1)
    np.testing.assert_array_equal(columns.transform(other), columns.transform(frame))


def test_missing_columns_are_reported_with_similar_names():
    frame = people()
    with pytest.raises(DataError, match=r"lacks 2 of the 6 columns .*: age, colour; .* did you mean 'Age'"):
        fitted(frame).transform(frame.drop(columns="colour").rename(columns={"age": "Age"}))


def test_missing_values_not_seen_in_training_are_accepted():
    frame = people()
    X = fitted(frame).transform(frame.mask(np.ones(frame.shape, dtype=bool)).iloc[:3])
    assert np.isfinite(X).all()


def test_missing_value_becomes_the_median_with_an_indicator():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan]})
    X = fitted(frame).transform(frame)
    assert X.shape == (4, 2)
    assert X[3, 0] == 0
    assert X[3, 1] != X[0, 1]


def test_unknown_and_rare_words_share_one_feature():
    words = ["a"] * 500 + ["b"] * 495 + ["c"] * 3 + ["d"] * 2
    columns = fitted(pd.DataFrame({"w": words}))
    known, rare, unknown = columns.transform(pd.DataFrame({"w": ["a", "d", "never"]}))
    np.testing.assert_array_equal(rare, unknown)
    assert not np.array_equal(known, rare)


def test_numeric_categories_are_the_same_as_integers_and_text():
    columns = fitted(pd.DataFrame({"w": ["1", "2", "x"] * 10}))
    for values in ([1, 2], [1.0, 2.0], pd.array([1, 2], dtype="Int64"), ["1", "2"]):
        np.testing.assert_array_equal(
            columns.transform(pd.DataFrame({"w": values})),
            columns.transform(pd.DataFrame({"w": ["1", "2"]})),
        )


@pytest.mark.parametrize("values", [["True", "FALSE"], [1, 0], [True, False], ["true", "false"]])
def test_alternative_spellings_of_booleans_are_accepted(values):
    columns = fitted(pd.DataFrame({"b": pd.array([True, False] * 10, dtype="boolean")}))
    X = columns.transform(pd.DataFrame({"b": values}))
    np.testing.assert_array_equal(X, [[0, 1], [1, 0]])


@pytest.mark.parametrize(("rows", "features"), [(100_000, 256), (100_001, 64)])
def test_number_of_categories_is_capped_more_in_a_long_table(rows, features):
    rng = np.random.default_rng(0)
    words = rng.choice([f"w{i}" for i in range(300)], 30_000)
    frame = pd.DataFrame({"w": words})
    columns = make_preprocessor(infer_schema(frame), rows).fit(frame)
    assert columns.transform(frame).shape[1] == features


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("age", ["x", "30"], "column 'age' holds 'x' in row 1, where a number like 1,234.5 is expected"),
        ("age", [30.0, np.inf], "column 'age' holds inf in row 2"),
        ("since", [1, 2], "column 'since' holds 1 in row 1, where a date like 2020-02-29"),
        ("since", ["2020-01-01", "soon"], "column 'since' holds 'soon' in row 2"),
    ],
)
def test_value_of_the_wrong_type_is_reported_with_column_and_row(column, values, message):
    frame = people()
    with pytest.raises(DataError, match=message):
        fitted(frame).transform(frame.iloc[:2].assign(**{column: values}))


def test_empty_date_column_is_all_missing():
    frame = people()
    X = fitted(frame).transform(frame.iloc[:2].assign(since=[np.nan, np.nan]))
    assert np.isfinite(X).all()


def test_table_without_usable_columns_is_refused():
    frame = pd.DataFrame({"a": [1] * 30, "b": [None] * 30})
    with pytest.raises(DataError, match="no column is left to predict from"):
        make_preprocessor(infer_schema(frame), len(frame))


def test_features_are_named():
    frame = with_gaps(people())
    columns = fitted(frame)
    names = columns.get_feature_names_out()
    assert len(names) == columns.transform(frame).shape[1]
    assert "text__colour_red" in names
    assert "dates__since_elapsed" in names


def test_date_parts_with_missing_values_and_time_zones():
    dates = pd.Series(["2020-02-29T10:30:00+00:00", None, "2021-03-01T12:00:00+02:00"], name="d")
    frame = ColumnCaster({"d": "date"}).fit_transform(dates.to_frame())
    parts = DateParts().fit_transform(frame)
    np.testing.assert_allclose(parts[0], [2020, 2, 29, 5, 10.5, 0])
    assert np.isnan(parts[1]).all()
    np.testing.assert_allclose(parts[2], [2021, 3, 1, 0, 10, 366 - 0.5 / 24])


def test_date_column_missing_in_training_becomes_zero():
    dates = pd.DataFrame({"d": pd.Series([pd.NaT, pd.NaT], dtype="datetime64[ns]")})
    parts = DateParts().fit(dates)
    assert parts.first_.tolist() == [0.0]


numbers = st.floats(-1e300, 1e300)


@given(st.lists(numbers, min_size=2, max_size=50))
def test_smooth_clipping_is_monotonic_and_bounded(values):
    x = np.sort(np.array(values))[:, None]
    y = SmoothClip().fit(np.linspace(-1, 1, 9)[:, None]).transform(x)
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 3
    assert (np.diff(y[:, 0]) >= 0).all()


def test_smooth_clip_keeps_small_numbers_and_scales_constant_columns():
    x = np.zeros((100, 2))
    x[:, 0] = np.linspace(-0.1, 0.1, 100)
    x[-1, 1] = 1e6
    y = SmoothClip().fit_transform(x)
    np.testing.assert_allclose(y[:, 0], x[:, 0], rtol=1e-3)
    assert y[-1, 1] == pytest.approx(2 / np.hypot(1, 2 / 3))


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 0.7, 1.0, 1e200, 1.7e308])
def test_squashing_neither_overflows_nor_vanishes_at_any_scale(scale):
    ratios = np.array([0.0, 1e-3, 1.0, 2.0, 50.0, 1e9])
    with np.errstate(over="ignore"):
        x = np.append(np.clip(ratios * scale, 0, 1e308), np.inf)
    y = squash(x, scale)
    np.testing.assert_allclose(y[:-1], x[:-1] / np.hypot(scale, x[:-1] / 3), rtol=1e-7)
    assert y[-1] == 3
    assert np.array_equal(squash(-x, scale), -y)


@pytest.mark.parametrize("unit", [2.0**-60, 2.0**-400, 2.0**-1000])
@pytest.mark.parametrize("skewed", [False, True])
def test_the_unit_of_a_column_changes_no_feature(unit, skewed):
    values = np.random.default_rng(0).normal(size=200)
    table = pd.DataFrame({"x": np.where(np.arange(200) < 160, 1.0, values) if skewed else values})
    tiny = table * unit
    expected, answers = (
        make_preprocessor(infer_schema(each), 200).fit_transform(each) for each in (table, tiny)
    )
    np.testing.assert_allclose(answers, expected, rtol=1e-6)
    tiny["y"] = 0.5 + np.arange(200)
    fitted = fit_streaming([tiny[:90], tiny[90:]], target="y").encoder
    np.testing.assert_array_equal(fitted.transform(tiny), answers)
    np.testing.assert_array_equal(QuickEncoder(fitted.steps).transform(tiny), answers)
    huge = fitted.transform(pd.DataFrame({"x": [1e100, -1e100]}))
    np.testing.assert_allclose(huge, [[3], [-3]])


@pytest.mark.parametrize("unit", [1.6e-19, 1e-150, 1e-200, 1e-290])
def test_answers_have_seven_digits_of_a_tiny_target(unit):
    y = unit * np.random.default_rng(0).normal(5, 2, size=(300, 1))
    moments = RunningMoments()
    for block in np.array_split(y[:, 0], 3):
        moments.add(block)
    scaler = TargetScaler().fit(y)
    assert scaler.scale_ == pytest.approx(float(np.std(y / unit)) * unit, rel=1e-12)
    assert moments.deviation == pytest.approx(scaler.scale_, rel=1e-12)
    answers = scaler.inverse_transform(scaler.transform(y).astype(np.float32))
    np.testing.assert_allclose(answers, y, rtol=0, atol=2e-7 * scaler.scale_)
    assert all(len(repr(answer).partition("e")[0]) <= 10 for answer in answers[:, 0].tolist())


def test_a_constant_target_has_no_deviation():
    assert TargetScaler().fit(np.full((3, 1), 0.1)).scale_ == 1.0


@pytest.mark.parametrize("unit", [1.6e-19, 1e-200])
def test_scores_of_a_tiny_target_are_those_of_its_unit(unit):
    rng = np.random.default_rng(0)
    y = rng.normal(size=100)
    guess = y + rng.normal(size=100) / 9
    scores, tiny = regression_scores(y, guess), regression_scores(y * unit, guess * unit)
    assert tiny.pop("R²") == pytest.approx(scores.pop("R²"))
    assert {name: pytest.approx(score * unit) for name, score in scores.items()} == tiny
    ends, tiny_ends = bootstrap_regression(y, guess), bootstrap_regression(y * unit, guess * unit)
    assert tiny_ends["R²"] == pytest.approx(ends["R²"])
