"""`batchprop look`: one page of a model or of a newly trained network, and no partial files."""

from contextlib import chdir

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.tabular.history import EpochSummary
from batchprop.tabular.persistence import load_pipeline
from tests.cli.commands import QUICK, flowers, houses, names, run
from tests.microscope.embedded_data import numbers, page_data


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """The addresses that a browser was asked to open."""
    asked = []

    def ask(address):
        asked.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", ask)
    return asked


def read_page(path):
    return page_data(path.read_text(encoding="utf-8"))


def test_digits_are_trained_and_their_page_opened(folder, opened):
    result = run("look")
    assert opened == [(folder / "digits.html").as_uri()]
    assert "Microscope: digits.html" in result.stdout
    actual = read_page(folder / "digits.html")
    assert actual["title"] == "digits (from scikit-learn): digit through 64-32-10"
    assert (actual["imageShape"], len(actual["examples"])) == ([8, 8], 8)
    names_of = [one["name"] for one in actual["snapshots"]]
    assert (names_of[0], names_of[-1]) == ("before the first epoch", "after epoch 30, the last")
    assert sorted(one["label"] for one in actual["examples"]) == sorted(
        {one["label"] for one in actual["examples"]}
    )
    losses = [numbers(one["losses"]).mean() for one in actual["snapshots"]]
    assert losses[0] > 2
    assert losses[-1] < 0.2


def test_the_same_seed_gives_the_same_page(folder):
    data = flowers(folder / "flowers.csv")
    for out, seed in (("a.html", 1), ("b.html", 1), ("c.html", 2)):
        run("look", data, "--target", "species", "--epochs", 2, "--seed", seed, "--out", out, "--no-open")
    a, b, c = ((folder / name).read_text(encoding="utf-8") for name in ("a.html", "b.html", "c.html"))
    assert a == b != c


def test_page_of_a_table_names_its_lines_and_columns(folder, opened):
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
    result = read_page(folder / "flowers.html")
    assert result["sizes"] == [4, 6, 3, 3]
    assert result["features"] == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert result["activations"][0]["name"] == "tanh"
    frame = pd.read_csv(data)
    for one in result["examples"]:
        assert frame["species"][int(one["row"].removeprefix("line ")) - 2] == one["label"]


def test_page_of_a_model_shows_the_model_numbers(models, folder):
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
    result = read_page(folder / "page.html")
    assert [one["name"] for one in result["snapshots"]] == ["as fitted: the training was not recorded"]
    rows = [int(one["row"].removeprefix("line ")) - 2 for one in result["examples"]]
    P = load_pipeline(models / "flowers-model").predict_proba(pd.read_csv(models / "flowers.csv").iloc[rows])
    np.testing.assert_allclose(numbers(result["snapshots"][0]["P"]), P.T, rtol=1e-5, atol=1e-7)


def test_default_data_are_the_training_table(models, folder):
    run("look", models / "houses-model", "--no-open")
    result = read_page(folder / "houses-model.html")
    assert "houses.parquet: price through" in result["title"]
    assert {"size", "town_Ulm", "sold_year"} <= set(result["features"])
    rows = [int(one["row"].removeprefix("row ")) - 1 for one in result["examples"]]
    frame = pd.read_parquet(models / "houses.parquet").iloc[rows]
    # The rows of the table stand beside their features, and all that is predicted in the unit of the price.
    columns = {one["name"]: one["cells"] for one in result["source"]["columns"]}
    assert columns["town"] == [None if pd.isna(town) else town for town in frame["town"]]
    np.testing.assert_allclose([np.nan if x is None else x for x in columns["size"]], frame["size"])
    for feature, owner in zip(result["levels"][0]["names"], result["source"]["owners"], strict=True):
        assert feature.removeprefix("missingindicator_").startswith(list(columns)[owner])
    np.testing.assert_allclose([float(one["label"]) for one in result["examples"]], frame["price"], rtol=1e-5)
    predicted = load_pipeline(models / "houses-model").predict(frame)
    shown = [float(one) for one in result["snapshots"][-1]["predictions"]]
    np.testing.assert_allclose(shown, predicted, rtol=1e-4)


def test_model_trained_on_a_folder_shows_the_first_file(folder):
    (folder / "parts").mkdir()
    whole = pd.read_csv(flowers(folder / "flowers.csv"))
    for part in (2, 10):
        whole[part % 3 :: 3].to_csv(folder / "parts" / f"part-{part}.csv", index=False)
    run("train", "parts", "--target", "species", *QUICK)
    run("look", "parts-model", "--no-open")
    assert "part-2.csv: species" in read_page(folder / "parts-model.html")["title"]


def test_training_table_is_read_as_in_the_training(folder):
    days = [f"0{day % 9 + 1}/0{day % 8 + 1}/2021" for day in range(60)]
    rows = [f"{day}~{i % 7},5~{'uv'[i % 2]}" for i, day in enumerate(days)]
    (folder / "t.csv").write_text("\n".join(["when~size~y", *rows, "01/01/2021~1,5~u~more"]))
    given = ("--separator", "~", "--type", "when=date:dayfirst", "--on-bad-row", "skip", "--max-skipped", 0.1)
    run("train", "t.csv", "--target", "y", "--members", 1, *given, *QUICK)
    run("look", "t-model", "--no-open")
    page = read_page(folder / "t-model.html")
    named = {one["name"]: one["cells"] for one in page["source"]["columns"]}
    inputs = dict(zip(page["features"], numbers(page["inputs"]), strict=True))
    # The first part of the words is the day, and so the second the month.
    months = [int(word[3:5]) for word in named["when"]]
    assert (np.argsort(inputs["when_month"], kind="stable") == np.argsort(months, kind="stable")).all()


