"""Labels come back as the table spells them, numbers with their digits: any format, at once or streamed."""

import csv
import datetime as dt
import io
from decimal import Decimal
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import batchprop as bp
from batchprop.data.text_rules import MISSING
from batchprop.errors import DataError, InputError
from batchprop.export.onnx import convert_model
from batchprop.tabular import (
    TrainOptions,
    fit_streaming,
    load_pipeline,
    read_tables,
    read_target,
    save_pipeline,
    scan,
    train_table,
)
from batchprop.tabular.persistence import MODEL
from batchprop.tabular.predictions import predict_frame, to_csv, write
from batchprop.tabular.target_statistics import infer_target
from batchprop.tabular.training_input import load_training_table
from batchprop.tabular.training_table import load

ROWS = 12

WORDS = st.one_of(
    st.sampled_from(
        ["True", "FALSE", "yes", "0x1F", "10:30", "1/2", "1_0", "+1 ", "é", 'a"b', "a,b", "None"]
    ),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5),
).map(str.strip)
SPELLINGS = {
    "integers": st.integers(-(2**63), 2**63 - 1).map(str),
    "close ids": st.integers(123_456_789_012_345_670, 123_456_789_012_345_679).map(str),
    "codes": st.from_regex(r"\A0[0-9]{1,20}\Z"),
    "long ids": st.integers(10**19, 10**19 + 9).map(str),
    "fractions": st.integers(0, 10**7).map(lambda number: f"0.{number:08}"),
    "words": WORDS.filter(lambda word: word and word not in MISSING),
}
TYPES = {
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(2**63 - 2, 2**64 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False, allow_infinity=False),
    pa.float64(): st.integers(0, 9).map(lambda number: 0.1234561 + number * 1e-7),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    pa.binary(): st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5).map(
        str.encode
    ),
    pa.decimal128(18): st.integers(10**17, 10**17 + 9).map(Decimal),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["007", "7", " 7", "NA"]),
}


def drawn(data, labels):
    """Rows of two to four different labels, each at least twice."""
    few = data.draw(st.lists(labels, min_size=2, max_size=4, unique=True))
    return (few * ROWS)[:ROWS]


def streamed(path, *, from_text):
    """The labels of a file that is read in blocks of five rows."""
    with scan(path, "y", text=["y"]) as table:
        spec = fit_streaming(
            table.iter_frames(rows=5), target="y", task="classification", from_text=from_text
        ).target
        return spec, np.concatenate([spec.read(frame["y"]) for frame in table.iter_frames(rows=7)])


@pytest.mark.parametrize("kind", SPELLINGS)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_label_of_a_csv_file_is_spelled_as_there(kind, data, tmp_path_factory):
    words = drawn(data, SPELLINGS[kind])
    if kind == "words":
        words[:2] = ["yes", "yes"]  # of words that all happen to be numbers, the target is numbers
    path = tmp_path_factory.getbasetemp() / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerows([("x", "y"), *((i % 7, word) for i, word in enumerate(words))])
    frame = read_tables(path, "y", text=["y"]).frame
    values = read_target(frame["y"], "classification", from_text=True).values
    assert values.astype(str).tolist() == words
    whole = kind in {"integers", "close ids"}
    assert values.dtype.kind == ("i" if whole else "U")
    spec, read = streamed(path, from_text=True)
    assert read.tolist() == values.tolist()
    assert spec.classes.tolist() == sorted(set(values.tolist()))
    assert spec.counts.tolist() == [values.tolist().count(label) for label in spec.classes.tolist()]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_label_of_a_typed_column_keeps_its_type(kind, data, tmp_path_factory):
    column = pa.array(drawn(data, TYPES[kind]), kind)
    path = tmp_path_factory.getbasetemp() / "labels.parquet"
    pa.parquet.write_table(pa.table({"x": [i % 7 for i in range(ROWS)], "y": column}), path)
    labels = [label.decode() if isinstance(label, bytes) else label for label in column.to_pylist()]
    dtype = np.int64 if pa.types.is_decimal(kind) else np.str_
    dtype = kind.to_pandas_dtype() if pa.types.is_primitive(kind) and dtype is np.str_ else dtype
    targets = [
        read_tables(path, "y").frame["y"],
        column.to_pandas(),
        pd.Series(column.to_pylist(), dtype=object),
    ]
    n_frames = {pa.bool_(): 2, pa.string(): 2, pa.decimal128(18): 0}.get(kind, 1)
    for target in targets[: 1 + n_frames]:
        values = read_target(target.rename("y"), "classification").values
        assert (values.tolist(), values.dtype.type) == (labels, np.dtype(dtype).type)
    spec, read = streamed(path, from_text=False)
    assert (read.tolist(), read.dtype.type) == (labels, np.dtype(dtype).type)
    assert spec.classes.tolist() == sorted(set(labels))


