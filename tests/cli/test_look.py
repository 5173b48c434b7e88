"""`batchprop look`: one page of a model or of a network trained on the spot, and nothing half-written."""

from contextlib import chdir

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.tabular.history import EpochSummary
from batchprop.tabular.persistence import load_pipeline
from tests.cli.commands import QUICK, flowers, houses, names, run
from tests.microscope.reading import numbers, page_data


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """The addresses that a browser was asked for."""
    asked = []

    def ask(address):
        asked.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", ask)
    return asked


def shown(path):
    return page_data(path.read_text(encoding="utf-8"))


def test_the_digits_are_trained_on_the_spot_and_opened(folder, opened):
    result = run("look")
    assert opened == [(folder / "digits.html").as_uri()]
    assert "Microscope: digits.html" in result.stdout
    found = shown(folder / "digits.html")
    assert found["title"] == "digits (from scikit-learn): digit through 64-32-10"
    assert (found["imageShape"], len(found["examples"])) == ([8, 8], 8)
    names_of = [one["name"] for one in found["snapshots"]]
    assert (names_of[0], names_of[-1]) == ("before the first epoch", "after epoch 30, the last")
    assert sorted(one["label"] for one in found["examples"]) == sorted(
        {one["label"] for one in found["examples"]}
    )
    losses = [numbers(one["losses"]).mean() for one in found["snapshots"]]
    assert losses[0] > 2
    assert losses[-1] < 0.2


def test_the_same_seed_gives_the_same_page(folder):
    data = flowers(folder / "flowers.csv")
    for out, seed in (("a.html", 1), ("b.html", 1), ("c.html", 2)):
        run("look", data, "--target", "species", "--epochs", 2, "--seed", seed, "--out", out, "--no-open")
    a, b, c = ((folder / name).read_text(encoding="utf-8") for name in ("a.html", "b.html", "c.html"))
    assert a == b != c


def test_a_table_is_trained_on_and_its_lines_and_columns_are_named(folder, opened):
    data = flowers(folder / "flowers.csv")
    run(
        "look",
        data,
        "--target",
        "species",
        "--rows",
        5,
        "--hidden",
        "6,3",
        "--activation",
        "tanh",
        "--epochs",
        3,
    )
    assert len(opened) == 1
    found = shown(folder / "flowers.html")
    assert found["sizes"] == [4, 6, 3, 3]
    assert found["features"] == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert found["activations"][0]["name"] == "tanh"
    frame = pd.read_csv(data)
    for one in found["examples"]:
        assert frame["species"][int(one["row"].removeprefix("line ")) - 2] == one["label"]


def test_a_models_numbers_are_the_models(models, folder):
    run(
        "look",
        models / "flowers-model",
        models / "flowers.csv",
        "--out",
        "page.html",
        "--rows",
        4,
        "--no-open",
    )
    found = shown(folder / "page.html")
    assert [one["name"] for one in found["snapshots"]] == ["as fitted: the training was not recorded"]
    rows = [int(one["row"].removeprefix("line ")) - 2 for one in found["examples"]]
    P = load_pipeline(models / "flowers-model").predict_proba(pd.read_csv(models / "flowers.csv").iloc[rows])
    np.testing.assert_allclose(numbers(found["snapshots"][0]["P"]), P.T, rtol=1e-5, atol=1e-7)


def test_without_data_it_is_what_the_model_was_trained_on(models, folder):
    run("look", models / "houses-model", "--no-open")
    found = shown(folder / "houses-model.html")
    assert "houses.parquet: price, standardised" in found["title"]
    assert {"size", "town_Ulm", "sold_year"} <= set(found["features"])
    assert found["examples"][0]["row"].startswith("row ")


def test_of_a_folder_it_was_trained_on_the_first_file_is_shown(folder):
    (folder / "parts").mkdir()
    whole = pd.read_csv(flowers(folder / "flowers.csv"))
    for part in (2, 10):
        whole[part % 3 :: 3].to_csv(folder / "parts" / f"part-{part}.csv", index=False)
    run("train", "parts", "--target", "species", *QUICK)
    run("look", "parts-model", "--no-open")
    assert "part-2.csv: species" in shown(folder / "parts-model.html")["title"]


def test_a_code_in_one_row_is_the_word_that_the_model_learned(folder):
    codes = pd.DataFrame({"code": ["01", "a2"] * 30, "x": np.sqrt(np.arange(60.0)), "y": ["u", "v"] * 30})
    codes.to_csv("codes.csv", index=False)
    run("train", "codes.csv", "--target", "y", *QUICK)
    codes[:1].to_csv("one.csv", index=False)
    run("look", "codes-model", "one.csv", "--no-open")
    found = shown(folder / "one.html")
    batch = dict(zip(found["features"], numbers(found["inputs"])[:, 0], strict=True))
    assert batch["code_01"] == 1


