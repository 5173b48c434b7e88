"""The decimal sign that is given holds for every number in text, from every source, and in prediction."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from batchprop.errors import DataError, ParameterError
from batchprop.tabular import TrainOptions, load_model, train_table
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import make_options, to_words
from batchprop.tabular.streaming import fit_preprocessing, scan_table
from batchprop.tabular.training_input import load_training_table
from batchprop.tabular.training_table import read_whole

pytestmark = pytest.mark.filterwarnings(
    "ignore::batchprop.errors.OneClassWarning", "ignore::batchprop.errors.UnseenValueWarning"
)

train = partial(train_table, epochs=1, hidden=2, engine="numpy")
ROWS = 60
WHERE = ["csv", "parquet", "frame"]
# What is read at once from Parquet is a frame.
READ = [("csv", False), ("csv", True), ("parquet", True), ("frame", False)]
PARTS = pytest.mark.parametrize("parts", [False, True], ids=["at once", "in parts"])


def table(**columns):
    return pd.DataFrame({name: [*words] * (ROWS // len(words)) for name, words in columns.items()})


def store(frame, folder, where):
    """The table as a source of that kind, its words as they are."""
    if where == "frame":
        return frame
    file = folder / f"t.{where}"
    frame.to_csv(file, index=False) if where == "csv" else frame.to_parquet(file, index=False)
    return (file,)


def learn(source, options, *, parts):
    """The schema by name, and the target's values: of all rows, or in parts its range."""
    if not parts:
        whole = load_training_table(source, options)
        return {column.name: column for column in whole.columns}, whole.target
    with scan_table(source, options, 10**9, Observer()) as (scan, splitter):
        held_out, _, fitted = fit_preprocessing(scan, splitter, options, Observer())
    return {column.name: column for column in fitted.columns}, held_out.target


FEATURES = {
    "thousands": (["1.234", "2.000", "17"], "17 to 2,000", "1.234 to 17"),
    "decimals": (["1,5", "2,25", "17"], "1.5 to 17", None),
    "both": (["1.234,5", "-0,5", "1e2"], "−0.5 to 1,234.5", None),
    "points": (["1.5", "2.5", "17"], None, "1.5 to 17"),
    "either": (["1,234", "2,345", "17"], "1.234 to 17", "17 to 2,345"),
    "whole": (["1", "2", "17"], "1 to 17", "1 to 17"),
    "less than 1": (["0.125", "0.250", "0.5"], None, "0.125 to 0.5"),
}


@pytest.mark.parametrize(("where", "parts"), READ)
def test_features_have_the_decimal_sign_that_is_given(where, parts, tmp_path):
    frame = table(y=["a", "b"], **{name: words for name, (words, *_) in FEATURES.items()})
    source = store(frame, tmp_path, where)
    for number, decimal in enumerate(",.", 1):
        columns, _ = learn(source, make_options(target="y", decimal=decimal), parts=parts)
        for name, expected in FEATURES.items():
            wanted = expected[number]
            kind = ("category", "3 values") if wanted is None else ("number", wanted)
            assert (columns[name].kind, columns[name].note) == kind, (name, decimal)


@pytest.mark.parametrize(("where", "parts"), READ)
def test_targets_and_weights_have_the_decimal_sign_that_is_given(where, parts, tmp_path):
    words = [f"{n}.{n + 234:03}" for n in range(1, 31)]
    frame = table(x=range(30), y=words, w=["1.000", "2"])
    source = store(frame, tmp_path, where)
    for decimal, factor in ((",", 1000), (".", 1)):
        options = make_options(target="y", decimal=decimal, weights="w")
        _, target = learn(source, options, parts=parts)
        assert target.task == "regression"
        values = {round(float(word) * factor, 9) for word in words}
        assert set(np.round(target.values, 9)) <= values
        assert parts or load_training_table(source, options).weights.max() == max(factor, 2)


@PARTS
@pytest.mark.parametrize("words", [["1.5", "2,5", "3"], ["1,5", "2.5", "3"]])
def test_a_target_with_the_other_sign_is_no_number(words, parts, tmp_path):
    source = store(table(x=range(30), y=words), tmp_path, "csv")
    for decimal, wrong in ((",", "."), (".", ",")):
        _, target = learn(source, make_options(target="y", decimal=decimal), parts=parts)
        assert (target.task, set(target.values)) == ("classification", set(words))
        first = next(word for word in words if wrong in word)
        with pytest.raises(DataError, match=f"'y' holds text such as '{first}'"):
            learn(source, make_options(target="y", decimal=decimal, task="regression"), parts=parts)


@PARTS
@pytest.mark.parametrize("where", ["csv", "parquet"])
def test_classes_stay_as_they_are_spelled(where, parts, tmp_path):
    source = store(table(x=range(30), y=["1.0", "2.0"]), tmp_path, where)
    for decimal in (".", ","):
        options = make_options(target="y", decimal=decimal, task="classification")
        assert set(learn(source, options, parts=parts)[1].values) == {"1.0", "2.0"}


