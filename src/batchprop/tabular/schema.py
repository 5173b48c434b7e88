"""The type of each column of a table: numbers, categories, dates, or left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api import types

from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError, format_value
from batchprop.format import format_percent, format_range
from batchprop.tabular.dtypes import SECONDS, TRUTH, is_scalar, to_seconds
from batchprop.tabular.spelling import (
    DAY_DIGITS,
    DECIMALS,
    IN_SECONDS,
    MOSTLY_DATES,
    PLAIN,
    SEVERAL_UNITS,
    SPELLINGS,
    ZONED,
    SpellingCandidates,
    clean,
    is_text,
    parse,
    spell_digits,
)

ColumnType: TypeAlias = Literal["number", "category", "boolean", "date", "left out"]
ValueType: TypeAlias = Literal["nothing", "nested", "numbers", "booleans", "dates", "text", "mixed"]

VALUE_TYPES: dict[str, ValueType] = {"number": "numbers", "date": "dates", "boolean": "booleans"}
"""The type of the values that each kind of spelling gives."""

SOME_DISTINCT = 2
"""Represents any number of distinct values above 1."""

MAX_EXACT = 2**53
"""Up to here float64 holds every whole number."""

_ROUNDED = "whole ones beyond 2⁵³, which are rounded: the type text, as --type {}=text, keeps them apart"
_KINDS: dict[str, ColumnType] = {"number": "number", "text": "category", "date": "date"}
_PLURALS = {"number": "numbers", "category": "words", "boolean": "true and false", "date": "dates"}
_MOSTLY_DISTINCT = 0.95
_FEW_ROWS = 20
_FEW_WORDS = 3
_MAX_SHOWN = 40
_NESTED = {np.ndarray: "lists", list: "lists", dict: "records", bytes: "bytes"}
_KEY_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|key|index)$|[a-z]I[dD]$", re.ASCII)
# The names that pandas gives to an index without a name, in CSV and in Parquet files.
_INDEX = re.compile(r"Unnamed: 0(\.\d+)?|__index_level_\d+__")
_KEY_WORD = re.compile(r"^(id|uuid|guid|key|index)$", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnSchema:
    """What a column of a table holds, and what becomes of it.

    Attributes:
        name: the column's.
        kind: what it is taken for.
        note: the reason, or its range.
        missing: the number of missing values.
        warning: what is probably wrong with it.
        spelling: how its text spells numbers or dates, one of ``SPELLINGS``, and behind a blank the unit of
            the numbers ("?" behind it: of some of them) or the "zone" of the dates; "" for the plain one.
        reading: what is special about the spelling, for people.
    """

    name: str
    kind: ColumnType
    note: str
    missing: int = 0
    warning: str = ""
    spelling: str = ""
    reading: str = ""


def infer_schema(
    frame: pd.DataFrame, types: Mapping[str, str] | None = None, rules: TextRules = USUAL
) -> tuple[ColumnSchema, ...]:
    """Infer the kind of each column; columns that cannot help to predict are left out, with a reason.

    A column is left out if it has one value, no values or nested values, if it is the index that pandas
    wrote, or if it identifies its rows: text that is distinct in at least 95% of the rows; distinct whole
    numbers, if they fill at least half of their range, as a count of the rows does, or their column is called
    an id.

    Args:
        frame: the columns (n,).
        types: column name → what it holds, whatever it looks like: "number", "number:comma", "text", "date",
            "date:dayfirst" or "date:monthfirst".
        rules: how text is read.

    Raises:
        DataError: dates may begin with the day or the month; a value is not of the type given for its column.

    >>> table = pd.DataFrame(
    ...     {"age": [30, 41, 30], "colour": ["red", "blue", "red"], "of": [1, 1, 1]}
    ... )
    >>> [(column.name, column.kind, column.note) for column in infer_schema(table)]
    [('age', 'number', '30 to 41'), ('colour', 'category', '2 values'), ('of', 'left out', 'always 1')]
    """
    types = types or {}
    stats = (_compute_stats(str(name), frame[name], types.get(str(name)), rules) for name in frame.columns)
    return tuple(classify_column(each) for each in stats)


@dataclass(frozen=True)
class ColumnStats:
    """The statistics that determine the kind of a column, from the whole column or block by block.

    Attributes:
        name: the column's.
        rows: the number of rows, including those with a missing value.
        missing: the number of missing values.
        value_type: of its values; "mixed": single values of several types, "nested": lists or records.
        first: the first value that is not missing.
        distinct: the number of distinct values, without missing ones; of fractions and dates 1, or
            ``SOME_DISTINCT`` for any number above.
        exact: whether `distinct` was counted, not estimated.
        whole: whether the numbers are whole and none is missing.
        spelling: how text spells numbers or dates, which are then what the column holds; or "".
        reading: what is special about the spelling, for people.
        low: the smallest number or date.
        high: the largest.
        true: the share of true booleans.
        numerals: the number of words that can be read as numbers.
        other: the first word that cannot, of a column of dates the first that is no date, or None.
        words: the mean number of words of a text.
        type: the type given for it, or None.
    """

    name: str
    rows: int
    missing: int
    value_type: ValueType
    first: Any = None
    distinct: float = 0
    exact: bool = True
    whole: bool = False
    spelling: str = ""
    reading: str = ""
    low: Any = None
    high: Any = None
    true: float = 0.0
    numerals: int = 0
    other: str | None = None
    words: float = 1.0
    type: str | None = None

    @property
    def present(self) -> int:
        """The number of values that are not missing."""
        return self.rows - self.missing


def _compute_stats(name: str, column: pd.Series, wanted: str | None, rules: TextRules) -> ColumnStats:
    column = clean_typed(column, wanted, rules)
    present = column.dropna()
    rows, missing = len(column), len(column) - len(present)
    if present.empty:
        return ColumnStats(name, rows, missing, "nothing")
    first, value_type = present.iloc[0], infer_value_type(present)
    if value_type == "nested":
        # Lists and records cannot be hashed, so their distinct values cannot be counted.
        return ColumnStats(name, rows, missing, value_type, first)
    spelling, stored, reading = None, "", ""
    if wanted == "text":
        value_type = "text"
    elif types.is_timedelta64_dtype(present):
        present, value_type, stored, reading = to_seconds(present), "numbers", SECONDS, IN_SECONDS
    elif value_type == "dates":
        stored = ZONED if present.dt.tz is not None else ""
    elif value_type == "text":
        candidates = SpellingCandidates(wanted, rules=rules)
        candidates.narrow(present)
        spelling = candidates.decide(name)
        stored, reading = candidates.to_stored(spelling), candidates.describe(spelling)
        if spelling is not None:
            values = candidates.parsed[spelling].dropna()
            value_type = VALUE_TYPES[SPELLINGS[spelling].kind]
            missing += candidates.count_gaps(spelling)
            present = as_values(values, present, spelling)
            first = present.iloc[0] if spelling == TRUTH else first
    ordered = value_type in ("numbers", "dates")
    judged = value_type == "text" and wanted != "text"
    words = count_words(present) if value_type == "text" else None
    numerals, other = count_numeric(words, rules) if judged and words is not None else (0, None)
    other = candidates.odd if judged and is_date(wanted) else other
    low, high = (present.min(), present.max()) if ordered else (None, None)
    whole = types.is_integer_dtype(present)
    # Of fractions and dates it matters only whether there are several: to count them takes longest.
    several = SOME_DISTINCT if ordered and not whole and low != high else 0
    return ColumnStats(
        name,
        rows,
        missing,
        value_type,
        first,
        several or (present.nunique() if words is None else len(words)),
        whole=whole,
        spelling=stored,
        reading=reading,
        low=low,
        high=high,
        true=float(present.mean()) if value_type == "booleans" else 0.0,
        numerals=numerals,
        other=other,
        words=1 + count_blanks(words) / len(present) if judged and words is not None else 1.0,
        type=wanted,
    )


def is_date(wanted: str | None) -> bool:
    """Whether the type given for a column is that of dates."""
    return wanted is not None and wanted.startswith("date")


def clean_typed(column: pd.Series, wanted: str | None, rules: TextRules = USUAL) -> pd.Series:
    """Return a column without what means "missing", and as the type given for it needs it: digits of dates.

    >>> clean_typed(pd.Series([20200229, None]), "date").tolist()
    ['20200229', None]
    """
    column = clean(column, rules, labels=wanted == "text" and not is_text(column))
    return spell_digits(column) if is_date(wanted) else column


def count_words(text: pd.Series) -> "pd.Series[int]":
    """Return how often each distinct text occurs, the texts in order of appearance as the index: most repeat.

    >>> count_words(pd.Series(["b", "a", "b"])).to_dict()
    {'b': 2, 'a': 1}
    """
    codes, words = pd.factorize(text)
    return pd.Series(np.bincount(codes, minlength=len(words)), pd.Index(words, dtype=object))


def count_blanks(words: "pd.Series[int]") -> int:
    """Return how many runs of blanks are within texts, given the count of each.

    >>> count_blanks(count_words(pd.Series(["two words", "word", "two words"])))
    2
    """
    array = pa.array(words.index, pa.large_string(), from_pandas=True)
    blanks = pc.fill_null(pc.count_substring_regex(array, r"\s+"), 0).to_numpy(zero_copy_only=False)
    return int(blanks @ words.to_numpy())


def as_values(numbers: pd.Series, words: pd.Series, spelling: str) -> pd.Series:
    """Return what words spell, none of it missing, in the type that a typed column has.

    Args:
        numbers: as parsed, or dates.
        words: that spelled them, and gaps.
        spelling: of the words.

    >>> as_values(pd.Series([1.0, 2.0]), pd.Series(["1", "2"]), "point").dtype
    dtype('int64')
    """
    if spelling == TRUTH:
        return numbers.astype(bool)
    if SPELLINGS[spelling].kind == "date":
        return numbers
    if len(numbers) == len(words) and words.str.fullmatch(r"[+-]?\d{1,18}").all():
        return words.astype(np.int64)
    return numbers


def count_numeric(words: "pd.Series[int]", rules: TextRules = USUAL) -> tuple[int, str | None]:
    """Count the texts that can be read as numbers, given the count of each, and find the first that cannot.

    >>> count_numeric(count_words(pd.Series(["1", "2.5", "abc", "1"])))
    (3, 'abc')
    """
    others = to_numbers(pd.Series(words.index, dtype=object), rules).isna().to_numpy()
    first = str(words.index[int(others.argmax())]) if others.any() else None
    return int(words.to_numpy()[~others].sum()), first


def to_numbers(column: pd.Series, rules: TextRules = USUAL) -> pd.Series:
    """Return typed numbers, and those in text; nan for what is none.

    >>> to_numbers(pd.Series(["1.234", "1,5", "1.5"]), TextRules.of(None, ",")).tolist()
    [1234.0, 1.5, nan]
    """
    if rules.decimal == "," and is_text(column):
        return parse(clean(column, rules), DECIMALS[","], rules)
    return pd.to_numeric(column, errors="coerce")


def infer_value_type(present: pd.Series) -> ValueType:
    """Return the type of a column's values, none of them missing.

    >>> infer_value_type(pd.Series([0.5, 1.0])), infer_value_type(pd.Series([[1], [2]]))
    ('numbers', 'nested')
    """
    if not _is_scalar(present):
        return "nested"
    if types.is_bool_dtype(present):
        return "booleans"
    if types.is_numeric_dtype(present):
        return "numbers"
    if types.is_datetime64_any_dtype(present):
        return "dates"
    return "text" if types.is_string_dtype(present) else "mixed"


def classify_column(stats: ColumnStats) -> ColumnSchema:
    """Return the schema of a column from its statistics.

    >>> classify_column(ColumnStats("colour", 40, 0, "text", "red", distinct=3))
    ColumnSchema(name='colour', kind='category', note='3 values', missing=0, warning='', ...)
    >>> classify_column(
    ...     ColumnStats("size", 40, 0, "text", "1", distinct=39, numerals=39, other="abc")
    ... ).warning
    "1 of its 40 values is no number, 'abc' first"
    """
    kind, note = _unusable(stats) or _kind(stats)
    if kind != "left out" and stats.type is not None and kind != _KINDS[stats.type.partition(":")[0]]:
        what = _PLURALS[kind] if stats.other is None else _quote(stats.other)
        raise DataError(
            f"the column {stats.name!r} holds {what}, and is to be read as {stats.type}: "
            "correct what is something else, or give the column another type"
        )
    warning, spelling = _make_warning(stats), "" if stats.spelling in PLAIN.values() else stats.spelling
    reading = stats.reading or (_ROUNDED.format(stats.name) if _is_rounded(stats) else "")
    return ColumnSchema(stats.name, kind, note, stats.missing, warning, spelling, reading)


def _is_rounded(stats: ColumnStats) -> bool:
    """Whether whole numbers are so large that float64 does not hold all of them."""
    return (
        stats.value_type == "numbers" and stats.whole and max(-int(stats.low), int(stats.high)) >= MAX_EXACT
    )


def _make_warning(stats: ColumnStats) -> str:
    """Warn that words turn a column of numbers into text, which is rarely intended."""
    others = stats.present - stats.numerals
    if stats.type is not None or stats.value_type != "text" or not others or not _is_mostly_numbers(stats):
        return ""
    are = "is no number" if others == 1 else "are no numbers"
    return f"{others:,} of its {stats.present:,} values {are}, {_quote(stats.other)} first"


def _is_mostly_numbers(stats: ColumnStats) -> bool:
    return 2 * stats.numerals > stats.present


def _quote(word: str | None) -> str:
    """Return a word in quotes, shortened within them."""
    word = str(word)
    return repr(word if len(word) <= _MAX_SHOWN else f"{word[: _MAX_SHOWN - 3]}...")


def _unusable(stats: ColumnStats) -> tuple[ColumnType, str] | None:
    """Return why a column is left out, or None."""
    if stats.value_type == "nothing":
        return "left out", "no values"
    if stats.value_type == "nested":
        return "left out", f"{_name_nested(stats.first)} that are no single number, text or date"
    if stats.distinct == 1 and not format_value(stats.first).strip():
        return "left out", "no values"
    if stats.distinct == 1 and not stats.missing:
        return "left out", f"always {format_value(stats.first)}"
    if "\0" in stats.name:
        # NumPy ends text there, so scikit-learn would look for another column.
        return "left out", "a zero byte in its name"
    return None if stats.type is not None else _names_rows(stats)


def _name_nested(value: Any) -> str:
    # An object in JSON lines is copied as its text, in a list of one.
    if isinstance(value, list | np.ndarray) and len(value) == 1 and str(value[0]).startswith("{"):
        return "records"
    return _NESTED.get(type(value), "values")


def _names_rows(stats: ColumnStats) -> tuple[ColumnType, str] | None:
    """Return why a column names its rows, or None."""
    if is_index_name(stats.name):
        return "left out", "the index of the rows"
    if not _is_identifier(stats):
        return None
    if stats.reading.startswith((SEVERAL_UNITS, MOSTLY_DATES)):
        return "left out", stats.reading
    if stats.value_type == "text" and _is_mostly_numbers(stats):
        return "left out", "numbers with other words among them"
    if stats.words > _FEW_WORDS:
        return "left out", f"sentences, {stats.words:.0f} words on average"
    return "left out", "names the rows, like an id"


def is_read_as_text(kind: str, spelling: str) -> bool:
    """Whether a column of a CSV file is to be read as text: 1 alone may be a code, and 1.234 be 1234.

    Typed dates have a zone or none, as their text has, and digits may be numbers.

    >>> (
    ...     is_read_as_text("category", ""),
    ...     is_read_as_text("number", "comma"),
    ...     is_read_as_text("number", ""),
    ... )
    (True, True, False)
    """
    return kind == "category" or spelling not in {"", ZONED, DAY_DIGITS}


def is_index_name(name: str) -> bool:
    """Whether a column has the name that pandas gives to an index without one.

    >>> is_index_name("Unnamed: 0"), is_index_name("__index_level_0__"), is_index_name("index")
    (True, True, False)
    """
    return _INDEX.fullmatch(name) is not None


def _is_scalar(present: pd.Series) -> bool:
    if present.dtype != object or is_text(present):
        return True
    return all(map(is_scalar, present))


def _is_identifier(stats: ColumnStats) -> bool:
    # With few rows, any column may have only distinct values.
    if stats.present < _FEW_ROWS:
        return False
    if stats.value_type == "text":
        return stats.distinct >= _MOSTLY_DISTINCT * stats.present
    # Fractions that all differ are measurements, not ids.
    if not stats.whole or stats.distinct < stats.present:
        return False
    # Rows that were filtered out or held out leave gaps in a count of the rows.
    counts_rows = int(stats.high) - int(stats.low) < 2 * stats.present
    return counts_rows or is_id_name(stats.name)


def is_id_name(name: str) -> bool:
    """Whether a column is called an id, a key or the like.

    >>> is_id_name("customer_id"), is_id_name("humid")
    (True, False)
    """
    return bool(_KEY_NAME.search(name) or _KEY_WORD.match(name))


def _kind(stats: ColumnStats) -> tuple[ColumnType, str]:
    if stats.value_type == "booleans":
        return "boolean", f"{format_percent(stats.true, 2)} true"
    if stats.value_type == "numbers":
        return "number", format_range(float(stats.low), float(stats.high))
    if stats.value_type == "dates":
        return "date", f"{_day(stats.low)} to {_day(stats.high)}"
    values = "value" if stats.distinct == 1 else "values"
    return "category", f"{'' if stats.exact else 'about '}{stats.distinct:,.0f} {values}"


def _day(date: Any) -> str:
    return format_value(date).partition("T")[0].partition(" ")[0]