LABELS: dict[str, tuple[list[Any], str]] = {
    "ids": ([123456789012345678, 123456789012345679, 123456789012345680], "csv"),
    "fractions": ([0.1234561, 0.1234562], "parquet"),
    "booleans": ([True, False], "parquet"),
    "words": (["007", "x, y", "True"], "csv"),
}


@pytest.fixture(params=[False, True], ids=["in memory", "streamed"])
def reading(request, monkeypatch):
    if request.param:
        monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: True)


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("kind", LABELS)
def test_answers_are_the_labels_of_the_training(kind, tmp_path):
    labels, suffix = LABELS[kind]
    index = np.arange(240) % len(labels)
    frame = pd.DataFrame({"x": index * 1.0, "noise": np.arange(240) % 7, "y": np.array(labels)[index]})
    path = tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    model = train_table(path, target="y", task="classification", epochs=20, learning_rate=0.1, hidden=(8,))
    assert model.evaluation.scores["accuracy"] == 1
    save_pipeline(model.pipeline, tmp_path / MODEL)
    answers = predict_frame(load_pipeline(tmp_path), frame, proba=True)
    assert answers["y"].tolist() == frame["y"].tolist()
    assert answers["y"].dtype == frame["y"].dtype
    assert list(answers)[1:] == [f"probability {label}" for label in sorted(labels)]
    assert (
        pd.read_csv(io.StringIO(to_csv(answers)), dtype=str)["y"].tolist() == frame["y"].astype(str).tolist()
    )
    write(answers, tmp_path / "answers.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "answers.parquet")["y"].to_pylist() == frame["y"].tolist()


@pytest.mark.parametrize(
    ("reading", "first", "step", "suffix"),
    [
        (False, 2460000.5, 0.01, "csv"),
        (True, 2460000.5, 0.01, "csv"),
        (True, 1.7e9, 1.0, "parquet"),
        (False, -5.3e6, 0.25, "csv"),
    ],
    indirect=["reading"],
)
@pytest.mark.usefixtures("reading")
def test_target_with_a_large_offset_keeps_its_digits(first, step, suffix, tmp_path):
    a = np.random.default_rng(0).permutation(600)
    frame = pd.DataFrame({"x": a * 1.0, "y": first + a * step})
    path = tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    model = train_table(path, target="y", epochs=40, learning_rate=0.02, hidden=(32,))
    assert model.evaluation.scores["R²"] > 0.999
    answers = predict_frame(model.pipeline, frame)["y"]
    written = pd.read_csv(io.StringIO(to_csv(answers.to_frame())))["y"]
    session = onnxruntime.InferenceSession(convert_model(model.pipeline).SerializeToString())
    of_graph = session.run(None, {"x": frame[["x"]].to_numpy()})[0][:, 0]
    assert {answers.dtype, of_graph.dtype} == {np.dtype(np.float64)}
    assert answers.nunique() == written.nunique() == len(set(of_graph)) == len(a)
    assert written.tolist() == answers.tolist()
    np.testing.assert_allclose(of_graph, answers, rtol=0, atol=1e-5 * step * len(a))


def spoken(words, task=None):
    target = read_target(pd.Series(words, name="y"), task, from_text=True)
    return target.task, sorted(set(target.values.tolist()))


def test_words_of_a_csv_target_say_what_it_is():
    assert spoken(["1", "2"] * 9) == ("classification", [1, 2])
    assert spoken(["1", "1.0", "1e3", "-0", "0"] * 9) == ("classification", ["-0", "0", "1", "1.0", "1e3"])
    assert spoken(["1.0", "2.0"] * 9) == ("classification", ["1.0", "2.0"])
    assert spoken(["0.50", "0.25"] * 9) == ("regression", [0.25, 0.5])
    assert spoken(["0.50", "0.5", "0.25"] * 9, "classification") == (
        "classification",
        ["0.25", "0.5", "0.50"],
    )
    assert spoken(["007", "7"] * 9) == ("classification", ["007", "7"])
    assert spoken(["None"] * 9) == ("classification", ["None"])
    assert spoken(["007", "7"] * 9, "regression") == ("regression", [7])
    assert spoken([str(10**19 + i) for i in (1, 2)] * 9)[1] == [str(10**19 + 1), str(10**19 + 2)]


def test_labels_are_the_same_words_from_every_source(tmp_path):
    words = ["1", "1.0", "1e3", "-0"] * 6
    frame = pd.DataFrame({"x": np.arange(24) / 2, "y": words})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    sources: list[Any] = [
        (tmp_path / "t.csv",),
        (tmp_path / "t.parquet",),
        frame,
        frame.astype({"y": "category"}),
    ]
    targets = [load_training_table(source, TrainOptions(target="y")).target for source in sources]
    assert [target.values.tolist() for target in targets] == [words] * 4
    reading = "'1' and '1.0' as 2 classes: spell them in one way if they are one"
    assert {target.reading for target in targets} == {reading}
    for name in ("t.csv", "t.parquet"):
        spec, read = streamed(tmp_path / name, from_text=name == "t.csv")
        assert (read.tolist(), spec.reading) == (words, reading)


def test_typed_numbers_are_those_of_a_spelled_target():
    column = pd.Series([f"{i},000.5" for i in range(1, 40)], name="y")
    spec = infer_target(column, None, from_text=True)
    assert (spec.task, spec.spelling) == ("regression", "point")
    assert spec.read(pd.Series([5.5])).tolist() == [5.5]


@pytest.mark.parametrize(
    ("trained", "tested"),
    [(["1", "2"], ["1.0", "2.0"]), (["1.0", "2.0"], [1, 2]), ([1, 2], ["1", "2"]), ([1, 2], [1.0, 2.0])],
)
def test_labels_of_test_rows_are_those_of_equal_numbers(trained, tested, tmp_path):
    for name, labels in (("train.csv", trained), ("test.parquet", tested)):
        frame = pd.DataFrame({"x": np.arange(24) / 2, "y": labels * 12})
        frame.to_csv(tmp_path / name) if name == "train.csv" else frame.to_parquet(tmp_path / name)
    options = TrainOptions(target="y", test=(tmp_path / "test.parquet",))
    values = load_training_table((tmp_path / "train.csv",), options).target.values.tolist()
    assert values[24:] == values[:24]
    assert [*map(str, values[:2])] == [*map(str, trained)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([str(10**20 + i) for i in range(30)], "whole numbers of more than 64 bits, .*: use task="),
        (["2020-01-01", "2020-01-02"] * 9, "holds dates"),
        (["31/12/2020", "30/11/2020"] * 9, "holds dates: .* as numbers, such as the days since one of them"),
        (["10:30", "1 days 11:00:00"] * 9, "holds times of day or durations: .* as numbers, such as seconds"),
        (["1.5", "inf"] * 9, "holds inf in row 2"),
    ],
)
def test_unusable_words_are_an_error(words, message):
    with pytest.raises(DataError, match=message):
        spoken(words)