@PARTS
def test_a_point_in_few_rows_is_between_thousands(parts, tmp_path, monkeypatch):
    # Only held-out rows hold a point, or only rows to predict.
    frame = table(x=range(30), y=range(100, 130)).astype(str)
    source = store(frame, tmp_path, "csv")
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: parts)
    model = train(source[0], target="y", decimal=",")
    model.save(tmp_path / "model")
    rows = tmp_path / "rows.csv"
    rows.write_text("x\n1.234\n2\n")
    pd.DataFrame({"x": [1234, 2]}).to_parquet(tmp_path / "rows.parquet")
    wanted = model.predict(pd.DataFrame({"x": [1234.0, 2.0]}))["y"].tolist()
    loaded = load_model(tmp_path / "model")
    for large in (False, True):
        monkeypatch.setattr("batchprop.tabular.predictions.exceeds_memory", lambda *_, large=large: large)
        assert loaded.predict(rows)["y"].tolist() == wanted
        assert loaded.predict(tmp_path / "rows.parquet")["y"].tolist() == wanted
    assert loaded.predict(pd.DataFrame({"x": ["1.234", "2"]}))["y"].tolist() == wanted
    with pytest.raises(DataError, match=r"'x' holds '1.5' in row 1, where a number like 1.234,5 is expected"):
        loaded.predict(pd.DataFrame({"x": ["1.5"]}))


def test_a_target_of_plain_training_rows_has_points_between_thousands_in_others(tmp_path):
    frame = table(x=range(30), y=range(100, 130)).astype(str)
    options = make_options(target="y", decimal=",")
    with scan_table(store(frame, tmp_path, "csv"), options, 10**9, Observer()) as (scan, splitter):
        _, _, fitted = fit_preprocessing(scan, splitter, options, Observer())
    assert fitted.target.read(pd.Series(["1.234", "7"])).tolist() == [1234, 7]


def test_typed_numbers_of_a_model_are_read_by_its_sign(tmp_path):
    model = train(table(x=[0.5, 1.5, 1234.0], y=["a", "b"]), target="y", decimal=",")
    words, numbers = pd.DataFrame({"x": ["1.234", "0,5"]}), pd.DataFrame({"x": [1234.0, 0.5]})
    assert model.predict(words, proba=True).equals(model.predict(numbers, proba=True))


def test_the_type_of_a_column_wins(tmp_path):
    frame = table(x=["1.234", "2.345", "7"], z=["1.234", "2.345", "7"], y=["a", "b"])
    for where in WHERE:
        options = make_options(target="y", decimal=".", type=("x=number:comma",))
        columns, _ = learn(store(frame, tmp_path, where), options, parts=False)
        assert (columns["x"].note, columns["z"].note) == ("7 to 2,345", "1.234 to 7")


def test_codes_dates_and_gaps_are_what_they_are_without_a_sign(tmp_path):
    frame = table(
        code=["007", "012"],
        when=["2020-02-29", "2021-03-01"],
        clock=["10:30", "11:00"],
        truth=["true", "false"],
        n=["1,5", "-", "None"],
        word=["a", "b", "1.5"],
        y=["a", "b"],
    )
    for where in WHERE:
        source = store(frame, tmp_path, where)
        given, _ = learn(source, make_options(target="y", decimal=","), parts=False)
        usual, _ = learn(source, TrainOptions(target="y"), parts=False)
        assert given == usual


def test_few_words_that_are_no_numbers_are_noted(tmp_path):
    words = [f"{n},5" for n in range(29)]
    source = store(table(x=[*words, "1.5"], y=["a", "b"]), tmp_path, "csv")
    for parts in (False, True):
        columns, _ = learn(source, make_options(target="y", decimal=","), parts=parts)
        assert columns["x"].warning.partition("values ")[2] == "are no numbers, '1.5' first"


@PARTS
def test_times_have_the_decimal_sign_that_is_given(parts, tmp_path, monkeypatch):
    frame = table(x=range(30), t=[f"1.{n:03}" for n in range(60)], y=["a", "b"])
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: parts)
    model = train(store(frame, tmp_path, "csv")[0], target="y", time="t", decimal=",")
    assert model.pipeline["columns"].spellings == {"t": "comma", "x": "comma"}


