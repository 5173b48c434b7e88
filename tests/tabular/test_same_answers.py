"""The same table gives the same matrix, labels and answers, however it is spelled, typed and read."""

import csv
import datetime as dt
import random
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from batchprop.data.scanner import scan
from batchprop.errors import DataError, ParameterError
from batchprop.tabular import TrainOptions, fit_streaming, train_table
from batchprop.tabular.frames import as_pandas
from batchprop.tabular.options import make_options, to_words
from batchprop.tabular.roles import read_groups
from batchprop.tabular.training_input import load_training_table
from batchprop.tabular.transformers import make_preprocessor

pytestmark = pytest.mark.filterwarnings(
    "ignore::batchprop.errors.OneClassWarning", "ignore::batchprop.errors.UnseenValueWarning"
)

ROWS = 18
LABELS = ["yes", "no", "né"]


def few(values):
    """A column of a few different values, some of them missing."""
    several = st.lists(values, min_size=2, max_size=5, unique=True)
    return st.tuples(several, st.booleans(), st.integers(0, 99)).map(spread)


def spread(drawn):
    """Each of the values in some row, and missing ones if wanted."""
    values, gaps, seed = drawn
    rows = [values[i % len(values)] for i in range(ROWS)]
    rows = [rows[i] for i in np.random.default_rng(seed).permutation(ROWS)]
    return [None, *rows[1:-1], None] if gaps else rows


DAYS = st.integers(-25_000, 47_000).map(lambda day: dt.date(1970, 1, 1) + dt.timedelta(day))
MIDNIGHT = dt.datetime(2000, 1, 1)  # noqa: DTZ001
CLOCKS = st.integers(0, 86_399).map(lambda second: (MIDNIGHT + dt.timedelta(seconds=second)).time())
TABLES = st.fixed_dictionaries(
    {
        "number": few(st.integers(-(4 * 10**4), 4 * 10**4).map(lambda n: n / 4)),
        "whole": few(st.integers(0, 120)),
        "day": few(DAYS),
        "moment": few(st.builds(dt.datetime.combine, DAYS, CLOCKS)),
        "clock": few(CLOCKS),
        "truth": few(st.booleans()),
        "word": few(st.sampled_from(["red", "the bar", "Café", "x1", "unknown", "café"])),
        "code": few(st.sampled_from(["007", "0042", "00", "012", "09"])),
    }
)


def swap(text):
    return text.translate(str.maketrans(",.", ".,"))


def words(spell, gap=""):
    return lambda column: [gap if value is None else spell(value) for value in column]


AS_TEXT = {
    "number": [
        words(repr),
        words("{:,.2f}".format, "-"),
        words(lambda x: swap(f"{x:,.2f}"), "NA"),
        words("${:,.2f}".format),
        words("{:.2f} %".format, "n.a."),
        words(lambda x: f"{x:.2f}".replace("-", "−")),
        words("  {:.6e} ".format, " ? "),
        words(lambda x: f"{x:,.2f}" if x >= 0 else f"({-x:,.2f})", "None"),
    ],
    "whole": [words(str), words("{}.0".format, "null"), words("{:+d}".format), words("{:05.1f}".format)],
    "day": [
        words(dt.date.isoformat),
        words(lambda d: f"{d:%Y/%m/%d}", "-"),
        words(lambda d: f"{d:%d %b %Y}", "NaN"),
        words(lambda d: f"{d:%B %d, %Y}"),
        words(lambda d: f"{d:%Y-%m-%d 00:00:00}"),
    ],
    "moment": [words(str, "NA"), words(dt.datetime.isoformat), words(lambda t: f"{t:%d %b %Y %I:%M:%S %p}")],
    "clock": [words(str), words("{} ".format, "-"), words("0 days {}".format)],
    "truth": [words(str), words(lambda t: str(t).lower(), "NA"), words(lambda t: str(t).upper(), "-")],
    "word": [words(str), words(" {} ".format, "NA"), words(str, "#N/A")],
    "code": [words(str), words("{}  ".format, "?")],
}


