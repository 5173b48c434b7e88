"""Labels come back as the table spells them, numbers with their digits: from any file, at once or streamed."""

import csv
import io

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchprop as bp
from batchprop.data.csv_types import MISSING
from batchprop.errors import DataError, InputError
from batchprop.export.onnx import convert_model
from batchprop.tabular import fit_streaming, load_model, read_tables, read_target, scan, train_table
from batchprop.tabular.predictions import to_csv, write

ROWS = 24

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
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["007", "7", " 7", "NA"]),
}


def drawn(data, labels):
    """Rows of two to four different labels, each at least twice."""
    few = data.draw(st.lists(labels, min_size=2, max_size=4, unique_by=lambda label: label or type(label)))
    return (few * ROWS)[:ROWS]


def streamed(path, *, from_text):
    """The labels of a file that is read in blocks of five rows."""
    with scan(path, "y", text=["y"]) as table:
        spec = fit_streaming(
            table.iter_frames(rows=5), target="y", task="classification", from_text=from_text
        ).target
        return spec, np.concatenate([spec.read(frame["y"]) for frame in table.iter_frames(rows=7)])


@pytest.mark.parametrize("kind", SPELLINGS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_label_of_a_csv_file_is_spelled_as_there(kind, data, tmp_path_factory):
    words = drawn(data, SPELLINGS[kind])
    path = tmp_path_factory.getbasetemp() / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerows([("x", "y"), *((i % 7, word) for i, word in enumerate(words))])
    frame = read_tables(path, "y", text=["y"]).frame
    values = read_target(frame["y"], "classification", from_text=True).values
    assert values.astype(str).tolist() == words
    whole = (
        all(word == str(int(word)) and abs(int(word)) < 2**63 for word in words)
        if "i" in kind and (kind in {"integers", "close ids", "long ids"})
        else False
    )
    assert values.dtype.kind == ("i" if whole else "U")
    spec, read = streamed(path, from_text=True)
    assert read.tolist() == values.tolist()
    assert spec.classes.tolist() == sorted(set(values.tolist()))
    assert spec.counts.tolist() == [values.tolist().count(label) for label in spec.classes.tolist()]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_label_of_a_typed_column_keeps_its_type(kind, data, tmp_path_factory):
    column = pa.array(drawn(data, TYPES[kind]), kind)
    path = tmp_path_factory.getbasetemp() / "labels.parquet"
    pa.parquet.write_table(pa.table({"x": [i % 7 for i in range(ROWS)], "y": column}), path)
    labels = [label.decode() if isinstance(label, bytes) else label for label in column.to_pylist()]
    dtype = kind.to_pandas_dtype() if pa.types.is_primitive(kind) else np.str_
    targets = [
        read_tables(path, "y").frame["y"],
        column.to_pandas(),
        pd.Series(column.to_pylist(), dtype=object),
    ]
    for target in targets[: 3 if kind in {pa.bool_(), pa.string()} else 2]:
        values = read_target(target.rename("y"), "classification").values
        assert (values.tolist(), values.dtype.type) == (labels, np.dtype(dtype).type)
    spec, read = streamed(path, from_text=False)
    assert (read.tolist(), read.dtype.type) == (labels, np.dtype(dtype).type)
    assert spec.classes.tolist() == sorted(set(labels))


LABELS = {
    "ids": [123456789012345678, 123456789012345679, 123456789012345680],
    "fractions": [0.1234561, 0.1234562],
    "booleans": [True, False],
    "words": ["007", "x, y", "True"],
    "unsigned": np.array([2**63, 2**63 + 1], dtype=np.uint64),
}


@pytest.fixture(params=[False, True], ids=["in memory", "streamed"])
def reading(request, monkeypatch):
    if request.param:
        monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: True)


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", LABELS)
def test_answers_are_the_labels_of_the_training(kind, suffix, tmp_path):
    labels = pd.Series(LABELS[kind])
    index = np.arange(240) % len(labels)
    frame = pd.DataFrame({"x": index * 1.0, "noise": np.arange(240) % 7, "y": labels.to_numpy()[index]})
    path = tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    model = train_table(path, target="y", task="classification", epochs=30, learning_rate=0.05, hidden=(8,))
    model.save(tmp_path / "model")
    answers = load_model(tmp_path / "model").predict(path, proba=True)
    # A CSV file spells fractions and booleans; only whole numbers have a type there.
    known = frame["y"].astype(str) if suffix == "csv" and kind in {"fractions", "booleans"} else frame["y"]
    known = known.astype(str) if suffix == "csv" and kind == "unsigned" else known
    assert answers["y"].tolist() == known.tolist()
    assert answers["y"].dtype.kind == known.dtype.kind
    assert list(answers)[1:] == [f"probability {label}" for label in sorted(set(known))]
    assert (
        pd.read_csv(io.StringIO(to_csv(answers)), dtype=str)["y"].tolist() == frame["y"].astype(str).tolist()
    )
    write(answers, tmp_path / "answers.parquet")
    read = pyarrow.parquet.read_table(tmp_path / "answers.parquet")["y"]
    assert read.to_pylist() == known.tolist()
    assert all(str(label) in model.report() for label in set(known) - {"x, y"})
