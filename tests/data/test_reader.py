"""Invalid files are refused with a one-line error that names the location and a fix."""

import datetime as dt
import decimal
import gzip
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from batchprop.data.memory import table_bytes
from batchprop.data.reader import read_file, read_table, read_tables
from batchprop.data.scanner import scan
from batchprop.errors import DataError, ParameterError

GOOD = b"name,weight\nann,1.5\nbob,2.5\n"


def parquet_bytes(**columns):
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


BAD_FILES = {
    "empty": ("t.csv", b"", "is empty: it needs column names and rows"),
    "blank lines": ("t.csv", b"\n\n\n", "holds only blank lines"),
    "header only": ("t.csv", b"a,b\n", "holds column names and no rows: add rows"),
    "parquet without rows": ("t.parquet", parquet_bytes(a=pa.array([], pa.int64())), "no rows"),
    "too many fields": ("t.csv", b"a,b\n1,2\n1,2,3\n", "line 3: 3 fields where the first line names 2"),
    "too few fields": ("t.csv", b"a,b\n\n1,2\n\n3\n", "line 5: 1 field where the first line names 2"),
    "after a field of two lines": ("t.csv", b'a,b\n"x\ny",2\n3\n', "line 4: 1 field"),
    "open quote": ("t.csv", b'a,b\n1,2\n"x,2\n3,4\n', "line 3: a quote opens .* is never closed; close it"),
    "open quote in the last column": ("t.csv", b'a,b\n1,"p\nq"\n2,"x\n3,y\n', "line 4: a quote opens"),
    "open quote up to another": ("t.csv", b'a,b\n1,"x\n2,y\n3,"z"\n', "line 2: .* closed only in line 4"),
    "open quote in a name": ("t.csv", b'\xef\xbb\xbf"a,b\n1,2\n', "line 1: a quote opens"),
    "open quote in a tsv": ("t.tsv", b'a\tb\n1\t"x\n2\ty\n', "line 2: a quote opens"),
    "two columns of a name": ("t.csv", b"a,b,a\n1,2,3\n", r"two columns named 'a' \(1 and 3\): rename"),
    "no column name": ("t.csv", b"a,,c\n1,2,3\n", "column 2 of 3 has no name; name every column"),
    "latin-1": ("t.csv", b"a,b\n1,2\ncaf\xe9,3\n", "not UTF-8 text: line 3 holds the byte 0xe9; save"),
    "latin-1 name": ("t.csv", b"caf\xe9,b\n1,2\n", "line 1 holds the byte 0xe9"),
    "utf-16": ("t.csv", "a,b\n1,2\n".encode("utf-16"), "text in UTF-16: save it as UTF-8"),
    "utf-32": ("t.csv", "a,b\n1,2\n".encode("utf-32"), "text in UTF-32: save it as UTF-8"),
    "zero byte": ("t.csv", b"a,b\n1,\0\n", "is not text: line 2 holds a zero byte"),
    "parquet called csv": ("t.csv", parquet_bytes(a=[1]), "a Parquet file: rename it to end in .parquet"),
    "workbook called csv": ("t.csv", b"PK\x03\x04rest", "an Excel workbook: export it as CSV"),
    "gzip called csv": ("t.csv", gzip.compress(GOOD), "compressed with gzip: decompress it"),
    "csv called parquet": ("t.parquet", GOOD, "not a Parquet file; it looks like text: rename"),
    "noise called parquet": ("t.parquet", b"\0\1\2\3" * 9, "not a Parquet file; export it again"),
    "half a parquet": ("t.parquet", parquet_bytes(a=[1, 2])[:-30], "damaged or incomplete Parquet"),
    "semicolons and commas": ("t.csv", b"a;b,c\n1;2;3\n", "line 2: 1 field where the first line names 2"),
    "unknown ending": ("t.docx", b"PK", r"ends in '.docx': a table ends in .csv, .tsv"),
    "no ending": ("table", GOOD, "has no suffix: a table ends in .csv"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_invalid_table_is_refused_with_its_location_and_a_suggestion(tmp_path, case):
    name, content, message = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refusal:
        read_table(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_file_suggests_similar_names(tmp_path):
    (tmp_path / "flowers.csv").write_bytes(GOOD)
    with pytest.raises(DataError, match=r"there is no file .*flower\.csv.*did you mean 'flowers.csv'"):
        read_table(tmp_path / "flower.csv")


def test_missing_folder_is_reported_as_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"check the name and the folder$"):
        read_table(tmp_path / "nowhere" / "flowers.csv")


def test_folder_is_refused_as_a_file(tmp_path):
    with pytest.raises(DataError, match="is a folder: name a CSV"):
        read_table(tmp_path)


def test_a_ragged_row_far_down_a_large_file_has_its_line_number(tmp_path):
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 300_000 + b"1,2,3\n" + b"1,2\n" * 9)
    with pytest.raises(DataError, match="line 300002: 3 fields"):
        read_table(path)


def test_a_bad_byte_beyond_the_first_megabyte_has_its_line_number(tmp_path):
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 300_000 + b"\xff,2\n")
    with pytest.raises(DataError, match="line 300002 holds the byte 0xff"):
        read_table(path)


