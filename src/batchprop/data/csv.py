"""Files of text as one table, in bounded memory: read once to find what its columns are, then as those."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from batchprop.data.csv_splitter import CsvBlock, UnclosedQuote, iter_csv_blocks, read_separator_line
from batchprop.data.csv_types import (
    RAW,
    CsvType,
    cast,
    convert_options,
    find_doubtful,
    holds_codes,
    infer_csv_type,
    keep_text,
)
from batchprop.data.files import DELIMITERS, check_width, file_state, file_suffix
from batchprop.data.names import INDEX, normalize_name
from batchprop.data.rejects import RejectedRows
from batchprop.data.separators import SEPARATORS
from batchprop.data.text_rules import USUAL, TextRules, explain_missing, is_missing
from batchprop.data.weights import has_no_weight
from batchprop.errors import DataError, did_you_mean

Result = TypeVar("Result")

_FEW = 2
_MAX_HEAD = 1 << 16
_HEAD = 4  # the names and the first rows, which tell a title from names

LINE = "line"
"""The column of a read table that holds on which line each row begins; the others are called 0, 1, ..."""

THREADED_BYTES = 1 << 20
"""Above so many bytes the columns of some rows are parsed by several threads."""

_NUMBER = re.compile(r"\s*[-+−$€£]?\s?[.,]?\d")
"""How numbers and dates begin, and names of columns do not."""


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


class _Line(NamedTuple):
    """A line of a file, and its number, counted from 1."""

    content: bytes
    line: int


def _split_fields(row: bytes, delimiter: str) -> list[str]:
    # A longer row may hold a field beyond the limit of the module csv.
    fields = csv.reader([row[:_MAX_HEAD].decode(errors="replace")], delimiter=delimiter)
    try:
        return next(fields, [])
    except csv.Error:  # a return within a field
        return [""]


def _are_names(rows: Sequence[Sequence[str]], first: str) -> bool:
    """Whether the first of some rows holds names, below a line of a '#' and as many fields.

    >>> _are_names([["a", "b"], ["1", "red"]], "#made by x"), _are_names([["1", "red"]], "#a")
    (True, False)
    """
    if any(map(_NUMBER.match, rows[0])):
        return False
    below = [any(map(_NUMBER.match, row)) for row in rows[1:]]
    # A blank after the '#' is rare before names, which numbers would tell from words.
    return any(below) or rows[0][0].startswith("#") or first.startswith("# ")


class CsvFile:
    """A file of text: the names of its columns, and its rows, some at a time.

    Attributes:
        path: the file.
        delimiter: what separates its fields: as given, or as its ending says, or, where that would leave a
            single column, what parts its names.
        names: of its columns.
    """

    def __init__(self, path: Path, delimiter: str | None = None) -> None:
        self.path = path
        delimiter = delimiter or read_separator_line(path)
        self.delimiter = delimiter or DELIMITERS[file_suffix(path)]
        header, *more = self._read_head()
        names = self._split_names(header, self.delimiter)
        if delimiter is None and len(names) == 1:
            others = [each for each in SEPARATORS if len(self._split_names(header, each)) > 1]
            if len(others) == 1:
                self.delimiter = others[0]
                names = self._split_names(header, self.delimiter)
        self._refuse_title(names, header, more)
        self.names = check_names(names, path)

    def _read_head(self) -> list["_Line"]:
        """Return the line of the names, and the first rows below it."""
        for block in iter_csv_blocks(self.path, self.delimiter, self._refuse_quote):
            begins, lines = block.starts()
            if len(begins):
                ends = [*begins[1:], len(block.content)][:_HEAD]
                head = [block.content[begin:end] for begin, end in zip(begins[:_HEAD], ends, strict=True)]
                check_text(self.path, head[0], block.line)
                check_width(1 + head[0].count(self.delimiter.encode()), self.path)
                # What pyarrow takes for names ends with a line.
                return [
                    _Line(row.rstrip(b"\r\n") + b"\n", line)
                    for row, line in zip(head, lines[:_HEAD].tolist(), strict=True)
                ]
        raise DataError(f"{self.path} holds only blank lines: it needs column names and rows")

    def _refuse_quote(self, broken: UnclosedQuote) -> None:
        raise DataError(f"{self.path}, line {broken.line}: {broken.reason}")

    def _refuse_title(self, names: Sequence[str], header: "_Line", more: Sequence["_Line"]) -> None:
        """Refuse a first line that is a title or a comment, as the rows below hold more fields."""
        is_comment = header.content.startswith(b"#")
        is_alone = len(names) == 1 or (
            len(names) > _FEW and names[0].strip() and not "".join(names[1:]).strip()
        )
        if not more or not (is_comment or is_alone):
            return
        for delimiter in dict.fromkeys((self.delimiter, *SEPARATORS)):
            rows = [_split_fields(row.content, delimiter) for row in more]
            counts = set(map(len, rows))
            fields = max(counts)
            # Two parts between other separators may be a text: "red; green".
            is_table = len(counts) == 1 and fields > (1 if delimiter == self.delimiter else _FEW)
            if not is_table:
                continue
            title = header.content.decode().strip()
            if is_comment and len(names) == fields and _are_names(rows, title):
                raise DataError(
                    f"{self.path}, line {header.line}: {title!r:.40} begins as a comment does: remove the "
                    "line, or only its '#' if it holds the names of the columns"
                )
            if len(names) != fields or not is_comment:
                raise DataError(
                    f"{self.path}, line {header.line}: {title!r:.40} looks like a "
                    f"{'comment' if is_comment else 'title'}, as line {more[0].line} holds {fields} fields: "
                    "remove it, so that the names of the columns are in the first line"
                )

    def _split_names(self, header: "_Line", delimiter: str) -> list[str]:
        content = header.content
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(content),
                read_options=pyarrow.csv.ReadOptions(block_size=len(content) + 1, use_threads=False),
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            )
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{self.path} has no names in its first line ({error}): name every column"
            ) from error
        return list(table.column_names)

    def rows(self, rejected: RejectedRows) -> Iterator[CsvRows]:
        """Read the rows below the names; ``rejected`` is told of rows that cannot be read."""

        def reject_quote(quote: UnclosedQuote) -> None:
            reason, _, remedy = quote.reason.partition("; ")
            rejected.add(self.path, quote.line, reason, remedy=remedy)

        has_header, state = True, file_state(self.path)
        for block in iter_csv_blocks(self.path, self.delimiter, reject_quote):
            rows = CsvRows(block.content, *block.starts())
            if has_header and len(rows.begins):
                rows, has_header = _below_first(rows), False
            rows = self._drop_undecodable(block, rows, rejected)
            if len(rows.begins):
                yield rows
        if file_state(self.path) != state:
            raise DataError(
                f"{self.path} has changed while it was read: wait until it is written, and start again"
            )

    def _drop_undecodable(self, block: CsvBlock, rows: CsvRows, rejected: RejectedRows) -> CsvRows:
        """Return the rows that are text: UTF-8 without zero bytes."""
        if rejected.on_bad_row == "error":
            check_text(self.path, block.content, block.line)
            return rows
        if _is_text(rows.content):
            return rows
        ends = np.append(rows.begins, len(rows.content))
        each = [rows.content[ends[i] : ends[i + 1]] for i in range(len(rows.begins))]
        wrong = np.array([not _is_text(row) for row in each], dtype=bool)
        for line in rows.lines[wrong]:
            rejected.add(self.path, int(line), "it holds bytes that are no UTF-8 text")
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
    """Files of text as one table, read in one pass; columns named in ``text`` are text, exactly as it is.

    Each block is parsed as what its columns were so far. Where one does not fit, the rest is only looked
    through for the types it asks for, and the reading begins anew: twice in all, but for rare tables. So each
    column has the first type that fits all its fields, as if it were parsed at once.

    Attributes:
        files: the files.
        names: of the columns, as in the first file.
        rules: how text is read.
        kinds: what the columns hold, as far as they are read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        rejected: RejectedRows,
        text: Collection[str] = (),
        separator: str | None = None,
        rules: TextRules = USUAL,
    ) -> None:
        self.files = [CsvFile(path, separator) for path in paths]
        first = self.files[0]
        for file in self.files[1:]:
            check_same_names(first.path, first.names, file.path, file.names)
        self.names, self._rejected, self.rules = first.names, rejected, rules
        number = {name: str(i) for i, name in enumerate(self.names)}
        self._labels = {file.path: [number[name] for name in file.names] for file in self.files}
        self.kinds = [CsvType(RAW, known=True) if name in text else CsvType() for name in self.names]

    def read(
        self,
        target: str | None,
        consume: Callable[[Iterator[tuple[int, pa.Table]]], Result],
        weights: str | None = None,
    ) -> Result:
        """Read all files, and hand their rows on.

        Args:
            target: the column that has to be there in each row, or None.
            consume: takes the number of the file and some rows of it, in order: columns 0, 1, ... as
                ``names``, and ``line``. It is called again where a column turns out to hold something else.
            weights: the column of weights, or None; rows of weight 0 are left out.

        Raises:
            DataError: a file cannot be read, or too many rows are rejected.
        """
        n_rejected = len(self._rejected)
        while True:
            try:
                return consume(self._tables(target, weights))
            except TypeMismatch:
                self._rejected.truncate(n_rejected)

    def _tables(self, target: str | None, weights: str | None) -> Iterator[tuple[int, pa.Table]]:
        n_read, n_kept, is_settled = 0, 0, True
        for i, file in enumerate(self.files):
            for rows in file.rows(self._rejected):
                table, fits = self._read_block(file, rows)
                is_settled = is_settled and (fits or not n_read)
                n_read += table.num_rows
                if is_settled:
                    table = self._drop_missing_target(file, self._drop_weightless(table, weights), target)
                    n_kept += table.num_rows
                    yield i, table
        kinds = [kind.resolve() for kind in self.kinds]
        if kinds != self.kinds or not is_settled:
            self.kinds = kinds
            raise TypeMismatch
        self._rejected.check_share(n_kept + len(self._rejected))

    def _read_block(self, file: CsvFile, rows: CsvRows) -> tuple[pa.Table, bool]:
        """Return the rows as a table of the columns' types, and whether it fitted them as they were."""
        before = [kind.rank for kind in self.kinds]
        # Before anything is known, only what pyarrow infers tells more.
        is_known = any(kind.known for kind in self.kinds)
        columns = self._columns(file, rows, self.kinds) if is_known else None
        if columns is None:
            inferred = self._parse_rows(file, rows, {})
            if inferred is None:
                rows = self._drop_ragged(file, rows)
                inferred = self._parse_rows(file, rows, {})
            if inferred is None:
                raise DataError(f"{file.path} is not a table")
            columns = self._widen_types(file, rows, inferred)
        self.kinds = [
            kind._replace(known=kind.known or column.null_count < len(column))
            for kind, column in zip(self.kinds, columns, strict=True)
        ]
        names = [*map(str, range(len(columns))), LINE]
        return pa.table([*columns, pa.array(rows.lines)], names=names), before == [
            kind.rank for kind in self.kinds
        ]

    def _columns(
        self, file: CsvFile, rows: CsvRows, kinds: Sequence[CsvType]
    ) -> list[pa.ChunkedArray] | None:
        """Return the columns of some rows as what they are said to hold; None where a field does not fit."""
        parsed = self._parse_rows(file, rows, {str(i): kind.parsed for i, kind in enumerate(kinds)})
        if parsed is None:
            return None
        columns = [cast(parsed[str(i)], kind, self.rules) for i, kind in enumerate(kinds)]
        fitting = [column for column in columns if column is not None]
        if len(fitting) < len(columns):
            return None
        if doubtful := find_doubtful(parsed, rows.content):
            text = self._parse_rows(file, rows, dict.fromkeys(parsed.column_names, pa.string()))
            if text is None or any(holds_codes(text[name]) for name in doubtful):
                return None
        return fitting

    def _parse_rows(self, file: CsvFile, rows: CsvRows, types: dict[str, pa.DataType]) -> pa.Table | None:
        """Return the rows as a table with numbered columns; None where a field or a row does not fit."""
        labels = self._labels[file.path]
        if not len(rows.begins):
            return pa.table({label: pa.nulls(0, types.get(label)) for label in labels})
        try:
            table = parse(rows.content, labels, file.delimiter, types, rules=self.rules)
        except pa.ArrowInvalid:
            return None
        if table.num_rows != len(rows.lines):
            where = f"{file.path}, lines {rows.lines[0]} to {rows.lines[-1]}"
            raise DataError(f"{where}: the rows cannot be told apart; look for quotes within fields")
        return table

    def _drop_ragged(self, file: CsvFile, rows: CsvRows) -> CsvRows:
        """Return the rows with as many fields as there are columns; the others are rejected."""
        labels, invalid = self._labels[file.path], list[pyarrow.csv.InvalidRow]()

        def skip(row: pyarrow.csv.InvalidRow) -> str:
            invalid.append(row)
            return "skip"

        parse(rows.content, labels, file.delimiter, dict.fromkeys(labels, pa.string()), skip)
        wrong = np.zeros(len(rows.begins), dtype=bool)
        for row in invalid:
            wrong[row.number - 1] = True
            fields = "1 field" if row.actual_columns == 1 else f"{row.actual_columns} fields"
            reason = f"{fields} where the first line names {row.expected_columns}"
            remedy = f"add or remove fields, or quote a field that holds {file.delimiter!r}"
            self._rejected.add(file.path, int(rows.lines[row.number - 1]), reason, remedy=remedy)
        return rows.drop(wrong) if invalid else rows

    def _widen_types(self, file: CsvFile, rows: CsvRows, inferred: pa.Table) -> list[pa.ChunkedArray]:
        """Give each column the next type that fits these rows, too; return the columns of these types."""
        as_text = dict.fromkeys(inferred.column_names, pa.string())
        if doubtful := find_doubtful(inferred, rows.content):
            text = self._parse_rows(file, rows, as_text)
            inferred = inferred if text is None else keep_text(inferred, text, doubtful)
        found = [infer_csv_type(inferred[str(i)], self.rules) for i in range(len(self.kinds))]
        self.kinds = [kind.merge(other) for kind, other in zip(self.kinds, found, strict=True)]
        columns = self._columns(file, rows, self.kinds)
        if columns is None:
            text = self._parse_rows(file, rows, as_text) or inferred
            self.kinds = [_next_fit(text[str(i)], kind, self.rules) for i, kind in enumerate(self.kinds)]
            columns = self._columns(file, rows, self.kinds)
        return columns or []

    def _drop_weightless(self, table: pa.Table, weights: str | None) -> pa.Table:
        if weights is None or weights not in self.names:
            return table
        return table.filter(pc.invert(has_no_weight(table[str(self.names.index(weights))], self.rules)))

    def _drop_missing_target(self, file: CsvFile, table: pa.Table, target: str | None) -> pa.Table:
        if target is None:
            return table
        column = table[str(self.names.index(target))]
        missing = is_missing(column, self.rules)
        if not pc.any(missing).as_py():
            return table
        values = pc.filter(column, missing).to_pylist()
        for line, value in zip(pc.filter(table[LINE], missing).to_pylist(), values, strict=True):
            reason, remedy = explain_missing(target, value)
            self._rejected.add(file.path, line, reason, remedy=remedy)
        return table.filter(pc.invert(missing))


