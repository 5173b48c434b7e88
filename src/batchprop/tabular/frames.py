"""Data frames of any library as pandas, and answers as a data frame of the same library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pandas.api.types import is_numeric_dtype

from batchprop.data.arrow import map_columns, simplify, simplify_exactly, to_pandas
from batchprop.data.frames import read_frame
from batchprop.errors import DataError, format_value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import narwhals as nw

_INTEGERS = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}


def as_pandas(data: Any, exact: Collection[str] = ()) -> Any:
    """Return a data frame of any library as one of pandas; anything else unchanged.

    Args:
        data: of any type.
        exact: columns that keep all their digits; see ``frame_to_pandas``.

    Raises:
        DataError: a column of polars holds Python objects.

    >>> as_pandas(pa.table({"age": [30, None]}))["age"].tolist()
    [30.0, nan]
    """
    if isinstance(data, pd.DataFrame) or (frame := read_frame(data)) is None:
        return data
    return frame_to_pandas(frame, exact)


def frame_to_pandas(frame: nw.DataFrame[Any], exact: Collection[str] = ()) -> pd.DataFrame:
    """Return a data frame of narwhals as one of pandas, with the types that a Parquet file gives.

    Args:
        frame: the data.
        exact: columns that keep all their digits: labels and ids.
    """
    if frame.implementation.is_pandas_like():
        return frame.to_pandas()
    for name, dtype in frame.schema.items():
        if str(dtype) == "Object":
            raise DataError(f"column {name!r} holds Python objects: give numbers, text, dates or booleans")
        if str(dtype) in {"Int128", "UInt128"}:
            frame = frame.with_columns(_narrow(frame[name], exact=name in exact))
    arrow = frame.to_arrow()
    result = to_pandas(map_columns(arrow, simplify))
    for name in exact:
        if name in result and is_numeric_dtype(result[name]):
            column = simplify_exactly(arrow[name])
            # With a missing value, pandas would make integers floats.
            result[name] = column.to_pandas(types_mapper=_INTEGERS.get if column.null_count else None)
    return result


def _narrow(column: nw.Series[Any], *, exact: bool) -> nw.Series[Any]:
    """Return integers of 128 bits, which Arrow does not know, as others, or else as text or floats."""
    import narwhals as nw

    low, high = column.min(), column.max()
    fits = low is None or (low >= -(1 << 63) and high < 1 << 63)
    return column.cast(nw.Int64 if fits else nw.String if exact else nw.Float64)


def replace_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a frame with other values in some columns, of any name: ``assign`` takes none called "self".

    >>> replace_columns(pd.DataFrame({"self": [1]}), {"self": [2]})["self"].tolist()
    [2]
    """
    frame = frame.copy(deep=False)
    for name, values in columns.items():
        frame[name] = values
    return frame


def restore_frame(result: pd.DataFrame, frame: nw.DataFrame[Any], data: Any) -> Any:
    """Return a table of results as a data frame of the library that the data came from.

    Args:
        result: the table.
        frame: the data as narwhals sees it.
        data: as it came: for a frame of narwhals the result is one, for a lazy frame it is in memory.

    >>> data = pa.table({"age": [30]})
    >>> restore_frame(pd.DataFrame({"rent": [1.5]}), read_frame(data), data).to_pydict()
    {'rent': [1.5]}
    """
    import narwhals as nw

    table = pa.Table.from_pandas(result, preserve_index=False)
    restored = nw.from_arrow(table, backend=frame.implementation)
    return restored if isinstance(data, nw.DataFrame | nw.LazyFrame) else restored.to_native()


def format_label(label: Any) -> str:
    """Return the label of a row in a data frame's index, for messages.

    >>> format_label("a"), format_label(pd.Timestamp("2020-02-29"))
    ("index 'a'", 'index 2020-02-29 00:00:00')
    """
    return f"index {label!r}" if isinstance(label, str) else f"index {format_value(label)}"
