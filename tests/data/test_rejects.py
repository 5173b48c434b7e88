"""Rows that do not parse or have no target: an error at the first, or skipped and listed."""

import resource
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import batchprop.data.parquet_copy
from batchprop.data import csv_splitter as whole_rows
from batchprop.data.csv import CsvTable
from batchprop.data.reader import read_tables
from batchprop.data.rejects import RejectedRow, RejectedRows
from batchprop.data.scanner import scan
from batchprop.errors import DataError, ParameterError
from batchprop.tabular import train_table

READERS = (scan, read_tables)


def write(path, n=1000, bad=(), target="y"):
    """Write rows 0, 1, ..., with some replaced."""
    rows = [f"{i},{i % 2}" for i in range(n)]
    for i, text in bad:
        rows[i] = text
    path.write_bytes(("x," + target + "\n" + "".join(f"{row}\n" for row in rows)).encode("latin-1"))
    return path


BAD = {
    "too many": ("7,1,3", "3 fields where the first line names 2", "add or remove fields"),
    "too few": ("7", "1 field where the first line names 2", "add or remove fields"),
    "no target": ("7,", "its target 'y' is missing", "fill it in"),
    "a gap": ("7,NA", "its target 'y' is missing", "fill it in"),
    "not a number": ("7,NaN", "its target 'y' is missing", "fill it in"),
    "open quote": ('7,"1', "a quote opens a field here and is never closed", "close it behind"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("size", [64, 1 << 20])
def test_first_bad_row_is_an_error_with_its_line_and_a_suggestion(tmp_path, monkeypatch, case, size):
    monkeypatch.setattr(whole_rows, "BLOCK_BYTES", size)
    text, reason, remedy = BAD[case]
    file = write(tmp_path / "t.csv", bad=[(500, text)])
    for reader in READERS:
        with pytest.raises(
            DataError, match=rf"t.csv, line 502: {reason}.*; {remedy}.*on_bad_row='skip' skips"
        ) as told:
            reader(file, "y")
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("size", [64, 1 << 20])
def test_bad_rows_are_skipped_and_listed(tmp_path, monkeypatch, case, size):
    monkeypatch.setattr(whole_rows, "BLOCK_BYTES", size)
    monkeypatch.setattr(batchprop.data.parquet_copy, "ROW_GROUP_ROWS", 256)
    text, reason, _ = BAD[case]
    file = write(tmp_path / "t.csv", bad=[(500, text), (20, "7,8,9,10")])
    kept = np.delete(np.arange(1000), [20, 500])
    with scan(file, "y", on_bad_row="skip") as table:
        frame = pd.concat(table.iter_frames())
        assert [(row.file, row.line) for row in table.skipped] == [(file, 22), (file, 502)]
        assert table.skipped[0].reason == "4 fields where the first line names 2"
        assert reason in table.skipped[1].reason
        assert sum(table.partitions) == table.n_rows == 998
        assert [table.locate(row)[2] for row in (19, 20, 499, 997)] == [21, 23, 503, 1001]
    assert frame["x"].tolist() == kept.tolist()
    assert frame.index.tolist() == list(range(998))
    assert [str(kind) for kind in frame.dtypes] == ["int64", "int64"]
    whole = read_tables(file, "y", on_bad_row="skip")
    pd.testing.assert_frame_equal(whole.frame, frame, check_index_type=False)
    assert whole.row_numbers.tolist() == (kept + 2).tolist()
    assert list(whole.skipped) == list(table.skipped)


def test_undecodable_bytes_are_a_bad_row(tmp_path):
    file = write(tmp_path / "t.csv", bad=[(3, "7,caf\xe9"), (5, "7\0,1"), (6, "'a b',1")])
    for reader in READERS:
        with pytest.raises(DataError, match="line 5 holds the byte 0xe9; save the file as UTF-8"):
            reader(file, "y")
        skipped = reader(file, "y", on_bad_row="skip").skipped
        assert [(row.line, row.reason) for row in skipped] == [
            (5, "it holds bytes that are no UTF-8 text"),
            (7, "it holds bytes that are no UTF-8 text"),
        ]


def test_more_than_one_percent_of_bad_rows_is_an_error(tmp_path):
    for text in ("7", "7,"):
        file = write(tmp_path / "t.csv", bad=[(i, text) for i in range(20, 31)])
        for reader in READERS:
            with pytest.raises(DataError, match=r"11 of 1,000 rows .* at most 1% .*t.csv, line 22: "):
                reader(file, "y", on_bad_row="skip")
        file = write(tmp_path / "t.csv", bad=[(i, text) for i in range(20, 30)])
        assert [len(reader(file, "y", on_bad_row="skip").skipped) for reader in READERS] == [10, 10]


@pytest.mark.parametrize("parts", [False, True])
def test_none_is_a_label_in_a_text_target_and_missing_in_a_numeric_one(tmp_path, monkeypatch, parts):
    labels = write(tmp_path / "labels.csv", bad=[(5, "1,None"), (6, "1,some")])
    assert scan(labels, "y").n_rows == 1000
    gaps = write(tmp_path / "gaps.csv", bad=[(5, "1,None"), (6, "1, 2")])
    # As all words that mean so among numbers only: the rest of the column decides.
    assert scan(gaps, "y").n_rows == 1000
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: parts)
    with pytest.raises(DataError, match="line 7: its target 'y' is missing"):
        train_table(gaps, target="y")


def test_column_that_changes_type_late_is_read_as_one_type(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_rows, "BLOCK_BYTES", 1 << 10)
    file = write(tmp_path / "t.csv", bad=[(400, "0x1f,"), (700, "1.5,1"), (800, "1")])
    skipped = scan(file, "y", on_bad_row="skip")
    frame = pd.concat(skipped.iter_frames())
    assert [row.line for row in skipped.skipped] == [402, 802]
    # A hexadecimal field is not a number here; its row is skipped, and the field is listed as it is.
    assert str(frame["x"].dtype) == "str"
    assert frame["x"].iloc[-1] == "999"


@pytest.mark.parametrize("gap", [None, np.nan])
def test_missing_target_in_parquet_is_reported_with_its_row(tmp_path, gap):
    files = [tmp_path / "t1.parquet", tmp_path / "t2.parquet"]
    frame = pd.DataFrame({"x": np.arange(200.0), "y": np.arange(200.0)})
    frame.to_parquet(files[0], row_group_size=64)
    frame.assign(y=frame["y"].mask(frame["x"].isin([70, 71, 199]), gap)).to_parquet(
        files[1], row_group_size=64
    )
    for reader in READERS:
        with pytest.raises(DataError, match=r"t2.parquet, row 71: its target 'y' is missing; fill it"):
            reader(tmp_path, "y")
    table = scan(tmp_path, "y", on_bad_row="skip")
    assert list(table.skipped) == [
        RejectedRow(files[1], row, "its target 'y' is missing") for row in (71, 72, 200)
    ]
    assert table.partitions == (64, 64, 64, 8, 64, 62, 64, 7)
    wanted = [*range(200), *(i for i in range(200) if i not in (70, 71, 199))]
    assert pd.concat(table.iter_frames(rows=10))["x"].tolist() == wanted
    blocks = [block for run in range(8) for block in table.iter_blocks(run, 10)]
    assert np.concatenate([block.X[:, 0] for block in blocks]).tolist() == wanted
    numbers = [block.start_row + np.arange(len(block.X)) for block in blocks]
    assert np.concatenate(numbers).tolist() == list(range(397))
    assert table.locate(270) == (files[1], "row", 73)
    whole = read_tables(tmp_path, "y", on_bad_row="skip")
    assert whole.frame["x"].tolist() == wanted
    assert whole.row_numbers[[199, 270]].tolist() == [200, 73]
    assert whole.file_index.tolist() == [0] * 200 + [1] * 197


@pytest.mark.parametrize("statistics", [True, False])
def test_integer_target_stays_integer_after_skipping_missing_values(tmp_path, statistics):
    y = pa.array([i % 3 if i != 50 else None for i in range(200)])
    table = pa.table({"x": y, "y": y})
    pa.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=64, write_statistics=statistics)
    scanned = scan(tmp_path / "t.parquet", "y", on_bad_row="skip")
    for frame in (next(scanned.iter_frames()), read_tables(tmp_path, "y", on_bad_row="skip").frame):
        assert [str(kind) for kind in frame.dtypes] == ["float64", "int64"]


