"""Rows of weight 0: they are as if absent, whatever else they hold."""

import pyarrow as pa
import pyarrow.compute as pc

from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError


def has_no_weight(column: pa.ChunkedArray, rules: TextRules = USUAL) -> pa.ChunkedArray:
    """Return which weights (n,) are 0; missing ones, and what is no number, are not.

    >>> has_no_weight(pa.chunked_array([["0", "0.0", "10", "", None]])).to_pylist()
    [True, True, False, False, False]
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        point = "," if rules.decimal == "," else "[.]"
        zero = rf"^\s*[+-]?(0+({point}0*)?|{point}0+)([eE][+-]?[0-9]+)?\s*$"
        none = pc.match_substring_regex(column, zero)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        none = pc.equal(pc.cast(column, pa.float64(), safe=False), 0.0)
    else:
        return pa.chunked_array([pa.repeat(False, len(column))])
    return pc.fill_null(none, False)


def check_some_weight(name: str, rows: int) -> None:
    """Refuse a weights column that leaves no row.

    Raises:
        DataError: none is left.
    """
    if not rows:
        raise DataError(f"the weights column {name!r} is 0 in all rows: give rows a positive weight")
