"""The target of a table: its task, and its labels or numbers."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from batchprop.data.sources import MAX_ABS_TARGET
from batchprop.errors import DataError

Task: TypeAlias = Literal["classification", "regression"]
Form: TypeAlias = Literal["truth", "whole", "short", "text"]

MAX_CLASSES = 20
"""Whole numbers with more distinct values than this are treated as numbers."""

_MAX_EXACT_INTEGER = 2.0**53


@dataclass(frozen=True)
class Target:
    """The column to predict: labels or numbers (n,), and the reason for the task."""

    name: str
    task: Task
    reason: str
    values: npt.NDArray[Any]


def read_target(column: pd.Series, task: Task | None = None) -> Target:
    """Infer the task, and return the target as labels or as float64 numbers (n,).

    Text and booleans are classes; numbers with fractions are numbers; whole numbers are classes if there
    are at most 20 distinct ones and on average two rows or more of each.

    Args:
        column: the target, without missing values.
        task: "classification" or "regression" to overrule the rule.

    Raises:
        DataError: the target holds dates, infinities, numbers beyond 1e30, or text where numbers are
            needed.

    >>> read_target(pd.Series([0, 1, 1, 0], name="ill")).task
    'classification'
    >>> read_target(pd.Series([0.5, 1.0, 2.5], name="price")).reason
    'it holds fractions'
    """
    name = str(column.name)
    check_target(column)
    inferred, reason = _infer_task(column)
    if task is not None:
        inferred, reason = task, "as asked for"
    values = _labels(column) if inferred == "classification" else _numbers(column, name)
    return Target(name, inferred, reason, values)


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


def _infer_task(column: pd.Series) -> tuple[Task, str]:
    if types.is_bool_dtype(column):
        return "classification", "it holds true and false"
    if not types.is_numeric_dtype(column):
        return "classification", "it holds text"
    values = column.to_numpy(float)
    # Fractions are not names of classes.
    if np.any(values != np.floor(values)):
        return "regression", "it holds fractions"
    return infer_integer_task(len(np.unique(values)), len(values))


def infer_integer_task(distinct: int, rows: int) -> tuple[Task, str]:
    """Return the task of a target of whole numbers, and the reason.

    >>> infer_integer_task(3, rows=100)
    ('classification', 'it holds 3 different whole numbers, at most 20')
    """
    if distinct <= min(MAX_CLASSES, max(2, rows // 2)):
        return "classification", f"it holds {distinct} different whole numbers, at most {MAX_CLASSES}"
    return "regression", f"it holds {distinct:,} different whole numbers"


def _labels(column: pd.Series) -> npt.NDArray[Any]:
    if types.is_bool_dtype(column):
        return as_labels(column, "truth")
    if types.is_numeric_dtype(column):
        return as_labels(column, "whole" if are_integers(column.to_numpy(float)) else "short")
    return as_labels(column, "text")


def are_integers(values: npt.NDArray[np.float64]) -> bool:
    """Whether numbers (n,) are integers that float64 holds exactly.

    >>> are_integers(np.array([1.0, -2.0])), are_integers(np.array([1e300]))
    (True, False)
    """
    return bool(np.all((values == np.floor(values)) & (np.abs(values) <= _MAX_EXACT_INTEGER)))


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
        # As short as possible: the labels appear in files and reports.
        return np.array([f"{value:g}" for value in column.to_numpy(float)])
    return np.array([str(value) for value in column])


def _numbers(column: pd.Series, name: str) -> npt.NDArray[np.float64]:
    values = as_numbers(column, name)
    check_largest(values[np.abs(values).argmax()] if len(values) else 0.0, name)
    return values


def as_numbers(column: pd.Series, name: str) -> npt.NDArray[np.float64]:
    """Return a target as float64 numbers (n,).

    Raises:
        DataError: it holds text that is not a number.

    >>> as_numbers(pd.Series([1, 2]), "price").tolist()
    [1.0, 2.0]
    """
    try:
        return column.to_numpy(float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the target {name!r} holds text such as {column.iloc[0]!r}, and task='regression' needs "
            "numbers: correct it or use task='classification'"
        ) from error


def check_largest(number: float, name: str) -> None:
    """Check that the largest number of the target is within 1e30.

    Raises:
        DataError: it is beyond 1e30.

    >>> check_largest(1e300, "mass")
    Traceback (most recent call last):
    batchprop.errors.DataError: the target 'mass' holds 1e+300, and a number larger than 1e+30 cannot ...
    """
    if abs(number) > MAX_ABS_TARGET:
        raise DataError(
            f"the target {name!r} holds {number:g}, and a number larger than {MAX_ABS_TARGET:g} cannot be "
            "learned: rescale it, or take its logarithm"
        )