def test_codes_in_a_single_row_are_read_as_the_learned_categories(folder):
    codes = pd.DataFrame({"code": ["01", "a2"] * 30, "x": np.sqrt(np.arange(60.0)), "y": ["u", "v"] * 30})
    codes.to_csv("codes.csv", index=False)
    run("train", "codes.csv", "--target", "y", *QUICK)
    codes[:1].to_csv("one.csv", index=False)
    run("look", "codes-model", "one.csv", "--no-open")
    result = read_page(folder / "one.html")
    batch = dict(zip(result["features"], numbers(result["inputs"])[:, 0], strict=True))
    assert batch["code_01"] == 1


def test_recorded_model_shows_its_snapshots_with_few_rows(folder):
    data = flowers(folder / "flowers.csv")
    run("train", data, "--target", "species", "--record", *QUICK)
    pd.read_csv(data).iloc[[0, 60]].to_csv("two.csv", index=False)
    run("look", "flowers-model", "two.csv", "--no-open")
    result = read_page(folder / "two.html")
    assert [one["name"] for one in result["snapshots"]][:2] == ["before the first epoch", "after epoch 1"]
    assert [one["label"] for one in result["examples"]] == ["setosa", "versicolor"]


def test_training_table_beside_the_model_is_found(models, folder):
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


def test_omitted_rows_and_columns_are_reported(folder):
    frame = pd.read_csv(flowers(folder / "flowers.csv"))
    frame.loc[3, "species"] = None
    frame["note"] = "always the same"
    frame.to_csv("flowers.csv", index=False)
    told = run("look", "flowers.csv", "--target", "species", "--epochs", 1).stdout
    assert "1 more have no target and are left out" in told
    assert "note" in told


def test_image_option_sets_the_image_shape(folder):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 9, (40, 6)), columns=[f"p{k}" for k in range(6)])
    frame["kind"] = np.where(frame["p0"] > 4, "dark", "light")
    frame.to_csv("pixels.csv", index=False)
    words = ["look", "pixels.csv", "--target", "kind", "--epochs", 1, "--no-open", "--image"]
    run(*words, "2x3")
    result = read_page(folder / "pixels.html")
    assert result["imageShape"] == [2, 3]
    rows = [int(one["row"].removeprefix("line ")) - 2 for one in result["examples"]]
    np.testing.assert_array_equal(numbers(result["images"]).T, frame.drop(columns="kind").iloc[rows])
    assert "--image 3x3 has 9 pixels, and the table 6" in run(*words, "3x3", "--force", code=2).stderr
    assert "--image '3by3'" in run(*words, "3by3", code=2).stderr


def test_missing_browser_is_reported_without_failing(folder, monkeypatch):
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
def test_invalid_input_is_refused_and_leaves_no_files(folder, opened, words, code, told):
    flowers(folder / "flowers.csv")
    (folder / "taken.html").write_text("mine")
    assert told in run("look", *words, code=code).stderr
    assert names(folder) == ["flowers.csv", "taken.html"]
    assert (folder / "taken.html").read_text() == "mine"
    assert opened == []


def test_own_page_is_replaced_and_no_other_file(folder, opened):
    words = ["look", flowers(folder / "flowers.csv"), "--target", "species", "--epochs", "2", "--no-open"]
    run(*words)
    first = (folder / "flowers.html").read_bytes()
    run(*words, "--rows", "3")
    assert (folder / "flowers.html").read_bytes() != first
    for other in (b"", b"<!doctype html>\n<html>mine</html>", first[1:]):
        (folder / "flowers.html").write_bytes(other)
        assert "the file flowers.html exists" in run(*words, code=1).stderr
        assert (folder / "flowers.html").read_bytes() == other
    run(*words, "--force")
    assert (folder / "flowers.html").read_bytes() == first
    assert opened == []


def test_training_options_are_refused_with_a_model(models):
    for option, value in (
        ("--hidden", "3"),
        ("--epochs", "2"),
        ("--target", "x"),
        ("--activation", "tanh"),
        ("--type", "x=text"),
    ):
        result = run("look", models / "flowers-model", option, value, code=2)
        assert f"{option} {value} is for a network trained on the spot" in result.stderr


def test_missing_columns_and_missing_table_are_refused(models, folder):
    data = houses(folder / "houses.csv")
    told = run("look", models / "flowers-model", data, code=1).stderr
    assert "there is no target column 'species'" in told
    (folder / "alone.skops").write_bytes((models / "flowers-model" / "model.skops").read_bytes())
    told = run("look", "alone.skops", code=1).stderr
    assert "does not tell what its model was trained on: name a table" in told


def test_ctrl_c_shows_the_epochs_so_far_or_leaves_no_files(folder, monkeypatch):
    data, of, ends = flowers(folder / "flowers.csv"), EpochSummary.of, [4]

    def interrupted(record):
        if record.number == ends[0]:
            raise KeyboardInterrupt
        return of(record)

    monkeypatch.setattr("batchprop.tabular.history.EpochSummary.of", interrupted)
    words = ["look", str(data), "--target", "species"]
    assert CliRunner().invoke(app, words).exit_code == 130
    assert read_page(folder / "flowers.html")["snapshots"][-1]["name"] == "after epoch 4, the last"
    (folder / "flowers.html").unlink()
    ends[0] = 1
    assert run(*words, code=130).stderr == "batchprop: interrupted; nothing was written\n"
    assert names(folder) == ["flowers.csv"]
