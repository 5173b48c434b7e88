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
from batchprop.tabular import TrainOptions, fit_streaming, train_table
from batchprop.tabular.fit import encode, split_rows
from batchprop.tabular.frames import as_pandas
from batchprop.tabular.training_table import load_training_table
from batchprop.tabular.transformers import make_preprocessor

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
SECONDS = st.integers(0, 86_399).map(lambda second: dt.datetime.min + dt.timedelta(seconds=second))
TABLES = st.fixed_dictionaries(
    {
        "number": few(st.integers(-(4 * 10**4), 4 * 10**4).map(lambda n: n / 4)),
        "whole": few(st.integers(0, 120)),
        "day": few(DAYS),
        "moment": few(st.tuples(DAYS, SECONDS).map(lambda both: dt.datetime.combine(both[0], both[1].time()))),
        "clock": few(SECONDS.map(dt.datetime.time)),
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
    "clock": [typed(pa.time32("s")), typed(pa.time64("us")), lambda column: as_durations(column)],
    "truth": [typed(pa.bool_())],
    "word": TEXT,
    "code": TEXT,
}


def as_durations(column):
    midnight = dt.datetime(2000, 1, 1)  # noqa: DTZ001
    gaps = [None if v is None else dt.datetime.combine(midnight, v) - midnight for v in column]
    return pa.array(gaps, pa.duration("ms"))


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
    choose = random.Random(seed).choice
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
    yield "categories", frame.infer_objects().astype(dict.fromkeys(["word", "code", "whole", "y"], "category"))
    yield "polars", pl.DataFrame(table | {"y": labels()})


OPTIONS = TrainOptions(target="y")
QUIET = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])


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
        features = [learned.encoder.transform(frame) for frame in table.iter_frames(rows=4)]
        read = [learned.target.read(frame["y"]).tolist() for frame in table.iter_frames(rows=4)]
    kinds = [(column.name, column.kind, column.missing) for column in learned.columns]
    return kinds, np.concatenate(features).tobytes(), sum(read, [])


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