@PARTS
def test_weights_have_the_decimal_sign_that_is_given(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: parts)
    frame = table(x=range(30), y=["a", "b"], w=["1.000", "2,5"])
    source = store(frame, tmp_path, "csv")[0]
    given = train(source, target="y", weights="w", decimal=",")
    numbers = store(frame.assign(w=[1000, 2.5] * (ROWS // 2)), tmp_path, "parquet")[0]
    assert given.evaluation.scores == train(numbers, target="y", weights="w").evaluation.scores
    with pytest.raises(DataError, match="line 3: the weights column 'w' holds 2,5"):
        train(source, target="y", weights="w", decimal=".")


@PARTS
@pytest.mark.parametrize("where", ["csv", "parquet"])
def test_rows_whose_target_means_missing_among_numbers_are_skipped(where, parts, tmp_path):
    y = [str(n) for n in range(100, 160)]
    y[7], y[30], y[31] = "-", " - ", "None"
    source = store(pd.DataFrame({"x": range(ROWS), "y": y}), tmp_path, where)
    options = TrainOptions(target="y", on_bad_row="skip", max_skipped=0.1)
    lines = [9, 32, 33] if where == "csv" else [8, 31, 32]
    if parts:
        with scan_table(source, options, 10**9, Observer()) as (scan, _):
            skipped, rows = scan.skipped, scan.n_rows
    else:
        whole = read_whole(source, options)
        skipped, rows = whole.skipped, len(whole.frame)
    assert ([row.line for row in skipped], rows) == (lines, ROWS - 3)
    assert "its target 'y' is missing" in skipped[0].reason
    with pytest.raises(DataError, match="3 of 60 rows cannot be used: correct them, or leave them out"):
        learn(source, TrainOptions(target="y"), parts=parts)


@PARTS
def test_a_word_of_classes_that_means_missing_among_numbers_is_a_class(parts, tmp_path):
    source = store(table(x=range(30), y=["-", "b"]), tmp_path, "csv")
    assert set(learn(source, TrainOptions(target="y"), parts=parts)[1].values) == {"-", "b"}


@pytest.mark.parametrize("where", ["csv", "parquet"])
def test_names_of_folders_have_the_decimal_sign_that_is_given(where, tmp_path):
    for size in ("1.234", "17"):
        folder = tmp_path / f"size={size}"
        folder.mkdir()
        store(table(x=range(30), y=["a", "b"]), folder, where)
    for decimal, note in ((",", "17 to 1,234"), (".", "1.234 to 17"), (None, "1.234 to 17")):
        for parts in (False, True):
            files = tuple(sorted(tmp_path.glob(f"*/*.{where}")))
            columns, _ = learn(files, make_options(target="y", decimal=decimal), parts=parts)
            assert columns["size"].note == note


def test_the_sign_comes_from_the_command_line():
    options = make_options(target="y", decimal=",")
    assert to_words(options) == ["--target", "y", "--decimal", ","]
    with pytest.raises(ParameterError, match=r"decimal=';' is not allowed: give one of '\.', ','"):
        make_options(target="y", decimal=";")


BEFORE = "'.' before the decimals; if it stands between thousands, give --decimal , (in Python decimal=',')"
BETWEEN = "',' between thousands; if it stands before the decimals, give --decimal , (in Python decimal=',')"
OPEN = {
    "points": (["1.137", "63", "9.441", "987"], BEFORE),
    "round": (["1.000", "2.000", "15.000"], BEFORE),
    "negative": (["-1.137", "63", "9.441"], BEFORE),
    "commas": (["1,137", "63", "9,441"], BETWEEN),
    "less than 1": (["0.137", "63", "9.441"], ""),
    "two decimals": (["1.137", "63", "9.44"], ""),
    "long": (["1137.125", "63", "9.441"], ""),
    "whole": (["1", "63", "9"], ""),
    "millions": (["1,137,000", "63", "9,441"], "',' between thousands"),
}


@pytest.mark.parametrize(("where", "parts"), READ)
def test_a_point_that_may_stand_between_thousands_is_noted(where, parts, tmp_path):
    frame = table(y=["a", "b"], **{name: words for name, (words, _) in OPEN.items()})
    columns, _ = learn(store(frame, tmp_path, where), TrainOptions(target="y"), parts=parts)
    assert {name: columns[name].reading for name in OPEN} == {name: note for name, (_, note) in OPEN.items()}
    for decimal in ",.":
        given, _ = learn(
            store(frame, tmp_path, where), make_options(target="y", decimal=decimal), parts=parts
        )
        assert not any("--decimal" in column.reading for column in given.values())


@pytest.mark.parametrize(("where", "parts"), READ)
def test_a_single_number_with_a_point_is_not_noted(where, parts, tmp_path):
    frame = table(x=["63", "987"], y=["a", "b"])
    frame.loc[0, "x"] = "1.137"
    columns, _ = learn(store(frame, tmp_path, where), TrainOptions(target="y"), parts=parts)
    assert columns["x"].reading == ""


@pytest.mark.pictures
@PARTS
def test_the_note_on_points_is_in_settings_and_report(parts, tmp_path, monkeypatch):
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: parts)
    frame = table(x=OPEN["points"][0], y=["a", "b"])
    train(store(frame, tmp_path, "csv")[0], target="y").save(tmp_path / "model")
    for name in ("settings.json", "report.html"):
        assert "if it stands between thousands" in (tmp_path / "model" / name).read_text()
