"""What each column of a table is, and whether the target holds classes or numbers."""

import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from batchprop.errors import DataError
from batchprop.tables.naming import elided, near_name

Kind: TypeAlias = Literal["number", "category", "boolean", "date", "left out"]
Task: TypeAlias = Literal["classes", "numbers"]

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
    return tuple(_describe(str(name), frame[name]) for name in frame.columns)


def _describe(name: str, column: pd.Series) -> Column:
    present = column.dropna()
    missing = len(column) - len(present)
    kind, note = _unusable(name, column, present) or _kind(present)
    return Column(name, kind, note, missing)


def _unusable(name: str, column: pd.Series, present: pd.Series) -> tuple[Kind, str] | None:
    """The reason why a column cannot help, or None."""
    if present.empty:
        return "left out", "no values"
    if not _is_scalar(present):
        held = _NESTED.get(type(present.iloc[0]), "values")
        return "left out", f"{held} that are no single number, text or date"
    distinct = present.nunique()
    if distinct == 1 and not str(present.iloc[0]).strip():
        return "left out", "no values"
    if distinct == 1 and len(present) == len(column):
        return "left out", f"always {present.iloc[0]}"
    if _names_rows(name, present, distinct):
        return "left out", "names the rows, like an id"
    return None


def _is_scalar(present: pd.Series) -> bool:
    if present.dtype != object:
        return True
    return all(isinstance(value, (str, bool, int, float, np.generic)) for value in present)


def _names_rows(name: str, present: pd.Series, distinct: int) -> bool:
    if _is_text(present):
        mostly = distinct >= _MOSTLY_DISTINCT * len(present) and len(present) >= _FEW_ROWS
        return mostly and not _is_date_text(present)
    if not types.is_integer_dtype(present) or distinct < len(present) or len(present) < _FEW_ROWS:
        return False
    counts_rows = int(present.max()) - int(present.min()) == len(present) - 1
    return counts_rows or bool(_KEY_NAME.search(name) or _KEY_WORD.match(name))


def _kind(present: pd.Series) -> tuple[Kind, str]:
    if types.is_bool_dtype(present):
        return "boolean", f"{present.mean():.0%} true"
    if types.is_numeric_dtype(present):
        return "number", f"{present.min():g} to {present.max():g}"
    if types.is_datetime64_any_dtype(present) or _is_date_text(present):
        return "date", f"{str(present.min())[:10]} to {str(present.max())[:10]}"
    return "category", f"{present.nunique():,} values"


def _is_text(present: pd.Series) -> bool:
    return not types.is_bool_dtype(present) and types.is_string_dtype(present)


def _is_date_text(present: pd.Series) -> bool:
    if not _is_text(present) or not present.str.fullmatch(_ISO_DATE).all():
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
    if types.is_datetime64_any_dtype(column):
        raise DataError(f"the target {name!r} holds dates: choose a column of classes or numbers")
    _check_finite_target(column, name)
    told, rule = _tell_task(column)
    if task is not None:
        told, rule = task, "as asked by --task"
    values = _labels(column) if told == "classes" else _numbers(column, name)
    return Target(name, told, rule, values)


def _check_finite_target(column: pd.Series, name: str) -> None:
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
    distinct = len(np.unique(values))
    if distinct <= min(MOST_CLASSES, max(2, len(values) // 2)):
        return "classes", f"it holds {distinct} different whole numbers, at most {MOST_CLASSES}"
    return "numbers", f"it holds {distinct:,} different whole numbers"


def _labels(column: pd.Series) -> npt.NDArray[Any]:
    if types.is_bool_dtype(column):
        return np.where(column.to_numpy(bool), "true", "false")
    if types.is_numeric_dtype(column):
        values = column.to_numpy(float)
        if np.all((values == np.floor(values)) & (np.abs(values) <= _WHOLE_UP_TO)):
            return column.to_numpy(np.int64)
        return np.array([f"{value:g}" for value in values])
    return np.array([str(value) for value in column])


def _numbers(column: pd.Series, name: str) -> npt.NDArray[np.float64]:
    try:
        values = column.to_numpy(float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the target {name!r} holds text such as {column.iloc[0]!r}, and --task numbers needs numbers: "
            "correct it or use --task classes"
        ) from error
    largest = values[np.abs(values).argmax()] if len(values) else 0.0
    if abs(largest) > LARGEST:
        raise DataError(
            f"the target {name!r} holds {largest:g}, and a number larger than {LARGEST:g} cannot be "
            "learned: rescale it, or take its logarithm"
        )
    return values