def test_a_recorded_model_shows_its_training_and_few_rows_are_enough_to_look(folder):
    data = flowers(folder / "flowers.csv")
    run("train", data, "--target", "species", "--record", *QUICK)
    pd.read_csv(data).iloc[[0, 60]].to_csv("two.csv", index=False)
    run("look", "flowers-model", "two.csv", "--no-open")
    found = shown(folder / "two.html")
    assert [one["name"] for one in found["snapshots"]][:2] == ["before the first epoch", "after epoch 1"]
    assert [one["label"] for one in found["examples"]] == ["setosa", "versicolor"]


def test_a_models_table_is_found_beside_it(models, folder):
    result = run("train", flowers(folder / "data.csv").name, "--target", "species", "--out", "here", *QUICK)
    assert "here" in result.stdout
    (folder / "elsewhere").mkdir()
    with chdir(folder / "elsewhere"):
        run("look", "../here", "--no-open")
        (folder / "data.csv").unlink()
        assert (
            "data.csv, which ../here was trained on, is not there"
            in run("look", "../here", "--force", "--no-open", code=1).stderr
        )


def test_what_is_left_out_of_the_table_is_said(folder):
    frame = pd.read_csv(flowers(folder / "flowers.csv"))
    frame.loc[3, "species"] = None
    frame["note"] = "always the same"
    frame.to_csv("flowers.csv", index=False)
    told = run("look", "flowers.csv", "--target", "species", "--epochs", 1).stdout
    assert "1 more have no target and are left out" in told
    assert "note" in told


def test_pictures_are_asked_for_by_their_size(folder):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 9, (40, 6)), columns=[f"p{k}" for k in range(6)])
    frame["kind"] = np.where(frame["p0"] > 4, "dark", "light")
    frame.to_csv("pixels.csv", index=False)
    words = ["look", "pixels.csv", "--target", "kind", "--epochs", 1, "--no-open", "--image"]
    run(*words, "2x3")
    found = shown(folder / "pixels.html")
    assert found["imageShape"] == [2, 3]
    rows = [int(one["row"].removeprefix("line ")) - 2 for one in found["examples"]]
    np.testing.assert_array_equal(numbers(found["images"]).T, frame.drop(columns="kind").iloc[rows])
    assert "--image 3x3 has 9 pixels, and the table 6" in run(*words, "3x3", "--force", code=2).stderr
    assert "--image '3by3'" in run(*words, "3by3", code=2).stderr


def test_no_browser_is_said_and_no_failure(folder, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    data = flowers(folder / "flowers.csv")
    result = run("look", data, "--target", "species", "--epochs", 1)
    assert "There is no browser to open it with" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["flowers.csv"], 2, "--target is missing: name the column of flowers.csv to learn"),
        (["flowers.csv", "--target", "specie"], 1, "there is no target column 'specie'"),
        (["flowers.csv", "flowers.csv"], 2, "give MODEL DATA, or DATA alone"),
        (["--target", "species"], 2, "there is no DATA"),
        (["nowhere"], 1, "there is no model nowhere"),
        (["gone.csv", "--target", "x"], 1, "gone.csv"),
        (["--out", "page.pdf"], 2, "--out page.pdf names no page: end it in .html, .htm"),
        (["--rows", "65"], 2, "65"),
        (["--hidden", "a"], 2, "--hidden a"),
        (["flowers.csv", "--target", "species", "--out", "taken.html"], 1, "the file taken.html exists"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_is_written(folder, opened, words, code, told):
    flowers(folder / "flowers.csv")
    (folder / "taken.html").write_text("mine")
    assert told in run("look", *words, code=code).stderr
    assert names(folder) == ["flowers.csv", "taken.html"]
    assert (folder / "taken.html").read_text() == "mine"
    assert opened == []


def test_a_trained_model_takes_no_options_of_training(models):
    for option, value in (("--hidden", "3"), ("--epochs", "2"), ("--target", "x"), ("--activation", "tanh")):
        found = run("look", models / "flowers-model", option, value, code=2)
        assert f"{option} {value} is for a network trained on the spot" in found.stderr


def test_a_model_needs_its_columns_and_its_table(models, folder):
    data = houses(folder / "houses.csv")
    told = run("look", models / "flowers-model", data, code=1).stderr
    assert "there is no target column 'species'" in told
    (folder / "alone.skops").write_bytes((models / "flowers-model" / "model.skops").read_bytes())
    told = run("look", "alone.skops", code=1).stderr
    assert "does not tell what its model was trained on: name a table" in told


def test_ctrl_c_shows_the_training_so_far_or_leaves_nothing(folder, monkeypatch):
    data, of, ends = flowers(folder / "flowers.csv"), EpochSummary.of, [4]

    def interrupted(record):
        if record.number == ends[0]:
            raise KeyboardInterrupt
        return of(record)

    monkeypatch.setattr("batchprop.tabular.history.EpochSummary.of", interrupted)
    words = ["look", str(data), "--target", "species"]
    assert CliRunner().invoke(app, words).exit_code == 130
    assert shown(folder / "flowers.html")["snapshots"][-1]["name"] == "after epoch 4, the last"
    (folder / "flowers.html").unlink()
    ends[0] = 1
    assert run(*words, code=130).stderr == "batchprop: interrupted; nothing was written\n"
    assert names(folder) == ["flowers.csv"]
