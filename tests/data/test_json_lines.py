"""JSON lines: values, types over the whole file, and lines that do not parse."""

from __future__ import annotations

import errno
import gzip
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from batchprop.data import json_lines, value_copy
from batchprop.data.reader import read_table, read_tables
from batchprop.data.scanner import scan
from batchprop.errors import DataError

BIG = 2**53 + 1


def lines(path, *rows):
    """Write rows, objects or text, as lines."""
    text = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join([*text, ""]), encoding="utf-8")
    return path


@pytest.fixture
def each_line_a_block(monkeypatch):
    """Decide types anew at each line, so that they widen from line to line."""
    monkeypatch.setattr(json_lines, "_BLOCK_BYTES", 1)


@pytest.fixture(params=["in one block", "line by line"])
def either_way(request):
    if request.param == "line by line":
        request.getfixturevalue("each_line_a_block")


COLUMNS: dict[str, Any] = {
    "whole": ([1, None, BIG], [1, None, float(BIG)], "float64"),
    "exact": ([1, 2, BIG], [1, 2, BIG], "int64"),
    "decimals": ([1, 2.5, BIG], [1.0, 2.5, float(BIG)], "float64"),
    "longer than 64 bits": ([1, 2**64, 2**64 + 1], ["1", str(2**64), str(2**64 + 1)], "str"),
    "true and false": ([True, False, None], [True, False, None], "boolean"),
    "text": (["zürich", "007", ""], ["zürich", "007", ""], "str"),
    "a date": (["2020-02-29", None, "x"], ["2020-02-29", None, "x"], "str"),
    "numbers and text": ([1, "x", 2.0], ["1", "x", "2"], "str"),
    "numbers before text": ([0.5, 1.0, "x"], ["0.5", "1", "x"], "str"),
    "true and numbers": ([True, 1, False], ["true", "1", "false"], "str"),
    "escapes": (["\u00fc\U0001f600\t", '"', "\\"], ["\u00fc\U0001f600\t", '"', "\\"], "str"),
    "nothing": ([None, None, None], [None, None, None], "str"),
    "lists": ([[1], {"a": 1}, "x"], [["[1]"], ['{"a": 1}'], ["x"]], "object"),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.usefixtures("either_way")
def test_a_column_holds_what_all_lines_hold(tmp_path, name):
    values, expected, dtype = COLUMNS[name]
    path = lines(tmp_path / "t.jsonl", *({"a": value, "n": i} for i, value in enumerate(values)))
    column = read_table(path)["a"]
    # pandas 2 keeps text as objects.
    assert column.dtype == dtype or (dtype == "str" and column.dtype == object)
    got = [None if missing else value for missing, value in zip(column.isna(), column, strict=True)]
    assert [value.tolist() if isinstance(value, np.ndarray) else value for value in got] == expected


@pytest.mark.usefixtures("either_way")
def test_a_missing_key_is_a_missing_value_and_blank_lines_do_not_count(tmp_path):
    path = lines(tmp_path / "t.ndjson", {"a": 1}, "", {"b": "x"}, "  ", {"b": None, "a": 3})
    whole = read_tables(path)
    assert whole.frame["a"].tolist()[::2] == [1, 3]
    assert np.isnan(whole.frame["a"][1])
    assert whole.frame["b"].isna().tolist() == [True, False, True]
    assert whole.unit == "line"
    assert whole.row_numbers.tolist() == [1, 3, 5]
    assert not whole.from_text


@pytest.mark.parametrize(("suffix", "packing"), [("", None), (".gz", "gzip"), (".zst", "zstd")])
def test_compressed_files_with_a_mark_of_utf8_are_read(tmp_path, suffix, packing):
    path = tmp_path / f"t.jsonl{suffix}"
    with pa.output_stream(path, compression=packing) as file:
        file.write('\ufeff{"a": 1}\r\n{"a": 2}'.encode())
    assert read_table(path)["a"].tolist() == [1, 2]


BAD = {
    "truncated": ('{"a": ', "it is not JSON (Expecting value, at character 6)"),
    "no object": ("[1]", "it holds an array, not an object in braces"),
    "a key twice": ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
    "keys of one column": ('{"a": 1, " a": 2}', "the key 'a' is there twice"),
    "half a character": ('{"a": "\\ud800"}', "it holds half a character, as \\ud800"),
    "nested too deeply": ('{"a": ' + 100_000 * "[", "it is nested too deeply"),
    "two objects": ('{"a": 1} {"a": 2}', "it is not JSON (Extra data, at character 10)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_line_is_named_or_skipped(tmp_path, name):
    text, reason = BAD[name]
    path = lines(tmp_path / "t.jsonl", {"a": 1}, "", text, {"a": 4})
    with pytest.raises(DataError) as failure:
        read_tables(path)
    assert str(failure.value).startswith(f"{path}, line 3: {reason}; correct the line; on_bad_row='skip'")
    whole = read_tables(path, on_bad_row="skip", max_skipped=0.5)
    assert [(row.line, row.reason) for row in whole.skipped] == [(3, reason)]
    assert whole.row_numbers.tolist() == [1, 4]
    with scan(path, on_bad_row="skip", max_skipped=0.5) as table:
        assert [row.line for row in table.skipped] == [3]
        assert table.locate(1) == (path, "line", 4)
    with pytest.raises(DataError, match="1 of 3 rows cannot be used, and at most 1% may be skipped"):
        read_tables(path, on_bad_row="skip")


def test_a_line_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(DataError, match=r"line 2: it is not UTF-8 text \(byte 0xff\)"):
        read_tables(path)


def test_a_missing_target_is_named_by_its_line(tmp_path):
    path = lines(tmp_path / "t.jsonl", {"a": 1, "y": "p"}, "", {"a": 2}, {"a": 3, "y": "q"})
    for read in (read_tables, scan):
        with pytest.raises(DataError, match=r"t.jsonl, line 3: its target 'y' is missing"):
            read(path, "y")
        assert [row.line for row in read(path, "y", on_bad_row="skip", max_skipped=0.5).skipped] == [3]


REFUSED = {
    "an array": ('[{"a": 1}]', r"t.jsonl holds a JSON array, not JSON lines: write each object in a line"),
    "over several lines": ('{\n"a": 1\n}', r"t.jsonl, line 1: it is not JSON .*; a table of JSON lines has"),
    "blank": ("\n \n", "t.jsonl holds no rows; a table of JSON lines has an object in each line"),
    "Parquet": ("PAR1", "t.jsonl is a Parquet file"),
    "a key without name": ('{" ": 1, "b": 2, "": 3}', "there twice"),
    "one key without name": ('{"b": 2, "": 3}', "column 2 of 2 has no name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_of_json_lines_is_refused(tmp_path, name):
    text, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        read_tables(lines(tmp_path / "t.jsonl", text))


def test_json_that_is_not_in_lines_is_refused_with_a_command(tmp_path):
    (tmp_path / "t.json").write_text('[{"a": 1}]')
    with pytest.raises(DataError, match=r"t.json ends in '.json', .*: python -c .* > t.jsonl"):
        read_table(tmp_path / "t.json")


@pytest.mark.usefixtures("either_way")
def test_several_files_have_the_same_keys_and_one_type_for_each(tmp_path):
    folder = tmp_path / "region=north"
    folder.mkdir()
    lines(folder / "t-2.jsonl", {"a": 1, "b": None}, {"b": 2})
    with gzip.open(folder / "t-10.jsonl.gz", "wt") as file:
        file.write('{"b": "x", "a": 2.5}\n')
    whole = read_tables(tmp_path)
    assert whole.frame["a"].tolist()[::2] == [1, 2.5]
    assert whole.frame["b"].tolist()[1:] == ["2", "x"]
    assert whole.frame["region"].tolist() == ["north"] * 3
    assert [file.name for file in whole.files] == ["t-2.jsonl", "t-10.jsonl.gz"]
    lines(folder / "t-3.jsonl", {"a": 1, "c": 1})
    with pytest.raises(DataError, match=r"t-3.jsonl lacks the column 'b' of .*t-2.jsonl"):
        read_tables(tmp_path)


def test_a_table_of_several_formats_is_refused(tmp_path):
    lines(tmp_path / "t.jsonl", {"a": 1})
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="have different formats"):
        read_tables(tmp_path)


def test_many_keys_take_few_rows_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(value_copy, "_MAX_CELLS", 40)
    rows = [{f"k{j}": i * j for j in range(10)} for i in range(50)]
    path = lines(tmp_path / "t.jsonl", *rows)
    pd.testing.assert_frame_equal(read_table(path), pd.DataFrame(rows))


def test_the_copy_has_row_groups_that_grow_with_the_table(tmp_path):
    path = lines(tmp_path / "t.jsonl", *({"a": i} for i in range(20_000)))
    with scan(path) as table:
        assert table.partitions[:64] == (256,) * 64
        assert 256 < table.partitions[-2] < 512
        assert np.concatenate([block.X[:, 0] for i in range(len(table.partitions)) for block in
                               table.iter_blocks(i)]).tolist() == [*range(20_000)]  # fmt: skip


def test_the_temporary_folder_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = lines(tmp_path / "t.jsonl", {"a": 1}, {"a": 2})
    read_tables(path)
    with scan(path) as table:
        assert len([*(tmp_path / "temporary").iterdir()]) == 1
        assert next(table.iter_blocks(0)).X.tolist() == [[1], [2]]
    with pytest.raises(DataError, match="is closed"):
        next(table.iter_frames())
    with pytest.raises(DataError, match="JSON array"):
        read_tables(lines(tmp_path / "u.jsonl", "[1]"))
    assert not [*(tmp_path / "temporary").iterdir()]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", fail)
    path = lines(tmp_path / "t.jsonl", {"a": 1}, {"a": 2})
    with pytest.raises(
        DataError, match=r"could not be copied into .* \(No space left on device\): free space"
    ):
        read_tables(path)
    assert not [*(tmp_path / "temporary").iterdir()]
