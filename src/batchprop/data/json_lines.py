"""JSON lines: text files with an object in each line."""

import codecs
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from batchprop.data.converted import ConvertedTable
from batchprop.data.csv_splitter import MAX_ROW_BYTES
from batchprop.data.files import check_magic, open_decompressed
from batchprop.data.rejects import RejectedRows
from batchprop.data.temporary import TemporaryDirectory
from batchprop.data.value_copy import ValueCopy, rows_at_once
from batchprop.errors import DataError

_BLOCK_BYTES = 1 << 20

ARRAY_REMEDY = (
    'write each object in a line of its own: python -c "import json; [print(json.dumps(row)) for row in '
    "json.load(open('{path}'))]\" > {name}-lines.jsonl"
)


def convert_json_lines(paths: Sequence[Path], origins: Sequence[Path] | None = None) -> ConvertedTable:
    """Copy files of JSON lines into Parquet, with lines that do not parse among the rejected rows.

    A key that a line lacks is a missing value. Lists and objects within an object are kept as such a value,
    to be left out later.

    Args:
        paths: the files, also compressed.
        origins: what to call each file in messages; the files themselves by default.

    Raises:
        DataError: a file holds no row, or other columns than the first; or the disk is full.
    """
    rejected, folder = RejectedRows("skip", 1.0), TemporaryDirectory()
    with ValueCopy(folder) as copy:
        for path, origin in zip(paths, origins or paths, strict=True):
            copy.begin(origin)
            for numbers, rows in _read_blocks(path, origin, rejected):
                _write(copy, numbers, rows, origin, rejected)
        files = copy.finish("line")
        if not files:
            first = f", line {rejected[0].line}: {rejected[0].reason}" if len(rejected) else " holds no rows"
            raise DataError(
                f"{(origins or paths)[0]}{first}; a table of JSON lines has an object in each line"
            )
    return ConvertedTable(files, folder, rejected)


def _read_blocks(
    path: Path, origin: Path, rejected: RejectedRows
) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """Yield the numbers of some lines, and the object in each."""
    numbers, rows, size = list[int](), list[dict[str, Any]](), 0
    with open_decompressed(path) as file:
        lines = iter(lambda: file.readline(MAX_ROW_BYTES + 1), b"")
        for number, raw in enumerate(lines, start=1):
            line = raw if number > 1 else _check_start(raw, path, origin)
            if len(line) > MAX_ROW_BYTES:
                raise DataError(
                    f"{origin}, line {number}: a line of more than {MAX_ROW_BYTES >> 20} MiB; does the file "
                    "have one object in each line?"
                )
            if not (line := line.strip()):
                continue
            try:
                row = _parse(line)
            except (ValueError, RecursionError) as error:
                rejected.add(origin, number, _reason(error))
                continue
            numbers.append(number)
            rows.append(row)
            size += len(line)
            if size >= _BLOCK_BYTES:
                yield numbers, rows
                numbers, rows, size = [], [], 0
    if rows:
        yield numbers, rows


def _check_start(line: bytes, path: Path, origin: Path) -> bytes:
    """Return the first line without the mark of UTF-8; refuse one of another format."""
    check_magic(origin, line[:4])
    line = line.removeprefix(codecs.BOM_UTF8)
    if line.lstrip().startswith(b"["):
        remedy = ARRAY_REMEDY.format(path=path.name, name=path.stem)
        raise DataError(f"{origin} holds a JSON array, not JSON lines: {remedy}")
    return line


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return row


_JSON_NAMES = {
    list: "an array",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a truth value",
    type(None): "null",
}
_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _parse(line: bytes) -> dict[str, Any]:
    row = _DECODER.decode(line.decode())
    if not isinstance(row, dict):
        raise ValueError(f"it holds {_JSON_NAMES[type(row)]}, not an object in braces")  # noqa: TRY004 a bad row
    if b"\\ud" in line or b"\\uD" in line:
        # Half a character is JSON, and no text.
        json.dumps(row, ensure_ascii=False).encode()
    return row


def _reason(error: ValueError | RecursionError) -> str:
    match error:
        case json.JSONDecodeError():
            return f"it is not JSON ({error.msg}, at character {error.colno})"
        case UnicodeDecodeError():
            return f"it is not UTF-8 text (byte 0x{error.object[error.start]:02x})"
        case UnicodeEncodeError():
            return "it holds half a character, as \\ud800"
        case RecursionError():
            return "it is nested too deeply"
    return str(error)


def _write(
    copy: ValueCopy,
    numbers: list[int],
    rows: list[dict[str, Any]],
    origin: Path,
    rejected: RejectedRows,
) -> None:
    """Write a block of objects as columns."""
    # Most lines have the same keys, already spelled as the columns are.
    if any(copy.name_of(key) != key for key in {key for row in rows for key in row}):
        numbers, rows = _rename_keys(copy, numbers, rows, origin, rejected)
    names = dict.fromkeys(key for row in rows for key in row)
    step = rows_at_once(len(names) + len(copy.names))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        copy.write(numbers[start : start + step], {name: [row.get(name) for row in some] for name in names})


def _rename_keys(
    copy: ValueCopy,
    numbers: list[int],
    rows: list[dict[str, Any]],
    origin: Path,
    rejected: RejectedRows,
) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the rows with the keys of columns, without those in which two keys are one column."""
    kept, renamed = list[int](), list[dict[str, Any]]()
    for number, row in zip(numbers, rows, strict=True):
        try:
            renamed.append(_once([(copy.name_of(key), value) for key, value in row.items()]))
            kept.append(number)
        except ValueError as error:
            rejected.add(origin, number, str(error))
    return kept, renamed
