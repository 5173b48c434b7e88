"""Workbooks: cells as typed, sheets, and what is no workbook."""

from __future__ import annotations

import sys
import zipfile
from datetime import date, datetime, time, timedelta

import openpyxl
import pandas as pd
import pytest

from batchprop.data.reader import read_table, read_tables
from batchprop.data.tables import open_files
from batchprop.errors import DataError, ParameterError


def workbook(path, sheets):
    """Write rows of cells as sheets, by their names."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_cells_are_read_as_typed(tmp_path):
    rows = [
        ["code", "count", "share", "sold", "seen", "open", "at", "mixed"],
        ["007", 1, 0.5, True, date(2020, 2, 29), time(1, 30), timedelta(hours=30), 1],
        [None] * 8,
        ["x ", 2**53, 1, False, datetime(2020, 2, 29, 12, 0, 1), None, None, "a"],  # noqa: DTZ001 as cells are
    ]
    whole = read_tables(workbook(tmp_path / "t.xlsx", {"data": rows}))
    assert whole.unit == "row"
    assert whole.row_numbers.tolist() == [2, 4]
    frame = whole.frame
    assert frame["code"].tolist() == ["007", "x "]
    assert frame["count"].tolist() == [1, 2**53]
    assert frame["count"].dtype == "int64"
    assert frame["share"].tolist() == [0.5, 1.0]
    assert frame["sold"].tolist() == [True, False]
    assert frame["seen"].tolist() == [pd.Timestamp("2020-02-29"), pd.Timestamp("2020-02-29 12:00:01")]
    assert frame["open"].tolist()[0] == pd.Timedelta(seconds=5400)
    assert frame["at"].tolist()[0] == pd.Timedelta(seconds=108_000)
    assert frame["mixed"].tolist() == ["1", "a"]


def test_the_index_that_pandas_writes_is_named_as_in_csv(tmp_path):
    frame = pd.DataFrame({"a": [7, 8]}, index=["x", "y"])
    for write, name in ((frame.to_excel, "t.xlsx"), (frame.to_csv, "t.csv")):
        write(tmp_path / name)
        assert read_table(tmp_path / name).to_dict("list") == {"Unnamed: 0": ["x", "y"], "a": [7, 8]}


def test_a_sheet_is_chosen_by_its_name(tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"one": [["a"], [1]], "two": [[], ["b", None], [2, None], [3]]})
    assert read_table(path)["a"].tolist() == [1]
    with open_files(path, "two") as table:
        whole = read_tables(table)
    assert whole.frame["b"].tolist() == [2, 3]
    assert whole.row_numbers.tolist() == [3, 4]
    with (
        pytest.raises(DataError, match=r"t.xlsx has no sheet 'tow'; did you mean 'two'"),
        open_files(path, "tow"),
    ):
        pass
    (tmp_path / "t.csv").write_text("a\n1\n")
    with (
        pytest.raises(ParameterError, match=r"`sheet` is for workbooks, and .*t.csv is none"),
        open_files(tmp_path / "t.csv", "two"),
    ):
        pass


SHEETS = {
    "empty": ([], "t.xlsx holds no rows in its first sheet"),
    "names alone": ([["a", "b"]], "t.xlsx holds no rows in its first sheet"),
    "no name": ([["a", None], [1, 2]], "column 2 of 2 holds values and has no name"),
    "a name twice": ([["a", "a"], [1, 2]], "two columns named 'a'"),
}


@pytest.mark.parametrize("name", SHEETS)
def test_a_sheet_that_is_no_table_is_refused(tmp_path, name):
    rows, message = SHEETS[name]
    with pytest.raises(DataError, match=message):
        read_table(workbook(tmp_path / "t.xlsx", {"data": rows}))


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".ods"])
def test_a_corrupt_workbook_is_refused_in_one_line(tmp_path, suffix):
    whole = workbook(tmp_path / "whole.xlsx", {"data": [["a"], [1]]}).read_bytes()
    for content in (whole[: len(whole) // 2], b"a,b\n1,2\n"):
        (tmp_path / f"t{suffix}").write_bytes(content)
        with pytest.raises(
            DataError, match=f"t{suffix} is not a workbook, or is damaged .*: save it"
        ) as failure:
            read_table(tmp_path / f"t{suffix}")
        assert "\n" not in str(failure.value)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    path = workbook(tmp_path / "t.xlsx", {"data": [["a"], [1]]})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(DataError, match=r'not installed: pip install "batchprop\[excel\]"'):
        read_table(path)


OPEN = "urn:oasis:names:tc:opendocument:xmlns"
TABLE = """<table:table-row>
<table:table-cell office:value-type="string"><text:p>day</text:p></table:table-cell>
<table:table-cell office:value-type="string"><text:p>share</text:p></table:table-cell>
</table:table-row><table:table-row>
<table:table-cell office:value-type="date" office:date-value="2020-02-29"><text:p/></table:table-cell>
<table:table-cell office:value-type="float" office:value="2.5"><text:p>2.5</text:p></table:table-cell>
</table:table-row>""".replace("\n", "")
CONTENT = (
    f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{OPEN}:office:1.0" '
    f'xmlns:table="{OPEN}:table:1.0" xmlns:text="{OPEN}:text:1.0" office:version="1.2"><office:body>'
    f'<office:spreadsheet><table:table table:name="data">{TABLE}</table:table></office:spreadsheet>'
    "</office:body></office:document-content>"
)


@pytest.mark.parametrize("name", ["t.ods", "t.xlsx"])
def test_a_workbook_of_libreoffice_is_read_whatever_its_suffix(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "META-INF/manifest.xml", f'<?xml version="1.0"?><m:manifest xmlns:m="{OPEN}:manifest:1.0"/>'
        )
        archive.writestr("content.xml", CONTENT)
    frame = read_table(tmp_path / name)
    assert frame["day"].tolist() == [pd.Timestamp("2020-02-29")]
    assert frame["share"].tolist() == [2.5]
