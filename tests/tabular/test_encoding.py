"""The quick way to the features of rows gives what scikit-learn's transformers give, bit for bit."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context

from batchprop.errors import ParameterError
from batchprop.tabular import fit_streaming
from batchprop.tabular.encoding import encode_features
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.transformers import make_preprocessor

numbers = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 1e300, -1e300]), st.floats(-1e6, 1e6))
words = st.one_of(st.none(), st.sampled_from(["red", "blue", " red ", "a", "b", "c", "d", "e"]))
dates = st.one_of(st.none(), st.integers(0, 20_000).map(lambda day: pd.Timestamp(0) + pd.Timedelta(day, "D")))
COLUMNS = {"number": numbers, "word": words, "date": dates, "flag": st.sampled_from([True, False, None])}


@st.composite
def tables(draw):
    """Two tables of the same columns: one to learn from, and one of which it may not have seen a value."""
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6))
    n, m = draw(st.integers(12, 30)), draw(st.integers(1, 9))
    columns = {
        f"{name} {i}": draw(st.lists(COLUMNS[name], min_size=n + m, max_size=n + m))
        for i, name in enumerate(names)
    }
    table = pd.DataFrame({"always": np.arange(n + m) % 3.0, **columns})
    return table[:n], table[n:].reset_index(drop=True)


def check(encoder, table):
    columns = encoder["columns"].transform(table)
    wanted = encoder["features"].transform(columns)
    got = encode_features(encoder["features"], columns)
    assert got.dtype == wanted.dtype
    assert np.array_equal(got, wanted)


@settings(max_examples=12)
@given(tables())
def test_features_are_those_of_scikit_learn(pair):
    learned, new = pair
    encoder = make_preprocessor(infer_schema(learned), len(learned)).fit(learned)
    check(encoder, learned)
    check(encoder, new)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_the_frames_that_scikit_learn_is_set_to_change_nothing(library):
    rng = np.random.default_rng(0)
    days = pd.Timestamp(0) + pd.to_timedelta(rng.integers(0, 900, 200), "D")
    table = pd.DataFrame({"n": rng.normal(size=200), "day": days, "word": rng.choice(["a", "b"], 200)})
    encoder = make_preprocessor(infer_schema(table), len(table), n_bins=4)
    wanted = encoder.fit_transform(table)
    with config_context(transform_output=library):
        assert np.array_equal(encoder.fit_transform(table), wanted)
        check(encoder, table)
        with pytest.raises(ParameterError, match=r"set_output.* make a frame, as pd\.Data"):
            encoder.set_output(transform=library)
    assert wanted.shape[1] == len(encoder.get_feature_names_out())


@pytest.mark.parametrize("rows", [1, 700])
def test_features_of_many_words_fitted_in_parts(rows):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "word": [f"w{i}" for i in rng.geometric(0.02, 700)],
            "few": rng.choice(["x", "y"], 700),
            "n": rng.normal(size=700),
            "y": np.arange(700) % 2,
        }
    )
    encoder = fit_streaming([table], target="y").encoder
    check(encoder, table[:rows])
    check(encoder, table[:rows].assign(word="unseen", n=None))
