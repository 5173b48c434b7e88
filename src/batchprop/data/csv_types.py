"""What the fields of a column of text are: found piece by piece, as if all of it were looked at at once.

pyarrow takes the first of a list of types to which every field of a column converts. Here each piece of a
column tells the first that fits it; the column's is at least the last of these, and the next ones are tried
where it turns out not to fit everywhere.
"""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "null", "NULL", "Null")
"""Fields that mean "unknown" in a CSV file; in a column of numbers also "None"."""

_MISSING_NUMBERS = ("None", "none", "NONE")
"""What also means "unknown" in a column of numbers, and is a word in a column of text."""

_TYPES = (
    pa.null(),
    pa.int64(),
    pa.bool_(),
    pa.date32(),
    pa.time32("s"),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("s", "UTC"),
    pa.timestamp("ns", "UTC"),
    pa.float64(),
)
NUMBERS = len(_TYPES)
"""Text of numbers and gaps only, once blanks around it are cut off."""
TEXT = NUMBERS + 1


class CsvType(NamedTuple):
    """What a column holds, as far as it was seen.

    Attributes:
        rank: the place of its type in the list: 0 where all is missing, then whole numbers, and so on.
        known: whether a value was seen, neither a gap nor a "None".
    """

    rank: int = 0
    known: bool = False

    def merge(self, other: "CsvType") -> "CsvType":
        """Return what a column is of which one part is this and another part that."""
        return CsvType(max(self.rank, other.rank), self.known or other.known)

    def resolve(self) -> "CsvType":
        """Return what the column is when all of it was seen: of "None" alone it is text."""
        return CsvType(TEXT, self.known) if self.rank == NUMBERS and not self.known else self

    @property
    def type(self) -> pa.DataType:
        """The type that it is given: text where all is missing."""
        if self.rank in {0, TEXT}:
            return pa.string()
        return pa.float64() if self.rank == NUMBERS else _TYPES[self.rank]

    @property
    def parsed(self) -> pa.DataType:
        """The type that pyarrow is asked for."""
        return _TYPES[self.rank] if self.rank < NUMBERS else pa.string()


def infer_csv_type(column: pa.ChunkedArray) -> CsvType:
    """Return what a column is whose type pyarrow has found."""
    if not pa.types.is_string(column.type):
        return CsvType(_TYPES.index(column.type), column.null_count < len(column))
    text = strip(column)
    numbers = _numbers(text)
    known = _without_none(text).null_count < len(text)
    return CsvType(TEXT if numbers is None else NUMBERS, known)


def cast(column: pa.ChunkedArray, kind: CsvType) -> pa.ChunkedArray | None:
    """Return the column, parsed as its kind asks, as its kind's type; None where that does not fit."""
    if kind.rank == 0:
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    if kind.rank < NUMBERS:
        return column
    text = strip(column)
    return text if kind.rank == TEXT else _numbers(text)


def parse_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Trim the text of a whole column; where only numbers and gaps are left, make them numbers."""
    if not pa.types.is_string(column.type):
        return column
    text = strip(column)
    if _without_none(text).null_count == len(text):
        return text
    numbers = _numbers(text)
    return text if numbers is None else numbers


def strip(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cut the blanks around each text off; what then means "unknown" is missing."""
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, pa.array(MISSING)), None, text)


def _without_none(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_in(text, pa.array(_MISSING_NUMBERS)), None, text)


def _numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    try:
        return pc.cast(_without_none(text), pa.float64())
    except pa.ArrowInvalid:
        return None


def convert_options(types: dict[str, pa.DataType] | None = None) -> pyarrow.csv.ConvertOptions:
    """Return how fields become values: what is missing, and the types of columns where they are known."""
    return pyarrow.csv.ConvertOptions(
        null_values=list(MISSING), strings_can_be_null=True, column_types=types or {}
    )
