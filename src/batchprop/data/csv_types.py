"""What the fields of a column of text are: found piece by piece, as if all of it were looked at at once.

pyarrow takes the first of a list of types to which every field of a column converts. Here each piece of a
column tells the first that fits it; the column's is at least the last of these, and the next ones are tried
where it turns out not to fit everywhere.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from batchprop.data.text_rules import USUAL, TextRules, trim

_TYPES = (
    pa.null(),
    pa.int64(),
    pa.bool_(),
    pa.date32(),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("s", "UTC"),
    pa.timestamp("ns", "UTC"),
    pa.float64(),
)
NUMBERS = len(_TYPES)
"""Text of numbers and gaps only, once blanks around it are cut off."""
TEXT = NUMBERS + 1
_NUMERIC = {_TYPES.index(pa.int64()), _TYPES.index(pa.float64()), NUMBERS}
RAW = TEXT + 1
"""Text exactly as it is in the file, where it is asked for."""

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_CODE = "^[+-]?0(?:[0-9]+|[xX][0-9a-fA-F]+)$"
_CHUNK_BYTES = 1 << 20


class CsvType(NamedTuple):
    """What a column holds, as far as it was seen.

    Attributes:
        rank: the place of its type in the list: 0 where all is missing, then whole numbers, and so on.
        known: whether a value was seen that is no gap.
    """

    rank: int = 0
    known: bool = False

    def merge(self, other: "CsvType") -> "CsvType":
        """Return what a column is of which one part is this and another part that."""
        return CsvType(max(self.rank, other.rank), self.known or other.known)

    def resolve(self) -> "CsvType":
        """Return what the column is when all of it was seen: of gaps alone it is text."""
        return CsvType(TEXT, self.known) if self.rank == NUMBERS and not self.known else self

    def stays_text(self, rules: TextRules) -> bool:
        """Whether its fields are left to the spelling of the column: 1.234 may be 1234."""
        return rules.decimal == "," and self.rank in _NUMERIC

    @property
    def type(self) -> pa.DataType:
        """The type that it is given: text where all is missing."""
        if self.rank in {0, TEXT, RAW}:
            return pa.string()
        return pa.float64() if self.rank == NUMBERS else _TYPES[self.rank]

    @property
    def parsed(self) -> pa.DataType:
        """The type that pyarrow is asked for."""
        return _TYPES[self.rank] if self.rank < NUMBERS else pa.string()


def infer_csv_type(column: pa.ChunkedArray, rules: TextRules = USUAL) -> CsvType:
    """Return what a column is whose type pyarrow has found."""
    if not pa.types.is_string(column.type):
        kind = CsvType(_TYPES.index(column.type), column.null_count < len(column))
        return CsvType(TEXT, kind.known) if kind.stays_text(rules) else kind
    text = trim(column, rules)
    numbers = _numbers(text, rules)
    return CsvType(TEXT if numbers is None else NUMBERS, text.null_count < len(text))


def cast(column: pa.ChunkedArray, kind: CsvType, rules: TextRules = USUAL) -> pa.ChunkedArray | None:
    """Return the column, parsed as its kind asks, as its kind's type; None where that does not fit."""
    if kind.stays_text(rules):
        return None
    if kind.rank == 0:
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    if kind.rank < NUMBERS:
        return column
    if kind.rank == RAW:
        return empty_to_null(column)
    text = trim(column, rules)
    return text if kind.rank == TEXT else _numbers(text, rules)


def parse_text(column: pa.ChunkedArray, rules: TextRules = USUAL) -> pa.ChunkedArray:
    """Trim the text of a whole column; where only numbers and gaps are left, make them numbers."""
    if not pa.types.is_string(column.type):
        return column
    text = trim(column, rules)
    if text.null_count == len(text):
        return text
    numbers = _numbers(text, rules)
    return text if numbers is None else numbers


