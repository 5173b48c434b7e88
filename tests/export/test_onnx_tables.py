"""Table pipelines as ONNX graphs: the same predictions as `predict`, for any table."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

import batchprop as bp
from batchprop.export.onnx_transformers import write_date_parts
from batchprop.tabular import infer_schema, make_preprocessor
from batchprop.tabular.transformers import DateParts
from tests.export.graphs import written
from tests.export.tables import (
    NAMES,
    TOWNS,
    WORDS,
    answers,
    fed,
    moments,
    pipeline,
    runtime,
    session_of,
    table,
)

KINDS = ["size", "town", "sold", "garden"]


def agree(model, session, frame):
    steps = getattr(model, "preprocessor_", model)
    result = list(answers(session, fed(frame, steps["columns"].kinds)).values())
    if not hasattr(model, "classes_"):
        wanted = model.predict(frame)
        np.testing.assert_allclose(result[0][:, 0], wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
        return
    P = model.predict_proba(frame)
    np.testing.assert_allclose(result[1], P, rtol=0, atol=1e-5)
    ranked = np.sort(P, axis=1)
    sure = ranked[:, -1] - ranked[:, -2] > 1e-6
    assert (result[0] == model.predict(frame))[sure].all()
    assert (~sure).mean() < 0.01 or len(P) < 100


@pytest.mark.parametrize("task", ["classes", "numbers"])
@pytest.mark.parametrize("known", [True, False], ids=["known words", "unknown words"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_tables_match_predict(task, known, seed):
    agree(pipeline(task), session_of(task), table(2000, seed, known=known))


@pytest.mark.parametrize("activation", ["gelu", "selu", "mish", "tanh"])
def test_activations_in_a_pipeline_match_predict(activation):
    options = {"n": 200, "activation": activation}
    agree(pipeline("classes", **options), session_of("classes", **options), table(500, 4))


@pytest.mark.parametrize("columns", [(kind,) for kind in KINDS] + [("size", "rooms"), ("sold", "town")])
def test_tables_of_few_columns_match_predict(columns):
    options = {"n": 120, "columns": columns}
    agree(pipeline("classes", **options), session_of("classes", **options), table(200, 5))


@pytest.mark.filterwarnings("ignore::batchprop.errors.UnseenValueWarning")
@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_tabular_estimators_match_predict(task):
    frame, rng = table(200, 6), np.random.default_rng(6)
    brief: dict[str, Any] = {"max_iter": 2, "n_members": 3, "engine": "numpy", "hidden_layer_sizes": (8,)}
    if task == "classes":
        y = np.array(["p", "q", "r"])[rng.integers(0, 3, 200)]
        model = bp.TabularClassifier(**brief).fit(frame, y)
    else:
        y = 1e6 + 1e3 * frame[NAMES["rooms"]].fillna(0).to_numpy(float) + rng.normal(size=200)
        model = bp.TabularRegressor(**brief).fit(frame, y)
    agree(model, runtime(model), table(300, 7))


finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
date = st.integers(-8_520_336_000_000_000, 7_258_118_399_999_999)  # the years 1700 to 2199
word = st.sampled_from(WORDS) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
)
ROW = st.fixed_dictionaries(
    {
        NAMES["size"]: st.none() | finite,
        NAMES["rooms"]: st.none() | st.integers(-(2**53), 2**53).map(float),
        NAMES["price"]: st.none() | finite,
        NAMES["flat"]: st.none() | finite,
        NAMES["town"]: st.none() | word,
        NAMES["rare"]: st.none() | word,
        NAMES["sold"]: st.none() | date,
        NAMES["born"]: st.none() | date,
        NAMES["garden"]: st.none() | st.booleans(),
    }
)


def frame_of(rows):
    frame = pd.DataFrame(rows, columns=list(NAMES.values()))
    for name in ("size", "rooms", "price", "flat"):
        frame[NAMES[name]] = frame[NAMES[name]].astype(float)
    for name in ("sold", "born"):
        known = [row[NAMES[name]] for row in rows]
        frame[NAMES[name]] = moments([np.iinfo(np.int64).min if each is None else each for each in known])
    return frame.astype({NAMES["garden"]: "boolean", NAMES["town"]: object, NAMES["rare"]: object})


@pytest.mark.parametrize("task", ["classes", "numbers"])
@settings(max_examples=15)
@given(rows=st.lists(ROW, min_size=1, max_size=5))
def test_arbitrary_values_match_predict(task, rows):
    agree(pipeline(task), session_of(task), frame_of(rows))


def test_table_without_rows():
    model = pipeline("classes")
    result = answers(session_of("classes"), fed(table(10, 0).iloc[:0], model["columns"].kinds))
    assert [len(value) for value in result.values()] == [0, 0]


def test_calendar_of_several_centuries_matches_pandas():
    days = np.arange(np.datetime64("1600-01-01"), np.datetime64("2500-01-01")).astype("datetime64[us]")
    frame = pd.DataFrame({"day": days + np.timedelta64(86_399_999_999, "us")})
    parts = DateParts().fit(frame)
    inputs = {"days": frame.to_numpy().view("int64")}
    result = written(write_date_parts, parts, inputs, np.float64, 6)
    np.testing.assert_array_equal(result, parts.transform(frame))


def test_inputs_have_the_names_and_types_of_the_columns():
    session = session_of("classes")
    assert [each.name for each in session.get_inputs()] == list(NAMES.values())
    assert {each.name: each.type for each in session.get_inputs()} == {
        **dict.fromkeys((NAMES[name] for name in ("size", "rooms", "price", "flat")), "tensor(double)"),
        **dict.fromkeys((NAMES[name] for name in ("town", "rare", "garden")), "tensor(string)"),
        **dict.fromkeys((NAMES[name] for name in ("sold", "born")), "tensor(int64)"),
    }
    assert [each.name for each in session.get_outputs()] == ["label_", "probabilities_"]


def test_alternative_spellings_of_booleans_are_accepted():
    model, session = pipeline("classes"), session_of("classes")
    feeds = fed(table(4, 6), model["columns"].kinds)
    wanted = answers(session, {**feeds, "X": np.array([["true"], ["false"]] * 2, object)})
    result = answers(session, {**feeds, "X": np.array([["True"], ["0"], ["1"], ["FALSE"]], object)})
    np.testing.assert_array_equal(result["probabilities_"], wanted["probabilities_"])


def test_empty_string_category_is_preserved():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"town": rng.choice([*TOWNS, ""], 300).astype(object), "x": rng.normal(size=300)})
    frame.loc[::7, "town"] = None
    steps = make_preprocessor(infer_schema(frame), 300)
    y = np.where(frame["town"] == "", "empty", "other")
    clf = bp.MLPClassifier((8,), learning_rate_init=0.05, max_iter=50, tol=1.0, random_state=0)
    model = Pipeline([*steps.steps, ("network", clf.fit(steps.fit_transform(frame), y))])
    feeds = {"x": frame[["x"]].to_numpy(), "town": frame[["town"]].fillna("(missing)").to_numpy(object)}
    result = answers(runtime(model), feeds)
    assert (result["label"] == model.predict(frame)).all()
    assert set(result["label"]) == {"empty", "other"}