def test_multibyte_character_across_a_chunk_boundary_is_read(tmp_path):
    path = tmp_path / "border.csv"
    head = b"a,b\n"
    path.write_bytes(head + b"x" * ((1 << 20) - len(head) - 1) + "é,1\n".encode())
    assert read_table(path)["a"].iloc[0].endswith("é")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.CSV"])
def test_fields_become_numbers_text_dates_and_booleans(tmp_path, name):
    path = tmp_path / name
    text = " n ,f,t,d,b\n1,1.5,x,2020-02-29,true\n2,,, ,false\n"
    path.write_text(text.replace(",", "\t") if name == "t.tsv" else text)
    frame = read_table(path)
    assert list(frame) == ["n", "f", "t", "d", "b"]
    assert frame["n"].tolist() == [1, 2]
    assert frame["f"].isna().tolist() == frame["t"].isna().tolist() == [False, True]
    assert frame["d"].iloc[0] == "2020-02-29"
    assert frame["b"].tolist() == [True, False]


@pytest.mark.parametrize("gap", ["", "NA", "NaN", "nan", "null", "?", " ? ", "N/A", '"NA"'])
def test_numeric_column_with_missing_values_stays_numeric(tmp_path, gap):
    path = tmp_path / "t.csv"
    path.write_text(f"a,b\n1.5,x\n{gap},y\n2.5,z\n")
    assert read_table(path)["a"].tolist() == pytest.approx([1.5, float("nan"), 2.5], nan_ok=True)


def test_none_in_a_text_column_is_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\nNone,1\nMild,2\nNA,3\n")
    assert read_table(path)["a"].fillna("gap").tolist() == ["None", "Mild", "gap"]


def test_byte_order_mark_is_not_part_of_the_first_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert list(read_table(path)) == ["a", "b"]


def test_the_types_of_arrow_become_numbers_text_dates_and_booleans(tmp_path):
    path = tmp_path / "t.parquet"
    day = dt.date(2020, 2, 29)
    path.write_bytes(
        parquet_bytes(
            text=pa.array(["x", None]).dictionary_encode(),
            large=pa.array(["x", "y"], pa.large_string()),
            number=[decimal.Decimal("1.5"), None],
            half=pa.array([1.5, 2.5], pa.float32()).cast(pa.float16()),
            day=[day, None],
            old=[dt.date(1500, 1, 1), day],
            time=[dt.time(1), dt.time(2)],
            seconds=pa.array([1, 2], pa.time32("s")),
            span=[dt.timedelta(1), None],
            nothing=pa.nulls(2),
            flag=[True, None],
            code=["007", "012"],
        )
    )
    frame = read_table(path)
    kinds = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert kinds["number"] == kinds["half"] == "float64"
    assert frame["seconds"].tolist() == [pd.Timedelta(seconds=1), pd.Timedelta(seconds=2)]
    assert frame["span"].dropna().tolist() == [pd.Timedelta(days=1)]
    assert re.match("datetime64", kinds["day"])
    assert re.match("datetime64", kinds["old"])
    assert frame["time"].tolist() == [pd.Timedelta(hours=1), pd.Timedelta(hours=2)]
    assert kinds["flag"] == "boolean"
    assert frame["nothing"].isna().all()
    assert frame["code"].tolist() == ["007", "012"]
    assert frame["text"].iloc[0] == "x"
    assert pd.api.types.is_string_dtype(frame["large"])


