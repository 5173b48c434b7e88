"""`batchprop train` on tables larger than its memory limit, and on many files."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from batchprop.data import memory
from batchprop.data.shuffle import hash_uniform
from batchprop.tabular.persistence import load_pipeline
from tests.cli.commands import run, skip_figures

# The small memory of these tests opens few partitions, and the fit warns about it.
pytestmark = pytest.mark.filterwarnings("ignore:.*are read at a time:UserWarning")

ROWS = 2000
STREAM = ("--memory", "1MiB", "--hidden", "16", "--epochs", "3", "--learning-rate", "0.02")


@pytest.fixture(autouse=True)
def large_soon(monkeypatch):
    """Tables of some thousand rows are larger than the memory of these tests."""
    monkeypatch.setattr(memory, "WORKING_FACTOR", 40)


def table(rows=ROWS, seed=0):
    """Numbers with missing values, words and dates; two classes and a number that depend on them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{j}": rng.normal(size=rows) for j in range(10)})
    frame["colour"] = rng.choice(["red", "green", "blue"], rows)
    frame["born"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D")
    z = frame.x0 - frame.x1 + 2 * (frame.colour == "red") - 0.7
    frame["kind"] = np.where(z > 0, "yes", "no")
    frame["price"] = 100 + 50 * z + rng.normal(size=rows)
    frame.loc[::50, "x2"] = np.nan
    return frame


def read_settings(folder):
    return json.loads((folder / "settings.json").read_text())


@pytest.fixture
def large(folder):
    """A folder with a Parquet file of four row groups."""
    table().to_parquet(folder / "large.parquet", row_group_size=500)
    return folder


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory):
    """The output and the folder of a training on the table of two classes, read in parts."""
    folder = tmp_path_factory.mktemp("parts")
    table().drop(columns="price").to_parquet(folder / "large.parquet", row_group_size=500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "WORKING_FACTOR", 40)
        skip_figures(patch)
        words = ("train", folder / "large.parquet", "--target", "kind", "--out", folder / "m", *STREAM)
        return run(*words).stdout, folder / "m"


@pytest.mark.parametrize("target", ["kind", pytest.param("price", marks=pytest.mark.pictures)])
def test_streamed_training_scores_as_well_as_in_memory(large, target, monkeypatch, in_parts):
    other = {"kind": "price", "price": "kind"}[target]
    frame = pd.read_parquet("large.parquet").drop(columns=other)
    frame.to_parquet("large.parquet", row_group_size=500)
    if target == "kind":
        said, model_folder = in_parts
    else:
        said = run("train", "large.parquet", "--target", target, "--out", "parts", *STREAM).stdout
        model_folder = large / "parts"
    assert "to test; read in 4 parts in every epoch" in " ".join(said.split())
    skip_figures(monkeypatch)
    run("train", "large.parquet", "--target", target, "--out", "whole", *STREAM[2:])
    score = {"kind": "accuracy", "price": "R²"}[target]
    parts, whole = read_settings(model_folder), read_settings(large / "whole")
    assert parts["test"][score] > whole["test"][score] - 0.02
    assert parts["baseline"][score] < 0.7
    assert set(parts["data"]["rows"]) == {"train", "validation", "test"}
    assert 0 < sum(parts["data"]["rows"].values()) <= ROWS
    pictures = ("report.html", "learning-curve.png") if target == "price" else ()
    for name in ("model.skops", "history.csv", *pictures):
        assert (model_folder / name).stat().st_size > 0
    model = load_pipeline(model_folder)
    answers = model.predict(frame.drop(columns=target))
    assert len(answers) == ROWS
    if target == "price":
        assert np.corrcoef(answers, frame.price)[0, 1] > 0.95


def test_split_is_the_same_for_one_file_and_many(large, in_parts):
    frame = pd.read_parquet("large.parquet").drop(columns="price")
    (large / "files").mkdir()
    for i in range(2):
        with gzip.open(large / "files" / f"part-{i}.csv.gz", "wt") as file:
            frame.iloc[1000 * i : 1000 * (i + 1)].to_csv(file, index=False)
    said = run("train", "files", "--target", "kind", "--out", "many", *STREAM).stdout
    assert "parts in every epoch" in " ".join(said.split())
    one, many = read_settings(in_parts[1]), read_settings(large / "many")
    assert many["data"]["name"] == "2 files from part-0.csv.gz to part-1.csv.gz"
    assert many["test"]["accuracy"] > one["test"]["accuracy"] - 0.03
    assert [column["kind"] for column in many["data"]["columns"]] == [
        column["kind"] for column in one["data"]["columns"]
    ]


