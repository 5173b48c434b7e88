"""Text is cut into whole rows wherever the pieces that are read of it end."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchprop.data import csv_splitter as whole_rows
from batchprop.data.csv_splitter import UnclosedQuote, iter_csv_blocks, quotes, scan_quotes
from batchprop.data.line_numbers import line_numbers
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
def test_rows_and_their_lines_are_the_same_wherever_the_file_is_cut(tmp_path, rows, end, ended, size):
    text = b"h,i" + end + end.join(rows) + (end if ended else b"")
    file = tmp_path / "t.csv"
    file.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_rows, "BLOCK_BYTES", size)
        cut = list(iter_csv_blocks(file, ",", refuse))
    assert b"".join(piece.content for piece in cut) == text
    found, lines = [], []
    for piece in cut:
        begins, of_lines = piece.starts()
        ends = [*begins[1:], len(piece.content)][: len(begins)]
        found += [piece.content[i:j].rstrip(b"\r\n") for i, j in zip(begins, ends, strict=True)]
        lines += of_lines.tolist()
    assert found == [b"h,i", *(row for row in rows if row)]
    told = line_numbers(file)
    assert told is not None
    assert lines[1:] == told.tolist()


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_quote_that_is_left_open_costs_the_line_it_stands_on(tmp_path, monkeypatch, size):
    monkeypatch.setattr(whole_rows, "BLOCK_BYTES", size)
    file = tmp_path / "t.csv"
    file.write_bytes(b'a,b\n1,"p\nq"\n2,"x\n3,y\n"t\nu"v,4\n7,8\n')
    broken = list[UnclosedQuote]()
    content = b"".join(piece.content for piece in iter_csv_blocks(file, ",", broken.append))
    assert [each.line for each in broken] == [4, 6]
    assert "never closed" in broken[0].reason or "closed only" in broken[0].reason
    assert content == b'a,b\n1,"p\nq"\n3,y\nu"v,4\n7,8\n'


def test_an_open_quote_is_given_up_after_64_mebibytes_and_so_is_a_row(tmp_path, monkeypatch):
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


def test_many_quoted_fields_are_looked_through_in_one_go():
    text = b"a,b\n" + b'"x","y ""z"" q"\n' * 100_000
    seen = scan_quotes(text, quotes(","), 1, last=True)
    assert seen == ([], len(text), None)


def test_the_quotes_of_a_tsv_stand_between_tabs(tmp_path: Path):
    file = tmp_path / "t.tsv"
    file.write_bytes(b'a\tb\n1,"x\t2\n"p\nq"\t3\n')
    (piece,) = iter_csv_blocks(file, "\t", refuse)
    assert piece.starts()[1].tolist() == [1, 2, 3]
    assert np.all(piece.content[slice(*piece.fields[0])] == b'"p\nq"')
    assert re.match(b"a", piece.content)
