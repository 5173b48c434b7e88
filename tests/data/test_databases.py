"""Queries in databases: SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from batchprop.data import value_copy
from batchprop.data.databases import convert_database
from batchprop.data.reader import read_tables
from batchprop.errors import DataError, ParameterError

SQLITE = "sqlite:///t.db"


def query(url, sql):
    with convert_database(url, sql) as table:
        return read_tables(table)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a database of SQLite, whose columns hold what they like."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("t.db")) as connection:
        connection.execute("CREATE TABLE t (a, b TEXT, c, d BLOB)")
        rows = [(i, f"w{i}", i / 2, None) for i in range(3000)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", [*rows, (0.5, None, "x", b"x")])
        connection.commit()
    return tmp_path


def test_all_rows_of_sqlite_decide_the_types_of_its_columns(folder, monkeypatch):
    monkeypatch.setattr(value_copy, "_MAX_CELLS", 1000)
    whole = query(SQLITE, "SELECT * FROM t; -- all")
    assert whole.frame["a"].tolist() == [*range(3000), 0.5]
    assert whole.frame["b"].tolist()[:2] == ["w0", "w1"]
    assert whole.frame["c"].tolist()[-3:] == ["1499", "1499.5", "x"]
    assert whole.unit == "row"
    assert whole.row_numbers.tolist() == [*range(1, 3002)]
    assert query(f"sqlite:///{folder}/t.db", "SELECT max(b) AS m FROM t").frame["m"][0] == "w999"


READS_ONLY = [
    "INSERT INTO t VALUES (1, 2, 3, 4)",
    "CREATE TABLE u (a)",
    "CREATE TEMP TABLE u AS SELECT 1",
    "ATTACH 'new.db' AS new",
    "PRAGMA journal_mode = wal",
    "SELECT 1; SELECT 2",
    "SELECT load_extension('x')",
    "VACUUM INTO 'new.db'",
    "",
]


@pytest.mark.parametrize("sql", READS_ONLY)
def test_sqlite_is_only_read(folder, sql):
    before = (folder / "t.db").read_bytes()
    with pytest.raises(ParameterError, match=r"`sql` .*: give one SELECT, as sql='SELECT \* FROM flowers'"):
        convert_database(SQLITE, sql)
    assert [path.name for path in folder.iterdir()] == ["t.db"]
    assert (folder / "t.db").read_bytes() == before


FAILURES = {
    "no table": (SQLITE, "SELECT * FROM u", r"the query in t.db failed: no such table: u; correct the query"),
    "no rows": (SQLITE, "SELECT * FROM t WHERE a < 0", "the query gives no rows"),
    "a name twice": (SQLITE, "SELECT a, a FROM t", "the query has two columns named 'a'"),
    "no file": ("sqlite:///no.db", "SELECT 1", r"there is no database no.db: check the name"),
    "no database": ("sqlite:///text.db", "SELECT * FROM t", "file is not a database"),
    "a host": ("sqlite://t.db", "SELECT 1", "names no file: give sqlite:///flowers.db"),
    "another": ("mysql://ann:s3cret@host/t", "SELECT 1", r"database='mysql://ann:\*\*\*@host/t' is not"),
    "a password of slashes": (
        "postgresql://ann:s3cret/1@host/t",
        "SELECT 1",
        "password as %2F, %3F, %23 and",
    ),
    "no server": (
        "postgresql://ann:s3cret@localhost:1/t",
        "SELECT 1",
        "check the URL, and give a password by",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_database_that_cannot_be_read_is_told_in_one_line_without_its_password(folder, name):
    url, sql, message = FAILURES[name]
    (folder / "text.db").write_text(1000 * "text")
    with pytest.raises((DataError, ParameterError), match=message) as failure:
        convert_database(url, sql)
    assert "\n" not in str(failure.value)
    assert "s3cret" not in str(failure.value)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(DataError, match=r'not installed: pip install "batchprop\[databases\]"'):
        convert_database("postgresql:///t", "SELECT 1")


def find_server():
    """The folder with the programs of PostgreSQL as Debian installs them, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def as_server(*words):
    """Run a program of the server, which refuses to be root."""
    switch = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*switch, *map(str, words)], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def server():
    """The URL of a server that is started for these tests, reached by a socket alone."""
    programs = find_server()
    if programs is None or (os.geteuid() == 0 and shutil.which("runuser") is None):
        pytest.skip("PostgreSQL is not installed")
    # The path of a socket may have 107 characters, and that of pytest belongs to its user.
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        if os.geteuid() == 0:
            shutil.chown(name, "postgres")
        as_server(programs / "initdb", "-D", f"{name}/data", "-A", "scram-sha-256", "-U", "ann", "--no-sync",
                  f"--pwfile={password_file(name)}")  # fmt: skip
        options = f"-c listen_addresses='' -c fsync=off -k {name}"
        pg_ctl = (programs / "pg_ctl", "-D", f"{name}/data", "-w")
        as_server(*pg_ctl, "-l", f"{name}/log", "-o", options, "start")
        try:
            yield f"postgresql://ann:s3cret@/postgres?host={name}"
        finally:
            as_server(*pg_ctl, "-m", "immediate", "stop")


