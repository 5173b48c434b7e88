"""`batchprop train` and `batchprop predict` on queries, workbooks, and standard input."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from batchprop.cli import train_command
from batchprop.cli.app import app
from batchprop.cli.progress import ConsoleObserver
from tests.cli.commands import QUICK, flowers, run

QUERY = "SELECT * FROM 'it''s.parquet' WHERE petal_width > 0"


@pytest.fixture(autouse=True)
def tables(folder):
    frame = pd.read_csv(flowers(folder / "flowers.csv"))
    frame.to_parquet("it's.parquet")
    frame.to_excel("flowers.xlsx", index=False, sheet_name="data")
    return frame


def printed(text):
    """The command that a line of the output tells, as words."""
    return shlex.split(text)[1:]


def next_command(result, what):
    line = next(line for line in result.stdout.splitlines() if line.startswith(f"{what} with: "))
    return printed(line.removeprefix(f"{what} with: "))


def pipe(content, *words):
    result = CliRunner().invoke(app, [str(word) for word in words], input=content)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.pictures
def test_a_query_stands_in_settings_report_and_hint():
    result = run("train", "--sql", QUERY, "--target", "species", *QUICK)
    settings = json.loads(Path("query-model/settings.json").read_text())
    assert settings["settings"]["sql"] == QUERY
    assert settings["data"]["name"] == "the query"
    assert settings["data"]["files"] is None
    hint = next_command(result, "Predict")
    assert hint == ["predict", "query-model", "--sql", QUERY]
    report = Path("query-model/report.html").read_text()
    assert "SELECT * FROM &#39;it&#39;&#39;s.parquet&#39;" in report
    assert "batchprop look" not in report
    answers = run(*hint).stdout
    assert answers == run("predict", "query-model", "it's.parquet").stdout
    assert "name a table" in run("look", "query-model", code=1).stderr


def test_a_sheet_stands_in_the_hint():
    result = run("train", "flowers.xlsx", "--sheet", "data", "--target", "species", *QUICK)
    hint = next_command(result, "Predict")
    assert hint == ["predict", "flowers-model", "flowers.xlsx", "--sheet", "data"]
    assert len(run(*hint).stdout.splitlines()) == 151


def test_standard_input_is_trained_on_and_predicted_for(folder):
    content = (folder / "flowers.csv").read_bytes()
    result = pipe(content, "train", "-", "--target", "species", *QUICK)
    assert "Data standard input Rows 108 to train" in " ".join(result.stdout.split())
    hint = next_command(result, "Predict")
    assert hint == ["predict", "table-model", "-"]
    pipe(content, *hint, "--out", "answers.csv")
    run("predict", "table-model", "flowers.csv", "--out", "same.csv")
    assert (folder / "answers.csv").read_text() == (folder / "same.csv").read_text()
    assert "batchprop-" not in (folder / "table-model" / "settings.json").read_text()


def test_the_hint_to_resume_asks_for_the_same_rows_and_hides_the_password(folder, monkeypatch):
    class Interrupted(ConsoleObserver):
        def on_epoch(self, history):
            super().on_epoch(history)
            raise KeyboardInterrupt

    content = (folder / "flowers.csv").read_bytes()
    words = ["train", "-", "--target", "species", "--checkpoint-every", "1", *QUICK]
    with monkeypatch.context() as patch:
        patch.setattr(train_command, "ConsoleObserver", Interrupted)
        said = CliRunner().invoke(app, words, input=content).stdout
    resume = next(line for line in said.splitlines() if line.startswith("Resume with"))
    assert resume.endswith("--out table-model, with the same rows on standard input")
    again = printed(resume.removeprefix("Resume with: ").partition(", with")[0])
    assert "Resuming after " in pipe(content, *again).stdout


REFUSED = {
    "two tables": (
        ("train", "flowers.csv", "--sql", "SELECT 1"),
        "--sql names its tables itself: leave DATA out",
    ),
    "no query": (
        ("train", "flowers.csv", "--database", "sqlite:///t.db"),
        "--database needs a query: add --sql",
    ),
    "no target": (
        ("train", "--sql", "SELECT 1"),
        "--target is missing: name the column of the query to predict",
    ),
    "no data": (("predict", "m"), "DATA is missing: name the table to predict for, or give --sql"),
    "no sheets": (
        ("train", "flowers.csv", "--sheet", "a", "--target", "species"),
        "--sheet is for workbooks",
    ),
    "no workbook": (("train", "--sheet", "a"), "--sheet is for a table, but there is no DATA"),
    "a writer": (
        ("train", "--sql", "COPY (SELECT 1) TO 'a.csv'", "--target", "a"),
        "--sql is a statement of type",
    ),
    "a database": (
        ("train", "--sql", "SELECT 1", "--database", "mysql://ann:s3cret@host/a", "--target", "a"),
        "--database mysql://ann:***@host/a is not the URL",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_names_no_table_is_refused(name):
    words, message = REFUSED[name]
    assert message in run(*words, code=2).stderr


def test_other_commands_take_json_lines_and_name_their_lines(tables):
    lines = tables.to_json(orient="records", lines=True).splitlines()
    Path("t.jsonl").write_text("\n\n".join(lines))
    run("examine", "t.jsonl", "--target", "species", "--epochs", "2", "--out", "rows.csv")
    assert sorted(pd.read_csv("rows.csv")["line"]) == [*range(1, 300, 2)]
    Path("t.jsonl").write_text("\n".join([*lines, "{"]))
    said = run("examine", "t.jsonl", "--target", "species", "--out", "bad.csv", code=1).stderr
    assert "t.jsonl, line 151: it is not JSON" in said
    assert "skip" not in said
