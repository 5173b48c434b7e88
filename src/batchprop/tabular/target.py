"""The target of a table: its task, and its labels or numbers, each of the column's own type.

A CSV file spells its values as text. Its target is read as text, so that no spelling is lost, and becomes
numbers or labels here; the target of any other table has a type already.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api import types

from batchprop.data.frames import to_python
from batchprop.data.sources import MAX_ABS_TARGET
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError
from batchprop.format import format_number
from batchprop.tabular.dtypes import SECONDS
from batchprop.tabular.spelling import (
    DECIMALS,
    SpellingCandidates,
    is_number_gap,
    parse,
    plain_spelling,
    spells_moments,
)

Task: TypeAlias = Literal["classification", "regression"]
Floats: TypeAlias = npt.NDArray[np.float64]

MAX_CLASSES = 20
"""Whole numbers with more distinct values than this are treated as numbers."""

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INTEGER = "^(0|-?[1-9][0-9]{0,18})$"
_WHOLE = "^[+-]?[0-9]+$"
_BEYOND_64_BITS = 2.0**63
_PADDED = "^[+-]?0[0-9]+$"
_NESTED = {np.ndarray: "lists", list: "lists", tuple: "lists", set: "sets", dict: "records"}


@dataclass(frozen=True)
class Target:
    """The column to predict: labels or numbers (n,), the reason for the task, how text was read, its unit."""

    name: str
    task: Task
    reason: str
    values: npt.NDArray[Any]
    reading: str = ""
    unit: str = ""


def infer_integer_task(distinct: int, rows: int) -> tuple[Task, str]:
    """Return the task of a target of whole numbers, and the reason.

    >>> infer_integer_task(3, rows=100)
    ('classification', 'it holds 3 different whole numbers, at most 20')
    """
    if distinct <= min(MAX_CLASSES, max(2, rows // 2)):
        return "classification", f"it holds {distinct} different whole numbers, at most {MAX_CLASSES}"
    return "regression", f"it holds {distinct:,} different whole numbers"


def row_name(column: pd.Series) -> str:
    """Name the first row of a column: its number, counted from 1, or the label that its index has.

    >>> row_name(pd.Series([7], index=[4])), row_name(pd.Series([7], index=["line 6"]))
    ('row 5', 'line 6')
    """
    label = column.index[0]
    return f"row {label + 1}" if isinstance(label, int | np.integer) else str(label)


def target_values(column: pd.Series) -> npt.NDArray[Any]:
    """Return a typed target as an array (n,) of its own type: booleans, integers, floats or text.

    Args:
        column: the target, without missing values; bytes of UTF-8 are text.

    Raises:
        DataError: it holds dates, times, lists, records, infinities, or values of several types; the
            message names the row.

    >>> (
    ...     target_values(pd.Series([True, False])).dtype,
    ...     target_values(pd.Series([b"hi"])).tolist(),
    ... )
    (dtype('bool'), ['hi'])
    """
    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    # pandas keeps booleans and numbers that were once beside others as objects.
    column = column.infer_objects()
    if types.is_datetime64_any_dtype(column):
        raise moments_error(name, "dates")
    if types.is_timedelta64_dtype(column):
        raise moments_error(name, "times")
    if types.is_bool_dtype(column):
        return column.to_numpy(bool)
    kind = column.dtype.kind
    if kind in "iuf":
        values = column.to_numpy(_numpy_dtype(column))
        _check_finite(column, values)
        return values
    if kind == "O":
        return _text(column)
    raise DataError(f"the target {name!r} holds {column.dtype}: choose a column of classes or numbers")


def _numpy_dtype(column: pd.Series) -> np.dtype[Any]:
    dtype: Any = column.dtype
    plain: np.dtype[Any] = getattr(dtype, "numpy_dtype", dtype)
    # pandas groups no floats of 16 or 128 bits.
    wider = {2: np.float32, 16: np.float64}.get(plain.itemsize)
    return np.dtype(wider) if plain.kind == "f" and wider is not None else plain


def moments_error(name: str, what: Literal["dates", "times"], *, in_text: bool = False) -> DataError:
    """Return the error of a target of dates, or of times of day or durations."""
    holds, number = {
        "dates": ("dates", "the days since one of them"),
        "times": ("times of day or durations", "seconds"),
    }[what]
    return DataError(
        f"the target {name!r} holds {holds}: choose a column of classes or numbers, or give them as numbers, "
        f"such as {number}" + ("; with task='classification' each spelling is a class" if in_text else "")
    )


def _check_finite(column: pd.Series, values: npt.NDArray[Any]) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"the target {str(column.name)!r} holds {column[infinite].iloc[0]} in "
            f"{row_name(column[infinite])}: correct it, or leave it empty and the row is left out"
        )


def _text(column: pd.Series) -> npt.NDArray[np.str_]:
    values, name = column.to_numpy(object), str(column.name)
    kinds = {type(value): value for value in reversed(values)}
    for kind in kinds:
        if kind in _NESTED:
            raise DataError(
                f"the target {name!r} holds {_NESTED[kind]}: choose a column of classes or numbers"
            )
        if kind.__module__ == "datetime":
            raise moments_error(name, "times" if kind.__name__ in {"time", "timedelta"} else "dates")
    if set(kinds) == {bytes}:
        values = _decode(column)
    elif not all(issubclass(kind, str) for kind in kinds):
        # A word first: it is what numbers are not to be among.
        shown = sorted(kinds.items(), key=lambda item: not issubclass(item[0], str))[:2]
        several = " and ".join(f"{to_python(value)!r} ({kind.__name__})" for kind, value in shown)
        raise DataError(
            f"the target {name!r} holds values such as {several}: make all of them text, or all numbers"
        )
    zero = np.array(["\0" in value for value in values], dtype=bool)
    if zero.any():
        raise DataError(f"the target {name!r} holds a zero byte in {row_name(column[zero])}: correct it")
    return values.astype(str)


def _decode(column: pd.Series) -> npt.NDArray[np.object_]:
    values = np.empty(len(column), dtype=object)
    for i, value in enumerate(column):
        try:
            values[i] = value.decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"the target {str(column.name)!r} holds bytes that are no UTF-8 text in "
                f"{row_name(column[i:])}: choose a column of classes or numbers"
            ) from error
    return values


class TargetWords(NamedTuple):
    """What the words of a target are.

    Attributes:
        numbers: whether all of them are plain numbers.
        integers: whether all are whole numbers of 64 bits, each in the one way that Python writes it.
        whole: whether all are digits with or without a sign.
        padded: whether one is a whole number with leading zeros, as codes have: then they are labels.
        dates: whether all are dates.
        times: whether all are times of day or durations.
        wide: whether one is a whole number of more than 64 bits.
    """

    numbers: bool = True
    integers: bool = True
    whole: bool = True
    padded: bool = False
    dates: bool = True
    times: bool = True
    wide: bool = False

    def merge(self, other: "TargetWords") -> "TargetWords":
        """Return what the words of both are."""
        return TargetWords(
            self.numbers and other.numbers,
            self.integers and other.integers,
            self.whole and other.whole,
            self.padded or other.padded,
            self.dates and other.dates,
            self.times and other.times,
            self.wide or other.wide,
        )


def inspect_words(words: pd.Series, rules: TextRules = USUAL) -> TargetWords:
    """Return what some words are; those that may mean "missing" are not looked at.

    >>> (
    ...     inspect_words(pd.Series(["7", "-12"])).integers,
    ...     inspect_words(pd.Series(["7", "007"])).padded,
    ... )
    (True, True)
    """
    words = words[~words.isin(rules.among_numbers)]
    if words.empty:
        # Of "None" alone a target is text, but what other blocks hold may say otherwise.
        return TargetWords()
    numbers, text = parse_numbers(words, rules), as_text(words)
    padded = bool(pc.any(pc.match_substring_regex(text, _PADDED)).as_py())
    if numbers is None:
        dates, times = spells_moments(pd.Series(words.unique(), dtype=object))
        return TargetWords(
            numbers=False, integers=False, whole=False, padded=padded, dates=dates, times=times
        )
    whole = pc.match_substring_regex(text, _WHOLE)
    wide = np.abs(numbers) >= _BEYOND_64_BITS
    return TargetWords(
        integers=_are_integers(text),
        whole=bool(pc.all(whole).as_py()),
        padded=padded,
        dates=False,
        times=False,
        wide=bool(wide.any() and pc.any(whole.filter(pa.array(wide))).as_py()),
    )


def as_text(words: pd.Series) -> pa.Array:
    """Return words (n,) as Arrow's text."""
    # pandas keeps its own type of text as Arrow's: there is nothing to copy.
    return pa.array(words if words.dtype != object else words.to_numpy(), pa.large_string())