def test_file_that_changes_while_it_is_read_is_refused(tmp_path):
    file = write(tmp_path / "t.csv")

    def consume(tables):
        for _ in tables:
            write(file, n=1001)

    with pytest.raises(DataError, match=r"t.csv has changed while it was read: wait until it is written"):
        CsvTable([file], RejectedRows("error")).read("y", consume)


def test_unknown_bad_rows_option_is_refused(tmp_path):
    other: Any = "ignore"
    with pytest.raises(ParameterError, match="on_bad_row='ignore' is unknown: choose one of error, skip"):
        scan(write(tmp_path / "t.csv"), on_bad_row=other)


def test_rejected_rows_are_a_sequence(tmp_path):
    bad = RejectedRows("skip")
    for i in (3, 1, 2):
        bad.add(tmp_path, i, f"reason {i}")
    assert [row.line for row in bad[:2]] == [1, 2]
    assert bad[-1] == RejectedRow(tmp_path, 3, "reason 3")
    for i in range(2000):
        bad.add(tmp_path, i, f"another reason {i}")
    assert len({row.reason for row in bad}) <= 1001


FULL = """
import resource, sys, tempfile
from batchprop.data.scanner import scan
from batchprop.data.csv import CsvTable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    scan(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_full_disk_is_reported_and_leaves_no_files(tmp_path):
    file = tmp_path / "t.csv"
    random = np.random.default_rng(0)
    pd.DataFrame(random.normal(size=(20_000, 5))).to_csv(file, index=False)
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(file)],
        check=True,
        capture_output=True,
        text=True,
        env={"TMPDIR": str(tmp_path / "temporary"), "PATH": ""},
    )
    assert done.stdout.startswith("DataError the table could not be copied into the temporary folder")
    assert str(tmp_path / "temporary") in done.stdout
    assert "File too large" in done.stdout
    assert "set TMPDIR to a folder with more" in done.stdout
    assert not done.stderr
    assert not list((tmp_path / "temporary").iterdir())
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000
