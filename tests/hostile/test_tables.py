"""For any table, `train` and `predict` give finite predictions or a one-line error."""

import shutil
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.data.reader import read_table, read_tables
from batchprop.data.scanner import scan
from batchprop.errors import DataError
from tests.hostile.crafted_files import run_bounded, write_file
from tests.hostile.tables import tables

QUICK = ("--engine", "numpy", "--epochs", 1, "--hidden", 2, "--batch-size", 8)

# Types whose values a CSV file represents exactly.
SAYABLE = ("whole", "float", "few words", "bool", "day")
PLAIN_NAMES = ["a", "b b", "é", "[red]", "x" * 300, "id", "日本", "{y}", "=1+1", "prediction"]

# Without shrinking, which takes minutes: failing tables are already small.
few = settings(
    max_examples=15, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def place(folder):
    """Empty the folder: Hypothesis shares one between all examples."""

    def empty():
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    return empty


def invoke_command(*words):
    """Run a command, and check that any error is one printable line."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        told = done.stderr.splitlines()
        assert (done.exit_code, len(told)) in {(1, 1), (2, 1)}, done.stderr
        assert told[0].startswith("batchprop: ")
        assert told[0].isprintable()
    return done


def train(path, target, out):
    return invoke_command("train", path, f"--target={target.strip()}", "--out", out, *QUICK)


def answers(model, path, out):
    done = invoke_command("predict", model, path, "--out", out, "--force")
    assert done.exit_code == 0, done.stderr
    return pd.read_parquet(out).iloc[:, 0]


def check_finite(frame, rows):
    assert len(frame) == rows
    assert not frame.isna().any()
    assert frame.dtype.kind != "f" or np.isfinite(frame).all()


def written(table, path):
    """Write the table; some times are out of range for a Parquet file."""
    try:
        pyarrow.parquet.write_table(table, path)
    except pa.ArrowInvalid:
        reject()
    return path


@few
@given(table=tables())
def test_any_table_is_predicted_or_refused(place, table):
    path = written(table, place() / "table.parquet")
    if train(path, table.column_names[-1], "model").exit_code:
        return
    check_finite(answers("model", path, "answers.parquet"), table.num_rows)


@pytest.mark.pictures
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(table=tables(kinds=("float", "few words", "text"), bad_targets=False))
def test_any_table_has_a_report(place, table):
    path = written(table, place() / "table.parquet")
    done = train(path, table.column_names[-1], "model")
    refusals = ("no column is left", "at least 10", "holds inf in row", "holds -inf in row")
    assert done.exit_code == 0 or any(refusal in done.stderr for refusal in refusals)


@settings(few, max_examples=5)
@given(table=tables(kinds=SAYABLE, names=PLAIN_NAMES, bad_targets=False))
def test_csv_and_parquet_give_the_same_predictions(place, table):
    folder = place()
    parquet, text = written(table, folder / "table.parquet"), folder / "table.csv"
    pyarrow.csv.write_csv(table, text)
    target = table.column_names[-1]
    refused = train(parquet, target, "of-parquet")
    if refused.exit_code:
        told = train(text, target, "of-text")
        assert told.exit_code == refused.exit_code
        assert told.stderr.replace("table.csv", "table.parquet") == refused.stderr
        return
    assert train(text, target, "of-text").exit_code == 0
    expected = answers("of-parquet", parquet, "1.parquet")
    check_finite(expected, table.num_rows)
    for model, path in (("of-parquet", text), ("of-text", text), ("of-text", parquet)):
        result = answers(model, path, "2.parquet")
        # A CSV file spells booleans, and its labels come back as they are spelled there.
        spells = expected.dtype == bool and model == "of-text"
        wanted = expected.map({True: "true", False: "false"}) if spells else expected
        pd.testing.assert_series_equal(result, wanted, check_exact=True)


# --- regressions frame by such tables -----------------------------------------------------------------


def learn(folder, **columns):
    """Train and predict on these repeated columns and a target of two classes."""
    rows = 24
    made = {name: column.take([i % len(column) for i in range(rows)]) for name, column in columns.items()}
    made["y"] = pa.array([i % 2 for i in range(rows)])
    path = written(pa.table(made), folder / "table.parquet")
    done = train(path, "y", "model")
    if done.exit_code == 0:
        check_finite(answers("model", path, "answers.parquet"), rows)
    return done


@pytest.mark.parametrize("kind", [pa.duration("ns"), pa.duration("s"), pa.time64("ns")])
def test_nanosecond_times_are_read_as_numbers(folder, kind):
    spans = pa.array([1, 2, 2**40 + 1], pa.int64()).view(kind)
    assert learn(folder, spans=spans).exit_code == 0


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_dates_outside_the_calendar_are_refused(folder, unit):
    dates = pa.array([0, 1, 2**52], pa.int64()).view(pa.timestamp(unit))
    told = learn(folder, sold=dates, more=pa.array([1.5, 2.5])).stderr
    assert "column 'sold' holds " in told
    assert "where a date of the years 1 to 9999 is expected" in told


def test_time_out_of_range_in_its_time_zone_is_refused(folder):
    dates = pa.array([0, 1, 2**63 - 1], pa.int64()).view(pa.timestamp("us", "Asia/Kolkata"))
    assert "a date of the years 1 to 9999 is expected" in learn(folder, sold=dates).stderr


def test_column_of_one_date_outside_the_calendar_is_dropped(folder):
    dates = pa.array([2**52], pa.int64()).view(pa.timestamp("s", "UTC"))
    assert learn(folder, sold=dates, more=pa.array([1.5, 2.5])).exit_code == 0


def test_column_with_a_zero_byte_in_its_name_is_dropped(folder):
    done = learn(folder, **{"a\0": pa.array([1.5, 2.5, 3.0]), "a": pa.array([1.5, 2.5])})
    assert done.exit_code == 0
    assert "zero byte in its name" in done.stdout


def test_labels_that_differ_by_a_zero_byte_stay_distinct(folder):
    path = written(pa.table({"x": range(20), "y": ["a", "a\0"] * 10}), folder / "t.parquet")
    assert "the target 'y' holds a zero byte in row 2" in train(path, "y", "model").stderr


def test_targets_of_very_different_magnitudes_train_without_warnings(folder):
    frame = pd.DataFrame({"x": np.arange(24) % 5 / 3, "y": [0.5, -3.0, 1e30] * 8})
    frame.to_csv(folder / "t.csv", index=False)
    assert train(folder / "t.csv", "y", "model").stderr == ""


# --- a million columns --------------------------------------------------------------------------------


def varint(number):
    """Encode a number as a varint: seven bits per byte."""
    result = b""
    while number > 127:
        result += bytes([number & 127 | 128])
        number >>= 7
    return result + bytes([number])


MILLION = 1_000_000


@cache
def schema_leaves():
    """The schema entries of a million columns; each Parquet file here uses the first of them."""
    names = (b"c%d" % i for i in range(MILLION))
    return [b"\x15\x02\x25\x00\x18" + bytes([len(name)]) + name + b"\0" for name in names]


def wide_parquet(columns):
    """A Parquet file of so many columns and no rows, which a library needs 30 seconds to write."""
    leaves = b"".join(schema_leaves()[:columns])
    root = b"\x48\x06schema\x15" + varint(2 * columns) + b"\0"
    footer = b"\x15\x04\x19\xfc" + varint(columns + 1) + root + leaves + b"\x16\0\x19\x0c\0"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def wide_csv(columns):
    return ",".join(f"c{i}" for i in range(columns)).encode() + b"\n" + b"1," * (columns - 1) + b"1\n"


@pytest.mark.parametrize(
    ("name", "make", "columns", "reason"),
    # Each test makes its own content: here, every process would make all of them during collection.
    [
        ("wide.csv", wide_csv, MILLION, "has 1,000,000 columns, and a table may have 100,000"),
        ("wide.parquet", wide_parquet, 990_000, "has more than 200,000 columns or row groups"),
        ("wide.parquet", wide_parquet, 100_001, "has 100,001 columns, and a table may have 100,000"),
    ],
    ids=["csv", "parquet", "parquet, just"],
)
def test_million_columns_are_refused_with_a_reason(folder, name, make, columns, reason):
    path = write_file(folder / name, make(columns))
    # The last of them has its columns counted one by one, which takes a second.
    readers = (
        (read_table,)
        if "100,001" in reason
        else (read_table, read_tables, lambda path: scan(path, target="c0"))
    )
    for reading in readers:
        with pytest.raises(DataError, match=reason):
            reading(path)


def test_a_million_columns_are_refused_in_bounded_memory(origin, folder):
    write_file(folder / "wide.csv", wide_csv(MILLION))
    write_file(folder / "wide.parquet", wide_parquet(MILLION))
    told = run_bounded(
        origin,
        "import batchprop.cli.train_command\nfrom batchprop.cli.app import app\n"
        "from typer.testing import CliRunner",
        "for name in ('wide.csv', 'wide.parquet'):\n"
        "    done = CliRunner().invoke(app, ['train', name, '--target', 'c0'])\n"
        "    print(done.exit_code, done.stderr)",
        cwd=folder,
        room=400 << 20,
    )
    assert told.stdout.count("1 batchprop: wide.") == 2, told
    assert "1,000,000 columns" in told.stdout


# --- regressions frame by `make fuzz` -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"size,tow\xd1", "is not UTF-8 text: line 1 holds the byte 0xd1"),
        (b'"""', "is a table of|is not a table|has no names"),
        (b'""\n1\n', "column 1 of 1 has no name"),
    ],
    ids=["half a letter at the end", "a lone quote", "an empty name"],
)
def test_malformed_text_is_refused(folder, content, reason):
    path = write_file(folder / "odd.csv", content)
    for reading in (read_table, read_tables):
        with pytest.raises(DataError, match=reason):
            reading(path)
