"""Columns chosen, rows split by group, time or a file of test rows, folds: in memory and in parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import metrics

from batchprop.errors import BatchpropError, CheckpointError, DataError, ParameterError
from batchprop.tabular import Observer, train_table
from batchprop.tabular.cross_validation import fold_rows
from batchprop.tabular.options import make_options
from batchprop.tabular.train import train
from batchprop.tabular.training_input import load_training_table

pytestmark = [
    # The small memory of these tests opens few partitions, and the fit warns about it.
    pytest.mark.filterwarnings("ignore:.*are read at a time:UserWarning"),
    # One epoch teaches a network little.
    pytest.mark.filterwarnings("ignore::batchprop.errors.OneClassWarning"),
]

ROWS = 600
QUICK: dict[str, Any] = {"hidden": 4, "epochs": 1, "batch_size": 100, "target": "kind"}
SOURCES = ["frame", "csv", "csv in parts", "parquet in parts"]


def houses() -> pd.DataFrame:
    """Flats in houses, sold on days; the codes of rooms are text that looks like numbers."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=ROWS), "room": rng.choice(["01", "02", "03"], ROWS)})
    frame["house"] = rng.integers(0, 60, ROWS)
    frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 200, ROWS), unit="D")
    frame["year"] = rng.integers(1990, 2020, ROWS)
    frame["written"] = frame.day.dt.strftime("%Y-%m-%d")
    frame["price"] = frame.x * 1e5 + rng.normal(size=ROWS)
    frame["kind"] = np.where(frame.x + 0.5 * rng.normal(size=ROWS) > 0, "hi", "lo")
    return frame


def source(frame, how, folder, monkeypatch, name="t") -> Any:
    """The frame as data of a training; in parts, files are read as if they were larger than memory."""
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: "in parts" in how)
    if how == "frame":
        return frame
    path = folder / f"{name}.{how.split()[0]}"
    if how.startswith("csv"):
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, row_group_size=200)
    return (path,)


def trained(frame, how, folder, monkeypatch, **options):
    """A training, and the positions of its validation and test rows in the frame; all others train."""
    data = source(frame, how, folder, monkeypatch)
    result = train(data, make_options(**QUICK | options), Observer())
    unit, numbers = result.table.row_numbers
    positions = numbers - (2 if unit == "line" else 1)
    held = {"validation": positions[result.split.validation], "test": positions[result.split.test]}
    rest = np.setdiff1d(np.arange(len(frame)), np.concatenate(list(held.values())))
    assert len(rest) == len(result.split.train)
    assert min(len(rest), *map(len, held.values())) > 0
    return result, {"train": rest, **held}


