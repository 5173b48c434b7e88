"""Files of text as one table, in bounded memory: read once to find what its columns are, then as those."""

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from batchprop.data.csv_splitter import CsvBlock, UnclosedQuote, iter_csv_blocks
from batchprop.data.csv_types import (
    RAW,
    CsvType,
    cast,
    convert_options,
    find_doubtful,
    infer_csv_type,
    keep_text,
)
from batchprop.data.files import DELIMITERS, check_width, file_suffix
from batchprop.data.missing import USUAL, MissingWords, is_missing
from batchprop.data.names import normalize_name
from batchprop.data.rejects import RejectedRows
from batchprop.errors import DataError, did_you_mean

Result = TypeVar("Result")

LINE = "line"
"""The column of a read table that holds on which line each row begins; the others are called 0, 1, ..."""

INDEX = "Unnamed: 0"
"""The first column if it has no name: the index of a table that pandas wrote, which reads it by this name."""


class TypeMismatch(Exception):  # noqa: N818 not an error: the reading begins anew
    """A column holds something that what was seen of it did not let expect."""


class CsvRows(NamedTuple):
    """Some rows of a file: their text, where in it each begins (n,), and on which line (n,)."""

    content: bytes
    begins: npt.NDArray[np.intp]
    lines: npt.NDArray[np.intp]

    def drop(self, wrong: npt.NDArray[np.bool_]) -> "CsvRows":
        """Return the rows that are not wrong (n,)."""
        ends = np.append(self.begins[1:], len(self.content))
        kept = [self.content[self.begins[i] : ends[i]] for i in np.flatnonzero(~wrong)]
        begins = np.cumsum([0, *map(len, kept)], dtype=np.intp)[:-1]
        return CsvRows(b"".join(kept), begins, self.lines[~wrong])


