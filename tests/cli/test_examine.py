"""`batchprop examine`: wrong rows rank first, with their lines; errors leave no partial files."""

import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.tabular.history import EpochSummary
from tests.cli.commands import flowers, houses, names, run, write

FLIPPED = (3, 60, 61, 120)
QUICK = ("--epochs", 60, "--learning-rate", 0.005)
FIGURES = [
    "mislabel_score", "mislabel_rank", "loss", "el2n", "grand", "self_influence", "aum", "forgetting",
    "correctness", "confidence", "variability", "aleatoric",
]  # fmt: skip


def mislabelled(path, rows=FLIPPED):
    """Iris with a few labels changed to the next species."""
    frame = pd.read_csv(flowers(path.with_suffix(".csv")))
    following = {"setosa": "versicolor", "versicolor": "setosa", "virginica": "setosa"}
    frame.loc[list(rows), "species"] = frame.loc[list(rows), "species"].map(following)
    if path.suffix != ".csv":
        path.with_suffix(".csv").unlink()
    return write(frame, path)


def test_flipped_labels_rank_first_with_their_line_numbers(folder):
    data = mislabelled(folder / "flowers.csv")
    result = run("examine", data, "--target", "species", "--top", 6, *QUICK)
    actual = pd.read_csv(folder / "flowers-examined.csv")
    assert list(actual) == ["line", "given_label", "predicted_label", "why", *FIGURES]
    assert actual["mislabel_rank"].tolist() == list(range(1, 151))
    assert set(actual["line"][:5]) >= {row + 2 for row in FLIPPED}
    original = pd.read_csv(data)
    assert (actual["given_label"] == original["species"].to_numpy()[actual["line"] - 2]).all()
    first = actual.iloc[0]
    assert f"{first['line']}  {first['given_label']}" in " ".join(result.stdout.split()).replace(" ", "  ")
    assert first["why"] in result.stdout
    assert result.stdout.count(" probability ") == 7  # six rows, and the sentence above them
    assert "rows are predicted to have another label than the one given" in result.stdout


def test_output_has_one_line_per_row_even_with_line_breaks_in_fields(folder):
    frame = pd.read_csv(mislabelled(folder / "flowers.csv"))
    frame["note"] = np.where(np.arange(150) % 2, "two\nlines", "one, with comma")
    write(frame, folder / "noted.csv")
    run("examine", "noted.csv", "--target", "species", "--epochs", 2)
    result = pd.read_csv("noted-examined.csv")
    lines = (folder / "noted.csv").read_text().splitlines()
    for line, given in zip(result["line"], result["given_label"], strict=True):
        assert given in lines[line - 1]


def test_parquet_rows_are_numbered_and_rows_without_a_target_skipped(folder):
    frame = pd.read_csv(mislabelled(folder / "flowers.csv"))
    frame.loc[10, "species"] = None
    write(frame, folder / "flowers.parquet")
    result = run("examine", "flowers.parquet", "--target", "species", "--epochs", 2, "--out", "o.parquet")
    actual = pd.read_parquet("o.parquet")
    assert actual.columns[0] == "row"
    assert set(actual["row"]) == set(range(1, 151)) - {11}
    assert "149 to examine" in result.stdout
    assert "1 more have no target and are left out" in result.stdout


def test_outliers_rank_first_in_the_units_of_the_target(folder):
    frame = pd.read_parquet(houses(folder / "houses.parquet", n=400))
    wrong = [5, 77, 200]
    frame.loc[wrong, "price"] += [90_000, -90_000, 120_000]
    write(frame, folder / "houses.parquet")
    result = run("examine", "houses.parquet", "--target", "price", "--learning-rate", 0.01, "--top", 3,
                 "--epochs", 60, "--engine", "numpy")  # fmt: skip
    actual = pd.read_csv("houses-examined.csv")
    assert set(actual["row"][:3]) == {row + 1 for row in wrong}
    assert np.allclose(actual["given_label"], frame["price"].to_numpy()[actual["row"] - 1])
    assert np.corrcoef(actual["given_label"][3:], actual["predicted_label"][3:])[0, 1] > 0.9
    assert "too high" in result.stdout
    assert "× the usual" in result.stdout