@pytest.mark.parametrize("words", [["Q1 2023", "Q2 2023"], ["10:30", "11:00"], ["2020-01-01", "01/02/2020"]])
@pytest.mark.parametrize("from_text", [False, True])
def test_dates_in_text_are_classes_where_that_is_said(words, from_text):
    column = pd.Series(words * 9, name="y")
    assert read_target(column, "classification", from_text=from_text).values[:2].tolist() == words
    with pytest.raises(DataError, match="with task='classification' each spelling is a class"):
        read_target(column[:1].repeat(9), from_text=from_text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1], [2]] * 9, "the target 'y' holds lists"),
        ([{"a": 1}] * 9, "the target 'y' holds records"),
        ([b"a", b"\xff"] * 9, "holds bytes that are no UTF-8 text in row 2"),
        (
            [1, "1"] * 9,
            r"holds values such as '1' \(str\) and 1 \(int\): make all of them text, or all numbers",
        ),
        ([1, np.float64(2.5), "x"] * 9, r"holds values such as 'x' \(str\) and 2.5 \(float64\):"),
        (pd.to_timedelta(["1D", "2D"] * 9), "holds times of day or durations"),
        ([dt.time(1), dt.time(2)] * 9, "holds times of day or durations"),
        ([*["5 min", "2 h"] * 9, "1h 30m"], "holds times of day or durations"),
    ],
)
def test_unusable_values_are_an_error(values, message):
    with pytest.raises(DataError, match=message):
        read_target(pd.Series(values, name="y"))


