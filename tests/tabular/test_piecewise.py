"""Piecewise-linear features: against NumPy's own interpolation, and alike in every way to compute them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from batchprop.export import to_onnx
from batchprop.tabular import load_model, train_table
from batchprop.tabular.encoding import encode_features
from batchprop.tabular.importance import source_columns
from batchprop.tabular.piecewise import PiecewiseLinear, count_bins
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
    whole = make_preprocessor(infer_schema(table), len(table), n_bins=16).fit(table)
    columns = whole["columns"].transform(table)
    expected = whole["features"].transform(columns)
    np.testing.assert_array_equal(encode_features(whole["features"], columns), expected)
    with_target = table.assign(price=rng.normal(size=len(table)))
    blocks = (with_target[start : start + 70] for start in range(0, len(table), 70))
    in_parts = fit_streaming(blocks, target="price", n_bins=16).encoder
    np.testing.assert_array_equal(in_parts.transform(table), expected)


def test_features_are_named_by_column_and_range_and_two_values_have_none():
    table = pd.DataFrame({"age": np.arange(100.0) / 2, "flag": [0, 1] * 50})
    names = list(make_preprocessor(infer_schema(table), 1000, n_bins=16).fit(table).get_feature_names_out())
    assert names[:3] == ["numbers__age", "numbers__flag", "numbers__age from 0 to 3"]
    assert len(names) == 2 + 16


@pytest.mark.parametrize(("n_rows", "n_columns"), [(100_001, 1), (99, 1), (5000, 5)])
def test_long_short_and_wide_tables_have_no_bins(n_rows, n_columns, monkeypatch):
    assert [count_bins(16, 5000, columns) for columns in (2048, 2049)] == [2, 1]  # one bin is none
    monkeypatch.setattr("batchprop.tabular.piecewise.MAX_BINS", 8)
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, n_columns))).add_prefix("x")
    encoder = make_preprocessor(infer_schema(table), n_rows, n_bins=16).fit(table)
    assert encoder.transform(table).shape == (50, n_columns)


def test_bins_are_in_a_saved_model_its_importances_and_its_onnx_graph(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(1)
    table = _table(rng, 600).assign(price=rng.normal(size=600))
    model = train_table(table, target="price", bins=8, hidden=(8,), epochs=2)
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    pd.testing.assert_frame_equal(again.predict(table), model.predict(table))
    names = [name.partition("__")[2] for name in again.pipeline[:-1].get_feature_names_out()]
    columns = list(again.pipeline["columns"].kinds)
    for name, owner in zip(names, source_columns(again.pipeline), strict=True):
        assert name.removeprefix("missingindicator_").partition(" from ")[0].split("_")[0] == columns[owner]
    assert sum(" from " in name for name in names) > 20
    to_onnx(again.pipeline, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    inputs = {
        "size": table[["size"]].to_numpy(),
        "rooms": table[["rooms"]].to_numpy(),
        "flag": table[["flag"]].to_numpy(float),
        "sold": table[["sold"]].to_numpy("datetime64[us]").astype(np.int64),
        "home": table[["home"]].to_numpy(str),
    }
    kinds = again.pipeline["columns"].kinds
    inputs["flag"] = inputs["flag"] if kinds["flag"] == "number" else table[["flag"]].to_numpy(str)
    answers = session.run(None, inputs)[0][:, 0]
    np.testing.assert_allclose(answers, model.predict(table)["price"], rtol=1e-4, atol=1e-5)


def test_a_table_in_which_no_column_has_two_bins_is_trained_and_exported(tmp_path):
    pytest.importorskip("onnxruntime")
    flags = pd.DataFrame({"a": [0.0, 2.0] * 20, "price": np.arange(40.0)})
    model = train_table(flags, target="price", bins=8, hidden=(4,), epochs=1)
    assert model.pipeline[-1].n_features_in_ == 1
    to_onnx(model.pipeline, tmp_path / "m.onnx")