def test_wrong_rows_rank_first_where_a_number_is_a_code(folder):
    rng = np.random.default_rng(1)
    shop, price = rng.integers(1, 41, 800), rng.normal(size=800)
    sold = 300 * rng.normal(size=41)[shop] - 60 * price + rng.normal(0, 30, 800)
    sold[:10] += 400
    pd.DataFrame({"shop": shop, "price": price, "sold": sold}).to_csv("shops.csv", index=False)
    said = run("examine", "shops.csv", "--target", "sold", "--epochs", 40, "--top", 0).stdout
    assert "Note: Numbers are codes in shop" in said
    assert (pd.read_csv("shops-examined.csv")["line"][:10] <= 11).sum() >= 9


@pytest.mark.filterwarnings("ignore:1 of 150 rows have no answer in examples_:UserWarning")
def test_several_networks_rank_a_row_by_those_that_held_it_out(folder):
    frame = pd.read_csv(mislabelled(folder / "flowers.csv"))
    frame.loc[7, "species"] = "setosaa"
    write(frame, folder / "flowers.csv")
    words = ("--members", 4, "--epochs", 40, "--learning-rate", 0.01, "--top", 6)
    result = run("examine", "flowers.csv", "--target", "species", *words)
    assert re.search(r"Learned after \d+ epochs of 4 networks", result.stdout)
    assert "by networks without the row" in result.stdout
    actual = pd.read_csv("flowers-examined.csv")
    assert list(actual)[4:] == ["mislabel_score", "mislabel_rank", "loss", "confidence"]
    assert set(actual["line"][:6]) >= {row + 2 for row in FLIPPED}
    assert actual["line"].iloc[-1] == 9
    assert actual["why"].iloc[-1] == "held out by no network"
    np.testing.assert_allclose(actual["mislabel_score"], -np.log(actual["confidence"]), rtol=1e-5)


def test_several_networks_find_numbers_far_off(folder):
    frame = pd.read_parquet(houses(folder / "houses.parquet", n=400))
    frame.loc[[5, 77], "price"] += [90_000, -90_000]
    write(frame, folder / "houses.parquet")
    words = ("--target", "price", "--members", 4, "--epochs", 40, "--learning-rate", 0.01, "--top", 2)
    result = run("examine", "houses.parquet", *words)
    actual = pd.read_csv("houses-examined.csv")
    assert set(actual["row"][:2]) == {6, 78}
    assert "too high" in result.stdout
    assert actual["mislabel_rank"].tolist() == list(range(1, 401))


@pytest.mark.parametrize(("target", "ending"), [("species", "png"), ("petal_width", "svg")])
def test_data_map_is_drawn_for_classification_and_regression(folder, target, ending):
    data = flowers(folder / "flowers.csv")
    run("examine", data, "--target", target, "--epochs", 5, "--top", 0, "--map", f"map.{ending}")
    start = (folder / f"map.{ending}").read_bytes()[:400]
    assert start.startswith(b"\x89PNG") or b"<svg" in start or b"<?xml" in start


def test_class_with_one_row_is_examined(folder):
    frame = pd.read_csv(flowers(folder / "flowers.csv"))
    frame.loc[7, "species"] = "setosaa"
    write(frame, folder / "typo.csv")
    run("examine", "typo.csv", "--target", "species", *QUICK)
    result = pd.read_csv("typo-examined.csv")
    typo = result[result["line"] == 9].iloc[0]
    assert (typo["given_label"], typo["predicted_label"]) == ("setosaa", "setosa")
    assert typo["mislabel_rank"] <= 5


