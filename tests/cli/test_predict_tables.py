"""`batchprop predict` on what `batchprop train` takes: many files, folders, patterns, larger than memory."""

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
from batchprop.tabular import load_model, predictions
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
    """Every table is larger than memory, and a block has few rows."""
    monkeypatch.setattr(predictions, "exceeds_memory", lambda *_: True)
    monkeypatch.setattr(predictions, "block_size", lambda *_: 61)
    monkeypatch.setattr(progress, "PATIENCE", 1e9)


@pytest.fixture(params=["at once", "in blocks"])
def either_way(request):
    """The test runs with a table read at once, and with one read in blocks."""
    if request.param == "in blocks":
        request.getfixturevalue("read_in_blocks")
    return request.param


def cut(folder, frame, ending, pieces=3):
    """The rows as several files, part-1 to part-10 among them."""
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


def answered(*words):
    return pd.read_csv(io.StringIO(run("predict", *words).stdout))


def same(one, other):
    assert list(one) == list(other)
    pd.testing.assert_series_equal(one.iloc[:, 0], other.iloc[:, 0])
    np.testing.assert_allclose(one.iloc[:, 1:], other.iloc[:, 1:], atol=1e-6)


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".csv.gz", ".csv.zst"])
def test_many_files_are_answered_as_one_table(folder, kinds, ending, either_way):
    frame = table(ROWS)
    cut(folder, frame.drop(columns=["kind", "price"]), ending)
    wanted = load_model(kinds).predict(frame, proba=True)
    in_order = [f"parts/part-{number}{ending}" for number in (1, 2, 10)]
    # Files are found in one way, whatever their ending.
    for words in ([f"parts/*{ending}"], ["parts"], in_order) if ending == ".csv" else (["parts"],):
        same(answered(kinds, *words, "--proba"), wanted)
    assert either_way


def test_a_table_larger_than_the_memory_given_is_read_in_blocks(folder, kinds, monkeypatch):
    write(table(3000), folder / "large.parquet")
    wanted = answered(kinds, "large.parquet", "--proba")
    monkeypatch.delattr(predictions, "read_tables")
    same(answered(kinds, "large.parquet", "--proba", "--memory", "1100KB"), wanted)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_answers_to_blocks_go_to_a_file_of_the_ending(folder, kinds, ending, read_in_blocks):
    cut(folder, table(ROWS), ".parquet")
    out = folder / f"answers.{ending}"
    said = run("predict", kinds, "parts", "--proba", "--out", out).stdout
    assert said.splitlines() == ["Scanning the table ...", f"480 predictions in {out}"]
    found = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out, sep=None, engine="python")
    same(found, answered(kinds, "parts", "--proba"))
    if ending == "parquet":
        assert pq.ParquetFile(out).num_row_groups == 1
    assert names(folder) == [out.name, "parts"]


def test_numbers_are_answered_in_blocks(models, read_in_blocks, monkeypatch):
    words = [models / "houses-model", models / "houses.parquet"]
    found = answered(*words)
    monkeypatch.undo()
    np.testing.assert_allclose(found, answered(*words), rtol=1e-5)


def test_words_of_digits_stay_words(folder, either_way):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"code": rng.choice(["01", "1"], 300), "x": rng.normal(size=300)})
    write(frame.assign(y=np.where(frame.code == "01", "a", "b")), folder / "t.parquet")
    run("train", "t.parquet", "--target", "y", "--out", "m", *QUICK, "--epochs", "30")
    for i, code in enumerate(["01", "1"]):
        (folder / f"one-{i}.csv").write_text(f" code ,x\n{code},0\n")
    assert answered("m", "one-0.csv", "one-1.csv")["y"].tolist() == ["a", "b"]
    assert either_way


def test_a_row_that_does_not_parse_is_named_and_nothing_is_written(folder, kinds, either_way):
    cut(folder, table(90).drop(columns="kind"), ".csv")
    with (folder / "parts" / "part-2.csv").open("a") as file:
        file.write("1,2\n")
    said = run("predict", kinds, "parts", "--out", "answers.csv", code=1).stderr
    assert "parts/part-2.csv, line 32: 2 fields where the first line names 23; add or remove fields" in said
    assert "--on-bad-row" not in said
    assert names(folder) == ["parts"]
    assert either_way


