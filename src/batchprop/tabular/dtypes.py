"""Columns of any type that pandas has in its plain ones: numbers, text, booleans, dates and durations.

A column becomes what it is read as from a Parquet file: Python's objects of one kind, Arrow's types, periods
and intervals included. So a table gives the same features, whatever library it comes from.
"""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from batchprop.data.arrow import simplify, simplify_exactly, to_pandas
from batchprop.errors import DataError, short_repr

SECONDS = "seconds"
"""The spelling of a column of numbers that were durations or times of day in the training."""

TRUTH = "truth"
"""The spelling of text that is true or false."""

_NUMBERS = {"decimal", "integer", "floating", "mixed-integer-float"}
_OBJECTS = _NUMBERS | {"boolean", "date", "datetime", "datetime64", "time", "timedelta", "timedelta64"}


def simplify_column(column: pd.Series, *, exact: bool = False) -> pd.Series:
    """Return a column in a plain type: periods as their first moment, intervals as text, times as durations.

    Text, and objects of several kinds, stay as they are; categories become what they are made of.

    Args:
        column: of any type.
        exact: make decimals and integers that no number holds exactly text.

    Raises:
        DataError: it holds complex numbers, or moments some of which have a time zone.

    >>> from datetime import date, time
    >>> simplify_column(pd.Series([date(2020, 2, 29), None])).dt.day.tolist()
    [29.0, nan]
    >>> simplify_column(pd.Series([time(1, 30)])).dt.total_seconds().tolist()
    [5400.0]
    >>> simplify_column(pd.Series([1, pd.NA], dtype=object)).tolist()
    [1.0, nan]
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        # The place of a missing value is -1, where no category is.
        values = pd.Series(column.cat.categories).reindex(column.cat.codes.to_numpy())
        column = pd.Series(values.array, column.index, name=column.name)
    dtype: Any = column.dtype
    kind = types.infer_dtype(column, skipna=True) if column.dtype == object else ""
    if kind == "mixed":
        kind = _infer_mixed(column)
    if types.is_complex_dtype(dtype) or kind == "complex":
        raise DataError(f"column {str(column.name)!r} holds complex numbers: give two columns of numbers")
    if isinstance(dtype, pd.SparseDtype):
        return pd.Series(np.asarray(column), column.index, name=column.name)
    if isinstance(dtype, pd.PeriodDtype) or kind == "period":
        moments = [pd.NaT if pd.isna(period) else period.to_timestamp() for period in column]
        return pd.Series(moments, column.index, dtype="datetime64[ns]", name=column.name)
    if kind in {"moments", "datetime"}:
        _check_zones(column)
    if kind == "moments":
        return pd.to_datetime(column, utc=True)
    if isinstance(dtype, pd.IntervalDtype) or kind == "interval":
        words = [None if pd.isna(interval) else str(interval) for interval in column]
        return pd.Series(words, column.index, dtype=object, name=column.name)
    if isinstance(dtype, pd.ArrowDtype) or kind in _OBJECTS:
        return _through_arrow(column, kind, exact=exact)
    return column


def _infer_mixed(column: pd.Series) -> str:
    """Return the kind of Python objects that pandas takes for mixed, as periods of months and of days."""
    gaps = (None, pd.NA, pd.NaT)
    present = {type(value) for value in column if not any(value is gap for gap in gaps)}
    kinds = {"period": pd.Period, "interval": pd.Interval, "moments": date}
    return next(
        (name for name, kind in kinds.items() if all(issubclass(of, kind) for of in present)), "mixed"
    )


def _check_zones(column: pd.Series) -> None:
    """Refuse moments some of which have a time zone, as in text: the others would be taken for UTC."""
    present = [value for value in column if not pd.isna(value)]
    zoned = sum(getattr(value, "tzinfo", None) is not None for value in present)
    if 0 < zoned < len(present):
        raise zones_error(str(column.name), zoned, len(present))


def zones_error(name: str, zoned: int, dates: int) -> DataError:
    """Return the error of a column of dates, some of which have a time zone."""
    return DataError(
        f"in the column {name!r} {zoned:,} of {dates:,} dates have a time zone: give all of them one, or none"
    )


def _through_arrow(column: pd.Series, kind: str, *, exact: bool) -> pd.Series:
    try:
        array = pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError):
        if kind not in _NUMBERS:
            return column
        array = _long_numbers(column, exact=exact)
    chunks = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    values = to_pandas(pa.table({"": simplify_exactly(chunks) if exact else simplify(chunks)}))[""]
    return pd.Series(values.array, column.index, name=column.name)


def _long_numbers(column: pd.Series, *, exact: bool) -> pa.Array:
    """Return numbers of more digits than Arrow holds as floats, or exactly: as text, if not of 64 bits."""
    numbers = [None if pd.isna(number) else number for number in column]
    if not exact:
        try:
            floats = [None if number is None else float(number) for number in numbers]
        except OverflowError:
            largest = max((number for number in numbers if isinstance(number, int)), key=abs)
            raise DataError(
                f"column {column.name!r} holds {short_repr(largest)}, beyond the largest float64: correct "
                "it, or leave it empty if it is unknown"
            ) from None
        return pa.array(floats, pa.float64())
    whole = [number for number in numbers if number is not None]
    if all(isinstance(number, int) and 0 <= number < 1 << 64 for number in whole):
        return pa.array(numbers, pa.uint64())
    words = [number if number is None else _spell(number) for number in numbers]
    return pa.array(words, pa.string())


def _spell(number: Any) -> str:
    # 7 and 7.0 among long numbers are one, as they are among others.
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def to_seconds(column: pd.Series) -> pd.Series:
    """Return durations (n,) in seconds, as float64.

    >>> to_seconds(pd.Series([pd.Timedelta(minutes=1), None])).tolist()
    [60.0, nan]
    """
    seconds: pd.Series = column.dt.total_seconds()
    return seconds


def is_scalar(value: object) -> bool:
    """Whether a value is one number, text or truth value, or missing.

    >>> is_scalar("a"), is_scalar([1])
    (True, False)
    """
    return (
        isinstance(value, (str, bool, int, float, np.bool_, np.number, type(None)))
        or value is pd.NA
        or value is pd.NaT
    )
