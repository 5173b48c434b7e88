"""`batchprop predict` on many files, folders, patterns, and tables larger than memory."""

from __future__ import annotations

import io
import shlex

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from batchprop.cli import progress
from batchprop.tabular import load_model, predictions, train_table
from tests.cli.commands import QUICK, names, run, write
from tests.cli.test_large_tables import table

ROWS = 480


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """A folder with a model of words, dates and numbers."""
    home = tmp_path_factory.mktemp("kinds")
    write(table(400, seed=1).drop(columns="price"), home / "t.parquet")
    run("train", home / "t.parquet", "--target", "kind", "--out", home / "m", *QUICK)
    return home / "m"


@pytest.fixture
def read_in_blocks(monkeypatch):
    """Treat every table as larger than memory, in blocks of few rows."""
    monkeypatch.setattr(predictions, "exceeds_memory", lambda *_: True)
    monkeypatch.setattr(predictions, "block_size", lambda *_: 97)
    monkeypatch.setattr(progress, "PATIENCE", 1e9)


@pytest.fixture(params=["at once", "in blocks"])
def either_way(request):
    """Run the test with a table read at once, and with one read in blocks."""
    if request.param == "in blocks":
        request.getfixturevalue("read_in_blocks")
    return request.param


def cut(folder, frame, ending, pieces=3):
    """Write the rows as several files, with part-1 and part-10 among them."""
    (folder / "parts").mkdir(exist_ok=True)
    size = -(-len(frame) // pieces)
    for i, number in enumerate((1, 2, 10)[:pieces]):
        part = frame.iloc[size * i : size * (i + 1)]
        path = folder / "parts" / f"part-{number}{ending}"
        if ending == ".parquet":
            part.to_parquet(path, index=False, row_group_size=60)
        else:
            packing = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
            with pa.output_stream(path, compression=packing) as file:
                file.write(part.to_csv(index=False).encode())


def predict_and_read(*words):
    return pd.read_csv(io.StringIO(run("predict", *words).stdout))


def same(one, other):
    assert list(one) == list(other)
    pd.testing.assert_series_equal(one.iloc[:, 0], other.iloc[:, 0])
    np.testing.assert_allclose(one.iloc[:, 1:], other.iloc[:, 1:], atol=1e-6)


@pytest.mark.parametrize(
    ("ending", "either_way"),
    [
        (".parquet", "at once"),
        (".parquet", "in blocks"),
        (".csv", "at once"),
        (".csv", "in blocks"),
        (".csv.gz", "at once"),
        (".csv.zst", "in blocks"),
    ],
    indirect=["either_way"],
)
def test_many_files_are_predicted_as_one_table(folder, kinds, ending, either_way):
    frame = table(ROWS)
    cut(folder, frame.drop(columns=["kind", "price"]), ending)
    wanted = load_model(kinds).predict(frame, proba=True)
    in_order = [f"parts/part-{number}{ending}" for number in (1, 2, 10)]
    # Files are found in one way, whatever their ending.
    for words in ([f"parts/*{ending}"], ["parts"], in_order) if ending == ".csv" else (["parts"],):
        same(predict_and_read(kinds, *words, "--proba"), wanted)
    assert either_way


def test_table_larger_than_the_memory_limit_is_read_in_blocks(folder, kinds, monkeypatch):
    write(table(3000), folder / "large.parquet")
    wanted = predict_and_read(kinds, "large.parquet", "--proba")
    monkeypatch.delattr(predictions, "read_tables")
    same(predict_and_read(kinds, "large.parquet", "--proba", "--memory", "1100KB"), wanted)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_block_predictions_are_written_in_the_format_of_the_suffix(folder, kinds, ending, read_in_blocks):
    cut(folder, table(ROWS), ".parquet")
    out = folder / f"answers.{ending}"
    said = run("predict", kinds, "parts", "--proba", "--out", out).stdout
    assert said.splitlines() == ["Scanning the table ...", f"480 predictions in {out}"]
    result = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out, sep=None, engine="python")
    same(result, predict_and_read(kinds, "parts", "--proba"))
    if ending == "parquet":
        assert pq.ParquetFile(out).num_row_groups == 1
    assert names(folder) == [out.name, "parts"]


def test_regression_is_predicted_in_blocks(models, read_in_blocks, monkeypatch):
    words = [models / "houses-model", models / "houses.parquet"]
    result = predict_and_read(*words)
    monkeypatch.undo()
    np.testing.assert_allclose(result, predict_and_read(*words), rtol=1e-5)