@pytest.mark.parametrize(
    ("values", "task", "answers"),
    [
        (np.array([0.5, 1.5] * 15, "f2"), "classification", [0.5, 1.5] * 15),
        (np.array([0.5, 1.5] * 15, "g"), "classification", [0.5, 1.5] * 15),
        ([f"{i} min" for i in range(30)], "regression", np.arange(30.0)),
    ],
)
def test_values_of_rare_types_and_of_one_unit_are_a_target(values, task, answers):
    column = pd.Series(values, name="y")
    target = read_target(column, task)
    blocks = (column[i : i + 7].to_frame().assign(x=i) for i in range(0, 30, 7))
    spec = fit_streaming(blocks, target="y", task=task).target
    assert (target.task, target.values.tolist()) == (task, [*answers])
    assert spec.read(column).tolist() == [*answers]


def test_missing_values_of_a_parquet_target_leave_the_integers_whole(tmp_path):
    ids = [2**60 + 1, 2**60 + 2, None] * 8
    pa.parquet.write_table(pa.table({"x": range(24), "y": pa.array(ids)}), tmp_path / "t.parquet")
    table = load(tmp_path / "t.parquet", TrainOptions(target="y"))
    assert (set(table.target.values.tolist()), table.left_out) == ({2**60 + 1, 2**60 + 2}, 8)
    assert table.row_numbers[1].tolist()[:3] == [1, 2, 4]


def test_word_for_missing_among_the_numbers_of_a_csv_target_is_a_row_without_a_target(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i % 3},{i}.5\n" for i in range(30)) + "1,None\n")
    with pytest.raises(DataError, match=r"t\.csv, line 32: its target 'y' is missing; fill it in"):
        load_training_table((path,), TrainOptions(target="y"))
    table = load_training_table((path,), TrainOptions(target="y", on_bad_row="skip", max_skipped=0.1))
    assert (table.left_out, table.target.values.max(), table.row_numbers[1][-1]) == (1, 29.5, 31)


def test_onnx_refuses_labels_beyond_its_integers_and_warns_of_lost_digits():
    X = np.array([[1e9], [1e9 + 20]] * 10)
    options: dict[str, Any] = {"max_iter": 300, "learning_rate_init": 0.1, "tol": 0.01}
    clf = bp.MLPClassifier((), **options).fit(X - 1e9, np.array([2**63, 1] * 10, dtype=np.uint64))
    with pytest.raises(InputError, match="integers from 2⁶³ on"):
        convert_model(clf)
    frame = pd.DataFrame({"when": X[:, 0]})
    model = make_pipeline(StandardScaler(), bp.MLPClassifier((), **options)).fit(frame, [0, 1] * 10)
    with pytest.warns(
        UserWarning, match="spread of column 'when' before the StandardScaler .*dtype='float64'"
    ):
        convert_model(model)
    graph = onnxruntime.InferenceSession(convert_model(model, "float64").SerializeToString())
    assert graph.run(None, {"X": X})[0].tolist() == model.predict(frame).tolist() == [0, 1] * 10


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5], "give one label for each class"),
        ([0.5, 0.25], "not in ascending order"),
    ],
)
def test_relabel_takes_one_label_for_each_class_in_order(labels, message):
    clf = bp.MLPClassifier((), max_iter=20, tol=1.0).fit([[0.0], [1.0]], [0, 1], record_examples=True)
    with pytest.raises(InputError, match=message):
        clf.relabel(labels)
    assert clf.relabel([0.25, 0.5]).examples_["given_label"].tolist() == [0.25, 0.5]
    X = np.array([[0.0], [1.0]])
    assert clf.score(X, np.append(clf.predict(X[:1]), 7.5), sample_weight=[3, 1]) == 0.75
