"""Arrow's many types reduced to numbers, text, dates and booleans, and tables of them as frames."""

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batchprop.errors import DataError, did_you_mean, join_truncated

_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def map_columns(table: pa.Table, function: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    """Return the table with a function of each column in its place."""
    columns = [function(column) for column in table.columns]
    return pa.table(dict(zip(map(str, range(len(columns))), columns, strict=True))).rename_columns(
        table.column_names
    )


def simplify(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Reduce Arrow's many types to numbers, text, dates and booleans; nested values stay as they are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return simplify(_unpacked(column, kind.value_type))
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return pc.cast(column, pa.float64())
    if pa.types.is_time(kind):
        return _seconds(pc.cast(column, pa.time64("ns")), 1e9)
    if pa.types.is_duration(kind):
        return _seconds(column, _UNITS[kind.unit])
    # The same moments: at the ends of time another zone's clock has no hour for them.
    moments = pa.types.is_timestamp(kind) and kind.tz is not None
    if moments or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return _unpacked(column, pa.timestamp(kind.unit, "UTC") if moments else pa.string())
    return column


def _unpacked(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"a column holds more than 2 GB of text in {len(column):,} rows: shorten it, or leave it out"
        ) from error


def simplified_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that a column of this type is reduced to."""
    return simplify(pa.chunked_array([], type=kind)).type


def _seconds(counts: pa.ChunkedArray, unit: float) -> pa.ChunkedArray:
    # Beyond 2⁵³ a count is rounded, as every large number is that a network takes.
    return pc.divide(pc.cast(pc.cast(counts, pa.int64()), pa.float64(), safe=False), unit)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a table of plain columns as a frame."""
    frame: pd.DataFrame = table.to_pandas(
        types_mapper={pa.bool_(): pd.BooleanDtype()}.get, date_as_object=False, ignore_metadata=True
    )
    return frame


def get_column(frame: pd.DataFrame, name: str, what: str = "column") -> pd.Series:
    """Return a column by its name.

    Raises:
        DataError: there is none; the message suggests near names, or lists those there are.

    >>> get_column(pd.DataFrame({"species": [1], "petal": [2]}), "speceis")
    Traceback (most recent call last):
    batchprop.errors.DataError: there is no column 'speceis'; did you mean 'species'?
    """
    if name in frame.columns:
        return frame[name]
    names = [str(column) for column in frame.columns]
    remedy = did_you_mean(name, names) or f"; name one of: {join_truncated(names)}"
    raise DataError(f"there is no {what} {name!r}{remedy}")