def as_decimals(kind):
    return lambda column: pa.array([None if v is None else Decimal(str(v)) for v in column], kind)


def typed(kind):
    return lambda column: pa.array(column, kind)


def encoded(kind):
    return lambda column: pa.array(column, kind).dictionary_encode()


def as_durations(column):
    spans = [None if v is None else dt.datetime.combine(MIDNIGHT, v) - MIDNIGHT for v in column]
    return pa.array(spans, pa.duration("ms"))


TEXT = [typed(pa.string()), typed(pa.large_string()), encoded(pa.string()), typed(pa.string_view())]
MOMENTS = [typed(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")]
DAY_TYPES = [pa.date32(), pa.date64(), *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns"))]
AS_TYPES = {
    "number": [
        typed(pa.float64()),
        typed(pa.float32()),
        encoded(pa.float64()),
        as_decimals(pa.decimal128(12, 2)),
        as_decimals(pa.decimal128(38, 9)),
        as_decimals(pa.decimal256(60, 20)),
    ],
    "whole": [
        *map(typed, (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32())),
        encoded(pa.int64()),
        as_decimals(pa.decimal128(5)),
        as_decimals(pa.decimal128(38)),
        as_decimals(pa.decimal128(10, 3)),
    ],
    "day": [lambda column, kind=kind: pa.array(column, pa.date32()).cast(kind) for kind in DAY_TYPES],
    "moment": MOMENTS,
    "clock": [typed(pa.time32("s")), typed(pa.time64("us")), as_durations],
    "truth": [typed(pa.bool_())],
    "word": TEXT,
    "code": TEXT,
}


def write_csv(path, table, choose):
    """Write the table with a spelling of each column."""
    spelled = {name: choose(AS_TEXT[name])(column) for name, column in table.items()}
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, quoting=choose([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        rows.writerow([*spelled, "y"])
        rows.writerows(zip(*spelled.values(), labels(), strict=True))
    return path, pa.table({name: pa.array(column) for name, column in spelled.items()} | {"y": labels()})


def labels():
    return (LABELS * ROWS)[:ROWS]


def sources(table, folder, seed):
    """The table as files and as data frames."""
    choose = random.Random(seed).choice  # noqa: S311
    path, spelled = write_csv(folder / "t.csv", table, choose)
    yield "CSV", path
    pa.parquet.write_table(spelled, folder / "spelled.parquet")
    yield "text in Parquet", folder / "spelled.parquet"
    arrow = pa.table(
        {name: choose(AS_TYPES[name])(column) for name, column in table.items()}
        | {"y": choose(TEXT)(labels())}
    )
    pa.parquet.write_table(arrow, folder / "t.parquet", row_group_size=choose([5, 99]))
    yield "Parquet", folder / "t.parquet"
    yield "Arrow", arrow
    frame = pd.DataFrame(table | {"y": labels()}, dtype=object)
    yield "objects", frame
    yield "nullable", frame.convert_dtypes()
    yield (
        "categories",
        frame.infer_objects().astype(dict.fromkeys(["word", "code", "whole", "y"], "category")),
    )
    yield "polars", pl.DataFrame(table | {"y": labels()})


OPTIONS = TrainOptions(target="y")
QUIET = settings(
    max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)


def as_source(source):
    return as_pandas((source,) if hasattr(source, "suffix") else source)


def encode_whole(source):
    """The kinds of the columns, their features bit for bit, and the labels."""
    table = load_training_table(as_source(source), OPTIONS)
    features = make_preprocessor(table.columns, ROWS).fit_transform(table.frame)
    kinds = [(column.name, column.kind, column.missing) for column in table.columns]
    return kinds, features.tobytes(), table.target.values.tolist()


def encode_parts(path):
    with scan(path, "y", text=["y"]) as table:
        learned = fit_streaming(table.iter_frames(rows=7), target="y")
        frames = list(table.iter_frames(rows=5))
    features = [learned.encoder.transform(frame) for frame in frames]
    read = [learned.target.read(frame["y"]).tolist() for frame in frames]
    kinds = [(column.name, column.kind, column.missing) for column in learned.columns]
    return kinds, np.concatenate(features).tobytes(), [label for block in read for label in block]


@QUIET
@given(table=TABLES, seed=st.integers(0, 999))
def test_every_source_gives_the_same_matrix_and_labels(table, seed, tmp_path):
    wanted = None
    for name, source in sources(table, tmp_path, seed):
        found = encode_whole(source)
        wanted = wanted or found
        assert found == wanted, name
        if hasattr(source, "suffix"):
            assert encode_parts(source) == wanted, f"{name} in parts"
    assert wanted is not None
    assert wanted[2] == labels()


@settings(QUIET, max_examples=2)
@given(table=TABLES, seed=st.integers(0, 999))
def test_every_source_gives_the_same_answers(table, seed, tmp_path):
    made = dict(sources(table, tmp_path, seed))
    trained = list(made)[seed % len(made)]
    if set("$%") & set((tmp_path / "t.csv").read_text(encoding="utf-8")):
        # A model of numbers without a unit refuses text with one; the reverse it takes as it is.
        trained = ["CSV", "text in Parquet"][seed % 2]
    model = train_table(made[trained], target="y", epochs=1, hidden=2, engine="numpy")
    answers = {name: as_pandas(model.predict(source, proba=True)) for name, source in made.items()}
    for name, answer in answers.items():
        assert answer["y"].tolist() == answers["CSV"]["y"].tolist(), (trained, name)
        assert answer.iloc[:, 1:].to_numpy().tobytes() == answers["CSV"].iloc[:, 1:].to_numpy().tobytes()


@pytest.mark.parametrize("parts", [False, True], ids=["at once", "in parts"])
def test_predicting_the_training_file_gives_the_scores(parts, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    size = rng.normal(1000, 300, 120)
    frame = pd.DataFrame({"size": size, "price": [f"$ {2 * x + 5:,.2f}" for x in size]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: parts)
    scores = []
    for name in ("t.csv", "t.parquet"):
        model = train_table(tmp_path / name, target="price", epochs=3, hidden=4, engine="numpy")
        model.save(tmp_path / "model", force=True)
        test = pd.read_csv(tmp_path / "model" / "test-predictions.csv")
        rows = test.iloc[:, 0].to_numpy() - (2 if name == "t.csv" else 1)
        answers = model.predict(tmp_path / name)["price"].to_numpy()[rows]
        truth = 2 * size[rows] + 5
        r2 = 1 - ((answers - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
        scores.append(model.evaluation.scores["R²"])
        assert scores[-1] == pytest.approx(r2, abs=1e-4)
        assert test.iloc[:, 2].tolist() == answers.tolist()
    assert scores[0] == scores[1]


def write_both(folder, frame):
    """The table as CSV and as Parquet, and as it is."""
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet", index=False)
    return [folder / "t.csv", folder / "t.parquet", frame]


def test_blanks_around_labels_do_not_count_in_any_source(tmp_path):
    frame = pd.DataFrame({"x": range(40), "y": ["yes", " yes", "no ", "no"] * 10})
    for source in write_both(tmp_path, frame):
        assert load_training_table(as_source(source), OPTIONS).classes.tolist() == ["no", "yes"]


def test_a_word_that_means_missing_is_no_class_unless_it_is_said(tmp_path):
    frame = pd.DataFrame({"x": [1.0, -999.0, 3.0, 4.0] * 10, "w": ["NA", "a", "?", "b"] * 10})
    frame["y"] = np.where(frame["x"] > 2, "NA", "-")
    options = TrainOptions(target="y", missing=("?", "-999"))
    kinds = set()
    for source in write_both(tmp_path, frame):
        with pytest.raises(DataError, match=r"row 3|line 4"):
            load_training_table(as_source(source), OPTIONS)
        table = load_training_table(as_source(source), options)
        assert table.classes.tolist() == ["-", "NA"]
        kinds.add(tuple((column.name, column.kind, column.missing) for column in table.columns))
        model = train_table(source, target="y", missing=["?", -999], epochs=1, hidden=2, engine="numpy")
        assert model.pipeline["columns"].missing == ("?", "-999")
        read = model.pipeline["columns"].transform(frame)
        assert read["w"].tolist()[:3] == ["NA", "a", "(missing)"]
        assert read["x"].isna().tolist()[:3] == [False, True, False]
    assert kinds == {(("x", "number", 10), ("w", "category", 10))}
    assert (
        model.predict(tmp_path / "t.csv")["y"].tolist() == model.predict(tmp_path / "t.parquet")["y"].tolist()
    )


def test_words_for_missing_come_from_the_command_line():
    assert make_options(target="y", missing="NA, -").missing == ("NA", "-")
    assert to_words(make_options(target="y", missing=[])) == ["--target", "y", "--missing", ""]
    with pytest.raises(ParameterError, match=r"missing=\[None\] is not allowed: give words or numbers"):
        make_options(target="y", missing=[None])


def test_long_decimals_and_ids_with_gaps_keep_their_digits(tmp_path):
    labels = [Decimal(10**22 + i % 2) for i in range(40)]
    ids = [None, *range(2**60 + 1, 2**60 + 40)]
    table = pa.table({"x": np.arange(40.0) % 2, "id": ids, "y": pa.array(labels, pa.decimal128(38))})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", table):
        model = train_table(source, target="y", drop="id", epochs=1, hidden=2, engine="numpy")
        assert model.pipeline.classes_.tolist() == [str(10**22), str(10**22 + 1)]
        kept = as_pandas(model.predict(source, keep=["id", "y"]), ["id"])
        assert kept["y"].tolist() == [*map(str, labels)]
        assert [int(i) for i in kept["id"][1:]] == ids[1:]
    longer = pd.Series([10**20 + i % 2 for i in range(40)], dtype=object)
    frame = pd.DataFrame({"x": np.arange(40.0) % 7, "id": longer, "y": longer})
    read = load_training_table(frame, TrainOptions(target="y", type=("id=text",)))
    assert read.classes.tolist() == [str(10**20), str(10**20 + 1)]
    assert (read.columns[1].kind, read.columns[1].note) == ("category", "2 values")
    assert read_groups(longer.rename("g")).tolist()[:2] == read.classes.tolist()
    prices = [Decimal(10**12) + Decimal(i) / 8 for i in range(40)]
    column = pa.array(prices, pa.decimal128(30, 3))
    table = pa.table({"x": range(40), "y": column})
    target = load_training_table(as_pandas(table, ["y"]), OPTIONS).target
    assert (target.task, target.values.tolist()) == ("regression", [*map(float, prices)])


@pytest.mark.parametrize("parts", [False, True], ids=["at once", "in parts"])
def test_kept_columns_of_a_csv_file_come_back_as_they_are(parts, tmp_path, monkeypatch):
    words = ["NA", "007", " b ", "None", "1.50", ""] * 6
    frame = pd.DataFrame(
        {"n": ["-", "1.50", "007", " 2", "NA", ""] * 6, "w": words, "y": ["a", "b", "c"] * 12}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setattr("batchprop.tabular.predictions.exceeds_memory", lambda *_: parts)
    model = train_table(tmp_path / "t.csv", target="y", epochs=1, hidden=2, engine="numpy")
    assert model.pipeline["columns"].kinds == {"n": "number", "w": "category"}
    kept = model.predict(tmp_path / "t.csv", keep=["w", "n", "y"])
    for name in ("w", "n", "y"):
        assert kept[name].fillna("").tolist() == frame[name].tolist()


def test_codes_are_noted_and_types_overrule_them(tmp_path):
    frame = pd.DataFrame({"zip": ["01099", "80331"] * 20, "n": ["007", "-1"] * 20, "y": ["a", "b"] * 20})
    for source in write_both(tmp_path, frame):
        zips, numbers = load_training_table(as_source(source), OPTIONS).columns
        assert (zips.kind, zips.reading) == ("category", "codes with leading zeros, such as 01099")
        assert (numbers.kind, numbers.note) == ("number", "−1 to 7")
        options = TrainOptions(target="y", type=("zip=number",))
        assert load_training_table(as_source(source), options).columns[0].kind == "number"
