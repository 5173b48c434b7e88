"""What each column of a table is, and whether the target holds classes or numbers."""

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from batchprop.errors import DataError
from batchprop.tables.naming import elided, near_name, written

Kind: TypeAlias = Literal["number", "category", "boolean", "date", "left out"]
Task: TypeAlias = Literal["classes", "numbers"]
Holds: TypeAlias = Literal["nothing", "nested", "numbers", "booleans", "dates", "text", "mixed"]
Form: TypeAlias = Literal["truth", "whole", "short", "text"]

MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are taken for numbers."""

LARGEST = 1e30
"""The largest size of a target or a weight: its predictions must fit into float32, whose end is 3e38."""

_WHOLE_UP_TO = 2.0**53
_MOSTLY_DISTINCT = 0.95
_FEW_ROWS = 20
_NESTED = {np.ndarray: "lists", list: "lists", dict: "records", bytes: "bytes"}
_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?"
_KEY_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|key|index)$|[a-z]I[dD]$", re.ASCII)
_KEY_WORD = re.compile(r"^(id|uuid|guid|key|index)$", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """One column: its name, what it is, why, and how many of its values are missing."""

    name: str
    kind: Kind
    note: str
    missing: int = 0


@dataclass(frozen=True)
class Target:
    """The column to predict: labels or numbers (n,), and the rule that told which."""

    name: str
    task: Task
    rule: str
    values: npt.NDArray[Any]


def describe(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Tell what each column is; those that cannot help to predict are left out, and say why.

    Left out are: a column with one value, with no values, with nested values, and one that names its
    rows (text that is distinct in at least 95% of the rows, whole numbers that count the rows, distinct
    whole numbers whose column is called an id).

    >>> table = pd.DataFrame(
    ...     {"age": [30, 41, 30], "colour": ["red", "blue", "red"], "of": [1, 1, 1]}
    ... )
    >>> [(column.name, column.kind, column.note) for column in describe(table)]
    [('age', 'number', '30 to 41'), ('colour', 'category', '2 values'), ('of', 'left out', 'always 1')]
    """
    return tuple(judge(_facts(str(name), frame[name])) for name in frame.columns)


@dataclass(frozen=True)
class Facts:
    """What decides the kind of a column, counted over all of its rows: at once, or block by block.

    Attributes:
        name: the column's.
        rows: how many there are, those with a missing value among them.
        missing: how many values are missing.
        holds: what its values are; "mixed" are single ones of several sorts, "nested" are no single ones.
        first: the first value that is not missing.
        distinct: how many distinct values there are, missing ones aside.
        exact: whether `distinct` was counted, and not estimated.
        whole: whether the numbers are whole ones without gaps.
        dates: whether all of the text reads as dates.
        low: the smallest number, date or text of a date.
        high: the largest.
        true: the share of the booleans that is true.
    """

    name: str
    rows: int
    missing: int
    holds: Holds
    first: Any = None
    distinct: float = 0
    exact: bool = True
    whole: bool = False
    dates: bool = False
    low: Any = None
    high: Any = None
    true: float = 0.0

    @property
    def present(self) -> int:
        """How many values are not missing."""
        return self.rows - self.missing


def _facts(name: str, column: pd.Series) -> Facts:
    present = column.dropna()
    rows, missing = len(column), len(column) - len(present)
    if present.empty:
        return Facts(name, rows, missing, "nothing")
    first, holds = present.iloc[0], sort_of(present)
    if holds == "nested":
        return Facts(name, rows, missing, holds, first)
    dates = holds == "text" and is_date_text(present)
    ordered = holds in ("numbers", "dates") or dates
    return Facts(
        name,
        rows,
        missing,
        holds,
        first,
        present.nunique(),
        whole=types.is_integer_dtype(present),
        dates=dates,
        low=present.min() if ordered else None,
        high=present.max() if ordered else None,
        true=float(present.mean()) if holds == "booleans" else 0.0,
    )


