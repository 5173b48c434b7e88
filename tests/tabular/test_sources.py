"""Tables that are no files to read in place: they train and predict as a Parquet file of the same rows."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from batchprop.errors import CheckpointError, DataError, ParameterError
from batchprop.tabular import Observer, predictions, streaming, train_table
from batchprop.tabular.options import make_options, to_dict, to_words

ROWS = 400
QUICK: dict[str, Any] = {"target": "kind", "epochs": 1, "hidden": 4, "learning_rate": 0.05, "engine": "numpy"}

# The small memory of these tests opens few partitions, and the fit warns about it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*are read at a time:UserWarning"),
    pytest.mark.filterwarnings("ignore::batchprop.errors.OneClassWarning"),
]


@cache
def table():
    """Numbers with gaps, words, dates and prices as text, codes, booleans; classes that depend on them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=ROWS), "count": rng.integers(0, 2**54, ROWS)})
    frame["colour"] = rng.choice(["red", "grün", "blue"], ROWS)
    frame["zip"] = rng.choice(["007", "100", "042"], ROWS)
    frame["price"] = [f"1.{number:03},50 €" for number in rng.integers(0, 999, ROWS)]
    frame["born"] = pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d")
    frame["new"] = rng.random(ROWS) < 0.5
    frame["kind"] = np.where(frame["x"] + 2 * frame["new"] > 1, "yes", "no")
    frame.loc[20::40, "x"] = np.nan
    return frame


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the table in every format."""
    folder, frame = tmp_path_factory.mktemp("sources"), table()
    frame.to_parquet(folder / "t.parquet", row_group_size=256)
    # Databases of SQLite have no booleans.
    frame.astype({"new": int}).to_parquet(folder / "sqlite.parquet", row_group_size=256)
    frame.to_excel(folder / "t.xlsx", index=False, sheet_name="data")
    frame.to_csv(folder / "t.csv", index=False)
    rows = [row.dropna().to_dict() for _, row in frame.astype(object).iterrows()]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "t.jsonl").write_text(text, encoding="utf-8")
    with pa.output_stream(folder / "t.jsonl.zst", compression="zstd") as file:
        file.write(text.encode())
    with closing(sqlite3.connect(folder / "t.db")) as connection:
        frame.to_sql("t", connection, index=False)
    return folder


@pytest.fixture(autouse=True)
def folder(home, monkeypatch):
    monkeypatch.chdir(home)
    return home


@pytest.fixture(params=["in memory", "in parts"])
def either_way(request, monkeypatch):
    """Run the test with tables read at once, and with tables read in parts."""
    if request.param == "in parts":
        for module in (streaming, predictions):
            monkeypatch.setattr(module, "exceeds_memory", lambda *_: True)
        monkeypatch.setattr(predictions, "block_size", lambda *_: 61)
    return request.param


@cache
def trained(data, way):
    return train_table(data, **QUICK)


def set_stdin(monkeypatch, path):
    content = path if isinstance(path, bytes) else path.read_bytes()
    stdin = SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False)
    monkeypatch.setattr("sys.stdin", stdin)


SOURCES: dict[str, Any] = {
    "JSON lines": ("t.jsonl", {}, "t.parquet"),
    "workbook": ("t.xlsx", {"sheet": "data"}, "t.parquet"),
    "query": (None, {"sql": "SELECT * FROM 't.parquet'"}, "t.parquet"),
    "SQLite": (None, {"sql": "SELECT * FROM t", "database": "sqlite:///t.db"}, "sqlite.parquet"),
    "piped Parquet": ("-", {}, "t.parquet"),
    "piped compressed JSON lines": ("-", {}, "t.jsonl.zst"),
    "piped workbook": ("-", {}, "t.xlsx"),
    "piped CSV": ("-", {}, "t.csv"),
}


# Each is first made a Parquet or CSV file, which is then read as one: the ways take turns.
@pytest.mark.parametrize(
    ("name", "either_way"),
    [(name, ("in memory", "in parts")[number % 2]) for number, name in enumerate(SOURCES)],
    indirect=["either_way"],
)
def test_every_source_gives_the_model_and_the_predictions_of_its_rows_as_a_file(
    folder, either_way, monkeypatch, name
):
    data, source, same = SOURCES[name]
    expected = trained(same, either_way)
    if data == "-":
        set_stdin(monkeypatch, folder / same)
    model = train_table(data, **source, **QUICK)
    assert [epoch.loss for epoch in model.history] == [epoch.loss for epoch in expected.history]
    assert model.evaluation == expected.evaluation
    if data == "-":
        set_stdin(monkeypatch, folder / same)
    options: dict[str, Any] = {"proba": True, "keep": ["zip"], "number": True}
    predicted = model.predict(data, **source, **options)
    pd.testing.assert_frame_equal(predicted, expected.predict(same, **options))
    assert len(predicted) == ROWS


@pytest.mark.usefixtures("either_way")
def test_test_rows_may_be_of_another_format():
    test: dict[str, Any] = {"test": ["t.jsonl"]}
    model = train_table(sql="SELECT * FROM 't.parquet' LIMIT 300", **test, **QUICK)
    assert len(model.predict("t.jsonl")) == ROWS
    with pytest.raises(DataError, match=r"t.jsonl is in DATA and in `test`"):
        train_table("t.jsonl", **test, **QUICK)
    with pytest.raises(DataError, match="`test` cannot be standard input"):
        train_table("t.jsonl", test="-", **QUICK)


@pytest.mark.usefixtures("either_way")
def test_rows_are_named_by_their_origin(tmp_path, monkeypatch):
    gap = "SELECT * REPLACE (CASE WHEN kind = 'yes' THEN kind END AS kind) FROM 't.parquet' ORDER BY kind"
    with pytest.raises(
        DataError, match=r"^the query, row \d+: its target 'kind' is missing; .* rows cannot be"
    ):
        train_table(sql=gap, **QUICK)
    first = table().head(2).assign(x="word").to_csv(index=False).encode()
    model = trained("t.parquet", "in memory")
    set_stdin(monkeypatch, first)
    with pytest.raises(DataError, match=r"^standard input, line 2: .*word"):
        model.predict("-")
    set_stdin(monkeypatch, first.replace(b",red", b",red,red").replace(b",blue", b",b,b"))
    with pytest.raises(DataError, match=r"^standard input, line [23]: "):
        model.predict("-")
    word = "CASE count WHEN max(count) OVER () THEN 'word' ELSE '1' END"
    two = "SELECT * FROM 't.parquet' LIMIT 2"
    with pytest.raises(DataError, match=r"^the query, row 2: .*word"):
        model.predict(sql=f"SELECT * REPLACE ({word} AS x) FROM ({two}) ORDER BY x")  # noqa: S608 a test's own


def test_skipped_rows_are_named_by_their_origin(monkeypatch):
    text = table().to_csv(index=False).replace(",yes\n", ",\n", 1).encode()
    set_stdin(monkeypatch, text)
    seen = []

    class Names(Observer):
        def on_table(self, table, rows):
            seen.append((table, rows))

    train_table("-", on_bad_row="skip", observer=Names(), **QUICK)
    assert seen[0][0].name == "standard input"
    assert [str(row.file) for row in seen[0][0].skipped] == ["standard input"]


def test_a_table_has_one_source():
    model = trained("t.parquet", "in memory")
    for act in (lambda **source: train_table(**source, **QUICK), model.predict):
        with pytest.raises(ParameterError, match="`sql` names its tables itself: leave DATA out"):
            act(data="t.csv", sql="SELECT 1")
        with pytest.raises(ParameterError, match="`database` needs a query"):
            act(data="t.csv", database="sqlite:///t.db")
        with pytest.raises(ParameterError, match="`sheet` is for workbooks"):
            act(sql="SELECT 1", sheet="data")
        with pytest.raises(ParameterError, match="sql=3 is not allowed"):
            act(sql=3)
        with pytest.raises(ParameterError, match="- is standard input, and a table of its own"):
            act(data=["-", "t.csv"])
    with pytest.raises(ParameterError, match="`target` is missing"):
        train_table(sql="SELECT 1")


@pytest.mark.parametrize("content", [b"", None])
def test_standard_input_without_a_table_is_told(monkeypatch, content):
    set_stdin(monkeypatch, content or b"")
    if content is None:
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    with pytest.raises(DataError, match=r"standard input is (empty|no table)"):
        train_table("-", **QUICK)


def test_a_resumed_training_refuses_other_rows(tmp_path, monkeypatch):
    class Stop(Observer):
        def on_epoch(self, history):
            assert len(history) == 1
            raise KeyboardInterrupt

    kept = QUICK | {"epochs": 3, "checkpoint_every": 1, "checkpoints": tmp_path / "c"}
    query: dict[str, Any] = {"sql": "SELECT * FROM 't.parquet'"}
    train_table(**query, observer=Stop(), **kept)
    with pytest.raises(CheckpointError, match=r"`sql` was .*; set it as it was, or start over"):
        train_table(sql="SELECT * FROM 't.parquet' LIMIT 399", resume=True, **kept)
    resumed = train_table(**query, resume=True, **kept)
    assert len(resumed.history) == 3
    set_stdin(monkeypatch, Path("t.csv"))
    train_table("-", observer=Stop(), **kept)
    set_stdin(monkeypatch, b"\n".join(Path("t.csv").read_bytes().splitlines()[:-1]))
    with pytest.raises(CheckpointError, match=r"of other rows|other data|start over"):
        train_table("-", resume=True, **kept)
    set_stdin(monkeypatch, Path("t.csv"))
    assert len(train_table("-", resume=True, **kept).history) == 3


def test_settings_and_hints_have_no_passwords():
    url = "postgresql://ann:s3/cr@t@host/t?sslpassword=h1dden"
    options = make_options(target="kind", sql="SELECT 1", database=url)
    for text in (str(to_dict(options)), str(to_words(options))):
        assert "postgresql://ann:***@host/t?sslpassword=***" in text
        assert "s3" not in text
        assert "h1dden" not in text
