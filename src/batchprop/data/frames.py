"""Data frames of any library that narwhals knows: pandas, polars, pyarrow, DuckDB and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    """Return a column or frame of whole numbers or truth values as an array of that type; others unchanged.

    Of pandas' own types for them scikit-learn makes float64, in which ids of 17 digits are one.

    >>> import pandas as pd
    >>> to_exact(pd.Series([10**17 + 1, 10**17 + 2], dtype="Int64"))
    array([100000000000000001, 100000000000000002])
    """
    native = read_native(values)
    if native is None:
        return values
    columns = list(native.iter_columns()) if hasattr(native, "iter_columns") else [native]
    kinds = {"bool" if str(column.dtype) == "Boolean" else column.dtype.is_integer() for column in columns}
    if kinds not in ({True}, {"bool"}) or any(column.is_null().any() for column in columns):
        return values
    return native.to_numpy()
