"""The rows of a SQL query over files, run by DuckDB."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from batchprop.data.converted import ConvertedTable, close_on_error, copy_batches
from batchprop.data.temporary import TemporaryDirectory
from batchprop.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

QUERY = Path("the query")
"""What messages call a table that a query gives."""

_MIN_BYTES = 1 << 26  # DuckDB needs some to read a file at all.
_THREAD_BYTES = 1 << 27
_MAX_REASON = 300
_ONE_SELECT = "give one SELECT, as sql=\"SELECT * FROM 'data/*.parquet'\""
_EXTENSION = (
    "batchprop lets DuckDB load no extension and read nothing from the network: copy the files here first"
)
_REMEDIES = {
    "Parser": "correct the query",
    "Binder": "correct the query",
    "Catalog": "correct the query; a file stands in quotes, as FROM 'flowers.csv'",
    "IO": "check the name of the file",
    "Out of Memory": "give more `memory`, or query fewer columns or rows",
    "Conversion": "correct the value, or convert with TRY_CAST",
    "Invalid Input": "correct the file, or name its format, as FROM read_csv('flowers.txt')",
}


def convert_query(sql: str, memory: int) -> ConvertedTable:
    """Run a query with DuckDB, and copy its rows into Parquet.

    DuckDB reads files only: it loads no extension, and writes to its temporary folder alone.

    Args:
        sql: one SELECT.
        memory: the most that DuckDB may take, in bytes, but at least 64 MiB; it then uses the disk.

    Raises:
        ParameterError: the text is not one SELECT.
        DataError: the query fails, or gives no rows; DuckDB is missing.
    """
    folder = TemporaryDirectory()
    with close_on_error(folder), _connect(folder.path / "duckdb", memory) as connection:
        _check_select(connection, sql)
        with _errors():
            reader = pa.RecordBatchReader.from_stream(connection.sql(sql))
        return copy_batches(reader.schema, _iter_batches(reader), QUERY, folder)


@contextmanager
def _connect(folder: Path, memory: int) -> Iterator[DuckDBPyConnection]:
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise DataError(
            '`sql` needs duckdb, which is not installed: pip install "batchprop[tables]"'
        ) from error
    limit = max(memory, _MIN_BYTES)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": f"{limit >> 10}KiB",
        "preserve_insertion_order": "true",
        "temp_directory": str(folder),
        "threads": str(max(1, min(os.cpu_count() or 1, limit // _THREAD_BYTES))),
    }
    with duckdb.connect(":memory:", config=settings) as connection:
        # Otherwise a query could name a variable of this program as a table.
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def _check_select(connection: DuckDBPyConnection, sql: str) -> None:
    """Refuse all but one SELECT, before anything is run."""
    from duckdb import StatementType

    with _errors():
        statements = connection.extract_statements(sql)
    if len(statements) != 1:
        count = f"{len(statements):,} statements" if statements else "no statement"
        raise ParameterError(f"`sql` holds {count}: {_ONE_SELECT}")
    if (kind := statements[0].type) != StatementType.SELECT:
        raise ParameterError(f"`sql` is a statement of type {kind.name}, and only reads: {_ONE_SELECT}")
    # DuckDB also calls a SELECT what writes a file in its WITH; within another SELECT it refuses that.
    with _errors():
        query = statements[0].query.strip().rstrip(";")
        connection.execute(f"EXPLAIN SELECT * FROM (\n{query}\n)")  # noqa: S608 the user's own


def _iter_batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    batches = iter(reader)
    while True:
        with _errors():
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _errors() -> Iterator[None]:
    """Turn an error of DuckDB into one line with a remedy."""
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError, pa.ArrowException) as error:
        raise DataError(describe_error(str(error))) from error


def describe_error(message: str) -> str:
    r"""Return an error of DuckDB as one line with a remedy.

    >>> describe_error(
    ...     'Binder Error: Referenced column "a" not found!\nCandidates: "b"\n\nLINE 1: ...'
    ... )
    'the query failed: Referenced column "a" not found! Candidates: "b"; correct the query'
    """
    text = re.split(r"\n\n(?:LINE |Please try installing)|\n\s*Possible solutions:|\n\* ", message)[0]
    kind, separator, reason = " ".join(text.split()).partition(" Error: ")
    reason = reason if separator else kind
    if len(reason) > _MAX_REASON:
        reason = f"{reason[:_MAX_REASON]}..."
    remedy = _REMEDIES.get(kind, "correct the query")
    if "requires the extension" in message or "it exists in the" in message:
        remedy = _EXTENSION
    elif "No extension found" in message:
        remedy = "query files of CSV, JSON or Parquet"
    return f"the query failed: {reason.rstrip('.')}; {remedy}"