def empty_to_null(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the text of fields as they are in the file, the empty ones missing."""
    return pc.if_else(pc.equal(text, ""), None, text)


def _numbers(text: pa.ChunkedArray, rules: TextRules) -> pa.ChunkedArray | None:
    # Words that are missing among numbers are noted, and so left to the spelling of the column.
    if rules.decimal == "," or holds_codes(text):
        return None
    try:
        return pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        return None


def holds_codes(text: pa.ChunkedArray) -> bool:
    """Whether a field of a column is a code such as 007 or 0x1F."""
    return bool(pc.any(pc.match_substring_regex(pc.utf8_trim_whitespace(text), _CODE)).as_py())


def find_doubtful(table: pa.Table, content: bytes) -> list[str]:
    """Return the columns whose text must say what they are.

    pyarrow makes 007 and 0x1F whole numbers, which may be codes, and 10:30 a time, where the rule for text is
    that of every source.

    Args:
        table: as pyarrow reads it.
        content: what it was read from.
    """
    numbers = [field.name for field in table.schema if field.type in {pa.int64(), pa.float64()}]
    # Only a table with numbers is looked through.
    doubtful = set(numbers) if numbers and _may_hold_codes(content) else set()
    return [field.name for field in table.schema if pa.types.is_time(field.type) or field.name in doubtful]


def keep_text(table: pa.Table, text: pa.Table, doubtful: Collection[str]) -> pa.Table:
    """Return a table whose columns of times and codes are those of the text.

    Args:
        table: as pyarrow reads it.
        text: the same table, with the doubtful columns as text.
        doubtful: their names.
    """
    columns = [
        words if name in doubtful and _stays_text(column.type, words) else column
        for name, column, words in zip(table.column_names, table.columns, text.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _stays_text(kind: pa.DataType, words: pa.ChunkedArray) -> bool:
    return pa.types.is_time(kind) or holds_codes(words)


def _may_hold_codes(content: bytes) -> bool:
    r"""Whether a field may begin with 0 and another digit or x; never False if one does.

    >>> _may_hold_codes(b"7,007\n"), _may_hold_codes(b"2020-01-05,1.05,10:05,1e-05,100,0\n")
    (True, False)
    """
    # On bytes, as most tables hold no codes and need not be read twice.
    for start in range(0, len(content), _CHUNK_BYTES):
        end = start + _CHUNK_BYTES + 1
        data = np.frombuffer(content[start - 2 : end] if start else b",," + content[:end], np.uint8)
        zeros = (data[2:-1] == ord("0")) & (_is_digit(data[3:]) | ((data[3:] | _LOWER) == ord("x")))
        places = 2 + np.flatnonzero(zeros)
        places = places[~_is_inside(data[places - 1])]
        # A sign may be of a number or, as a blank, between the parts of a date.
        between = np.isin(data[places - 1], _SIGNS)
        if (~between | ~_is_inside(data[places - 2])).any():
            return True
    return False


_LOWER = 32
_N_DIGITS, _N_LETTERS = 10, 26


def _is_digit(data: Bytes) -> Flags:
    return data - np.uint8(ord("0")) < _N_DIGITS


def _is_inside(data: Bytes) -> Flags:
    """Whether bytes before a zero show that it begins no field: as in 10, x0, 1.05, 10:05, 1/05."""
    letter = (data | _LOWER) - np.uint8(ord("a")) < _N_LETTERS
    return _is_digit(data) | letter | np.isin(data, _MARKS)


_MARKS, _SIGNS = np.frombuffer(b".:/_", np.uint8), np.frombuffer(b"+- ", np.uint8)


def convert_options(
    types: dict[str, pa.DataType] | None = None, rules: TextRules = USUAL
) -> pyarrow.csv.ConvertOptions:
    """Return how fields become values: what is missing, and the types of columns where they are known."""
    # Text stays as it is: what is missing there is decided once blanks are cut off.
    return pyarrow.csv.ConvertOptions(
        null_values=list(rules.everywhere), strings_can_be_null=False, column_types=types or {}
    )
