"""Workbooks of Excel and LibreOffice: the cells of a sheet, as typed."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from batchprop.data.converted import ConvertedTable
from batchprop.data.names import INDEX
from batchprop.data.temporary import TemporaryDirectory
from batchprop.data.value_copy import ValueCopy, rows_at_once
from batchprop.errors import DataError, did_you_mean, join_truncated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from python_calamine import CalamineSheet, CalamineWorkbook

_MAX_EXACT = 2**53


def convert_workbooks(
    paths: Sequence[Path], sheet: str | None = None, origins: Sequence[Path] | None = None
) -> ConvertedTable:
    """Copy a sheet of each workbook into Parquet; its first row has the names of the columns.

    Args:
        paths: the workbooks.
        sheet: the name of the sheet; None for the first.
        origins: what to call each workbook in messages; the files themselves by default.

    Raises:
        DataError: a workbook cannot be read, lacks the sheet, or holds no rows; python-calamine is missing.
    """
    folder = TemporaryDirectory()
    with ValueCopy(folder) as copy:
        for path, origin in zip(paths, origins or paths, strict=True):
            copy.begin(origin)
            with _open_workbook(path, origin) as workbook:
                _copy_sheet(copy, _get_sheet(workbook, sheet, origin), origin)
        files = copy.finish("row")
        if not files:
            which = "first sheet" if sheet is None else f"sheet {sheet!r}"
            raise DataError(
                f"{(origins or paths)[0]} holds no rows in its {which}: add the rows below the names of the "
                "columns, or name another sheet with `sheet`"
            )
    return ConvertedTable(files, folder)


@contextmanager
def _open_workbook(path: Path, origin: Path) -> Iterator[CalamineWorkbook]:
    try:
        import python_calamine
    except ModuleNotFoundError as error:
        raise DataError(
            f'{origin} needs python-calamine, which is not installed: pip install "batchprop[excel]"'
        ) from error
    try:
        # Of a file its first bytes tell the format, of a path the suffix, which may be wrong.
        with (
            path.open("rb") as file,
            python_calamine.CalamineWorkbook.from_filelike(file) as workbook,
        ):
            yield workbook
    except python_calamine.PasswordError as error:
        raise DataError(f"{origin} is protected by a password: save it without one") from error
    except (python_calamine.CalamineError, OSError) as error:
        raise DataError(
            f"{origin} is not a workbook, or is damaged ({_first_line(error)}): save it again, or export the "
            "sheet as CSV"
        ) from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _get_sheet(workbook: CalamineWorkbook, name: str | None, origin: Path) -> CalamineSheet:
    names = workbook.sheet_names
    if name is not None and name not in names:
        remedy = did_you_mean(name, names) or f"; it has: {join_truncated(names)}"
        raise DataError(f"{origin} has no sheet {name!r}{remedy}")
    if not names:
        raise DataError(f"{origin} has no sheet: add one with the table")
    return workbook.get_sheet_by_name(names[0] if name is None else name)


def _copy_sheet(copy: ValueCopy, sheet: CalamineSheet, origin: Path) -> None:
    """Copy the rows below the first that is not empty; columns without name and values are left out."""
    rows = ((number, [_value(cell) for cell in row]) for number, row in enumerate(sheet.iter_rows(), start=1))
    filled = ((number, row) for number, row in rows if any(cell is not None for cell in row))
    _, header = next(filled, (0, []))
    names = ["" if cell is None else str(cell).strip() for cell in header]
    step = rows_at_once(len(names))
    while block := list(islice(filled, step)):
        columns = [list(column) for column in zip(*(row for _, row in block), strict=True)]
        if names and not names[0] and INDEX not in names and any(value is not None for value in columns[0]):
            names[0] = INDEX
        _check_named(names, columns, origin)
        copy.write(
            [number for number, _ in block],
            {copy.name_of(name): column for name, column in zip(names, columns, strict=True) if name},
        )


def _check_named(names: list[str], columns: list[list[Any]], origin: Path) -> None:
    for i, (name, column) in enumerate(zip(names, columns, strict=True)):
        if not name and any(value is not None for value in column):
            raise DataError(
                f"{origin}: column {i + 1} of {len(names)} holds values and has no name: name it in "
                "the first row, or empty it"
            )
    used = [name for name in names if name]
    if len(set(used)) < len(used):
        twice = next(name for name in used if used.count(name) > 1)
        raise DataError(f"{origin} has two columns named {twice!r}: rename one of them")


def _value(cell: Any) -> Any:
    """Return the value of a cell: None for an empty one, and a whole number as an integer."""
    if cell == "":
        return None
    if type(cell) is float and cell.is_integer() and abs(cell) <= _MAX_EXACT:
        return int(cell)
    return cell