@pytest.mark.parametrize(
    "text", ["sep=;\na;b\n1;x\n", '\ufeff"sep=|"\r\na|b\r\n1|x\r\n', "SEP=\t\na\tb\n1\tx"]
)
def test_a_first_line_that_names_the_separator_is_heeded(text, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text, newline="")
    whole = read_file(path)
    assert whole.frame.to_dict("list") == {"a": [1], "b": ["x"]}
    assert whole.row_numbers.tolist() == [3]


@pytest.mark.parametrize(
    ("text", "first", "what", "line"),
    [
        ("Sales 2023\na,b\n1,2\n", "Sales 2023", "title", 2),
        ("\nSales 2023\n\na;b;c\n1;2;3\n", "Sales 2023", "title", 4),
        ("Sales 2023,,\na,b,c\n1,2,3\n", "Sales 2023,,", "title", 2),
        ("# made, today, by x\na,b\n1,2\n", "# made, today, by x", "comment", 2),
    ],
)
def test_a_line_above_the_names_is_refused_with_its_number(text, first, what, line, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_table(path)
    assert f"line {line - 1 - (line == 4)}: {first!r} looks like a {what}, as line {line} holds" in str(
        error.value
    )


@pytest.mark.parametrize(
    "text",
    [
        "# made by x, y\na,b\n1,2\n",
        "#made by x, y\na,b\nred,2020-01-05\nblue,2020-01-06\n",
        "# x; y; z\na;b;c\nred;blue;green\n",
        "#on Monday,\n#by x,\na,b\n",
    ],
)
def test_a_comment_of_as_many_fields_as_the_table_is_refused(text, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"line 1: '#.*' begins as a comment does: remove the line, or only"):
        read_table(path)


@pytest.mark.parametrize(
    "text", ["#a,b\n1,2\n", "# a,b\n1,2\n", "#a,b\nred,blue\n", "a\n1;2\n3;4\n", ",a\n0,2\n", 'a\n"1,2"\n']
)
def test_names_above_rows_are_names(text, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert len(read_table(path)) > 0


def test_quoted_fields_may_contain_line_breaks_quotes_and_delimiters(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n"x\ny, ""z""","p"\n5" pipe,"q\n"  \n"","""r"""\n', newline="")
    table = read_table(path)
    assert table["a"].tolist()[:2] == ['x\ny, "z"', '5" pipe']
    assert table["b"].tolist() == ["p", "q", '"r"']


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_what_parts_the_names_separates_the_fields(tmp_path, separator, name):
    path = tmp_path / name
    path.write_text(f'"first name"{separator}b\n"1,5"{separator}x\n"p;q|r\t"{separator}y\n')
    frame = read_table(path)
    assert list(frame) == ["first name", "b"]
    assert frame["first name"].tolist() == ["1,5", "p;q|r"]
    assert frame["b"].tolist() == ["x", "y"]


def test_single_name_in_quotes_is_one_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"a;b"\n1\n2\n')
    assert read_table(path).to_dict("list") == {"a;b": [1, 2]}


@pytest.mark.parametrize(("separator", "written"), [("^", "^"), (" ", " "), ("tab", "\t"), (";", ";")])
def test_given_separator_overrules_the_first_line(tmp_path, separator, written):
    path = tmp_path / "t.csv"
    path.write_text("a,b^x\n1,2^3\n".replace("^", written))
    wanted = {"a,b": ["1,2"], "x": [3]}
    assert read_table(path, separator=separator).to_dict("list") == wanted
    assert read_tables(path, separator=separator).frame.to_dict("list") == wanted
    with scan(path, separator=separator) as table:
        assert next(table.iter_frames()).to_dict("list") == wanted


@pytest.mark.parametrize("separator", ["", "ab", "x", "1", '"', "\n", ".", "-", "é", "_"])
def test_separator_that_is_part_of_fields_is_refused(tmp_path, separator):
    path = tmp_path / "t.csv"
    path.write_bytes(GOOD)
    for reader in (read_table, read_tables, scan, table_bytes):
        with pytest.raises(ParameterError, match=r"cannot separate fields: give one character such as"):
            reader(path, separator=separator)


def test_folder_is_not_suggested_for_a_missing_file(tmp_path):
    (tmp_path / "flowers.csv").mkdir()
    with pytest.raises(DataError, match=r"there is no file .*check the name and the folder$"):
        read_table(tmp_path / "flower.csv")
