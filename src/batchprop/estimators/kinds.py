"""The kinds of values that an estimator takes: numbers in X and in weights, numbers or labels in y.

One check for arrays, lists and the data frames of every library: NumPy makes nanoseconds of dates silently.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, time, timedelta
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.data.frames import read_native
from batchprop.errors import InputError, InputTypeError, join_truncated, short_repr

_DATES = (date, time, timedelta, np.datetime64, np.timedelta64)
_SCALARS = (Number, np.bool_, str, bytes, type(None))
_NOT_A_NUMBER = "float() argument must be a string or a real number, not"
"""The beginning of Python's own sentence, by which scikit-learn's checks know the error."""


def check_kinds(values: Any, name: str) -> None:
    """Refuse dates, durations, periods, lists and other values that are no numbers, nor labels in a target.

    Text is left to whoever reads it as numbers or as labels.

    Args:
        values: X, a target or weights: an array, a list, a data frame or one of its columns.
        name: of the argument; that of a target begins with y.

    Raises:
        InputError: it holds dates, durations or masked values, or a target lacks a value; the message names
            the column.
        InputTypeError: a value is of another type that is no number.

    Example:
        >>> check_kinds(np.array(["2026-11-22"], dtype="datetime64[D]"), "X")
        Traceback (most recent call last):
        batchprop.errors.InputError: X holds dates: turn them into numbers first, ...
    """
    check_unmasked(values, name)
    columns = list(_iter_columns(values))
    dated = [label for _, label, array in columns if array.dtype.kind in "mM" or _has(array, _DATES)]
    if dated:
        raise InputError(f"{name} holds dates{_in(dated)}: {_dates_remedy(name)}")
    for index, label, array in columns:
        _check_objects(array, name, index, label)


def check_unmasked(values: Any, name: str) -> None:
    """Refuse an array with masked values: NumPy and scikit-learn would take what lies under the mask.

    Args:
        values: of any type.
        name: of the argument.

    Raises:
        InputError: some are masked.

    Example:
        >>> check_unmasked(np.ma.masked_less([0.0, 1.0], 1), "X")
        Traceback (most recent call last):
        batchprop.errors.InputError: X is an array with masked values, 1 of 2: leave out such rows, or ...
    """
    if isinstance(values, np.ma.MaskedArray) and (n_masked := int(np.sum(values.mask))):
        fill = ".filled(np.nan)" if values.dtype.kind in "fO" else ".astype(float).filled(np.nan)"
        remedy = f", or make them missing by {name}{fill}" if name.startswith("X") else ""
        count = f"{n_masked:,} of {values.size:,}"
        raise InputError(f"{name} is an array with masked values, {count}: leave out such rows{remedy}")


def _iter_columns(values: Any) -> Iterator[tuple[int | None, str | None, NDArray[Any]]]:
    """Yield the index, the name and the values of each column that may hold something else than numbers."""
    native = read_native(values)
    if native is None:
        array = _as_array(values)
        if array is not None and array.dtype.kind in "mMO" and array.ndim in {1, 2}:
            several = array.ndim > 1
            for index, column in enumerate(array.T if several else [array]):
                yield (index if several else None), None, column
        return
    is_frame = hasattr(native, "iter_columns")
    for index, column in enumerate(native.iter_columns() if is_frame else [native]):
        if not column.dtype.is_numeric():
            array = np.empty(0, "M8[s]") if column.dtype.is_temporal() else column.to_numpy()
            yield (index, column.name, array) if is_frame else (None, None, array)


def _as_array(values: Any) -> NDArray[Any] | None:
    if values is None or hasattr(values, "tocoo"):
        return None
    try:
        return np.atleast_1d(np.asarray(values))
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ):  # as rows of several lengths; whoever validates them says so
        return None


def _has(array: NDArray[Any], types: tuple[type, ...]) -> bool:
    return array.dtype == object and any(issubclass(kind, types) for kind in set(map(type, array.tolist())))


def _check_objects(array: NDArray[Any], name: str, index: int | None, label: str | None) -> None:
    if array.dtype != object:
        return
    values = array.tolist()
    kinds, is_target = set(map(type, values)), name.startswith("y")
    # Of pandas's NA there is a type only where pandas is.
    gaps = tuple(kind for kind in kinds if kind.__name__ == "NAType")
    wrong = tuple(kind for kind in kinds if not issubclass(kind, (*_SCALARS, *gaps)))
    if is_target:
        gaps = tuple(kind for kind in kinds if issubclass(kind, (float, type(None), *gaps)))
    for row, value in enumerate(values if gaps or wrong else ()):
        where = f"row {row}" + ("" if index is None else f", column {index}")
        where += "" if label is None else f" ({label!r})"
        if isinstance(value, wrong):
            what = "number or label" if is_target else "number"
            sentence = f"{_NOT_A_NUMBER} {type(value).__name__!r}: " if name.startswith("X") else ""
            raise InputTypeError(
                f"{sentence}{name} holds {short_repr(value, 60)} in {where}, which is no {what}: "
                f"{_object_remedy(name)}"
            )
        # None and NaN in X are left to scikit-learn's check, which takes them for one.
        if isinstance(value, gaps) and (not isinstance(value, float) or math.isnan(value)):
            if is_target:
                what = "holds None" if value is None else "contains NaN"
                raise InputError(f"{name} {what}, first in {where}: leave out rows without a label")
            raise InputError(f"{name} contains NaN, first in {where}: leave out such rows, or fill them in")


def _in(labels: list[str | None]) -> str:
    names = [repr(label) for label in labels if label is not None]
    return f" in column{'s' * (len(names) > 1)} {join_truncated(names)}" if names else ""


def _dates_remedy(name: str) -> str:
    if name.startswith("sample_weight"):
        return "give one number for each row"
    first = "turn them into numbers first, as year and month"
    return first if name.startswith("y") else f"{first}, or train with batchprop.tabular.train_table"


def _object_remedy(name: str) -> str:
    if name.startswith("y"):
        return "turn the labels into text, as y.astype(str)"
    if name.startswith("sample_weight"):
        return "give one number for each row"
    return "encode such values as numbers first, or train with batchprop.tabular.train_table"
