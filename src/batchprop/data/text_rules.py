"""How text is read, in every source, in training and in prediction: what is missing, and decimal signs."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

MISSING = (
    "", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "null", "NULL", "Null",
    "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!",
)  # fmt: skip
"""Words that mean "missing" in every column."""

MISSING_AMONG_NUMBERS = (
    "None", "none", "NONE", "Nan", "NAN", "-", "--", "–", "—", ".", "...", "…", "n.a.", "N.A.", "N/D", "n/d",
    "nil", "missing", "Missing", "unknown", "Unknown", "TBD", "tbd", "n.v.", "k.A.", "k. A.",
)  # fmt: skip
"""Words that mean "missing" among numbers, dates and truth values, and are words among other words."""


class TextRules(NamedTuple):
    """How text is read.

    Attributes:
        everywhere: the words that mean "missing" in every column.
        among_numbers: those that mean it in columns of numbers, dates and truth values only, and are noted.
        numbers: numbers that mean it, such as -999, in columns of numbers.
        decimal: the sign before the decimals of numbers, "." or ","; None where each column's words tell.
    """

    everywhere: tuple[str, ...] = MISSING
    among_numbers: tuple[str, ...] = MISSING_AMONG_NUMBERS
    numbers: tuple[float, ...] = ()
    decimal: str | None = None

    @classmethod
    def of(cls, missing: Collection[str] | None, decimal: str | None = None) -> TextRules:
        """Return the rules with the usual words, or others in their place; an empty field is always missing.

        >>> TextRules.of(["-", "-999"])
        TextRules(everywhere=('', '-', '-999'), among_numbers=(), numbers=(-999.0,), decimal=None)
        """
        if missing is None:
            return USUAL._replace(decimal=decimal)
        numbers = tuple(number for word in missing for number in _read_number(word))
        return cls(("", *missing), (), numbers, decimal)


def _read_number(word: str) -> list[float]:
    try:
        number = float(word)
    except ValueError:
        return []
    return [number] if abs(number) < float("inf") else []


USUAL = TextRules()


def explain_missing(target: str, value: object) -> tuple[str, str]:
    """Return what is wrong with a row whose target is missing, and the remedy; a word may be a class.

    >>> explain_missing("y", " NA")[1]
    "fill it in, or name the words that mean missing in `missing`, 'NA' not among them"
    """
    reason, remedy = f"its target {target!r} is missing", "fill it in"
    if isinstance(value, str) and (word := value.strip()):
        remedy += f", or name the words that mean missing in `missing`, {word!r} not among them"
    return reason, remedy


def trim(text: pa.ChunkedArray, rules: TextRules = USUAL) -> pa.ChunkedArray:
    """Cut the blanks around each text off; what then means "missing" is null."""
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.is_in(text, pa.array(rules.everywhere, text.type)), None, text)


def is_missing(column: pa.ChunkedArray, rules: TextRules = USUAL) -> pa.ChunkedArray:
    """Return which values of a simplified column (n,) are missing.

    >>> is_missing(pa.chunked_array([["a", " NA ", None]])).to_pylist()
    [False, True, True]
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.is_null(trim(column, rules))
    gaps = pc.is_null(column, nan_is_null=True)
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if not rules.numbers or not is_number:
        return gaps
    values = pc.cast(column, pa.float64(), safe=False)
    return pc.or_kleene(gaps, pc.is_in(values, pa.array(rules.numbers, pa.float64())))