def _next_fit(text: pa.ChunkedArray, kind: CsvType, rules: TextRules) -> CsvType:
    """Return the first type from a given one on that fits the text of a column."""
    # Parsed once more by itself, as in a wide table the other columns would be parsed for each of them.
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(pa.table({"0": text}), sink, options)
    content = sink.getvalue().to_pybytes()
    while not _fits(content, text, kind, rules):
        kind = CsvType(kind.rank + 1, kind.known)
    return kind


def _fits(content: bytes, text: pa.ChunkedArray, kind: CsvType, rules: TextRules) -> bool:
    try:
        parsed = parse(content, ["0"], ",", {"0": kind.parsed}, rules=rules)
    except pa.ArrowInvalid:
        return False
    is_code = bool(find_doubtful(parsed, content)) and holds_codes(text)
    return not is_code and cast(parsed["0"], kind, rules) is not None


def parse(
    content: bytes,
    labels: list[str],
    delimiter: str,
    types: dict[str, pa.DataType],
    on_invalid: Callable[[pyarrow.csv.InvalidRow], str] | None = None,
    rules: TextRules = USUAL,
) -> pa.Table:
    """Parse whole rows.

    Args:
        content: the rows.
        labels: what the columns are called.
        delimiter: between fields.
        types: of columns; those that have none are given one by their fields.
        on_invalid: is asked whether to "skip" a row with another number of fields.
        rules: how text is read.

    Raises:
        pa.ArrowInvalid: such a row, or a field that does not convert.
    """
    # Only a single thread numbers the rows that it hands to on_invalid. A thread of pyarrow that still holds
    # bytes of Python's while the process ends, as after an error in a small table, might abort it.
    threads = on_invalid is None and len(content) > THREADED_BYTES
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(
            column_names=labels, block_size=len(content) + 1, use_threads=threads
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
        ),
        convert_options=convert_options(types, rules),
    )
