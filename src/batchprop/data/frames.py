"""Data frames of any library that narwhals knows: pandas, polars, pyarrow, DuckDB and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchprop.errors import DataError

if TYPE_CHECKING:
    import narwhals as nw

_NO_FRAMES = {"builtins", "numpy", "scipy"}


def read_native(data: Any) -> Any:
    """Return a data frame or a column as narwhals sees it, collected if lazy; None for anything else."""
    # Most data are arrays, and need not wait for an import.
    if type(data).__module__.partition(".")[0] in _NO_FRAMES:
        return None
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    try:
        native = nw.from_native(data, pass_through=True, allow_series=True)
    except DuplicateError as error:
        raise DataError(f"two columns of a data frame have the same name, rename one: {error}") from error
    native = native.collect() if isinstance(native, nw.LazyFrame) else native
    return native if isinstance(native, nw.DataFrame | nw.Series) else None


def read_frame(data: Any) -> nw.DataFrame[Any] | None:
    """Return a data frame as narwhals sees it, collected if it is lazy; None for anything else.

    >>> import pyarrow as pa
    >>> read_frame(pa.table({"age": [30, 41]})).columns, read_frame([[30], [41]])
    (['age'], None)
    """
    native: Any = read_native(data)
    return native if hasattr(native, "iter_columns") else None


def to_eager(data: Any) -> Any:
    """Return data unchanged, but a lazy frame collected, and a frame of narwhals as that of its library."""
    frame = read_frame(data)
    return data if frame is None else frame.to_native()


def to_exact(values: Any) -> Any:
    """Return whole numbers or truth values of any library as an array of that type; others unchanged.

    Of pandas' own types for them scikit-learn makes float64, in which ids of 17 digits are one; labels that
    are Python's objects it refuses.

    >>> import pandas as pd
    >>> to_exact(pd.Series([10**17 + 1, 10**17 + 2], dtype="Int64"))
    array([100000000000000001, 100000000000000002])
    >>> to_exact(np.array([True, False], dtype=object))
    array([ True, False])
    """
    dtype = getattr(values, "dtype", None)
    if isinstance(values, list | tuple) or (isinstance(dtype, np.dtype) and dtype.kind == "O"):
        return _unbox(values)
    native = read_native(values)
    if native is None:
        return values
    columns = list(native.iter_columns()) if hasattr(native, "iter_columns") else [native]
    kinds = {"bool" if str(column.dtype) == "Boolean" else column.dtype.is_integer() for column in columns}
    if kinds not in ({True}, {"bool"}) or any(column.is_null().any() for column in columns):
        return values
    return native.to_numpy()


def to_python(value: Any) -> Any:
    """Return a value of NumPy's as Python's, by whose repr people know it.

    >>> to_python(np.int64(7)), to_python("7")
    (7, '7')
    """
    return value.item() if isinstance(value, np.generic) else value


def _unbox(values: Any) -> Any:
    """Return Python's truth values, or integers of 64 bits, as an array of their type; others unchanged.

    Of integers from 2⁶³ on beside smaller ones NumPy makes floats, in which neighbours are one.
    """
    try:
        objects = np.array(values, dtype=object)
    except ValueError:  # rows of several lengths, as whoever validates them says
        return values
    flat = objects.ravel().tolist()
    kinds = set(map(type, flat))
    if kinds and kinds <= {bool, np.bool_}:
        return objects.astype(bool)
    if not kinds or bool in kinds or not all(issubclass(kind, int | np.integer) for kind in kinds):
        return values
    low, high = min(flat), max(flat)
    if low >= np.iinfo(np.int64).min and high <= np.iinfo(np.int64).max:
        return objects.astype(np.int64)
    return objects.astype(np.uint64) if low >= 0 and high <= np.iinfo(np.uint64).max else values
