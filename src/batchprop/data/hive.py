"""Columns in the names of folders, as Hive, Spark and Arrow write them: ``region=north/part.parquet``."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from batchprop.data.arrow import simplify
from batchprop.data.csv import check_same_names, parse
from batchprop.data.csv_types import TEXT, find_doubtful, infer_csv_type, keep_text, parse_text
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError

_MISSING = {"", "__HIVE_DEFAULT_PARTITION__"}


def folder_values(path: Path) -> dict[str, str | None]:
    """Return the columns in the names of a file's folders, with its value of each; None for a missing one.

    Raises:
        DataError: two folders name the same column.

    >>> folder_values(Path("sales/region=north%20sea/year=2024/part.parquet"))
    {'region': 'north sea', 'year': '2024'}
    """
    values: dict[str, str | None] = {}
    for name, separator, value in (part.partition("=") for part in path.parent.parts):
        name = unquote(name).strip()  # noqa: PLW2901 the name that it stands for
        if not separator or not name:
            continue
        if name in values:
            raise DataError(f"{path}: two of its folders give the column {name!r}: rename one of them")
        values[name] = None if value in _MISSING else unquote(value)
    return values


def check_not_in_file(path: Path, names: Collection[str]) -> None:
    """Refuse a file that holds a column which the names of its folders give, too."""
    for name, value in folder_values(path).items():
        if name in names:
            raise DataError(
                f"{path} holds a column {name!r}, and its folder {name}={value} gives one, too: "
                "rename the folder without '=', or leave the column out of the file"
            )


def folder_columns(
    files: Sequence[Path],
    names: Collection[str],
    target: str | None = None,
    *,
    text: Collection[str] = (),
    rules: TextRules | None = None,
) -> dict[str, pa.ChunkedArray]:
    """Return the columns in the names of folders, each with one value for each file.

    Args:
        files: of one table.
        names: the columns that the files hold.
        target: the column to predict; where it is one of these, no file may lack it.
        text: columns that are text, whatever their values look like.
        rules: how text is read; None for the usual ones.

    Returns:
        Each column as numbers, dates, booleans or text, by its values as in a CSV file.

    Raises:
        DataError: the folders of two files give other columns, or a column that is in the files, too.
    """
    values = [folder_values(file) for file in files]
    for file, given in zip(files, values, strict=True):
        check_same_names(files[0], list(values[0]), file, list(given))
        check_not_in_file(file, names)
        if target in given and given[target] is None:
            raise DataError(f"{file}: the name of its folder lacks the target {target!r}: name it there")
    rules = rules or USUAL
    return {name: _infer([given[name] for given in values], rules, text=name in text) for name in values[0]}


def _infer(values: list[str | None], rules: TextRules, *, text: bool) -> pa.ChunkedArray:
    """Return values as what a CSV file with them would hold."""
    words = pa.array(values, pa.string())
    distinct = words.dictionary_encode()
    if text or not len(distinct.dictionary):
        return pa.chunked_array([words])
    # Quoted, as a value may hold a comma or a quote.
    lines = ('"{}"\n'.format(word.replace('"', '""')) for word in distinct.dictionary.to_pylist())
    content = "".join(lines).encode()
    table = parse(content, ["value"], ",", {}, rules=rules)
    read_as_text = partial(parse, content, ["value"], ",", {"value": pa.string()})
    if doubtful := find_doubtful(table, content):
        table = keep_text(table, read_as_text(), doubtful)
    if infer_csv_type(table["value"], rules).rank == TEXT:
        table = read_as_text()
    return pc.take(simplify(parse_text(table["value"], rules)), distinct.indices)
