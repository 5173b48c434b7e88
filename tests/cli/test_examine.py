"""`batchprop examine`: wrong rows come first, each with its line, and nothing bad is half-written."""

import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.tabular.history import EpochSummary
from tests.cli.commands import flowers, houses, names, run, write

FLIPPED = (3, 60, 61, 120)
FIGURES = [
    "mislabel_score", "mislabel_rank", "loss", "el2n", "grand", "self_influence", "aum", "forgetting",
    "correctness", "confidence", "variability", "aleatoric",
]  # fmt: skip


def mislabelled(path, rows=FLIPPED):
    """Iris with a few labels moved on to the next species."""
    frame = pd.read_csv(flowers(path.with_suffix(".csv")))
    following = {"setosa": "versicolor", "versicolor": "setosa", "virginica": "setosa"}
    frame.loc[list(rows), "species"] = frame.loc[list(rows), "species"].map(following)
    if path.suffix != ".csv":
        path.with_suffix(".csv").unlink()
    return write(frame, path)


def test_flipped_labels_come_first_with_their_lines(folder):
    data = mislabelled(folder / "flowers.csv")
    result = run("examine", data, "--target", "species", "--top", 6)
    found = pd.read_csv(folder / "flowers-examined.csv")
    assert list(found) == ["line", "given_label", "predicted_label", "why", *FIGURES]
    assert found["mislabel_rank"].tolist() == list(range(1, 151))
    assert set(found["line"][:5]) >= {row + 2 for row in FLIPPED}
    original = pd.read_csv(data)
    assert (found["given_label"] == original["species"].to_numpy()[found["line"] - 2]).all()
    first = found.iloc[0]
    assert f"{first['line']}  {first['given_label']}" in " ".join(result.stdout.split()).replace(" ", "  ")
    assert first["why"] in result.stdout
    assert result.stdout.count("held at ") == 7
    assert "rows are predicted to have another label than the one given" in result.stdout


def test_the_table_is_one_row_per_line_even_where_fields_hold_line_ends(folder):
    frame = pd.read_csv(mislabelled(folder / "flowers.csv"))
    frame["note"] = np.where(np.arange(150) % 2, "two\nlines", "one, with comma")
    write(frame, folder / "noted.csv")
    run("examine", "noted.csv", "--target", "species", "--epochs", 2)
    found = pd.read_csv("noted-examined.csv")
    lines = (folder / "noted.csv").read_text().splitlines()
    for line, given in zip(found["line"], found["given_label"], strict=True):
        assert given in lines[line - 1]


def test_rows_of_parquet_are_counted_and_those_without_a_target_left_out(folder):
    frame = pd.read_csv(mislabelled(folder / "flowers.csv"))
    frame.loc[10, "species"] = None
    write(frame, folder / "flowers.parquet")
    result = run("examine", "flowers.parquet", "--target", "species", "--epochs", 2, "--out", "o.parquet")
    found = pd.read_parquet("o.parquet")
    assert found.columns[0] == "row"
    assert set(found["row"]) == set(range(1, 151)) - {11}
    assert "149 to examine" in result.stdout
    assert "1 more have no target and are left out" in result.stdout


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_numbers_far_off_come_first_in_their_own_units(folder, engine):
    frame = pd.read_parquet(houses(folder / "houses.parquet", n=400))
    wrong = [5, 77, 200]
    frame.loc[wrong, "price"] += [90_000, -90_000, 120_000]
    write(frame, folder / "houses.parquet")
    result = run("examine", "houses.parquet", "--target", "price", "--learning-rate", 0.01, "--top", 3,
                 "--epochs", 60, "--engine", engine)  # fmt: skip
    found = pd.read_csv("houses-examined.csv")
    assert set(found["row"][:3]) == {row + 1 for row in wrong}
    assert np.allclose(found["given_label"], frame["price"].to_numpy()[found["row"] - 1])
    assert np.corrcoef(found["given_label"][3:], found["predicted_label"][3:])[0, 1] > 0.9
    assert "too high" in result.stdout
    assert "× the usual distance" in result.stdout


