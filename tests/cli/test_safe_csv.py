"""`--safe-csv`: no cell of the CSV is a formula, and numbers stay numbers."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from batchprop.tabular.predictions import to_csv
from tests.cli.commands import QUICK, run

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '=HYPERLINK("http://x","y")',
    "-",
    "+a",
]
HARMLESS = ["a=1", "-5", "+5", "-1.5e-3", "+.5", "-7.", "", "x\ry", "don't", " =1", '"', "1,5"]


def cells(text, delimiter=","):
    """All fields, by Python's own reader; it takes a bare return for the end of a row."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("kind", [object, "string", "category"])
def test_formulas_get_an_apostrophe_and_nothing_else_changes(delimiter, kind):
    text = [*FORMULAS, *HARMLESS]
    numbers = -np.arange(float(len(text)))
    table = pd.DataFrame({"=name": pd.Series(text).astype(kind), "n": numbers, "i": -numbers.astype(int)})
    head, *rows = cells(to_csv(table, delimiter, safe=True), delimiter)
    assert head == ["'=name", "n", "i"]
    assert [row[0] for row in rows] == [*(f"'{each}" for each in FORMULAS), *HARMLESS]
    assert [float(row[1]) for row in rows] == list(numbers)
    plain = cells(to_csv(table, delimiter), delimiter)
    assert [row[0] for row in plain] == ["=name", *text]
    assert [row[1:] for row in plain] == [row[1:] for row in [head, *rows]]


def test_missing_mixed_and_empty_columns_keep_their_values():
    table = pd.DataFrame(
        {"m": [None, -1, "=x", True], "d": pd.to_datetime(["2020-01-01"] * 4), "f": [np.nan, -np.inf, 1, 2]}
    )
    assert cells(to_csv(table, safe=True))[1:] == [
        ["", "2020-01-01", ""],
        ["-1", "2020-01-01", "-inf"],
        ["'=x", "2020-01-01", "1"],
        ["True", "2020-01-01", "2"],
    ]
    assert to_csv(table[:0], safe=True) == to_csv(table[:0])
    assert to_csv(table, names=False, safe=True).count("\n") == 4


def test_command_writes_safe_csv(folder):
    table = pd.DataFrame({"x": np.arange(40.0), "@kind": ["=A1", "-B"] * 20})
    table.to_csv("t.csv", index=False)
    run("train", "t.csv", "--target", "@kind", "--out", "m", *QUICK)
    run("predict", "m", "t.csv", "--keep", "x", "--safe-csv", "--out", "safe.csv")
    safe = pd.read_csv("safe.csv")
    assert set(safe["'@kind"]) <= {"'=A1", "'-B"}
    assert safe["x"].tolist() == table["x"].tolist()
    assert (
        run("predict", "m", "t.csv", "--keep", "x", "--safe-csv").stdout == (folder / "safe.csv").read_text()
    )
    run("predict", "m", "t.csv", "--out", "raw.csv")
    assert set(pd.read_csv("raw.csv")["@kind"]) <= {"=A1", "-B"}
    for out in ("safe.parquet", "safe.PQ"):
        told = run("predict", "m", "t.csv", "--safe-csv", "--out", out, code=2).stderr
        assert "--safe-csv is for CSV" in told
    run("examine", "t.csv", "--target", "@kind", "--epochs", "1", "--safe-csv", "--out", "examined.csv")
    examined = pd.read_csv("examined.csv")
    assert set(examined["given_label"]) == {"'=A1", "'-B"}
    told = run("examine", "t.csv", "--target", "@kind", "--safe-csv", "--out", "x.parquet", code=2).stderr
    assert "--safe-csv is for CSV" in told
