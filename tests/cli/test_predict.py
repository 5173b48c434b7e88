"""`batchprop predict`: columns in any order, output formats, and errors."""

import io
import json
import os
import tempfile

import numpy as np
import pandas as pd
import pytest

from batchprop.files import temporary_name
from tests.cli.commands import names, run, write


@pytest.fixture
def frame(models):
    return pd.read_csv(models / "flowers.csv")


@pytest.fixture
def model(models):
    return models / "flowers-model"


def answers(result):
    return pd.read_csv(io.StringIO(result.stdout))


def test_predictions_go_to_stdout_one_row_each(models, model, frame):
    table = answers(run("predict", model, models / "flowers.csv"))
    assert list(table) == ["species"]
    assert len(table) == len(frame)
    assert set(table["species"]) <= set(frame["species"])


def test_model_file_works_like_its_folder(models, model):
    one = run("predict", model, models / "flowers.csv").stdout
    assert one == run("predict", model / "model.skops", models / "flowers.csv").stdout


def test_column_order_extra_columns_and_types_do_not_matter(folder, models, model, frame):
    other = frame[frame.columns[::-1]].drop(columns="species").assign(more="x")
    write(other, folder / "other.parquet")
    assert (
        run("predict", model, folder / "other.parquet").stdout
        == run("predict", model, models / "flowers.csv").stdout
    )


def test_a_single_row_is_enough(folder, model, frame):
    write(frame.head(1), folder / "one.tsv")
    assert len(answers(run("predict", model, folder / "one.tsv"))) == 1


def test_each_class_has_a_probability_column_and_rows_sum_to_one(models, model):
    table = answers(run("predict", model, models / "flowers.csv", "--proba"))
    shares = table.filter(like="probability ")
    assert list(shares) == [f"probability {name}" for name in ("setosa", "versicolor", "virginica")]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (shares.idxmax(axis=1) == "probability " + table["species"]).all()


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_file_suffix_selects_the_output_format(folder, models, model, ending):
    out = folder / f"answers.{ending}"
    result = run("predict", model, models / "flowers.csv", "--out", out)
    assert "150 predictions in" in result.stdout
    assert names(folder) == [out.name]
    table = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out, sep=None, engine="python")
    assert len(table) == 150


def test_regression_predictions_are_in_the_units_of_the_target(models):
    table = answers(run("predict", models / "houses-model", models / "houses.parquet"))
    prices = pd.read_parquet(models / "houses.parquet")["price"]
    assert prices.min() / 2 < table["price"].mean() < prices.max()


def test_probabilities_of_a_regression_model_are_misuse(models):
    result = run("predict", models / "houses-model", models / "houses.parquet", "--proba", code=2)
    assert "--proba needs classes, and this model predicts 'price', a number" in result.stderr


def test_existing_file_is_replaced_only_with_force(folder, models, model):
    (folder / "a.csv").write_text("mine")
    result = run("predict", model, models / "flowers.csv", "--out", "a.csv", code=1)
    assert "the file a.csv exists: name another with --out, or replace it with --force" in result.stderr
    assert (folder / "a.csv").read_text() == "mine"
    run("predict", model, models / "flowers.csv", "--out", "a.csv", "--force")
    assert (folder / "a.csv").read_text().startswith("species\n")


def test_unwritable_output_error_says_file_and_not_folder(folder, models, model):
    (folder / "file").write_text("x")
    result = run("predict", model, models / "flowers.csv", "--out", "file/p.csv", code=1)
    assert "the file file/p.csv cannot be written" in result.stderr


def test_unknown_file_suffix_is_misuse(models, model):
    result = run("predict", model, models / "flowers.csv", "--out", "a.xlsx", code=2)
    assert "--out a.xlsx names no format: end it in .csv, .tsv" in result.stderr


def test_missing_column_error_suggests_the_nearest_name(folder, model, frame):
    write(frame.rename(columns={"petal_width": "petal_widht"}), folder / "t.csv")
    result = run("predict", model, "t.csv", "--out", "a.csv", code=1)
    assert "lacks 1 of the 4 columns" in result.stderr
    assert "petal_width; add or rename columns; did you mean 'petal_widht'" in result.stderr
    assert names(folder) == ["t.csv"]


def test_text_in_a_numeric_column_is_reported_with_its_row(folder, model, frame):
    frame["petal_width"] = frame["petal_width"].astype(object)
    frame.loc[3, "petal_width"] = "wide"
    result = run("predict", model, write(frame, folder / "t.csv"), code=1)
    assert (
        "column 'petal_width' holds 'wide' in row 4, where a number like 1,234.5 is expected" in result.stderr
    )


def test_missing_truncated_and_tampered_models_are_refused(folder, models, model):
    data = models / "flowers.csv"
    assert "there is no model nowhere" in run("predict", "nowhere", data, code=1).stderr
    content = (model / "model.skops").read_bytes()
    (folder / "half.skops").write_bytes(content[: len(content) // 2])
    assert "truncated or damaged" in run("predict", "half.skops", data, code=1).stderr
    place = content.index(b'"batchprop.tabular.transformers"')
    (folder / "changed.skops").write_bytes(content[:place] + b'"os' + content[place + 3 :])
    assert "truncated or damaged" in run("predict", "changed.skops", data, code=1).stderr
    assert "not a model file" in run("predict", data, data, code=1).stderr


def test_settings_file_lists_the_classes(model):
    facts = json.loads((model / "settings.json").read_text())
    assert facts["target"]["classes"] == ["setosa", "versicolor", "virginica"]


def test_misuse_is_refused(models, model):
    assert "Missing argument 'MODEL'" in run("predict", code=2).stderr
    assert (
        "DATA is missing: name the table to predict for, or give --sql"
        in run("predict", model, code=2).stderr
    )


def test_input_table_is_never_overwritten(folder, model, frame):
    data = write(frame, folder / "flowers.csv")
    before = data.read_bytes()
    result = run("predict", model, data, "--out", "flowers.csv", "--force", code=2)
    assert "--out flowers.csv is the table itself: name another file" in result.stderr
    assert data.read_bytes() == before
    assert names(folder) == ["flowers.csv"]


def test_copies_of_killed_processes_are_removed(folder, models, monkeypatch):
    scratch = folder / "tmp"
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for process in (2**22 + 1, os.getpid()):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda process=process: process)
            (scratch / temporary_name("batchprop-", "")).mkdir(parents=True)
    (scratch / "batchprop-notes").mkdir()
    # A table of JSON lines is copied.
    pd.read_csv(models / "flowers.csv").to_json("t.jsonl", orient="records", lines=True)
    run("predict", models / "flowers-model", "t.jsonl", "--out", "a.csv")
    left = [name for name in names(scratch) if f"-{os.getpid()}-" not in name]
    assert (left, len(names(scratch))) == (["batchprop-notes"], 2)


def test_linked_models_and_tables_are_read(folder, models):
    (folder / "m").symlink_to(models / "flowers-model")
    (folder / "t.csv").symlink_to(models / "flowers.csv")
    (folder / "copy").mkdir()
    for path in (models / "flowers-model").iterdir():
        (folder / "copy" / path.name).symlink_to(path)
    said = run("predict", models / "flowers-model", models / "flowers.csv").stdout
    assert run("predict", "m", "t.csv").stdout == run("predict", "copy", "t.csv").stdout == said