@pytest.mark.parametrize(("ending", "place"), [(".csv", "line 4"), (".parquet", "row 3")])
def test_a_word_among_numbers_is_named_with_file_and_line(folder, kinds, ending, place, either_way):
    frame = table(90).astype({"x1": str})
    frame.loc[32, "x1"] = "wide"
    cut(folder, frame, ending)
    said = run("predict", kinds, "parts", code=1).stderr
    assert f"parts/part-2{ending}, {place}: column 'x1' holds 'wide'" in said
    assert either_way


def test_a_row_without_a_target_is_answered_too(folder, kinds, either_way):
    frame = table(90)
    frame.loc[3, "kind"] = None
    write(frame, folder / "t.csv")
    assert len(answered(kinds, "t.csv")) == 90
    assert either_way


def test_a_lacking_column_is_said_before_the_table_is_looked_through(folder, kinds, read_in_blocks):
    write(table(90).rename(columns={"colour": "color"}), folder / "t.csv")
    said = run("predict", kinds, "t.csv", code=1)
    assert "lacks 1 of the 22 columns" in said.stderr
    assert "did you mean 'color'" in said.stderr
    assert not said.stdout


def test_a_file_of_the_table_is_not_replaced(folder, kinds):
    cut(folder, table(90), ".csv")
    said = run("predict", kinds, "parts", "--out", "parts/part-2.csv", "--force", code=2).stderr
    assert "--out parts/part-2.csv is the table itself: name another file" in said


def test_memory_that_is_none(folder, kinds):
    write(table(9), folder / "t.csv")
    assert (
        "--memory much is not an amount" in run("predict", kinds, "t.csv", "--memory", "much", code=2).stderr
    )


def test_no_bar_stands_among_the_answers(folder, kinds, read_in_blocks, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    write(table(90), folder / "t.csv")
    said = run("predict", kinds, "t.csv")
    assert said.stdout.splitlines()[0] == "kind"
    assert len(said.stdout.splitlines()) == 91
    assert not said.stderr


@pytest.mark.parametrize(("patience", "shown"), [(1e9, False), (-1.0, True)])
def test_a_pass_is_shown_when_it_takes_long(monkeypatch, patience, shown):
    monkeypatch.setattr(progress, "PATIENCE", patience)
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=60)
    with progress.slow_pass_progress(console, "Predicting", 100) as read:
        for _ in range(10):
            read(10)
    assert ("Predicting" in said.getvalue()) == shown
    assert ("100%" in said.getvalue()) == shown


@pytest.mark.pictures
@pytest.mark.parametrize(
    "data", [["t.csv"], ["parts/part-1.csv", "parts/part-2.csv"], ["parts"], ["parts/*.csv"]]
)
def test_what_train_says_to_predict_with_works_as_it_stands(folder, data):
    frame = table(90).drop(columns="price")
    write(frame, folder / "t.csv")
    cut(folder, frame, ".csv", pieces=2)
    said = run("train", *data, "--target", "kind", "--out", "a model", *QUICK).stdout
    line = next(line for line in said.splitlines() if line.startswith("Predict with: "))
    words = shlex.split(line.removeprefix("Predict with: "))
    assert words == ["batchprop", "predict", "a model", *data]
    assert len(answered(*words[2:])) == len(frame)
    page = (folder / "a model" / "report.html").read_text(encoding="utf-8")
    assert page.count("batchprop predict") == 1


def test_of_very_many_files_the_first_is_named(folder):
    (folder / "parts").mkdir()
    for i in range(11):
        write(table(20, seed=i).drop(columns="price"), folder / "parts" / f"{i}.csv")
    files = [f"parts/{i}.csv" for i in range(11)]
    said = run("train", *files, "--target", "kind", "--out", "m", *QUICK).stdout
    assert said.splitlines()[-1] == "Predict with: batchprop predict m parts/0.csv"
