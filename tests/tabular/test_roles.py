"""Times and weights are read by the rule that features are read by, in memory and in parts."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchprop.errors import DataError
from batchprop.tabular import train_table
from batchprop.tabular.roles import read_weights

pytestmark = pytest.mark.filterwarnings("ignore::batchprop.errors.OneClassWarning")

ROWS = 60
train = partial(train_table, epochs=1, hidden=2, engine="numpy", target="y")
SOURCES = pytest.mark.parametrize("how", ["frame", "csv", "csv in parts"])
SEVERAL_BLOCKS = 25


def everywhere_once(spellings):
    """Each spelling in a file that is read in parts, one from every source."""
    return [(name, "csv in parts") for name in spellings] + [
        (next(iter(spellings)), "csv"),
        (next(iter(spellings)), "frame"),
    ]


def table(**columns):
    x = np.random.default_rng(0).normal(size=ROWS)
    return pd.DataFrame({"x": x, "y": ["a", "b"] * (ROWS // 2), **columns})


def store(frame, how, folder, monkeypatch, name="t"):
    """The frame as data of a training; in parts, in several blocks."""
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: "in parts" in how)
    monkeypatch.setattr("batchprop.tabular.streaming.BLOCK_ROWS", SEVERAL_BLOCKS)
    if how == "frame":
        return frame
    path = folder / f"{name}.{how.split()[0]}"
    frame.to_csv(path, index=False) if how.startswith("csv") else frame.to_parquet(path)
    return path


def scores(frame, how, folder, monkeypatch, **options):
    return train(store(frame, how, folder, monkeypatch), **options).evaluation.scores


DAYS = pd.Series(pd.date_range("2020-01-03", periods=ROWS)).sample(frac=1, random_state=0, ignore_index=True)
# Each of them may begin with the day or with the month.
EARLY = pd.Series([pd.Timestamp(2020, month, day) for day in range(1, 13) for month in range(1, 6)])
NUMBERS = pd.Series(np.random.default_rng(1).permutation(ROWS))
TIMES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "points": (DAYS.dt.strftime("%d.%m.%Y"), DAYS, {}),
    "given": (EARLY.dt.strftime("%d/%m/%Y"), EARLY, {"type": ("t=date:dayfirst",)}),
    "named": (DAYS.dt.strftime("%b %d, %Y"), DAYS, {}),
    "thousands": (NUMBERS.map(lambda n: f"{n + 1000:,}"), NUMBERS, {}),
    "decimal comma": (NUMBERS.map(lambda n: f"{n},5"), NUMBERS, {}),
    "digits": ((NUMBERS + 1900).astype(str), NUMBERS, {}),
    "clock": (NUMBERS.map(lambda n: f"10:{n:02}"), NUMBERS, {}),
}


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, int], Any]:
    """Scores by source and times: what several spellings are compared with is trained once."""
    return {}


@pytest.mark.parametrize(("spelling", "how"), everywhere_once(TIMES))
def test_times_in_text_are_in_their_order(spelling, how, tmp_path, monkeypatch, known):
    words, times, options = TIMES[spelling]
    plain = {"time": "t", "drop": ("t",)}
    key = (how, id(times))
    if key not in known:
        known[key] = scores(table(t=times), how, tmp_path, monkeypatch, **plain)
    assert scores(table(t=words), how, tmp_path, monkeypatch, **plain, **options) == known[key]


@SOURCES
def test_times_that_may_begin_with_day_or_month_are_asked_for(how, tmp_path, monkeypatch):
    data = store(table(t=["03/04/2020", "05/06/2020"] * (ROWS // 2)), how, tmp_path, monkeypatch)
    with pytest.raises(DataError, match="t=date:dayfirst or t=date:monthfirst"):
        train(data, time="t", drop=("t",))


@SOURCES
@pytest.mark.parametrize(
    "words", [["a", "b"], ["true", "false"], [True, False], ["007", "008"], ["$5", "€6"]]
)
def test_words_are_no_times(words, how, tmp_path, monkeypatch):
    data = store(table(t=words * (ROWS // 2)), how, tmp_path, monkeypatch)
    with pytest.raises(DataError, match=r"'t' for `time` holds (?!np).*, and times are numbers, or dates"):
        train(data, time="t", drop=("t",))


@SOURCES
def test_a_time_that_means_missing_among_numbers_is_empty(how, tmp_path, monkeypatch):
    data = store(table(t=["-", *["01.02.2020", "31.03.2020"] * 30][:ROWS]), how, tmp_path, monkeypatch)
    with pytest.raises(DataError, match=r"'t' for `time` is empty in 1 row, first (in row 1|there): fill"):
        train(data, time="t", drop=("t",))


WEIGHTS: dict[str, tuple[list[str], list[float], dict[str, Any]]] = {
    "decimal comma": (["0,5", "2"], [0.5, 2], {}),
    "thousands": (["1,000", "500"], [1000, 500], {}),
    "given": (["1.000", "500"], [1000, 500], {"type": ("w=number:comma",)}),
    "percent": (["50%", "20 %"], [50, 20], {}),
}


@pytest.mark.parametrize(("spelling", "how"), everywhere_once(WEIGHTS))
def test_weights_in_text_are_the_numbers(spelling, how, tmp_path, monkeypatch):
    words, numbers, options = WEIGHTS[spelling]
    frame, typed = table(w=words * (ROWS // 2)), table(w=numbers * (ROWS // 2))
    plain = scores(typed, how, tmp_path, monkeypatch, weights="w")
    assert scores(frame, how, tmp_path, monkeypatch, weights="w", **options) == plain


@SOURCES
def test_weights_of_test_rows_have_the_spelling_of_the_others(how, tmp_path, monkeypatch):
    frame, test = table(w=["1.000", "2,5"] * (ROWS // 2)), table(w=["1.000", "2.000"] * (ROWS // 2))
    numbers, as_test = (
        frame.assign(w=[1000, 2.5] * (ROWS // 2)),
        test.assign(w=[1000, 2000] * (ROWS // 2)),
    )
    found = [
        scores(
            rows,
            how,
            tmp_path,
            monkeypatch,
            weights="w",
            test=store(tests, how, tmp_path, monkeypatch, "test"),
        )
        for rows, tests in ((frame, test), (numbers, as_test))
    ]
    assert found[0] == found[1]


@SOURCES
@pytest.mark.parametrize(("column", "value"), [("w", -1.0), ("t", None), ("x", np.inf)])
def test_an_error_about_a_row_names_its_place_behind_rows_of_weight_0(
    column, value, how, tmp_path, monkeypatch
):
    frame = table(w=[0.0, 0.0, 1.0, 1.0] * (ROWS // 4), t=range(ROWS)).astype({"t": float})
    frame.loc[27, column] = value
    data = store(frame, how, tmp_path, monkeypatch)
    place = "in row 28" if how == "frame" else r"^t\.csv, line 29: .* there[:,]"
    with pytest.raises(DataError, match=place):
        train_table(data, target="y", weights="w", time="t", drop=["t"], epochs=1, members=1)


@SOURCES
@pytest.mark.parametrize(
    ("words", "first"), [(["1,5", "2.5"], "1,5"), (["$5", "€6"], r"\$5"), (["10:30", "9:00"], "10:30|9:00")]
)
def test_words_are_no_weights(words, first, how, tmp_path, monkeypatch):
    data = store(table(w=words * (ROWS // 2)), how, tmp_path, monkeypatch)
    with pytest.raises(DataError, match=f"'w' holds ({first}) (in row .|there): a weight is a number"):
        train(data, weights="w")


def test_durations_and_dates_are_no_weights():
    for values, what in ((pd.to_timedelta([1], "s"), "durations"), (pd.to_datetime(["2020-01-01"]), "dates")):
        with pytest.raises(DataError, match=f"'w' holds {what}: a weight is a number"):
            read_weights(pd.Series(values, name="w"))