class CsvFile:
    """A file of text: the names of its columns, and its rows, some at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.delimiter = DELIMITERS[file_suffix(path)]
        self._header = self._read_header()
        self.names = check_names(self._names(), path)

    def _read_header(self) -> bytes:
        for piece in iter_csv_blocks(self.path, self.delimiter, self._refuse_quote):
            begins, _ = piece.starts()
            if len(begins):
                header = piece.content[: begins[1] if len(begins) > 1 else None]
                check_text(self.path, header, piece.line)
                check_width(1 + header.count(self.delimiter.encode()), self.path)
                return header
        raise DataError(f"{self.path} holds only blank lines: it needs column names and rows")

    def _refuse_quote(self, broken: UnclosedQuote) -> None:
        raise DataError(f"{self.path}, line {broken.line}: {broken.reason}")

    def _names(self) -> list[str]:
        # What pyarrow takes for names ends with a line.
        try:
            table = pyarrow.csv.read_csv(
                io.BytesIO(self._header.rstrip(b"\r\n") + b"\n"),
                read_options=pyarrow.csv.ReadOptions(block_size=len(self._header) + 2),
                parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            )
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{self.path} has no names in its first line ({error}): name every column"
            ) from error
        check_delimiter(table.column_names, self.path, self.delimiter)
        return list(table.column_names)

    def rows(self, bad: RejectedRows, *, known: bool) -> Iterator[CsvRows]:
        """Read the rows below the names.

        Args:
            bad: is told of rows that cannot be read.
            known: whether it was told of them before.
        """

        def broken(quote: UnclosedQuote) -> None:
            if not known:
                reason, _, remedy = quote.reason.partition("; ")
                bad.add(self.path, quote.line, reason, remedy=remedy)

        to_come = True
        for piece in iter_csv_blocks(self.path, self.delimiter, broken):
            rows = CsvRows(piece.content, *piece.starts())
            if to_come and len(rows.begins):
                rows, to_come = _below_first(rows), False
            rows = self._of_text(piece, rows, bad, known=known)
            if len(rows.begins):
                yield rows

    def _of_text(self, piece: CsvBlock, rows: CsvRows, bad: RejectedRows, *, known: bool) -> CsvRows:
        """The rows that are text: UTF-8 without zero bytes."""
        if bad.on_bad_row == "error":
            check_text(self.path, piece.content, piece.line)
            return rows
        if _is_text(rows.content):
            return rows
        whole = np.append(rows.begins, len(rows.content))
        each = [rows.content[whole[i] : whole[i + 1]] for i in range(len(rows.begins))]
        wrong = np.array([not _is_text(row) for row in each], dtype=bool)
        for line in () if known else rows.lines[wrong]:
            bad.add(self.path, int(line), "it holds bytes that are no UTF-8 text")
        return rows.drop(wrong)


def _below_first(rows: CsvRows) -> CsvRows:
    at = rows.begins[1] if len(rows.begins) > 1 else len(rows.content)
    return CsvRows(rows.content[at:], rows.begins[1:] - at, rows.lines[1:])


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def check_text(path: Path, content: bytes, first_line: int) -> None:
    """Check that bytes are UTF-8 text.

    Raises:
        DataError: they are not; the message names the line.
    """
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        raise DataError(
            f"{path} is not UTF-8 text: line {line} holds the byte 0x{content[error.start]:02x}; "
            "save the file as UTF-8"
        ) from error
    if b"\0" in content:
        line = first_line + content.count(b"\n", 0, content.index(b"\0"))
        raise DataError(f"{path} is not text: line {line} holds a zero byte; export it as CSV")


def check_delimiter(names: Sequence[str], path: Path, delimiter: str) -> None:
    """Check that a single name does not look like several that something else separates."""
    if len(names) > 1:
        return
    for other, word in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if other != delimiter and other in names[0]:
            expected = "commas" if delimiter == "," else "tabs"
            raise DataError(
                f"{path} has one column, {names[0]!r}, that looks separated by {word}: "
                f"separate the fields by {expected}, as the ending {file_suffix(path)} says"
            )


def check_names(names: Sequence[str], path: Path) -> list[str]:
    """Return the names of columns without blanks around them, each of them there and there once."""
    trimmed = [normalize_name(name.strip()) for name in names]
    if len(trimmed) > 1 and trimmed[0] == "" and INDEX not in trimmed:
        trimmed[0] = INDEX
    if "" in trimmed:
        raise DataError(
            f"{path}: column {trimmed.index('') + 1} of {len(trimmed)} has no name; "
            "name every column in the first line"
        )
    twice = [name for name, count in Counter(trimmed).items() if count > 1]
    if twice:
        where = " and ".join(str(i + 1) for i, name in enumerate(trimmed) if name == twice[0])
        raise DataError(f"{path} has two columns named {twice[0]!r} ({where}): rename one of them")
    return trimmed


def check_same_names(first: Path, names: Sequence[str], other: Path, others: Sequence[str]) -> None:
    """Check that two files of a table have the same columns, in any order."""
    lacking, more = set(names) - set(others), set(others) - set(names)
    if lacking:
        name = next(name for name in names if name in lacking)
        near = did_you_mean(name, sorted(more))
        raise DataError(f"{other} lacks the column {name!r} of {first}: add or rename it{near}")
    if more:
        name = next(name for name in others if name in more)
        raise DataError(f"{other} has a column {name!r} that {first} lacks: leave it out, or add it there")


class CsvTable:
    """Files of text as one table; columns named in ``text`` are of text, exactly as it is in the files.

    Attributes:
        names: of its columns, as in the first file.
        kinds: what the columns are.
        rows: how many rows can be read, a missing target aside.
        files: the files.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        bad: RejectedRows,
        text: Collection[str] = (),
        missing: MissingWords = USUAL,
    ) -> None:
        self.files = [CsvFile(path) for path in paths]
        first = self.files[0]
        for file in self.files[1:]:
            check_same_names(first.path, first.names, file.path, file.names)
        self.names, self._bad, self._missing = first.names, bad, missing
        place = {name: str(i) for i, name in enumerate(self.names)}
        self._labels = {file.path: [place[name] for name in file.names] for file in self.files}
        self.kinds, self.rows = (
            [CsvType(RAW, known=True) if name in text else CsvType() for name in self.names],
            0,
        )
        for file in self.files:
            self._infer_types(file)
        self.kinds = [kind.resolve() for kind in self.kinds]
        bad.check_share(self.rows + len(bad))

    def _infer_types(self, file: CsvFile) -> None:
        for rows in file.rows(self._bad, known=False):
            table, _ = self._parsed(file, rows, {}, known=False)
            if doubtful := find_doubtful(table, rows.content):
                table = keep_text(table, self._parsed(file, rows, doubtful, known=True)[0], doubtful)
            found = [infer_csv_type(table[str(i)], self._missing) for i in range(len(self.kinds))]
            self.kinds = [kind.merge(other) for kind, other in zip(self.kinds, found, strict=True)]
            self.rows += table.num_rows

    def _parsed(
        self, file: CsvFile, rows: CsvRows, types: dict[str, pa.DataType], *, known: bool
    ) -> tuple[pa.Table, npt.NDArray[np.intp]]:
        """The rows as a table, its columns numbered; and their lines. Rows of other lengths are left out."""
        labels = self._labels[file.path]
        try:
            table = parse(rows.content, labels, file.delimiter, types, missing=self._missing)
        except pa.ArrowInvalid as error:
            rows = self._of_length(file, rows, labels, known=known)
            if not len(rows.begins):
                return _nothing(labels), rows.lines
            try:
                table = parse(rows.content, labels, file.delimiter, types, missing=self._missing)
            except pa.ArrowInvalid as again:
                if not types:
                    raise DataError(f"{file.path} is not a table: {error}") from error
                raise TypeMismatch from again
        if table.num_rows != len(rows.lines):
            where = f"{file.path}, lines {rows.lines[0]} to {rows.lines[-1]}"
            raise DataError(f"{where}: the rows cannot be told apart; look for quotes within fields")
        return table, rows.lines

    def _of_length(self, file: CsvFile, rows: CsvRows, labels: list[str], *, known: bool) -> CsvRows:
        invalid = list[pyarrow.csv.InvalidRow]()

        def found(row: pyarrow.csv.InvalidRow) -> str:
            invalid.append(row)
            return "skip"

        parse(rows.content, labels, file.delimiter, dict.fromkeys(labels, pa.string()), found)
        wrong = np.zeros(len(rows.begins), dtype=bool)
        for row in invalid:
            wrong[row.number - 1] = True
            if not known:
                fields = "1 field" if row.actual_columns == 1 else f"{row.actual_columns} fields"
                reason = f"{fields} where the first line names {row.expected_columns}"
                remedy = f"add or remove fields, or quote a field that holds {file.delimiter!r}"
                self._bad.add(file.path, int(rows.lines[row.number - 1]), reason, remedy=remedy)
        return rows.drop(wrong)

    def read(self, target: str | None, consume: Callable[[Iterator[tuple[int, pa.Table]]], Result]) -> Result:
        """Read all files, and hand their rows on.

        Args:
            target: the column that has to be there in each row, or None.
            consume: takes the number of the file and some rows of it, in order: columns 0, 1, ... as
                ``names``, and ``line``. It is called again where a column turns out to be something else.
        """
        before = len(self._bad)
        while True:
            try:
                result = consume(self._tables(target))
            except TypeMismatch:
                self._bad.truncate(before)
                self._refit_types()
            else:
                self._bad.check_share(self.rows + before)
                return result

    def _tables(self, target: str | None) -> Iterator[tuple[int, pa.Table]]:
        seen = 0
        for i, file in enumerate(self.files):
            for rows in file.rows(self._bad, known=True):
                table = self._typed(file, rows)
                seen += table.num_rows
                yield i, self._with_target(file, table, target)
        if seen != self.rows:
            raise DataError(
                f"{self.files[0].path} or a file beside it has changed while it was read: it had "
                f"{self.rows:,} rows, and has {seen:,} now; wait until it is written, and start again"
            )

    def _typed(self, file: CsvFile, rows: CsvRows) -> pa.Table:
        parsed, lines = self._parsed(file, rows, self._types, known=True)
        columns = [cast(parsed[str(i)], kind, self._missing) for i, kind in enumerate(self.kinds)]
        if any(column is None for column in columns):
            raise TypeMismatch
        return pa.table([*columns, pa.array(lines)], names=[*map(str, range(len(columns))), LINE])

    @property
    def _types(self) -> dict[str, pa.DataType]:
        return {str(i): kind.parsed for i, kind in enumerate(self.kinds)}

    def _with_target(self, file: CsvFile, table: pa.Table, target: str | None) -> pa.Table:
        if target is None:
            return table
        missing = is_missing(table[str(self.names.index(target))], self._missing)
        if not pc.any(missing).as_py():
            return table
        for line in pc.filter(table[LINE], missing).to_pylist():
            self._bad.add(file.path, line, f"its target {target!r} is missing", remedy="fill it in")
        return table.filter(pc.invert(missing))

    def _refit_types(self) -> None:
        """Look through all files for what does not fit the kinds of the columns, and choose the next ones."""
        before = None
        while before != self.kinds:
            before = list(self.kinds)
            for file in self.files:
                for rows in file.rows(self._bad, known=True):
                    self._widen_types(file, rows)

    def _widen_types(self, file: CsvFile, rows: CsvRows) -> None:
        if self._all_fit(file, rows):
            return
        for i, kind in enumerate(self.kinds):
            fits = kind
            while not self._fits(file, rows, i, fits):
                fits = CsvType(fits.rank + 1, fits.known)
            self.kinds[i] = fits.resolve()

    def _all_fit(self, file: CsvFile, rows: CsvRows) -> bool:
        try:
            self._typed(file, rows)
        except TypeMismatch:
            return False
        return True

    def _fits(self, file: CsvFile, rows: CsvRows, column: int, kind: CsvType) -> bool:
        types = {label: pa.string() for label in self._types} | {str(column): kind.parsed}
        try:
            table, _ = self._parsed(file, rows, types, known=True)
        except TypeMismatch:
            return False
        return cast(table[str(column)], kind, self._missing) is not None


def _nothing(labels: list[str]) -> pa.Table:
    return pa.table({label: pa.nulls(0) for label in labels})


def parse(
    content: bytes,
    labels: list[str],
    delimiter: str,
    types: dict[str, pa.DataType],
    on_invalid: Callable[[pyarrow.csv.InvalidRow], str] | None = None,
    missing: MissingWords = USUAL,
) -> pa.Table:
    """Parse whole rows.

    Args:
        content: the rows.
        labels: what the columns are called.
        delimiter: between fields.
        types: of columns; those that have none are given one by their fields.
        on_invalid: is asked whether to "skip" a row with another number of fields.
        missing: the words that mean "missing".

    Raises:
        pa.ArrowInvalid: such a row, or a field that does not convert.
    """
    # Only a single thread numbers the rows that it hands to on_invalid.
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(
            column_names=labels, block_size=len(content) + 1, use_threads=on_invalid is None
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
        ),
        convert_options=convert_options(types, missing),
    )