def password_file(folder):
    path = Path(folder) / "password"
    path.write_text("s3cret\n")
    path.chmod(0o644)
    return path


def test_rows_of_postgresql_have_its_types(server):
    whole = query(
        server,
        "SELECT i, i / 2.0 AS half, i > 1 AS more, DATE '2020-02-29' + i AS day, 'w' || i AS word, "
        "TIMESTAMPTZ '2020-01-01 00:00+01' AS at, ARRAY[i] AS list, gen_random_uuid() AS id, "
        "CASE i WHEN 1 THEN 'NaN'::numeric END AS gap FROM generate_series(1, 70000) AS i ORDER BY i DESC;",
    )
    frame = whole.frame
    assert frame["i"].tolist() == [*range(70_000, 0, -1)]
    assert (frame["half"] == frame["i"] / 2).all()
    assert frame["more"].sum() == 69_999
    assert frame["day"].iloc[-1] == pd.Timestamp("2020-03-01")
    assert frame["at"].iloc[0] == pd.Timestamp("2019-12-31 23:00", tz="UTC")
    assert frame["list"].iloc[-1].tolist() == [1]
    assert frame["id"].str.len().eq(36).all()
    assert frame["gap"].isna().all()
    assert frame["word"].iloc[-1] == "w1"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM u", 'relation "u" does not exist; correct the query'),
        ("CREATE TABLE u (a int)", "syntax error .*; correct the query: one SELECT, which only reads"),
        ("COPY (SELECT 1) TO '/tmp/batchprop-test-copy'", "syntax error .*; correct the query"),
        ("SELECT 1; SELECT 2", "cannot insert multiple commands|syntax error"),
        (
            "WITH t AS (DELETE FROM pg_am RETURNING 1) SELECT * FROM t",
            "query: one SELECT, which only reads",
        ),
        ("SELECT 12.5::money AS price", "the column 'price' of the query holds money: cast it"),
        ("SELECT 1 AS a WHERE false", "the query gives no rows"),
        ("SELECT INTERVAL '1 day' AS i", "the column 'i' of the query holds values of .*interval"),
        ("SELECT 's3cret' + 1", "correct the query"),
    ],
)
def test_postgresql_is_only_read_and_its_errors_are_one_line(server, sql, message):
    with pytest.raises(DataError, match=message) as failure:
        convert_database(server, sql)
    assert "\n" not in str(failure.value)
    assert "s3cret" not in str(failure.value)


def test_a_wrong_password_is_not_told(server):
    with pytest.raises(DataError, match="check the URL, and give a password by PGPASSWORD") as failure:
        convert_database(server.replace("s3cret", "wr0ng"), "SELECT 1")
    assert "wr0ng" not in str(failure.value)
