"""Arrow's many types reduced to numbers, text, dates, durations and booleans; tables as data frames."""

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchprop.errors import DataError, did_you_mean, join_truncated

_INT64_DIGITS, _FLOAT64_DIGITS = 18, 15


def map_columns(table: pa.Table, function: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    """Return the table with a function applied to each column."""
    # Temporarily numbered: two columns of a bad file may have the same name, which check_names reports later.
    columns = [function(column) for column in table.columns]
    return pa.table(dict(zip(map(str, range(len(columns))), columns, strict=True))).rename_columns(
        table.column_names
    )


def simplify(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Reduce a column's type to numbers, text, dates, durations or booleans; leave nested values as they are.

    A time of day becomes the duration since midnight.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return simplify(_cast_or_refuse(column, kind.value_type))
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        # Whole decimals may be long ids, which float64 would merge.
        if pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision <= _INT64_DIGITS:
            return pc.cast(column, pa.int64())
        # By their digits: Arrow's own cast makes 1234567.89 a neighbour of the number that text gives.
        return pc.cast(pc.cast(column, pa.string()), pa.float64())
    if pa.types.is_time(kind):
        return pc.cast(pc.cast(pc.cast(column, pa.time64("ns")), pa.int64()), pa.duration("ns"))
    # UTC keeps the instant; another zone cannot represent the first and last hours of the range.
    has_zone = pa.types.is_timestamp(kind) and kind.tz is not None
    if has_zone or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return _cast_or_refuse(column, pa.timestamp(kind.unit, "UTC") if has_zone else pa.string())
    return column


def is_long_decimal(kind: pa.DataType) -> bool:
    """Whether a type holds decimals of more digits than int64, or float64 for fractions, holds exactly.

    >>> is_long_decimal(pa.decimal128(19)), is_long_decimal(pa.decimal128(18))
    (True, False)
    """
    if pa.types.is_dictionary(kind):
        return is_long_decimal(kind.value_type)
    if not pa.types.is_decimal(kind):
        return False
    return bool(kind.precision > (_FLOAT64_DIGITS if kind.scale else _INT64_DIGITS))


def simplify_exactly(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Reduce a column's type as ``simplify`` does, but keep all digits of long decimals, as text.

    >>> from decimal import Decimal
    >>> simplify_exactly(pa.chunked_array([[Decimal(10**20 + 1)]])).to_pylist()
    ['100000000000000000001']
    """
    if not is_long_decimal(column.type):
        return simplify(column)
    if pa.types.is_dictionary(column.type):
        column = _cast_or_refuse(column, column.type.value_type)
    return pc.cast(column, pa.string())


def _cast_or_refuse(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"a column holds more than 2 GB of text in {len(column):,} rows: shorten it, or drop it"
        ) from error


def simplify_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that ``simplify`` gives a column of this type."""
    return simplify(pa.chunked_array([], type=kind)).type


def to_pandas(table: pa.Table, *, consume: bool = False) -> pd.DataFrame:
    """Return a table of simplified columns as a data frame.

    Args:
        table: the table.
        consume: free each column once it is converted; the table cannot be used afterwards.
    """
    frame: pd.DataFrame = table.to_pandas(
        types_mapper={pa.bool_(): pd.BooleanDtype()}.get,
        date_as_object=False,
        ignore_metadata=True,
        self_destruct=consume,
    )
    return frame


def get_column(frame: pd.DataFrame, name: str, what: str = "column") -> pd.Series:
    """Return a column by its name.

    Raises:
        DataError: there is no such column; the message suggests similar names or lists all.

    >>> get_column(pd.DataFrame({"species": [1], "petal": [2]}), "speceis")
    Traceback (most recent call last):
    batchprop.errors.DataError: there is no column 'speceis'; did you mean 'species'?
    """
    if name in frame.columns:
        return frame[name]
    names = [str(column) for column in frame.columns]
    remedy = did_you_mean(name, names) or f"; name one of: {join_truncated(names)}"
    raise DataError(f"there is no {what} {name!r}{remedy}")
