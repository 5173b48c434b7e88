"""`batchprop play`: the page that it writes."""

import json
import re

import numpy as np
import pytest

from tests.cli.commands import flowers, run


def data_of(page):
    """The data that Python wrote into a page."""
    text = page.read_text(encoding="utf-8")
    match = re.search(r'id="playground-data">(.*?)</script>', text, re.DOTALL)
    assert match
    return json.loads(match[1])


def test_page_is_written_opened_and_replaced(tmp_path, monkeypatch):
    opened: list[str] = []

    def note(address):
        opened.append(address)
        return True

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", note)
    said = run("play", "--seed", "3").stdout
    page = tmp_path / "playground.html"
    assert said == f"Playground: playground.html ({page.stat().st_size / 1e6:.2g} MB)\n"
    assert opened == [page.as_uri()]
    assert page.stat().st_size < 700_000
    assert data_of(page)["settings"] == {"seed": 3}
    assert data_of(page)["table"] is None
    run("play", "--no-open")
    assert len(opened) == 1
    assert data_of(page)["settings"] == {"seed": 0}


def test_page_without_a_browser_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    said = run("play", "--out", tmp_path / "deep" / "page.html").stdout
    assert said.endswith("There is no browser to open it with: open that file in one.\n")
    assert (tmp_path / "deep" / "page.html").exists()


def test_table_is_encoded_as_train_encodes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flowers(tmp_path / "flowers.csv")
    run("play", "flowers.csv", "--target", "species", "--no-open")
    table = data_of(tmp_path / "flowers-playground.html")["table"]
    assert table["title"] == "flowers.csv: species"
    assert table["outputs"] == ["setosa", "versicolor", "virginica"]
    assert table["features"] == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert (table["X"]["shape"], table["values"]["shape"]) == ([150, 4], [150, 1])
    assert table["rows"][:2] == ["line 2", "line 3"]


def test_what_is_left_out_is_said_and_stands_in_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"n{i},{i**0.5},1,{i % 2}" for i in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["name,x,same,y", *rows, "n30,1,1,"]))
    said = run("play", "t.csv", "--target", "y", "--no-open").stdout.splitlines()[:-1]
    notes = data_of(tmp_path / "t-playground.html")["table"]["notes"]
    assert said == [f"Note: {note}." for note in notes]
    assert [note.split(" left out")[0] for note in notes] == ["1 row", "name", "same"]


def test_long_table_is_sampled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=6000)
    (tmp_path / "long.csv").write_text("x,y\n" + "".join(f"{value},{value**2}\n" for value in x))
    run("play", "long.csv", "--target", "y", "--no-open")
    table = data_of(tmp_path / "long-playground.html")["table"]
    assert (table["task"], table["X"]["shape"]) == ("numbers", [5000, 1])
    assert table["notes"] == ["5,000 of 6,000 rows, drawn at random"]


@pytest.mark.parametrize("value", ["inf", "-inf", "1e400"])
@pytest.mark.parametrize("target", ["x", "kind"])
def test_a_number_that_is_not_finite_is_named_in_one_line(tmp_path, value, target):
    path = tmp_path / "t.csv"
    path.write_text("x,kind\n" + "".join(f"{value if i == 3 else i},{'ab'[i % 2]}\n" for i in range(20)))
    told = run("play", path, "--target", target, "--no-open", code=1).stderr
    assert f"holds {value}" in told or "holds inf" in told
    assert "line 5" in told or "row 4" in told


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["t.csv"], 2, "--target is missing: name the column of t.csv to learn"),
        (["--target", "y"], 2, "--target names a column, but there is no DATA"),
        (["missing.csv", "--target", "y"], 1, "missing.csv"),
        (["t.csv", "--target", "z"], 1, "'z'"),
        (["t.txt", "--target", "y"], 1, "t.txt"),
        (["--out", "page.pdf"], 2, "--out page.pdf names no page: end it in .html, .htm"),
        (["--out", "mine.html"], 1, "the file mine.html exists: name another with --out, or replace it with"),
        (["t.csv", "--target", "y", "--out", "t.html", "--force"], None, ""),
        (["many.csv", "--target", "y"], 1, "many.csv: y has 12 classes: the playground takes up to 10"),
    ],
)
def test_invalid_input_is_a_one_line_error(tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i**0.5},{i % 2}\n" for i in range(20)))
    (tmp_path / "many.csv").write_text(
        "x,y\n" + "".join(f"{i**0.5},{'abcdefghijkl'[i % 12]}\n" for i in range(60))
    )
    (tmp_path / "mine.html").write_text("mine")
    assert said in run("play", "--no-open", *words, code=code).stderr
    assert (tmp_path / "mine.html").read_text() == "mine"