def test_digits_are_examined_without_a_file(folder):
    result = run("examine", "--epochs", 3, "--top", 2)
    assert "1,797 to examine" in result.stdout
    assert names(folder) == ["digits-examined.csv"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["flowers.csv"], 2, "--target is missing: name the column of flowers.csv to examine"),
        (["flowers.csv", "--target", "speceis"], 1, "did you mean 'species'"),
        (["none.csv", "--target", "species"], 1, "there is no file none.csv"),
        (["flowers.csv", "--target", "species", "--top", "-1"], 2, "--top"),
        (
            ["flowers.csv", "--target", "species", "--members", "3"],
            2,
            "does not hold out every row",
        ),
        (
            ["flowers.csv", "--target", "species", "--members", "4", "--map", "m.png"],
            2,
            "leave out one of them",
        ),
        (["flowers.csv", "--target", "species", "--out", "o.txt"], 2, "end it in .csv"),
        (["flowers.csv", "--target", "species", "--map", "m.jpg"], 2, "end it in .png"),
        (["flowers.csv", "--target", "species", "--out", "./flowers.csv"], 2, "is the table itself: name"),
        (["flowers.csv", "--target", "species", "--map", "here/"], 2, "names no format"),
        (["flowers.csv", "--target", "species", "--task", "regression"], 1, "holds text"),
        (["flowers.csv", "--target", "species", "--learning-rate", "inf"], 2, "finite"),
        (["flowers.csv", "--target", "petal_width", "--learning-rate", "1e300"], 1, "learning-rate"),
    ],
)
def test_bad_input_is_a_one_line_error_and_leaves_no_files(folder, words, code, told):
    flowers(folder / "flowers.csv")
    before = (folder / "flowers.csv").read_bytes()
    result = run("examine", *words, code=code)
    assert told in result.stderr
    assert names(folder) == ["flowers.csv"]
    assert (folder / "flowers.csv").read_bytes() == before


@pytest.mark.parametrize(("option", "name"), [("--out", "other.csv"), ("--map", "map.png")])
def test_input_table_is_never_overwritten(folder, option, name):
    data = flowers(folder / "flowers.csv")
    before = data.read_bytes()
    (folder / name).hardlink_to(data)
    words = ("--target", "species", "--epochs", 1, option, name, "--force")
    result = run("examine", data, *words, code=2)
    assert f"{option} {name} is the table itself: name another file" in result.stderr
    assert data.read_bytes() == (folder / name).read_bytes() == before
    assert names(folder) == sorted(["flowers.csv", name])


def test_divergence_error_suggests_only_existing_options(folder):
    data = flowers(folder / "flowers.csv")
    words = ("examine", data, "--target", "petal_width")
    told = run(*words, "--learning-rate", 1e300, code=1).stderr
    advised = re.findall(r"--[a-z-]+", told)
    assert advised == ["--learning-rate"]


def test_help_says_that_row_numbers_start_at_1():
    assert "row 1 is the first" in " ".join(run("examine", "--help").stdout.split())


def test_error_removes_the_folders_it_created(folder):
    data = flowers(folder / "flowers.csv")
    run("examine", data, "--target", "nope", "--out", "new/deep/x.csv", "--map", "new/map.png", code=1)
    assert names(folder) == ["flowers.csv"]


def test_existing_file_is_replaced_only_with_force(folder):
    data = flowers(folder / "flowers.csv")
    words = ("examine", data, "--target", "species", "--epochs", 2, "--map", "map.png")
    run(*words)
    assert "--out" in run(*words, code=1).stderr
    (folder / "flowers-examined.csv").unlink()
    assert "--map" in run(*words, code=1).stderr
    run(*words, "--force")


def test_the_same_seed_gives_the_same_file(origin, folder):
    data = mislabelled(folder / "flowers.csv")
    for name in ("a", "b"):
        origin.run("examine", data, "--target", "species", "--out", f"{name}.csv", "--epochs", 5, cwd=folder)
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_ctrl_c_ranks_rows_by_the_epochs_so_far(folder, monkeypatch):
    data = mislabelled(folder / "flowers.csv")
    of, seen = EpochSummary.of, []

    def interrupted(record):
        seen.append(record.number)
        if len(seen) == 30:
            raise KeyboardInterrupt
        return of(record)

    monkeypatch.setattr("batchprop.tabular.history.EpochSummary.of", interrupted)
    words = ["examine", str(data), "--target", "species", "--map", "map.png"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 130
    assert "Interrupted after 29 epochs" in result.stdout
    assert names(folder) == ["flowers-examined.csv", "flowers.csv", "map.png"]
    assert len(pd.read_csv("flowers-examined.csv")) == 150


@pytest.mark.parametrize(
    "place", ["batchprop.tabular.training_table.read_file", "batchprop.tabular.history.EpochSummary.of"]
)
def test_ctrl_c_before_the_first_epoch_leaves_no_files(folder, monkeypatch, place):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    data = flowers(folder / "flowers.csv")
    monkeypatch.setattr(place, interrupt)
    result = run("examine", data, "--target", "species", "--map", "map.png", code=130)
    assert result.stderr == "batchprop: interrupted; nothing was written\n"
    assert names(folder) == ["flowers.csv"]
