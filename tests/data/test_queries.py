"""Queries over files: what DuckDB may do, and what it says."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from batchprop.data.queries import convert_query
from batchprop.data.reader import read_tables
from batchprop.data.scanner import scan
from batchprop.errors import DataError, ParameterError

MEMORY = 1 << 28


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"a": [3, 1, 2], "b": ["x", "y", None]}).to_parquet("t.parquet")
    return tmp_path


def query(sql, **options):
    with convert_query(sql, MEMORY) as table:
        return read_tables(table, **options)


def test_rows_have_the_order_and_types_of_the_query():
    whole = query(
        "SELECT a, b, a = 1 AS one, DATE '2020-02-29' AS day, a::DECIMAL(4, 1) / 2 AS half, "
        "sum(a) OVER () AS total, [a] AS list, b::ENUM('x', 'y') AS kind FROM 't.parquet' "
        "ORDER BY a DESC -- the end"
    )
    assert whole.frame["a"].tolist() == [3, 2, 1]
    assert whole.frame["one"].tolist() == [False, False, True]
    assert whole.frame["half"].tolist() == [1.5, 1, 0.5]
    assert whole.frame["total"].tolist() == [6, 6, 6]
    assert whole.frame["kind"].tolist()[::2] == ["x", "y"]
    assert whole.frame["day"].tolist() == [pd.Timestamp("2020-02-29")] * 3
    assert whole.unit == "row"
    assert whole.files[0].name == "the query"


def test_a_missing_target_is_named_by_its_row_of_the_query():
    with convert_query("FROM 't.parquet';", MEMORY) as table:
        for read in (read_tables, scan):
            with pytest.raises(DataError, match="the query, row 3: its target 'b' is missing"):
                read(table, "b")
            assert [row.line for row in read(table, "b", on_bad_row="skip", max_skipped=0.5).skipped] == [3]


ONE_SELECT = {
    "": "holds no statement",
    "-- nothing": "holds no statement",
    "SELECT 1; SELECT 2": "holds 2 statements",
    "COPY (SELECT 1) TO 'new.csv'": "a statement of type COPY",
    "ATTACH 'new.db'": "a statement of type ATTACH",
    "CREATE TABLE t AS SELECT 1": "a statement of type CREATE",
    "INSTALL httpfs": "a statement of type LOAD",
    "SET memory_limit = '1TB'": "a statement of type SET",
    "EXPORT DATABASE 'new'": "a statement of type EXPORT",
}


@pytest.mark.parametrize("sql", ONE_SELECT)
def test_only_one_select_is_run(folder, sql):
    with pytest.raises(ParameterError, match=f"`sql` .*{ONE_SELECT[sql]}.*: give one SELECT, as sql="):
        convert_query(sql, MEMORY)
    assert [path.name for path in folder.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH new AS (COPY (SELECT 1) TO 'new.csv') SELECT * FROM new",
        "SELECT * FROM (WITH new AS (COPY (SELECT 1) TO 'new.csv') SELECT * FROM new)",
        "SELECT * FROM query('COPY (SELECT 1) TO ''new.csv''')",
    ],
)
def test_a_select_that_writes_is_refused(folder, sql):
    with pytest.raises(DataError, match="the query failed: "):
        convert_query(sql, MEMORY)
    assert [path.name for path in folder.iterdir()] == ["t.parquet"]


FAILURES = {
    "SELEC 1": 'syntax error at or near "SELEC"; correct the query',
    "FROM 'no.parquet'": 'No files found .*"no.parquet"; check the name of the file',
    "SELECT c FROM 't.parquet'": '"c" not found .*"a".*; correct the query',
    "FROM flowers": "flowers does not exist.*; a file stands in quotes",
    "SELECT b::INT FROM 't.parquet'": "Could not convert string 'x' to INT.*; correct the value",
    "FROM 'https://example.org/t.parquet'": "load no extension and read nothing from the network: copy",
    "FROM read_xlsx('t.xlsx')": "load no extension and read nothing from the network: copy",
    "FROM 't.parquet' WHERE a > 3": "the query gives no rows: check its conditions",
    "SELECT *, 1 AS a FROM 't.parquet'": "the query has two columns named 'a'",
    "SELECT INTERVAL 1 DAY AS i": "the column 'i' of the query holds .*interval.*: cast it there",
}


@pytest.mark.parametrize("sql", FAILURES)
def test_a_query_that_fails_is_told_in_one_line(sql):
    with pytest.raises(DataError, match=FAILURES[sql]) as failure:
        convert_query(sql, MEMORY)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 500


def test_variables_of_the_program_are_no_tables():
    frame = pd.DataFrame({"a": [1]})
    assert len(frame) == 1
    with pytest.raises(DataError, match="frame does not exist"):
        convert_query("SELECT * FROM frame", MEMORY)


def test_an_error_in_the_middle_of_the_rows_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sql = "SELECT CASE WHEN i = 199999 THEN 'x' || i ELSE '1' END::INT FROM range(200000) t(i)"
    with pytest.raises(DataError, match="Could not convert string 'x199999'"):
        convert_query(sql, MEMORY)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_little_memory_is_made_up_by_the_disk_or_told():
    # 96 MB of numbers that must all be there before the first can be given.
    sql = "SELECT hash(i) AS h FROM range(3000000) t(i) ORDER BY h"
    with convert_query(sql, 1 << 20) as table:
        assert sum(file.metadata.num_rows for file in table.files) == 3_000_000
    with pytest.raises(DataError, match="give more `memory`"):
        convert_query("SELECT list(i) FROM range(30000000) t(i)", 1 << 20)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(DataError, match="`sql` needs duckdb"):
        convert_query("SELECT 1", MEMORY)
