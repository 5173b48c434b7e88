"""`batchprop predict`: the same columns in any order in, answers out."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from tests.cli.commands import names, run, write


@pytest.fixture
def frame(models):
    return pd.read_csv(models / "flowers.csv")


@pytest.fixture
def model(models):
    return models / "flowers-model"


def answers(result):
    return pd.read_csv(io.StringIO(result.stdout))


def test_answers_go_to_standard_output_a_row_for_each_row(models, model, frame):
    table = answers(run("predict", model, models / "flowers.csv"))
    assert list(table) == ["species"]
    assert len(table) == len(frame)
    assert set(table["species"]) <= set(frame["species"])


def test_the_file_of_the_model_is_as_good_as_its_folder(models, model):
    one = run("predict", model, models / "flowers.csv").stdout
    assert one == run("predict", model / "model.skops", models / "flowers.csv").stdout


def test_columns_in_another_order_further_ones_and_other_types_make_no_difference(
    folder, models, model, frame
):
    other = frame[frame.columns[::-1]].drop(columns="species").assign(more="x")
    write(other, folder / "other.parquet")
    assert (
        run("predict", model, folder / "other.parquet").stdout
        == run("predict", model, models / "flowers.csv").stdout
    )


def test_a_single_row_is_enough(folder, model, frame):
    write(frame.head(1), folder / "one.tsv")
    assert len(answers(run("predict", model, folder / "one.tsv"))) == 1


def test_probabilities_have_a_column_each_and_sum_to_one(models, model):
    table = answers(run("predict", model, models / "flowers.csv", "--proba"))
    shares = table.filter(like="probability ")
    assert list(shares) == [f"probability {name}" for name in ("setosa", "versicolor", "virginica")]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (shares.idxmax(axis=1) == "probability " + table["species"]).all()


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_answers_go_to_a_file_of_the_ending(folder, models, model, ending):
    out = folder / f"answers.{ending}"
    result = run("predict", model, models / "flowers.csv", "--out", out)
    assert "150 predictions in" in result.stdout
    assert names(folder) == [out.name]
    table = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out, sep=None, engine="python")
    assert len(table) == 150


def test_numbers_are_answered_on_the_scale_of_the_target(models):
    table = answers(run("predict", models / "houses-model", models / "houses.parquet"))
    prices = pd.read_parquet(models / "houses.parquet")["price"]
    assert prices.min() / 2 < table["price"].mean() < prices.max()


def test_probabilities_of_numbers_are_misuse(models):
    result = run("predict", models / "houses-model", models / "houses.parquet", "--proba", code=2)
    assert "--proba needs classes, and this model predicts 'price', a number" in result.stderr


def test_an_existing_file_stays_unless_forced(folder, models, model):
    (folder / "a.csv").write_text("mine")
    result = run("predict", model, models / "flowers.csv", "--out", "a.csv", code=1)
    assert "the file a.csv exists: name another with --out, or replace it with --force" in result.stderr
    assert (folder / "a.csv").read_text() == "mine"
    run("predict", model, models / "flowers.csv", "--out", "a.csv", "--force")
    assert (folder / "a.csv").read_text().startswith("species\n")


def test_a_file_that_cannot_be_written_is_called_a_file(folder, models, model):
    (folder / "file").write_text("x")
    result = run("predict", model, models / "flowers.csv", "--out", "file/p.csv", code=1)
    assert "the file file/p.csv cannot be written" in result.stderr


def test_an_unknown_ending_is_misuse(models, model):
    result = run("predict", model, models / "flowers.csv", "--out", "a.xlsx", code=2)
    assert "--out a.xlsx names no format: end it in .csv, .tsv" in result.stderr


def test_a_lacking_column_is_named_with_the_nearest_and_nothing_is_left(folder, model, frame):
    write(frame.rename(columns={"petal_width": "petal_widht"}), folder / "t.csv")
    result = run("predict", model, "t.csv", "--out", "a.csv", code=1)
    assert "lacks 1 of the 4 columns" in result.stderr
    assert "petal_width; add or rename columns; did you mean 'petal_widht'" in result.stderr
    assert names(folder) == ["t.csv"]


def test_a_word_among_numbers_is_named_with_its_row(folder, model, frame):
    frame["petal_width"] = frame["petal_width"].astype(object)
    frame.loc[3, "petal_width"] = "wide"
    result = run("predict", model, write(frame, folder / "t.csv"), code=1)
    assert "column 'petal_width' holds 'wide' in row 4, where a finite number is expected" in result.stderr


def test_a_missing_a_truncated_and_a_tampered_model(folder, models, model):
    data = models / "flowers.csv"
    assert "there is no model nowhere" in run("predict", "nowhere", data, code=1).stderr
    content = (model / "model.skops").read_bytes()
    (folder / "half.skops").write_bytes(content[: len(content) // 2])
    assert "truncated or damaged" in run("predict", "half.skops", data, code=1).stderr
    place = content.index(b'"batchprop.tabular.transformers"')
    (folder / "changed.skops").write_bytes(content[:place] + b'"os' + content[place + 3 :])
    assert "truncated or damaged" in run("predict", "changed.skops", data, code=1).stderr
    assert "not a model file" in run("predict", data, data, code=1).stderr


def test_the_settings_beside_the_model_tell_its_classes(model):
    facts = json.loads((model / "settings.json").read_text())
    assert facts["target"]["classes"] == ["setosa", "versicolor", "virginica"]


def test_misuse(models, model):
    assert "Missing argument 'MODEL'" in run("predict", code=2).stderr
    assert "Missing argument 'DATA'" in run("predict", model, code=2).stderr


def test_the_table_is_not_replaced_even_by_force(folder, model, frame):
    data = write(frame, folder / "flowers.csv")
    before = data.read_bytes()
    result = run("predict", model, data, "--out", "flowers.csv", "--force", code=2)
    assert "--out flowers.csv is the table itself: name another file" in result.stderr
    assert data.read_bytes() == before
    assert names(folder) == ["flowers.csv"]