def _are_integers(text: pa.Array) -> bool:
    if not pc.all(pc.match_substring_regex(text, _INTEGER)).as_py():
        return False
    try:
        pc.cast(text, pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def parse_numbers(words: pd.Series, rules: TextRules = USUAL) -> Floats | None:
    """Return the numbers (n,) that words spell plainly, nan for "None"; None if one of them is another word.

    >>> parse_numbers(pd.Series(["1", "2.5e3", "None"])), parse_numbers(pd.Series(["1", "x"]))
    (array([1.0e+00, 2.5e+03,     nan]), None)
    """
    text = pc.utf8_trim_whitespace(as_text(words))
    unknown = pc.is_in(text, pa.array(rules.among_numbers, text.type))
    text = pc.if_else(unknown, None, text)
    if rules.decimal == "," and pc.any(pc.match_substring(text, ".")).as_py():
        return None
    try:
        numbers = pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        return None
    # Arrow reads "-NaN" as a number.
    if pc.any(pc.is_nan(numbers)).as_py():
        return None
    values: Floats = numbers.to_numpy(zero_copy_only=False)
    return values


def number_candidates(rules: TextRules = USUAL, kind: str = "number") -> SpellingCandidates:
    """Return the ways to write the numbers of a target, such as 1,200.00 or 12 %; times of day are none."""
    candidates = SpellingCandidates(kind, rules=rules)
    candidates.parsed.pop(SECONDS, None)
    return candidates


def mask_unknown(words: pd.Series, rules: TextRules = USUAL) -> pd.Series:
    """Return a target of text with the words missing that mean that among numbers.

    >>> mask_unknown(pd.Series(["1,200", "-"])).isna().tolist()
    [False, True]
    >>> mask_unknown(pd.Series(["a", "None"])).tolist()
    ['a', 'None']
    """
    if not rules.numbers and not words.isin(rules.among_numbers).any():
        return words
    spelling = number_spelling([words], rules)
    return words if spelling is None else words.mask(words.isin(unknown_words([words], spelling, rules)))


def number_spelling(blocks: Iterable[pd.Series], rules: TextRules = USUAL) -> str | None:
    """Return how a target's words spell numbers, but for those that mean "missing"; None if they are words.

    >>> number_spelling([pd.Series(["12", "-"]), pd.Series(["1.200,5"])])
    'comma'
    """
    what, candidates = TargetWords(), number_candidates(rules)
    for block in blocks:
        words = block[block.notna() & ~block.isin(rules.among_numbers)]
        what = what.merge(inspect_words(words, rules))
        candidates.narrow(words)
        if what.padded or not (what.numbers or candidates.parsed):
            return None
    if what == TargetWords():
        return None
    return plain_spelling("number", rules) if what.numbers else candidates.decide("")


def unknown_words(blocks: Iterable[pd.Series], spelling: str, rules: TextRules) -> set[str]:
    """Return the words of a target of numbers that mean "missing", those of numbers such as -999 with them.

    >>> sorted(unknown_words([pd.Series(["$-999.00", "$5"])], "point", TextRules.of(["-999"])))
    ['$-999.00']
    """
    unknown = {*rules.among_numbers}
    for block in blocks if rules.numbers else ():
        unknown |= {*block[is_number_gap(parse(block, spelling, rules), spelling, rules)]}
    return unknown


def group_by_number(words: Sequence[str]) -> dict[Decimal, list[str]]:
    """Return the words that spell each number; nothing if they are not all plain numbers, or have codes.

    >>> group_by_number(["1", "1.0", "2.50"])
    {Decimal('1'): ['1', '1.0'], Decimal('2.50'): ['2.50']}
    >>> group_by_number(["7", "007"]), group_by_number(["7", "x"])
    ({}, {})
    """
    column = pd.Series(words, dtype=object)
    if parse_numbers(column, USUAL._replace(among_numbers=())) is None or inspect_words(column).padded:
        return {}
    groups = dict[Decimal, list[str]]()
    for word in words:
        # Not as floats, which would merge long ids.
        groups.setdefault(Decimal(word), []).append(word)
    return groups


def describe_equal_labels(words: Sequence[str]) -> str:
    """Say which labels spell one number in several ways, and so are several classes; "" if none do.

    >>> describe_equal_labels(["0.5", "1", "1.0"])
    "'1' and '1.0' as 2 classes: spell them in one way if they are one"
    """
    equal = [words for words in group_by_number(words).values() if len(words) > 1]
    if not equal:
        return ""
    words = " and ".join(map(repr, equal[0]))
    return f"{words} as {len(equal[0])} classes: spell them in one way if they are one"


def as_labels(words: list[str]) -> npt.NDArray[Any]:
    """Return words as labels (n,): integers if all are spelled as Python writes them, else text.

    >>> as_labels(["7", "12"]).tolist(), as_labels(["007", "12"]).tolist()
    ([7, 12], ['007', '12'])
    """
    return np.array(words, np.int64 if _are_integers(pa.array(words, pa.large_string())) else np.str_)


def read_numbers(column: pd.Series, values: npt.NDArray[Any], rules: TextRules = USUAL) -> Floats:
    """Return a target as float64 numbers (n,).

    Args:
        column: the target, for messages.
        values: its values: numbers, or words.
        rules: how text is read.

    Raises:
        DataError: it holds text that is not a number, or an infinity.

    >>> read_numbers(column := pd.Series(["1", "2"]), column.to_numpy(str)).tolist()
    [1.0, 2.0]
    """
    if values.dtype.kind not in "OU":
        return values.astype(np.float64)
    words = column if values.dtype == object else pd.Series(values, dtype=object)
    numbers = parse_numbers(words, rules._replace(among_numbers=USUAL.among_numbers))
    if numbers is None or np.isnan(numbers).any():
        text = pa.array(values.tolist(), pa.large_string())
        plain = pc.match_substring_regex(text, _NUMBER).to_numpy(zero_copy_only=False)
        if rules.decimal == ",":
            plain = parse(words, DECIMALS[","]).notna().to_numpy()
        first = int(np.argmin(plain))
        raise DataError(
            f"the target {str(column.name)!r} holds text such as {str(values[first])!r} in "
            f"{row_name(column[first:])}, and task='regression' needs numbers: correct it or use "
            "task='classification'"
        )
    _check_finite(column, numbers)
    return numbers


def check_largest(number: float, name: str) -> None:
    """Check that the largest number of the target is within 1e30.

    Raises:
        DataError: it is beyond 1e30.

    >>> check_largest(1e300, "mass")
    Traceback (most recent call last):
    batchprop.errors.DataError: the target 'mass' holds 1·10³⁰⁰, and a number larger than 1·10³⁰ cannot ...
    """
    if abs(number) > MAX_ABS_TARGET:
        raise DataError(
            f"the target {name!r} holds {format_number(number)}, and a number larger than "
            f"{format_number(MAX_ABS_TARGET)} cannot be learned: rescale it, or take its logarithm"
        )
