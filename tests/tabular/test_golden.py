"""Small files of every kind, with what a reader of tables should make of them beside each.

`golden/NAME.json` says what `golden/NAME.*` is: its target, and for each column its kind, its note, what is
special about how it is read, how many values are missing, and its first values. They are written by hand,
never by the code that they test: if one differs, ask first which of the two is wrong.
"""

import json
from dataclasses import fields
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest

from batchprop.data.files import expand_paths, get_delimiter
from batchprop.errors import DataError
from batchprop.tabular import Observer, TrainOptions, fit_streaming, make_preprocessor
from batchprop.tabular.options import make_options
from batchprop.tabular.streaming import scan_table
from batchprop.tabular.training_input import load_training_table

GOLDEN = Path(__file__).parent / "golden"
MEMORY = 1 << 26
KNOWN = {field.name for field in fields(TrainOptions)}


def read_expected():
    """Return what is expected of each file; files that need an option to come are left for it."""
    for path in sorted(GOLDEN.glob("*.json")):
        expected = json.loads(path.read_text("utf-8"))
        if expected.get("options", {}).keys() <= KNOWN:
            yield path.stem, expected


EXPECTED = dict(read_expected())


def file_of(name):
    (path,) = (
        [GOLDEN / EXPECTED[name]["file"]]
        if "file" in EXPECTED[name]
        else [path for path in GOLDEN.glob(f"{name}.*") if path.suffix != ".json"]
    )
    return path


def options_of(expected):
    return make_options(digits=False, saves=False, target="y", **expected.get("options", {}))


@cache
def read_in_memory(name):
    """Return the columns, their values and the target, as `train_table` reads a table that fits in memory."""
    table = load_training_table((file_of(name),), options_of(EXPECTED[name]))
    caster = make_preprocessor(table.columns, len(table.frame))["columns"]
    return table.columns, caster.transform(table.frame), table.target.task, table.target.values.tolist()


@cache
def read_in_parts(name):
    """Return the columns, their values and the task, as `train_table` reads a table larger than memory."""
    paths, options = expand_paths(file_of(name)), options_of(EXPECTED[name])
    from_text = get_delimiter(paths[0]) is not None
    with scan_table(paths, options, MEMORY, Observer()) as (table, _):
        frames = list(table.iter_frames(rows=11))
    fitted = fit_streaming(frames, target="y", types=options.column_types, from_text=from_text)
    values = pd.concat([fitted.encoder["columns"].transform(frame) for frame in frames])
    return fitted.columns, values, fitted.target.task, None


WAYS = {"in memory": read_in_memory, "in parts": read_in_parts}


def first_values(column, count):
    """Return the first values as JSON has them: dates as text, gaps as None."""
    return [
        None if pd.isna(value) else value.isoformat() if isinstance(value, pd.Timestamp) else value
        for value in column.iloc[:count]
    ]


def differences(name, read, wanted):
    """Return what differs from the expected columns of these names, as (column, what, got, expected)."""
    columns, values, _, _ = read(name)
    for column in columns:
        if column.name not in wanted:
            continue
        expected = {"reading": "", "missing": 0, "warning": "", **wanted[column.name]}
        rows = expected.pop("values", [])
        for what, value in expected.items():
            if getattr(column, what) != value:
                yield column.name, what, getattr(column, what), value
        got = first_values(values[column.name], len(rows)) if rows and column.name in values else rows
        if got != rows:
            yield column.name, "values", got, rows


TABLES = [name for name, expected in EXPECTED.items() if "columns" in expected]
IN_BOTH_WAYS = [(name, way) for name in TABLES for way in WAYS if f"error {way}" not in EXPECTED[name]]
REFUSED = [
    (name, way, expected[key])
    for name, expected in EXPECTED.items()
    for way in WAYS
    for key in ("error", f"error {way}")
    if key in expected
]


@pytest.mark.parametrize(("name", "way"), IN_BOTH_WAYS)
def test_a_table_is_read_as_expected(name, way):
    expected = EXPECTED[name]
    columns, _, task, labels = WAYS[way](name)
    assert sorted(column.name for column in columns) == sorted(expected["columns"])
    assert list(differences(name, WAYS[way], expected["columns"])) == []
    target = expected["target"]
    assert task == target["task"]
    if labels is not None:
        assert labels[: len(target["values"])] == target["values"]
        assert set(map(type, labels)) == set(map(type, target["values"]))


@pytest.mark.parametrize(("name", "way", "reason"), REFUSED)
def test_a_file_is_refused_with_its_reason(name, way, reason):
    with pytest.raises(DataError) as error:
        WAYS[way](name)
    assert str(error.value) == reason.format(file=file_of(name))


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if "arrow" in expected])
def test_parquet_files_hold_the_types_that_they_stand_for(name):
    schema = pyarrow.parquet.read_schema(file_of(name))
    assert {field.name: str(field.type) for field in schema if field.name != "y"} == EXPECTED[name]["arrow"]