@pytest.mark.parametrize(
    ("how", "target"), list(zip(SOURCES, ["kind", "price", "kind", "price"], strict=True))
)
def test_no_group_is_in_two_parts(how, target, tmp_path, monkeypatch):
    frame = houses()
    other = "price" if target == "kind" else "kind"
    result, rows = trained(frame, how, tmp_path, monkeypatch, target=target, group="house", drop=[other])
    groups = [set(frame.house.iloc[rows[part]]) for part in ("train", "validation", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == frame.house.nunique()
    assert set(result.pipeline["columns"].kinds) == {"x", "room", "day", "year", "written"}
    # In memory the most even of several draws is taken; a hash is as even as chance.
    assert abs(len(rows["test"]) / ROWS - 0.2) < (0.1 if "parts" in how else 0.03)
    if target == "kind" and "parts" not in how:
        shares = [np.mean(frame.kind.iloc[rows[part]] == "hi") for part in rows]
        assert np.ptp(shares) < 0.12


@pytest.mark.parametrize(
    ("how", "time"),
    # Times of every kind where they are read and split in ways of their own.
    [
        *((how, "day") for how in SOURCES),
        *((how, "written") for how in SOURCES if "csv" in how),
        *((how, "year") for how in SOURCES if "parts" in how),
    ],
)
def test_later_rows_validate_and_the_latest_test(how, time, tmp_path, monkeypatch):
    frame = houses()
    drop = ("price", "written") if time == "written" else "price"
    result, rows = trained(frame, how, tmp_path, monkeypatch, time=time, drop=drop)
    train_times, validation, test = (frame[time].iloc[rows[part]] for part in ("train", "validation", "test"))
    assert train_times.max() < validation.min() <= validation.max() < test.min()
    assert abs(len(rows["test"]) / ROWS - 0.2) < 0.03
    assert (time in result.pipeline["columns"].kinds) == (time not in drop)


@pytest.mark.parametrize(("how", "target"), [*((how, "kind") for how in SOURCES), ("csv in parts", "price")])
def test_the_test_rows_come_from_files_of_their_own(how, target, tmp_path, monkeypatch):
    frame = houses().drop(columns="price" if target == "kind" else "kind")
    # Codes of one row of the test are a number by themselves, and its groups are others.
    extra = frame[:90].assign(house=frame.house[:90] + 100, unused="?")[::-1]
    # A file without rows before, between and behind them changes nothing.
    cuts = {"no-0": (0, 0), "more-1": (0, 40), "no-1": (40, 40), "more-2": (40, 90), "no-2": (90, 90)}
    test = [source(extra[slice(*cut)], how, tmp_path, monkeypatch, name) for name, cut in cuts.items()]
    given = extra if how == "frame" else [path for paths in test for path in paths]
    data = source(frame, how, tmp_path, monkeypatch)
    options = make_options(**QUICK | {"target": target, "group": "house", "test": given, "epochs": 4})
    result = train(data, options, Observer())
    assert len(result.split.train) + len(result.split.validation) == ROWS
    answers = result.pipeline.predict(extra.assign(room=extra.room.astype(object)))
    listed = result.test_predictions()
    scores = result.evaluation.scores
    if target == "kind":
        assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(extra.kind, answers))
        assert listed["kind"].tolist() == extra.kind.tolist()
        P = result.pipeline.predict_proba(extra)
        np.testing.assert_allclose(listed[["probability hi", "probability lo"]], P, atol=1e-6)
        assert listed["predicted kind"].tolist() == answers.tolist()
    else:
        assert scores["R²"] == pytest.approx(metrics.r2_score(extra.price, answers), abs=1e-6)
        np.testing.assert_allclose(listed["price"], extra.price, rtol=1e-15)
    unit = {"csv": "line", "par": "row"}.get(how[:3])
    places = [
        f"more-{1 + (i >= 40)}.{how.split()[0]}, {unit} {i % 40 + (2 if unit == 'line' else 1)}"
        for i in range(40)
    ]
    expected = [*places] if unit else list(range(1, 41))
    assert listed.iloc[:40, 0].tolist() == expected


@pytest.mark.parametrize("how", ["frame", "csv in parts"])
def test_test_rows_that_cannot_be_scored_are_refused(how, tmp_path, monkeypatch):
    frame = houses()[:200].drop(columns="price")
    data = source(frame, how, tmp_path, monkeypatch)
    extra = frame[:50].assign(house=frame.house[:50] + 100)

    def refused(test, message, error=DataError, **options):
        given = source(test, how, tmp_path, monkeypatch, "more")
        with pytest.raises(error, match=message):
            train_table(data, test=given, **QUICK, **options)

    refused(extra.assign(house=frame.house[:50]), r"\d+ groups are in DATA and in `test`", group="house")
    refused(extra.rename(columns={"x": "X"}), "lacks 1 of the columns of DATA: x; .* did you mean 'X'")
    refused(extra.assign(x=["far", *extra.x[1:]]), "(line 2|row 1): column 'x' holds 'far'")
    refused(extra.assign(kind="mid"), "class 'mid' has no row among those to .*, or correct it in `test`$")
    refused(extra[:0], "holds column names and no rows: add rows")
    skip = {"on_bad_row": "skip", "max_skipped": 1.0}
    refused(extra.assign(kind=None), "50 of 50 rows cannot be used, so none is left; the first", **skip)
    if how != "frame":
        with pytest.raises(DataError, match=r"t\.csv is in DATA and in `test`"):
            train_table(data, test=data, **QUICK)
    else:
        priced = {"data": frame.assign(price=houses()[:200].price), **QUICK, "target": "price"}
        test = priced["data"][:50].assign(price=[1.0, np.inf, *range(48)])
        with pytest.raises(DataError, match="'price' holds inf in the test DataFrame, row 2: correct it"):
            train_table(test=pl.from_pandas(test), **priced)


@pytest.mark.parametrize("how", ["frame", "csv in parts"])
def test_an_infinity_in_a_test_row_is_refused_before_the_training(how, tmp_path, monkeypatch):
    frame = houses()[:200].drop(columns="price")
    latest = frame.day == frame.day.max()
    data, epochs = source(frame.assign(x=frame.x.mask(latest, np.inf)), how, tmp_path, monkeypatch), []

    class Counter(Observer):
        def on_epoch(self, history):
            epochs.append(history)

    with pytest.raises(DataError, match="column 'x' holds inf in row"):
        train_table(data, time="day", observer=Counter(), **QUICK)
    assert not epochs


@pytest.mark.parametrize(
    ("target", "by"),
    [
        ("price", {"weights": "year"}),
        ("kind", {"group": "house"}),
        ("kind", {"time": "day"}),
    ],
)
def test_folds_score_networks_on_rows_they_never_saw(target, by):
    frame = houses().drop(columns="kind" if target == "price" else "price")
    values = QUICK | {"target": target, "folds": 2, **by}
    result = train(frame, make_options(**values), Observer())
    scores = result.cross_validation
    assert scores is not None
    table = load_training_table(frame, make_options(**values))
    folds = list(fold_rows(table, result.options, 2))
    assert len(folds) == len(scores.folds) == 2
    tested = np.concatenate([test for _, test in folds])
    assert len(np.unique(tested)) == len(tested)
    for (rest, test), fold in zip(folds, scores.folds, strict=True):
        if "time" in by:
            assert frame.day.iloc[rest].max() < frame.day.iloc[test].min()
        elif "group" in by:
            assert not set(frame.house.iloc[rest]) & set(frame.house.iloc[test])
        # The same by hand: trained on the other rows, and tested on these.
        alone = {**values, "folds": None, "test": frame.iloc[test]}
        assert train(frame.iloc[rest], make_options(**alone), Observer()).evaluation.scores == fold
    if "time" not in by:
        assert len(tested) == ROWS
    name = "accuracy" if target == "kind" else "R²"
    per_fold = [fold[name] for fold in scores.folds]
    info = result.info()["cross-validation"]
    assert info["mean"][name] == pytest.approx(np.mean(per_fold))
    assert info["standard deviation"][name] == pytest.approx(np.std(per_fold))
    # The model itself is trained as without folds.
    plain = train(frame, replace(result.options, folds=None), Observer())
    assert plain.evaluation == result.evaluation


@pytest.mark.parametrize("how", ["frame", "csv in parts"])
def test_only_chosen_columns_are_used(how, tmp_path, monkeypatch):
    frame = houses()
    chosen: list[tuple[dict[str, Any], list[str]]] = [
        ({"drop": "price, year"}, ["x", "room", "house", "day", "written"]),
        ({"columns": ["room", "x"]}, ["x", "room"]),
        ({"columns": ("x",), "time": "day", "weights": "year"}, ["x"]),
    ]
    for options, used in chosen[-1:] if "parts" in how else chosen:
        result, _ = trained(frame, how, tmp_path, monkeypatch, **options)
        assert sorted(result.pipeline["columns"].kinds) == sorted(used)
        assert [column["name"] for column in result.info()["data"]["columns"]] == used


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown drop": ({"drop": "hose"}, "no column for `drop`: 'hose'; did you mean 'house'"),
    "unknown column": ({"columns": ["x", "rom"]}, "no column for `columns`: 'rom'; did you mean 'room'"),
    "unknown group": ({"group": "hose"}, "no column for `group`: 'hose'; did you mean 'house'"),
    "unknown time": ({"time": "days"}, "no column for `time`: 'days'; did you mean 'day'"),
    "dropped target": ({"drop": "x,kind"}, "`drop` names 'kind', which is the target: leave it out there"),
    "target as column": ({"columns": "kind"}, "`columns` names 'kind', which is the target"),
    "weights as column": ({"columns": "year", "weights": "year"}, "names 'year', which is the weights"),
    "group as column": ({"columns": "house", "group": "house"}, "names 'house', which is the group"),
    "named twice": ({"drop": "x,x"}, "`drop` names 'x' twice"),
    "no name": ({"drop": ""}, "`drop` holds an empty name"),
    "no names": ({"columns": 7}, r"columns=7 is not allowed: give the names of columns, as \['age',"),
    "open quote": ({"drop": '"x'}, "is not a list of columns"),
    "drop and columns": ({"drop": "x", "columns": "room"}, "`drop` does not go with `columns`"),
    "group is target": ({"group": "kind"}, "group='kind' is the target: name another column"),
    "time is weights": ({"time": "year", "weights": "year"}, "time='year' is the column of `weights`"),
    "group and time": ({"group": "house", "time": "day"}, "group='house' does not go with time='day'"),
    "two tests": ({"test": "a.csv", "test_fraction": 0.3}, "test_fraction=0.3 does not go with `test`"),
    "test of numbers": ({"test": [7]}, "test holds a value of type int: give a file, a folder"),
    "one group": ({"group": "one"}, "one group only in .* rows to split, '1', .*: name a `group` of more"),
    "one time": ({"time": "one"}, f"one time only in {ROWS} rows to split, .*: give `time` a column of more"),
    "two times": ({"time": "two"}, f"one time only in {ROWS - 9} rows to split, and the rows to train"),
    "time of words": ({"time": "room"}, "`time` holds '0[123]', and times are numbers, or dates like"),
    "missing group": ({"group": "gaps"}, "'gaps' for `group` is empty in 2 rows, first in row 4"),
    "missing time": ({"time": "gaps"}, "'gaps' for `time` is empty in 2 rows, first in row 4: fill it in"),
    "late class": ({"time": "day", "target": "season"}, "class 'summer' has no row among those to train"),
    "one fold": ({"folds": 1}, "folds=1 is not allowed: give an integer from 2 to 100"),
    "folds of words": ({"folds": "five"}, "folds='five' is not allowed"),
    "more folds than groups": ({"folds": 70, "group": "house"}, "at least 70 groups, and there are 60"),
    "more folds than years": ({"folds": 40, "time": "year"}, "at least 40 different times, and there are 29"),
    "no target": ({"target": "none"}, "600 of 600 rows cannot .* row 1: its target 'none' is missing; fill"),
    "no column left": ({"columns": "one"}, "no column is left to predict from"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_splits_and_columns_are_refused(case):
    frame = houses().assign(one=1, gaps=range(ROWS))
    frame["gaps"] = frame["gaps"].where(~frame.index.isin([3, 7]))
    frame["none"] = None
    frame["two"] = [*[1] * (ROWS - 9), *[2] * 9]
    frame["season"] = np.where(frame.day > "2020-07-01", "summer", "spring")
    options, message = REFUSED[case]
    with pytest.raises(BatchpropError, match=message):
        train_table(frame, **QUICK | options)


def test_options_of_a_table_are_refused_for_the_digits():
    for name in ("drop", "columns", "test", "group", "time"):
        with pytest.raises(ParameterError, match=f"`{name}` is for a table, but there is no DATA"):
            make_options(**dict[str, Any]({"digits": True, name: "pixel_0_0"}))


def test_a_group_too_large_for_memory_and_folds_in_parts_are_refused(tmp_path, monkeypatch):
    frame = houses().drop(columns="price").assign(house=1)
    frame["year"] = frame.year.where(frame.index % 2 == 0, 2020)
    data = source(frame, "csv in parts", tmp_path, monkeypatch)
    with pytest.raises(DataError, match=r"the table has no rows|no row is left to (validate|test) on"):
        train_table(data, group="house", **QUICK)
    with pytest.raises(ParameterError, match="folds=3 needs all rows at once"):
        train_table(data, folds=3, **QUICK)
    monkeypatch.setattr("batchprop.tabular.streaming.HOLDOUT_MEMORY_DIVISOR", 1e6)
    monkeypatch.setattr("batchprop.tabular.streaming.BLOCK_ROWS", 20)
    with pytest.raises(DataError, match="as all rows of one `time` stay together: give more `memory`"):
        train_table(data, time="year", **QUICK, memory="1MiB")


def test_resume_refuses_another_split(tmp_path, monkeypatch):
    frame = houses().drop(columns="price")
    extra = source(frame[:50], "csv", tmp_path, monkeypatch, "more")
    data = source(frame[50:], "csv", tmp_path, monkeypatch)
    folder, quick = tmp_path / "checkpoints", QUICK | {"epochs": 2}

    class Stops(Observer):
        def on_epoch(self, history):
            if len(history) == 2:
                raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError, match="power"):
        train_table(
            data, test=extra, drop="year", checkpoints=folder, checkpoint_every=1, observer=Stops(), **quick
        )
    for options, message in (
        ({"drop": "year"}, "`test_fraction` was not given, and now is 0.2"),
        ({"test": extra}, "`drop` was 'year', and now is not given; set it as it was"),
        ({"test": extra, "drop": "year", "group": "house"}, "`group` was not given, and now is 'house'"),
        ({"test": extra, "drop": "year", "seed": 5}, "`seed` was 0, and now is 5"),
    ):
        with pytest.raises(CheckpointError, match=message):
            train_table(data, checkpoints=folder, resume=True, **quick, **options)
    train_table(data, test=extra, drop="year", checkpoints=folder, resume=True, **quick)


@pytest.mark.parametrize(
    ("how", "few"), [("frame", False), ("csv", True), ("csv in parts", False), ("parquet in parts", True)]
)
def test_one_message_counts_the_missing_targets_and_has_both_remedies(how, few, tmp_path, monkeypatch):
    frame = houses()[["x", "year", "kind"]]
    frame.loc[[8, 20] if few else list(range(8, 39)), "kind"] = None
    data = source(frame, how, tmp_path, monkeypatch)
    place = "line 10" if "csv" in how else "row 9"
    bad = "2 of 600" if few else "31 of 600"
    remedy = "on_bad_row='skip'" + ("" if few else " and max_skipped=0.052")
    message = (
        f"{place}: its target 'kind' is missing; fill it in; {bad} rows cannot be used: correct them, or "
        f"leave them out with {remedy}$"
    )
    with pytest.raises(DataError, match=message):
        train_table(data, **QUICK)
    skip: dict[str, Any] = {"on_bad_row": "skip", "max_skipped": 0.01 if few else 0.052}
    model = train_table(data, **QUICK, **skip)
    assert len(model.history) == 1


@pytest.mark.parametrize("how", SOURCES)
def test_names_are_compared_in_one_unicode_form(how, tmp_path, monkeypatch):
    composed, decomposed = "Gr\u00f6\u00dfe", "Gro\u0308\u00dfe"
    frame = houses()[["x", "year", "kind"]]
    data = source(
        frame.rename(columns={"x": decomposed, "kind": f"{decomposed} 2"}), how, tmp_path, monkeypatch
    )
    options: dict[str, Any] = {**QUICK, "target": f"{composed} 2", "columns": composed}
    model = train_table(data, **options)
    assert list(model.pipeline["columns"].kinds) == [composed]
    for spelled in (composed, decomposed):
        answers = model.predict(frame.rename(columns={"x": spelled}), keep=spelled)
        assert answers[composed].tolist() == frame.x.tolist()
