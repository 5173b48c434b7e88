"""Text is split into complete rows for any block boundaries."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchprop.data import csv_splitter as whole_rows
from batchprop.data.csv_splitter import UnclosedQuote, iter_csv_blocks, quotes, scan_quotes
from batchprop.errors import DataError

FIELDS = [
    b"a", b"", b'"x"', b'"x\ny"', b'"a""b"', b'"a""\n""b"', b'5" pipe', b'"q,\r\n,"', b'"x"y', b'""',
    b'" "" "', b"  ",
]  # fmt: skip
ROWS = st.lists(st.lists(st.sampled_from(FIELDS), min_size=2, max_size=2).map(b",".join) | st.just(b""))


def refuse(broken):
    pytest.fail(f"line {broken.line}: {broken.reason}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(ROWS, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans(), st.integers(1, 20))
def test_rows_and_line_numbers_do_not_depend_on_block_boundaries(tmp_path, rows, end, ended, size):
    text = b"h,i" + end + end.join(rows) + (end if ended else b"")
    file = tmp_path / "t.csv"
    file.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_rows, "BLOCK_BYTES", size)
        cut = list(iter_csv_blocks(file, ",", refuse))
    assert b"".join(piece.content for piece in cut) == text
    result, lines = [], []
    for piece in cut:
        begins, of_lines = piece.starts()
        ends = [*begins[1:], len(piece.content)][: len(begins)]
        result += [piece.content[i:j].rstrip(b"\r\n") for i, j in zip(begins, ends, strict=True)]
        lines += of_lines.tolist()
    assert result == [b"h,i", *(row for row in rows if row)]
    told, first = [], 1
    with file.open(newline="") as stream:
        reader = csv.reader(stream)
        for row in reader:
            told += [first] if row else []
            first = reader.line_num + 1
    assert lines == told


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_unclosed_quote_rejects_only_its_line(tmp_path, monkeypatch, size):
    monkeypatch.setattr(whole_rows, "BLOCK_BYTES", size)
    file = tmp_path / "t.csv"
    file.write_bytes(b'a,b\n1,"p\nq"\n2,"x\n3,y\n"t\nu"v,4\n7,8\n')
    broken = list[UnclosedQuote]()
    content = b"".join(piece.content for piece in iter_csv_blocks(file, ",", broken.append))
    assert [each.line for each in broken] == [4, 6]
    assert "never closed" in broken[0].reason or "closed only" in broken[0].reason
    assert content == b'a,b\n1,"p\nq"\n3,y\nu"v,4\n7,8\n'


def test_open_quote_and_row_are_limited_to_64_mebibytes(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_rows, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(whole_rows, "MAX_ROW_BYTES", 1 << 20)
    file = tmp_path / "t.csv"
    file.write_bytes(b'a,b\n1,"x\n' + b"1,2\n" * 500_000)
    broken = list[UnclosedQuote]()
    list(iter_csv_blocks(file, ",", broken.append))
    assert [(each.line, "not closed within 1 MiB" in each.reason) for each in broken] == [(2, True)]
    file.write_bytes(b"a,b\n1,2\n" + b"1" * (1 << 21))
    with pytest.raises(DataError, match="line 3: a row of more than 1 MiB; is this a table"):
        list(iter_csv_blocks(file, ",", refuse))


def test_many_quoted_fields_are_scanned_in_one_call():
    text = b"a,b\n" + b'"x","y ""z"" q"\n' * 100_000
    seen = scan_quotes(text, quotes(","), 1, last=True)
    assert seen == ([], len(text), None)


def test_tsv_quotes_are_delimited_by_tabs(tmp_path: Path):
    file = tmp_path / "t.tsv"
    file.write_bytes(b'a\tb\n1,"x\t2\n"p\nq"\t3\n')
    (piece,) = iter_csv_blocks(file, "\t", refuse)
    assert piece.starts()[1].tolist() == [1, 2, 3]
    assert np.all(piece.content[slice(*piece.fields[0])] == b'"p\nq"')
    assert re.match(b"a", piece.content)