def sort_of(present: pd.Series) -> Holds:
    """Tell what the values of a column are, none of them missing.

    >>> sort_of(pd.Series([0.5, 1.0])), sort_of(pd.Series([[1], [2]]))
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


def judge(facts: Facts) -> Column:
    """Tell what a column is by what was counted of it.

    >>> judge(Facts("colour", 40, 0, "text", "red", distinct=3))
    Column(name='colour', kind='category', note='3 values', missing=0)
    """
    kind, note = _unusable(facts) or _kind(facts)
    return Column(facts.name, kind, note, facts.missing)


def _unusable(facts: Facts) -> tuple[Kind, str] | None:
    """The reason why a column cannot help, or None."""
    if facts.holds == "nothing":
        return "left out", "no values"
    if facts.holds == "nested":
        held = _NESTED.get(type(facts.first), "values")
        return "left out", f"{held} that are no single number, text or date"
    if facts.distinct == 1 and not written(facts.first).strip():
        return "left out", "no values"
    if facts.distinct == 1 and not facts.missing:
        return "left out", f"always {written(facts.first)}"
    if "\0" in facts.name:
        # NumPy's words end at it, so that scikit-learn would look for another column.
        return "left out", "a zero byte in its name"
    return ("left out", "names the rows, like an id") if _names_rows(facts) else None


def _is_scalar(present: pd.Series) -> bool:
    if present.dtype != object:
        return True
    return all(isinstance(value, (str, bool, int, float, np.generic)) for value in present)


def _names_rows(facts: Facts) -> bool:
    if facts.present < _FEW_ROWS:
        return False
    if facts.holds == "text":
        return facts.distinct >= _MOSTLY_DISTINCT * facts.present and not facts.dates
    if not facts.whole or facts.distinct < facts.present:
        return False
    counts_rows = int(facts.high) - int(facts.low) == facts.present - 1
    return counts_rows or is_key_name(facts.name)


def is_key_name(name: str) -> bool:
    """Tell whether a column is called an id, a key or the like.

    >>> is_key_name("customer_id"), is_key_name("humid")
    (True, False)
    """
    return bool(_KEY_NAME.search(name) or _KEY_WORD.match(name))


def _kind(facts: Facts) -> tuple[Kind, str]:
    if facts.holds == "booleans":
        return "boolean", f"{facts.true:.0%} true"
    if facts.holds == "numbers":
        return "number", f"{facts.low:g} to {facts.high:g}"
    if facts.holds == "dates" or facts.dates:
        return "date", f"{_day(facts.low)} to {_day(facts.high)}"
    return "category", f"{'' if facts.exact else 'about '}{facts.distinct:,.0f} values"


def _day(date: Any) -> str:
    return written(date).partition("T")[0].partition(" ")[0]


def is_date_text(present: pd.Series) -> bool:
    """Tell whether all of a column's text reads as dates, such as 2020-02-29T10:30.

    >>> is_date_text(pd.Series(["2020-02-29"])), is_date_text(pd.Series(["2021-02-29"]))
    (True, False)
    """
    if not present.str.fullmatch(_ISO_DATE).all():
        return False
    return bool(pd.to_datetime(present, format="ISO8601", errors="coerce", utc=True).notna().all())


def find(frame: pd.DataFrame, name: str, what: str = "column") -> pd.Series:
    """Return a column by its name.

    Raises:
        DataError: there is none; the message suggests near names, or lists those there are.

    >>> find(pd.DataFrame({"species": [1], "petal": [2]}), "speceis")
    Traceback (most recent call last):
    batchprop.errors.DataError: there is no column 'speceis'; did you mean 'species'?
    """
    if name in frame.columns:
        return frame[name]
    names = [str(column) for column in frame.columns]
    remedy = near_name(name, names) or f"; name one of: {elided(names)}"
    raise DataError(f"there is no {what} {name!r}{remedy}")


def read_target(column: pd.Series, task: Task | None = None) -> Target:
    """Tell classes from numbers, and return the target as labels or as float64 numbers (n,).

    Text and booleans are classes; numbers with fractions are numbers; whole numbers are classes if there
    are at most 20 distinct ones and two rows or more of each on average.

    Args:
        column: the target, without missing values.
        task: "classes" or "numbers" to overrule the rule.

    Raises:
        DataError: the target holds dates, infinities, numbers beyond 1e30, or text where numbers are
            wanted.

    >>> read_target(pd.Series([0, 1, 1, 0], name="ill")).task
    'classes'
    >>> read_target(pd.Series([0.5, 1.0, 2.5], name="price")).rule
    'it holds fractions'
    """
    name = str(column.name)
    check_target(column)
    told, rule = _tell_task(column)
    if task is not None:
        told, rule = task, "as asked by --task"
    values = _labels(column) if told == "classes" else _numbers(column, name)
    return Target(name, told, rule, values)


def check_target(column: pd.Series) -> None:
    """Check that a target holds no dates and nothing infinite.

    Raises:
        DataError: it does; the message names the row, which is the index + 1.

    >>> check_target(pd.Series([1.0, np.inf], name="price"))
    Traceback (most recent call last):
    batchprop.errors.DataError: the target 'price' holds inf in row 2: correct it, ...
    """
    name = str(column.name)
    if types.is_datetime64_any_dtype(column):
        raise DataError(f"the target {name!r} holds dates: choose a column of classes or numbers")
    zero = np.array(
        ["\0" in str(word) for word in column] if types.is_string_dtype(column) else [], dtype=bool
    )
    if zero.any():
        where = int(str(column.index[zero][0])) + 1
        raise DataError(f"the target {name!r} holds a zero byte in row {where}: correct it")
    if not types.is_float_dtype(column):
        return
    infinite = np.flatnonzero(np.isinf(column.to_numpy(float)))
    if infinite.size:
        where = int(str(column.index[infinite[0]])) + 1
        raise DataError(
            f"the target {name!r} holds {column.iloc[infinite[0]]} in row {where}: "
            "correct it, or leave it empty and the row is left out"
        )


def _tell_task(column: pd.Series) -> tuple[Task, str]:
    if types.is_bool_dtype(column):
        return "classes", "it holds true and false"
    if not types.is_numeric_dtype(column):
        return "classes", "it holds text"
    values = column.to_numpy(float)
    if np.any(values != np.floor(values)):
        return "numbers", "it holds fractions"
    return task_of_whole(len(np.unique(values)), len(values))


def task_of_whole(distinct: int, rows: int) -> tuple[Task, str]:
    """Tell whether a target of whole numbers holds classes or numbers, and by which rule.

    >>> task_of_whole(3, rows=100)
    ('classes', 'it holds 3 different whole numbers, at most 20')
    """
    if distinct <= min(MOST_CLASSES, max(2, rows // 2)):
        return "classes", f"it holds {distinct} different whole numbers, at most {MOST_CLASSES}"
    return "numbers", f"it holds {distinct:,} different whole numbers"


def _labels(column: pd.Series) -> npt.NDArray[Any]:
    if types.is_bool_dtype(column):
        return as_labels(column, "truth")
    if types.is_numeric_dtype(column):
        return as_labels(column, "whole" if are_whole(column.to_numpy(float)) else "short")
    return as_labels(column, "text")


def are_whole(values: npt.NDArray[np.float64]) -> bool:
    """Tell whether numbers (n,) are whole ones that float64 holds exactly.

    >>> are_whole(np.array([1.0, -2.0])), are_whole(np.array([1e300]))
    (True, False)
    """
    return bool(np.all((values == np.floor(values)) & (np.abs(values) <= _WHOLE_UP_TO)))


def as_labels(column: pd.Series, form: Form) -> npt.NDArray[Any]:
    """Return the labels (n,) of a target: booleans as words, whole numbers as such, others as text.

    >>> (
    ...     as_labels(pd.Series([1.0, 2.0]), "whole").tolist(),
    ...     as_labels(pd.Series([0.5, 2]), "short").tolist(),
    ... )
    ([1, 2], ['0.5', '2'])
    """
    if form == "truth":
        return np.where(column.to_numpy(bool), "true", "false")
    if form == "whole":
        return column.to_numpy(np.int64)
    if form == "short":
        return np.array([f"{value:g}" for value in column.to_numpy(float)])
    return np.array([str(value) for value in column])


def _numbers(column: pd.Series, name: str) -> npt.NDArray[np.float64]:
    values = as_numbers(column, name)
    check_largest(values[np.abs(values).argmax()] if len(values) else 0.0, name)
    return values


def as_numbers(column: pd.Series, name: str) -> npt.NDArray[np.float64]:
    """Return a target as float64 numbers (n,).

    Raises:
        DataError: it holds text that is no number.

    >>> as_numbers(pd.Series([1, 2]), "price").tolist()
    [1.0, 2.0]
    """
    try:
        return column.to_numpy(float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the target {name!r} holds text such as {column.iloc[0]!r}, and --task numbers needs numbers: "
            "correct it or use --task classes"
        ) from error


def check_largest(number: float, name: str) -> None:
    """Check that the target's number of the largest size can be learned.

    Raises:
        DataError: its size is beyond 1e30.

    >>> check_largest(1e300, "mass")
    Traceback (most recent call last):
    batchprop.errors.DataError: the target 'mass' holds 1e+300, and a number larger than 1e+30 cannot ...
    """
    if abs(number) > LARGEST:
        raise DataError(
            f"the target {name!r} holds {number:g}, and a number larger than {LARGEST:g} cannot be "
            "learned: rescale it, or take its logarithm"
        )
