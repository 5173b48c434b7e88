"""Where a table comes from: files, standard input, or a query; copied where its rows arrive only once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from batchprop.data.converted import ConvertedTable, close_on_error
from batchprop.data.database_urls import check_url
from batchprop.data.databases import convert_database
from batchprop.data.excel import convert_workbooks
from batchprop.data.files import Paths, as_paths, expand_paths, file_format, get_delimiter
from batchprop.data.json_lines import convert_json_lines
from batchprop.data.parquet import read_parquet_footer
from batchprop.data.queries import convert_query
from batchprop.data.standard_input import ORIGIN, STDIN, name_standard_input, save_standard_input
from batchprop.data.temporary import TemporaryDirectory
from batchprop.errors import DataError, ParameterError

Table: TypeAlias = tuple[Path, ...] | ConvertedTable
"""CSV and Parquet files, which can be read again and again, or the copy of another table."""


def check_source(
    paths: object, *, sql: str | None = None, database: str | None = None, sheet: str | None = None
) -> None:
    """Check that a table has one source.

    Args:
        paths: its files, or a table in memory; None without one.
        sql: a query.
        database: the URL of the database to query.
        sheet: the sheet of workbooks.

    Raises:
        ParameterError: it has two, or an option has nothing to belong to.

    >>> check_source("flowers.csv", sql="SELECT 1")
    Traceback (most recent call last):
    batchprop.errors.ParameterError: `sql` names its tables itself: leave DATA out
    """
    for name, value in {"sql": sql, "database": database, "sheet": sheet}.items():
        if not isinstance(value, str | None):
            raise ParameterError(f"{name}={value!r} is not allowed: give text")
    if sql is not None and paths is not None:
        raise ParameterError("`sql` names its tables itself: leave DATA out")
    if database is not None and sql is None:
        raise ParameterError("`database` needs a query: add `sql`, as sql='SELECT * FROM flowers'")
    if sheet is not None and sql is not None:
        raise ParameterError("`sheet` is for workbooks, not for a query: leave it out")
    if database is not None:
        check_url(database)


@contextmanager
def open_query(sql: str, database: str | None, memory: int) -> Iterator[ConvertedTable]:
    """Run a query, and yield its rows as a table.

    Args:
        sql: one SELECT.
        database: the URL of a database; None for files, read by DuckDB.
        memory: the most that DuckDB may take, in bytes.

    Raises:
        DataError: the query fails, or gives no rows.
        ParameterError: it is not one SELECT.
    """
    with convert_query(sql, memory) if database is None else convert_database(database, sql) as table:
        yield table


@contextmanager
def open_files(paths: Paths | ConvertedTable, sheet: str | None = None) -> Iterator[Table]:
    """Yield the files of a table, or a copy of them where they cannot be read in place.

    Args:
        paths: files, folders and patterns of one format; "-" for standard input. A copy is yielded as it is.
        sheet: the sheet of workbooks; None for the first.

    Raises:
        DataError: there is no such table.
        ParameterError: `sheet` is given for files without sheets.
    """
    if isinstance(paths, ConvertedTable):
        yield paths
        return
    if STDIN in as_paths(paths):
        with _open_standard_input(as_paths(paths), sheet) as table:
            yield table
        return
    files = expand_paths(paths)
    if (copy := copy_files(files, sheet)) is None:
        yield files
        return
    with copy:
        yield copy


def copy_files(
    files: tuple[Path, ...], sheet: str | None = None, origins: tuple[Path, ...] | None = None
) -> ConvertedTable | None:
    """Copy files of a format that cannot be read in place; return None for the others.

    Args:
        files: all of one format.
        sheet: the sheet of workbooks; None for the first.
        origins: what to call the files in messages; by default themselves.

    Raises:
        DataError: a file cannot be read, or the disk is full.
        ParameterError: `sheet` is given for files without sheets.
    """
    kind = file_format(files[0])
    if sheet is not None and kind != "workbook":
        raise ParameterError(f"`sheet` is for workbooks, and {(origins or files)[0]} is none: leave it out")
    if kind == "json":
        return convert_json_lines(files, origins)
    return convert_workbooks(files, sheet, origins) if kind == "workbook" else None


@contextmanager
def _open_standard_input(paths: tuple[Path, ...], sheet: str | None) -> Iterator[Table]:
    if len(paths) > 1:
        raise ParameterError("- is standard input, and a table of its own: leave out the other files")
    folder = TemporaryDirectory()
    with close_on_error(folder):
        path = save_standard_input(folder)
        with name_standard_input(path):
            if file_format(path) == "parquet" and sheet is None:
                table: Table = ConvertedTable(
                    [read_parquet_footer(path)._replace(display_path=ORIGIN)], folder
                )
            else:
                table = copy_files((path,), sheet, (ORIGIN,)) or (path,)
            yield table
            if isinstance(table, ConvertedTable):
                table.close()
    folder.close()


def describe_copy(paths: object, sql: str | None = None) -> str | None:
    """Return what takes a while before a table can be read; None if it is read in place.

    >>> describe_copy(("flowers.csv",)), describe_copy(("flowers.jsonl",))
    (None, 'Copying the table')
    """
    if sql is not None:
        return "Running the query"
    names = as_paths(paths) if isinstance(paths, tuple) else ()
    if STDIN in names:
        return "Reading standard input"
    is_copied = any(file_format(path) in ("json", "workbook") for path in names)
    return "Copying the table" if is_copied else None


def check_separator_used(separator: str | None, *tables: object) -> None:
    """Refuse a separator where no table is a text file.

    Raises:
        ParameterError: there is none.

    >>> check_separator_used(";", (Path("flowers.parquet"),), None)
    Traceback (most recent call last):
    batchprop.errors.ParameterError: separator=';' is for CSV files, and there are none: leave it out
    """
    if separator is None:
        return
    if not any(isinstance(table, tuple) and get_delimiter(table[0]) is not None for table in tables):
        raise ParameterError(f"separator={separator!r} is for CSV files, and there are none: leave it out")


def check_not_standard_input(paths: object, parameter: str) -> None:
    """Refuse standard input where only files can stand.

    Raises:
        DataError: a path is "-".
    """
    if isinstance(paths, tuple) and str(STDIN) in map(str, paths):
        raise DataError(f"`{parameter}` cannot be standard input, which is for DATA: name a file")