def test_digit_strings_of_a_text_column_stay_text(folder, request):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"code": rng.choice(["1.50", "1.5", "x"], 300), "x": rng.normal(size=300)})
    write(frame.assign(y=np.where(frame.code == "1.50", "a", "b")), folder / "t.parquet")
    run("train", "t.parquet", "--target", "y", "--out", "m", *QUICK, "--epochs", "30")
    for i, code in enumerate(["1.50", "1.5"]):
        (folder / f"one-{i}.csv").write_text(f" code ,x\n{code},0\n")
    assert predict_and_read("m", "one-0.csv", "one-1.csv")["y"].tolist() == ["a", "b"]
    request.getfixturevalue("read_in_blocks")
    assert predict_and_read("m", "one-0.csv", "one-1.csv")["y"].tolist() == ["a", "b"]


def test_unparsable_row_is_reported_and_nothing_is_written(folder, kinds, either_way):
    cut(folder, table(90).drop(columns="kind"), ".csv")
    with (folder / "parts" / "part-2.csv").open("a") as file:
        file.write("1,2\n")
    said = run("predict", kinds, "parts", "--out", "answers.csv", code=1).stderr
    assert "parts/part-2.csv, line 32: 2 fields where the first line names 13; add or remove fields" in said
    assert "--on-bad-row" not in said
    assert names(folder) == ["parts"]
    assert either_way


@pytest.mark.parametrize(
    ("ending", "out", "either_way"),
    [
        (".csv", "answers.parquet", "in blocks"),
        (".parquet", "answers.csv", "at once"),
        (".parquet", "answers.parquet", "in blocks"),
    ],
    indirect=["either_way"],
)
def test_kept_columns_and_row_numbers_come_before_the_answers(folder, kinds, ending, out, either_way):
    frame = table(ROWS).assign(
        id=[f"{i:04d}" for i in range(ROWS)], note=None, n=np.arange(ROWS) + 0.123456789
    )
    frame.loc[400:, "note"] = "late, with a comma"
    frame.loc[3, "kind"] = None
    frame["stamp"] = frame["born"] + pd.Timedelta("90min")
    cut(folder, frame, ending)
    keep = ["id", "note", "x0", "n", "born", "stamp", "kind"]
    said = run(
        "predict", kinds, "parts", "--keep", ",".join(keep), "--number", "--proba", "--out", out
    ).stdout
    assert f"480 predictions in {out}" in said
    result = pd.read_csv(out, dtype={"id": str}) if out.endswith("csv") else pd.read_parquet(out)
    answers = ["predicted kind", "probability no", "probability yes"]
    assert list(result) == ["row", *keep, *answers]
    assert result["row"].tolist() == list(range(1, ROWS + 1))
    for name in ("id", "note", "kind"):
        assert result[name].fillna("?").tolist() == frame[name].fillna("?").tolist()
    for name in ("x0", "n"):
        assert result[name].astype(float).tolist() == frame[name].tolist()
    for name in ("born", "stamp"):
        assert pd.to_datetime(result[name]).tolist() == frame[name].tolist()
    wanted = load_model(kinds).predict(frame, proba=True)
    assert result["predicted kind"].tolist() == wanted["kind"].tolist()
    np.testing.assert_allclose(result[answers[1:]], wanted.iloc[:, 1:], atol=1e-6)
    in_python = load_model(kinds).predict(frame, proba=True, keep=keep, number=True)
    assert list(in_python) == list(result)
    assert in_python["n"].tolist() == frame["n"].tolist()
    assert either_way


def test_columns_to_keep_that_are_not_there_are_refused(folder, kinds):
    write(table(9).assign(tags=[["a"]] * 9), folder / "t.parquet")
    for keep, message, code in (
        ("colur", "there is no column to keep: 'colur'; did you mean 'colour'?", 1),
        ("x0,x0", "--keep names 'x0' twice: name each column once", 2),
        ("", "--keep holds an empty name", 2),
        ("tags", "the column 'tags' to keep holds lists or records", 1),
    ):
        assert message in run("predict", kinds, "t.parquet", "--keep", keep, code=code).stderr


@pytest.mark.parametrize("how", ["frame", "csv"])
def test_a_target_named_like_a_probability_keeps_its_answers(folder, how):
    frame = table(200)[["x0", "x1"]].assign(row=7.5)
    frame["probability hi"] = np.where(frame.x0 > 0, "hi", "lo")
    model = train_table(frame, target="probability hi", epochs=20, hidden=4, learning_rate=0.1)
    data = frame if how == "frame" else write(frame, folder / "t.csv")
    P = model.predict(data, proba=True, keep="row", number=True)
    assert list(P) == ["row (2)", "row", "probability hi", "probability hi (2)", "probability lo"]
    assert P["probability hi"].tolist() == model.pipeline.predict(frame).tolist()
    np.testing.assert_allclose(P.iloc[:, 3:], model.pipeline.predict_proba(frame), atol=1e-6)
    assert set(P["row"].astype(float)) == {7.5}


