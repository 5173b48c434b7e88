"""The rows of a SQL query in a database, SQLite or PostgreSQL, named by a URL."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from batchprop.data.converted import ConvertedTable, close_on_error, copy_batches
from batchprop.data.csv import check_names
from batchprop.data.database_urls import check_url, hide_passwords, redact_url
from batchprop.data.files import check_width
from batchprop.data.queries import QUERY
from batchprop.data.temporary import TemporaryDirectory
from batchprop.data.value_copy import ValueCopy, rows_at_once
from batchprop.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}

_EXAMPLE = "as sql='SELECT * FROM flowers'"


def convert_database(url: str, sql: str) -> ConvertedTable:
    """Run a query in a database, which it can only read, and copy its rows into Parquet.

    Args:
        url: of the database.
        sql: one SELECT.

    Raises:
        ParameterError: the URL is of no such database.
        DataError: the database cannot be opened, the query fails, or gives no rows.
    """
    check_url(url)
    folder = TemporaryDirectory()
    convert = _convert_sqlite if url.startswith("sqlite:") else _convert_postgresql
    with close_on_error(folder):
        return convert(url, sql, folder)


def _convert_sqlite(url: str, sql: str, folder: TemporaryDirectory) -> ConvertedTable:
    # Python's own module, as ADBC's driver takes the types of all rows from the first thousand.
    path = _sqlite_path(url)
    with ValueCopy(folder) as copy:
        copy.begin(QUERY)
        with (
            _sqlite_errors(path),
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection,
        ):
            # Not even a temporary table, or another file: only rows are read.
            connection.set_authorizer(
                lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
            )
            cursor = connection.execute(sql)
            if cursor.description is None:
                raise ParameterError("`sql` holds no statement: give one SELECT, " + _EXAMPLE)
            names = check_names([str(column[0]) for column in cursor.description], QUERY)
            check_width(len(names), QUERY)
            done = 0
            while rows := cursor.fetchmany(min(rows_at_once(len(names)), 1 << 14)):
                columns = zip(*rows, strict=True)
                numbers = range(done + 1, done + len(rows) + 1)
                copy.write(numbers, dict(zip(names, columns, strict=True)))
                done += len(rows)
        files = copy.finish("row")
        if not files:
            raise DataError(f"{QUERY} gives no rows: check its conditions")
    return ConvertedTable(files, folder)


def _sqlite_path(url: str) -> Path:
    host, _, name = url.removeprefix("sqlite://").partition("/")
    if host or not name or "?" in name:
        raise ParameterError(
            f"database={redact_url(url)!r} names no file: give sqlite:///flowers.db, or with a full path "
            "sqlite:////home/ann/flowers.db"
        )
    file = Path(unquote(name))
    if not file.is_file():
        raise DataError(f"there is no database {file}: check the name and the folder")
    return file


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        reason = " ".join(str(error).split())
        if "authoriz" in reason or "one statement" in reason:
            raise ParameterError(
                f"`sql` does more than to read ({reason.rstrip('.')}): give one SELECT, {_EXAMPLE}"
            ) from error
        raise DataError(
            f"the query in {path} failed: {reason}; correct the query, or the database"
        ) from error


def _convert_postgresql(url: str, sql: str, folder: TemporaryDirectory) -> ConvertedTable:
    try:
        from adbc_driver_postgresql import dbapi
    except ModuleNotFoundError as error:
        raise DataError(
            f'`database` needs {error.name}, which is not installed: pip install "batchprop[databases]"'
        ) from error
    with (
        _postgresql_errors(url, dbapi.Error),
        dbapi.connect(url) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET TRANSACTION READ ONLY")
        # Only a SELECT can stand here; a COPY could write a file of the server even if it may only read.
        query = sql.strip().removesuffix(";")
        cursor.execute(f"SELECT 1 FROM (\n{query}\n) AS query LIMIT 0")  # noqa: S608 the user's own
        cursor.fetchall()
        cursor.execute(query)
        reader = cursor.fetch_record_batch()
        schema = pa.schema([field.with_type(_plain_type(field)) for field in reader.schema])
        batches = (_as_plain(batch, schema) for batch in reader)
        return copy_batches(schema.remove_metadata(), batches, QUERY, folder)


def _plain_type(field: pa.Field) -> pa.DataType:
    """Return the type to read a column of PostgreSQL as."""
    name = ((field.metadata or {}).get(b"POSTGRESQL:type") or b"").decode()
    if name == "money":
        # The driver gives cents without saying so.
        raise DataError(f"the column {field.name!r} of the query holds money: cast it there, as ::numeric")
    if name == "numeric" or getattr(field.type, "type_name", None) == "numeric":
        return pa.float64()
    kind = getattr(field.type, "storage_type", field.type)
    return pa.string() if pa.types.is_fixed_size_binary(kind) else kind


def _as_plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [_to_plain(column, kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
    return pa.record_batch(columns, names=schema.names)


def _to_plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind) and not pa.types.is_string(getattr(column, "storage", column).type):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], kind)
    column = getattr(column, "storage", column)
    return column if column.type == kind else pc.cast(column, kind)


@contextmanager
def _postgresql_errors(url: str, kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except (kind, OSError, pa.ArrowException) as error:
        raise DataError(f"the database {redact_url(url)} refuses: {_describe(str(error), url)}") from error


def _describe(message: str, url: str) -> str:
    """Return the reason of an error of PostgreSQL, without passwords, and a remedy."""
    text, _, _ = message.partition("\nLINE ")
    text, _, _ = text.partition("\n\nQuery was:")
    reason = " ".join(text.split()).partition(". SQLSTATE:")[0]
    reason = hide_passwords(reason, url)
    reason = re.sub(r"^[A-Z_]+: (\[libpq\] )?", "", reason).rstrip(".")
    connects = "connect" in reason or "authentication" in reason
    remedy = (
        "check the URL, and give a password by PGPASSWORD or ~/.pgpass"
        if connects
        else "correct the query: one SELECT, which only reads"
    )
    return f"{reason}; {remedy}"
