"""What a training says of its table: how its target is read, which words are pooled, which are unseen."""

import html
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchprop.cli.console import make_console
from batchprop.cli.progress import ConsoleObserver
from batchprop.errors import UnseenValueWarning
from batchprop.report.page import Table
from batchprop.tabular import Observer, train_table
from batchprop.tabular.options import make_options
from batchprop.tabular.pooling import pooling_notes
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.summary import data_summary, describe_reading
from batchprop.tabular.train import train
from batchprop.tabular.transformers import make_preprocessor
from tests.cli.commands import run

pytestmark = pytest.mark.filterwarnings("ignore:.* are read at a time:UserWarning")

QUICK: dict[str, Any] = {"target": "y", "epochs": 1, "hidden": (4,), "engine": "numpy"}


def homes(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    words = [*(f"often {i:02}" for i in range(20)), *(f"rare {i:03}" for i in range(rows - 20 * 15))]
    word = np.array([*np.repeat(words[:20], 15), *words[20:]])
    return pd.DataFrame({"home": word, "y": [f"{1000 + i:,}" for i in rng.permutation(rows)]})


class Notes(Observer):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("gaps", [False, True])
def test_texts_that_all_differ_are_told_to_be_unused(gaps):
    texts = pd.DataFrame({"text": [f"text {i}" for i in range(200)]})
    if gaps:
        texts.loc[::4, "text"] = None
    columns = infer_schema(texts, {"text": "text"})
    model = make_preprocessor(columns, 200).fit(texts)
    used = "only whether it is missing" if gaps else "nothing of it"
    assert pooling_notes(model, columns) == [
        f"In text, no value is in enough rows for a feature of its own: {used} is used."
    ]
    # One feature for all values, which is always 1, and one for the gaps.
    assert np.ptp(model.transform(texts), axis=0).any() == gaps


@pytest.mark.parametrize("where", ["frame", "parts"])
def test_pooled_words_and_the_reading_of_the_target_are_told(where, tmp_path, monkeypatch):
    source: Any = homes()
    options = dict(QUICK)
    if where == "parts":
        source.to_parquet(tmp_path / "t.parquet", row_group_size=50)
        source = (tmp_path / "t.parquet",)
        monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: True)
    seen = Notes()
    result = train(source, make_options(**options), seen)
    [pooling] = result.pooling.values()
    assert pooling.startswith("20 of ")
    assert pooling.endswith(" words kept, the rest as one")
    assert f"Words are pooled in home: {pooling}." in seen.notes
    info = result.info()
    assert info["data"]["columns"][0]["pooling"] == pooling
    assert info["target"]["reading"] == result.table.target.reading
    assert info["target"]["reading"].startswith("',' between thousands")
    many = {f"home {i}": pooling for i in range(22)}
    parts = data_summary(result.table, result.split, many).parts
    tables = {table.caption: table.rows for table in parts if isinstance(table, Table)}
    assert len(tables["Pooled words and codes; the first 20 of 22"]) == 20


@pytest.mark.pictures
def test_the_command_and_the_report_tell_them_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    homes().to_csv("t.csv", index=False)
    homes()[:150].assign(home="castle").to_csv("test.csv", index=False)
    result = run("train", "t.csv", "--target", "y", "--test", "test.csv", "--epochs", 1, "--out", "m")
    page = (tmp_path / "m" / "report.html").read_text()
    assert "y is read as numbers, ',' between thousands" in result.stdout
    for text in ("words kept, the rest as one", "test rows: home: 150 of 150 rows hold values not seen"):
        assert text in result.stdout
        assert text in page
    assert "numbers, ',' between thousands" in html.unescape(page)
    # The target is noise. Lines are as wide as the terminal of the tests.
    told = re.search(
        r"Note: (The model misses .*?; that is (?:worse|not clearly better) than always answering the mean)",
        " ".join(result.stdout.split()),
    )
    assert told is not None
    assert told[1] in " ".join(html.unescape(page).split())


def test_notes_of_the_command_name_its_options(capsys):
    ConsoleObserver(make_console()).on_note(
        "One network is trained: record=True records the training of one."
    )
    assert capsys.readouterr().out == "One network is trained: --record records the training of one.\n"


def test_values_of_test_rows_that_the_training_had_not_are_told():
    table = homes()
    with pytest.warns(UnseenValueWarning, match=r"test rows: home: 20 of 40 rows hold .* \(castle\)"):
        train_table(table, test=table[:40].assign(home=["castle", "often 00"] * 20), **QUICK)


@pytest.mark.parametrize("where", ["frame", "parts"])
def test_whole_numbers_that_float64_rounds_are_told(where, tmp_path, monkeypatch):
    ids = 10**18 + np.arange(40).repeat(5)
    source: Any = pd.DataFrame({"id": ids, "y": np.tile(np.arange(100.0), 2)})
    if where == "parts":
        source.to_parquet(tmp_path / "t.parquet", row_group_size=50)
        source = (tmp_path / "t.parquet",)
        monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: True)
    result = train(source, make_options(**QUICK), Notes())
    note = "id is read as numbers, whole ones beyond 2⁵³, which are rounded: the type text, as --type id"
    assert describe_reading(result.table.columns[0]).startswith(note)
    typed = train(source, make_options(**QUICK, type={"id": "text"}), Notes())
    assert (typed.table.columns[0].note, typed.table.columns[0].reading) == ("40 values", "")