@pytest.mark.parametrize(
    ("ending", "place", "either_way"),
    [(".csv", "line 4", "in blocks"), (".parquet", "row 3", "at once"), (".parquet", "row 3", "in blocks")],
    indirect=["either_way"],
)
def test_text_in_a_numeric_column_is_reported_with_file_and_line(folder, kinds, ending, place, either_way):
    frame = table(90).astype({"x1": str})
    frame.loc[32, "x1"] = "wide"
    cut(folder, frame, ending)
    said = run("predict", kinds, "parts", code=1).stderr
    assert f"parts/part-2{ending}, {place}: column 'x1' holds 'wide'" in said
    assert either_way


def test_row_without_a_target_is_predicted(folder, kinds, either_way):
    frame = table(90)
    frame.loc[3, "kind"] = None
    write(frame, folder / "t.csv")
    assert len(predict_and_read(kinds, "t.csv")) == 90
    assert either_way


def test_missing_column_is_reported_before_the_table_is_scanned(folder, kinds, read_in_blocks):
    write(table(90).rename(columns={"colour": "color"}), folder / "t.csv")
    said = run("predict", kinds, "t.csv", code=1)
    assert "lacks 1 of the 12 columns" in said.stderr
    assert "did you mean 'color'" in said.stderr
    assert not said.stdout


def test_input_file_is_never_overwritten(folder, kinds):
    cut(folder, table(90), ".csv")
    said = run("predict", kinds, "parts", "--out", "parts/part-2.csv", "--force", code=2).stderr
    assert "--out parts/part-2.csv is the table itself: name another file" in said


def test_invalid_memory_limit_is_refused(folder, kinds):
    write(table(9), folder / "t.csv")
    assert (
        "--memory much is not an amount" in run("predict", kinds, "t.csv", "--memory", "much", code=2).stderr
    )


def test_progress_bar_is_not_mixed_with_the_predictions(folder, kinds, read_in_blocks, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    write(table(90), folder / "t.csv")
    said = run("predict", kinds, "t.csv")
    assert said.stdout.splitlines()[0] == "kind"
    assert len(said.stdout.splitlines()) == 91
    assert not said.stderr


@pytest.mark.parametrize(("patience", "shown"), [(1e9, False), (-1.0, True)])
def test_long_pass_shows_its_progress(monkeypatch, patience, shown):
    monkeypatch.setattr(progress, "PATIENCE", patience)
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=60)
    with progress.slow_pass_progress(console, "Predicting", 100) as read:
        for _ in range(10):
            read(10)
    assert ("Predicting" in said.getvalue()) == shown
    assert ("100%" in said.getvalue()) == shown


@pytest.mark.parametrize(
    "data", [["t.csv"], ["parts/part-1.csv", "parts/part-2.csv"], ["parts"], ["parts/*.csv"]]
)
def test_predict_command_printed_by_train_works(folder, data):
    frame = table(90).drop(columns="price")
    write(frame, folder / "t.csv")
    cut(folder, frame, ".csv", pieces=2)
    said = run("train", *data, "--target", "kind", "--out", "a model", *QUICK).stdout
    line = next(line for line in said.splitlines() if line.startswith("Predict with: "))
    words = shlex.split(line.removeprefix("Predict with: "))
    assert words == ["batchprop", "predict", "a model", *data]
    assert len(predict_and_read(*words[2:])) == len(frame)


def test_fields_separated_by_another_character(folder, request):
    frame = table(90).drop(columns="price")
    frame.to_csv(folder / "t.csv", index=False, sep="^")
    write(frame, folder / "commas.csv")
    said = run("train", "t.csv", "--target", "kind", "--separator", "^", *QUICK, "--out", "m").stdout
    line = next(line for line in said.splitlines() if line.startswith("Predict with: "))
    words = shlex.split(line.removeprefix("Predict with: "))
    assert words == ["batchprop", "predict", "m", "t.csv", "--separator", "^"]
    answers = predict_and_read(*words[2:])["kind"].tolist()
    assert answers == predict_and_read("m", "commas.csv")["kind"].tolist()
    assert len(answers) == len(frame)
    request.getfixturevalue("read_in_blocks")
    assert answers == predict_and_read(*words[2:])["kind"].tolist()


def test_separator_without_a_text_file_is_refused(folder, kinds):
    frame = table(30)
    frame.to_parquet(folder / "t.parquet")
    said = run("train", "t.parquet", "--target", "kind", "--separator", ";", *QUICK, code=2).stderr
    assert "--separator ; is for CSV files, and there are none: leave it out" in said
    said = run("predict", kinds, "t.parquet", "--separator", "tab", code=2).stderr
    assert "is for CSV files, and there are none: leave it out" in said


def test_printed_predict_command_names_the_first_of_many_files(folder):
    (folder / "parts").mkdir()
    for i in range(11):
        write(table(20, seed=i).drop(columns="price"), folder / "parts" / f"{i}.csv")
    files = [f"parts/{i}.csv" for i in range(11)]
    said = run("train", *files, "--target", "kind", "--out", "m", *QUICK).stdout
    assert said.splitlines()[-1] == "Predict with: batchprop predict m parts/0.csv"
