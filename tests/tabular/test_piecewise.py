"""Piecewise-linear features: against NumPy's own interpolation, and alike in every way to compute them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from batchprop.tabular.encoding import encode_features
from batchprop.tabular.piecewise import PiecewiseLinear
from batchprop.tabular.preprocessing import fit_streaming
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.transformers import make_preprocessor


@given(arrays(float, st.tuples(st.integers(3, 40), st.integers(1, 3)), elements=st.floats(-1e6, 1e6)))
def test_features_of_a_column_add_up_to_interpolation_between_its_quantiles(X):
    step = PiecewiseLinear(n_bins=5).fit(X)
    features = step.transform(X)
    for i, x in enumerate(X.T):
        edges = np.unique(np.quantile(x, np.linspace(0, 1, 6), method="lower"))
        if len(edges) <= 2:
            assert i not in step.column_
            continue
        # Each bin that lies behind counts 1, and the one that x is in how far it reaches through it.
        expected = np.interp(x, edges, np.arange(len(edges)))
        np.testing.assert_allclose(features[:, step.column_ == i].sum(axis=1), expected, atol=1e-5)


def test_bins_too_narrow_to_divide_by_give_zeros_and_ones():
    tiny = np.array([[0.0], [5e-324], [1e300]])
    features = PiecewiseLinear(n_bins=2).fit(tiny).transform([[-1e300], [0.0], [1.0], [1e300]])
    assert np.isfinite(features).all()
    assert features[:, 0].tolist() == [0, 0, 1, 1]


def _table(rng, n):
    return pd.DataFrame(
        {
            "size": rng.normal(size=n).round(3),
            "rooms": np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 9, n)),
            "flag": rng.integers(0, 2, n),
            "sold": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "home": rng.choice(["rent", "own"], n),
        }
    )


def test_quick_encoding_and_one_pass_give_the_features_of_the_transformers():
    rng = np.random.default_rng(0)
    table = _table(rng, 300)
    whole = make_preprocessor(infer_schema(table), len(table)).fit(table)
    columns = whole["columns"].transform(table)
    expected = whole["features"].transform(columns)
    np.testing.assert_array_equal(encode_features(whole["features"], columns), expected)
    with_target = table.assign(price=rng.normal(size=len(table)))
    blocks = (with_target[start : start + 70] for start in range(0, len(table), 70))
    in_parts = fit_streaming(blocks, target="price").encoder
    np.testing.assert_array_equal(in_parts.transform(table), expected)


def test_features_are_named_by_column_and_range_and_two_values_have_none():
    table = pd.DataFrame({"age": np.arange(100.0) / 2, "flag": [0, 1] * 50})
    names = list(make_preprocessor(infer_schema(table), 100).fit(table).get_feature_names_out())
    assert names[:3] == ["numbers__age", "numbers__flag", "numbers__age from 0 to 3"]
    assert len(names) == 2 + 16


@pytest.mark.parametrize(("n_rows", "n_columns", "n_features"), [(100_001, 1, 1), (50, 2049, 2049)])
def test_long_and_wide_tables_have_no_bins(n_rows, n_columns, n_features):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, n_columns))).add_prefix("x")
    encoder = make_preprocessor(infer_schema(table), n_rows).fit(table)
    assert encoder.transform(table).shape == (50, n_features)