@pytest.mark.parametrize(("target", "ending"), [("species", "png"), ("petal_width", "svg")])
def test_the_map_is_drawn_for_labels_and_for_numbers(folder, target, ending):
    data = flowers(folder / "flowers.csv")
    run("examine", data, "--target", target, "--epochs", 5, "--top", 0, "--map", f"map.{ending}")
    start = (folder / f"map.{ending}").read_bytes()[:400]
    assert start.startswith(b"\x89PNG") or b"<svg" in start or b"<?xml" in start


def test_a_class_with_one_row_is_examined_too(folder):
    frame = pd.read_csv(flowers(folder / "flowers.csv"))
    frame.loc[7, "species"] = "setosaa"
    write(frame, folder / "typo.csv")
    run("examine", "typo.csv", "--target", "species")
    found = pd.read_csv("typo-examined.csv")
    typo = found[found["line"] == 9].iloc[0]
    assert (typo["given_label"], typo["predicted_label"]) == ("setosaa", "setosa")
    assert typo["mislabel_rank"] <= 5


def test_the_digits_are_examined_without_a_file(folder):
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
        (["flowers.csv", "--target", "species", "--out", "o.txt"], 2, "end it in .csv"),
        (["flowers.csv", "--target", "species", "--map", "m.jpg"], 2, "end it in .png"),
        (["flowers.csv", "--target", "species", "--out", "./flowers.csv"], 2, "is the table itself: name"),
        (["flowers.csv", "--target", "species", "--map", "here/"], 2, "names no format"),
        (["flowers.csv", "--target", "species", "--task", "regression"], 1, "holds text"),
        (["flowers.csv", "--target", "species", "--learning-rate", "inf"], 2, "finite"),
        (["flowers.csv", "--target", "petal_width", "--learning-rate", "1e300"], 1, "learning-rate"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(folder, words, code, told):
    flowers(folder / "flowers.csv")
    before = (folder / "flowers.csv").read_bytes()
    result = run("examine", *words, code=code)
    assert told in result.stderr
    assert names(folder) == ["flowers.csv"]
    assert (folder / "flowers.csv").read_bytes() == before


@pytest.mark.parametrize(("option", "name"), [("--out", "other.csv"), ("--map", "map.png")])
def test_the_table_is_not_replaced_even_by_force_and_by_another_name(folder, option, name):
    data = flowers(folder / "flowers.csv")
    before = data.read_bytes()
    (folder / name).hardlink_to(data)
    words = ("--target", "species", "--epochs", 1, option, name, "--force")
    result = run("examine", data, *words, code=2)
    assert f"{option} {name} is the table itself: name another file" in result.stderr
    assert data.read_bytes() == (folder / name).read_bytes() == before
    assert names(folder) == sorted(["flowers.csv", name])


def test_what_is_advised_after_divergence_the_command_has(folder):
    data = flowers(folder / "flowers.csv")
    words = ("examine", data, "--target", "petal_width")
    told = run(*words, "--learning-rate", 1e300, code=1).stderr
    advised = re.findall(r"--[a-z-]+", told)
    assert advised == ["--learning-rate"]


def test_the_help_says_from_where_rows_are_counted():
    assert "row 1 is the first" in " ".join(run("examine", "--help").stdout.split())


def test_an_error_takes_back_the_folders_made_for_the_files(folder):
    data = flowers(folder / "flowers.csv")
    run("examine", data, "--target", "nope", "--out", "new/deep/x.csv", "--map", "new/map.png", code=1)
    assert names(folder) == ["flowers.csv"]


def test_a_file_that_is_there_is_replaced_only_by_force(folder):
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


def test_ctrl_c_ranks_by_what_was_seen_so_far(folder, monkeypatch):
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
    "place", ["batchprop.tabular.training_table.read_table", "batchprop.tabular.history.EpochSummary.of"]
)
def test_ctrl_c_before_the_first_epoch_leaves_nothing(folder, monkeypatch, place):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    data = flowers(folder / "flowers.csv")
    monkeypatch.setattr(place, interrupt)
    result = run("examine", data, "--target", "species", "--map", "map.png", code=130)
    assert result.stderr == "batchprop: interrupted; nothing was written\n"
    assert names(folder) == ["flowers.csv"]