def test_many_small_files_are_one_table(folder):
    frame = table(600)
    for i in range(3):
        frame.iloc[200 * i : 200 * (i + 1)].to_parquet(folder / f"part-{i}.parquet")
    words = ["--target", "kind", "--epochs", "3", "--hidden", "8"]
    run("train", *sorted(folder.glob("*.parquet")), *words, "--out", "many")
    frame.to_parquet(folder / "one.parquet")
    run("train", "one.parquet", *words, "--out", "one")
    one, many = read_settings(folder / "one"), read_settings(folder / "many")
    assert one["test"] == many["test"]
    assert many["data"]["files"] == [str(folder / f"part-{i}.parquet") for i in range(3)]


@pytest.mark.pictures
def test_suspicious_rows_name_their_file(folder):
    frame = table(300)[["x0", "x1", "kind"]]
    for i in range(2):
        frame.iloc[150 * i : 150 * (i + 1)].to_csv(folder / f"part-{i}.csv", index=False)
    run("train", "part-0.csv", "part-1.csv", "--target", "kind", "--epochs", "2", "--record", "--out", "m")
    assert "part-1.csv, line " in (folder / "m" / "report.html").read_text()


def test_bad_row_of_a_large_table_is_refused_or_skipped(large):
    frame = pd.read_parquet("large.parquet").drop(columns="price")
    frame.loc[1234, "kind"] = None
    frame.to_parquet("large.parquet", row_group_size=500)
    words = ["train", "large.parquet", "--target", "kind", "--out", "m", *STREAM]
    assert "large.parquet, row 1235: its target 'kind' is missing" in run(*words, code=1).stderr
    assert "1 more cannot be used and are left out" in run(*words, "--on-bad-row", "skip").stdout
    skipped = pd.read_csv(large / "m" / "skipped.csv")
    assert skipped[["line", "reason"]].values.tolist() == [[1235, "its target 'kind' is missing"]]


def test_options_that_need_all_rows_are_refused(large):
    for option in (("--record",), ("--solver", "lbfgs"), ("--batch-size", "full")):
        said = run("train", "large.parquet", "--target", "kind", *STREAM, *option, code=2).stderr
        assert f"{' '.join(option)} needs all rows at once, and the table does not fit in the memory" in said


def test_large_table_with_one_class_is_refused(large):
    pd.read_parquet("large.parquet").assign(kind="yes").to_parquet("large.parquet", row_group_size=500)
    said = run("train", "large.parquet", "--target", "kind", *STREAM, code=1).stderr
    assert "the target 'kind' holds one class only, 'yes', in all" in said
    assert sorted(path.name for path in large.iterdir()) == ["large.parquet"]


def test_class_too_rare_to_train_on_is_refused(large):
    frame = pd.read_parquet("large.parquet").drop(columns="price")
    frame.loc[hash_uniform(np.arange(ROWS), 0).argmin(), "kind"] = "rare"  # the first to be kept for the test
    frame.to_parquet("large.parquet", row_group_size=500)
    said = run("train", "large.parquet", "--target", "kind", "--out", "m", *STREAM, code=1).stderr
    assert "class 'rare' has no row among those to train on" in said


def test_table_sorted_by_class_scores_as_well(folder, in_parts):
    table().drop(columns="price").sort_values("kind").to_csv(folder / "sorted.csv", index=False)
    said = run("train", "sorted.csv", "--target", "kind", "--out", "sorted", *STREAM).stdout
    assert "parts in every epoch" in " ".join(said.split())
    mixed, in_order = (read_settings(one)["test"]["log loss"] for one in (in_parts[1], folder / "sorted"))
    # Unshuffled it would be 0.09 above, shuffled it is 0.03 below.
    assert in_order < mixed + 0.03


def test_sample_weights_of_a_large_table(large):
    frame = pd.read_parquet("large.parquet").drop(columns="price")
    frame["kind"] = np.random.default_rng(1).choice(["yes", "no"], ROWS, p=[0.3, 0.7])  # by chance alone
    frame["count"] = np.where(frame.kind == "yes", 100.0, 1.0)
    frame.to_parquet("large.parquet", row_group_size=500)
    for weights, most in ((("--weights", "count"), "yes"), ((), "no")):
        out = ["--out", "m", "--force"]
        run("train", "large.parquet", "--target", "kind", *weights, *out, *STREAM[:4], "--epochs", "2")
        assert (load_pipeline("m").predict(frame) == most).mean() > 0.6
