"""scikit-learn's complaints about X and y, made to say where the trouble is and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import InputError

_NOT_FINITE = re.compile(r"Input (?:(?P<name>\w+) )?contains (?P<what>NaN|infinity)")
_TEXT = re.compile(r"could not convert string to float: (np\.str_\()?(?P<value>'.*?')\)?$")
_COLUMNS = re.compile(r"has \d+ features, but \w+ is expecting \d+ features as input")


@contextmanager
def explaining(**given: Any) -> Iterator[None]:
    """Turn what scikit-learn's validation raises inside into an ``InputError`` that names value and remedy.

    Args:
        given: what is validated, by its name; the first may be a table with named columns.

    Raises:
        InputError: for text, dates, NaN, infinity or a wrong number of columns; other errors pass unchanged.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        clearer = _explained(str(error), given)
        if clearer is None or isinstance(error, InputError):
            raise
        raise InputError(clearer) from None


def refuse_dates(**given: Any) -> None:
    """Refuse dates and durations, which NumPy would silently turn into nanoseconds.

    Args:
        given: tables and arrays, by their names.

    Raises:
        InputError: one holds dates or durations.

    Example:
        >>> refuse_dates(X=np.array(["2026-11-22"], dtype="datetime64[D]"))
        Traceback (most recent call last):
        batchprop.errors.InputError: X holds dates: turn them into numbers first, as year and month
    """
    for name, values in given.items():
        dtypes = values.dtypes if hasattr(values, "select_dtypes") else [getattr(values, "dtype", None)]
        if any(getattr(dtype, "kind", "") in ("m", "M") for dtype in dtypes):
            raise InputError(
                f"{name} holds dates{_in_columns(values)}: turn them into numbers first, as year and month"
            )


def require_numbers(y: Any) -> None:
    """Refuse a target of text where numbers are wanted.

    Args:
        y: the target, not yet validated.

    Raises:
        InputError: it holds text that is no number.

    Example:
        >>> require_numbers(["cheap", "dear"])
        Traceback (most recent call last):
        batchprop.errors.InputError: y holds 'cheap', which is not a number: MLPRegressor predicts ...
    """
    values = np.asarray(y)
    if values.dtype.kind not in "OUS":
        return
    for value in values.ravel().tolist():
        if isinstance(value, str) and not _is_number(value):
            raise InputError(
                f"y holds {value!r}, which is not a number: MLPRegressor predicts numbers; "
                "use MLPClassifier for classes"
            )


def _explained(message: str, given: dict[str, Any]) -> str | None:
    name, X = next(iter(given.items()))
    if found := _NOT_FINITE.search(message):
        short, spoilt = "float32" in message, found["name"] or "y"
        where = _first_not_finite(given.get(spoilt), short=short)
        too_large = " or a value too large for float32" if short else ""
        what = "NaN" if found["what"] == "NaN" else f"infinity{too_large}"
        return f"{spoilt} contains {what}{where}: {_remedy(spoilt, found['what'])}"
    if found := _TEXT.search(message):
        encoder = "make_column_transformer((OneHotEncoder(), [...]), remainder='passthrough') in a Pipeline"
        remedy = f"encode text first, as with {encoder}" if name == "X" else "give numbers"
        return f"{name} holds {found['value']}{_in_columns(X)}, which is not a number: {remedy}"
    if _COLUMNS.search(message):
        return f"{message.rstrip('.')}: give the columns that it was fitted on, in the same order"
    if "DType" in message and _in_columns(X):
        return (
            f"{name} holds what is not a number{_in_columns(X)}: turn dates and the like into numbers first"
        )
    return None


def _remedy(name: str, what: str) -> str:
    if what == "infinity":
        return "correct or rescale such values"
    if name.startswith("X"):
        return "leave out such rows, or fill them in, as with make_pipeline(SimpleImputer(), ...)"
    return "leave out such rows"


def _in_columns(X: Any) -> str:
    if not hasattr(X, "select_dtypes"):
        return ""
    names = [repr(name) for name in X.select_dtypes(exclude=["number", "bool"]).columns]
    return f" in column{'s' * (len(names) > 1)} {', '.join(names[:5])}" if names else ""


def _first_not_finite(values: Any, *, short: bool) -> str:
    """Where the first value that is not finite stands, in float32 if ``short``; nothing if unclear."""
    try:
        if hasattr(values, "tocoo"):
            cells = values.tocoo()
            rows = np.column_stack([cells.row, cells.col])[~_finite(cells.data, short=short)]
        else:
            array = values.to_numpy(dtype=float, na_value=np.nan) if hasattr(values, "to_numpy") else values
            rows = np.argwhere(~_finite(np.asarray(array, dtype=float), short=short))
        row, *column = rows[0].tolist()
    except (IndexError, TypeError, ValueError):
        return ""
    if not column:
        return f", first in row {row}"
    named = f" ({values.columns[column[0]]!r})" if hasattr(values, "columns") else ""
    return f", first in row {row}, column {column[0]}{named}"


def _finite(array: NDArray[Any], *, short: bool) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        return np.asarray(np.isfinite(array.astype("float32") if short else array))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
