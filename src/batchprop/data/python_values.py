"""Columns of Python's values as Arrow's: one type for all values of a column."""

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias

import pyarrow as pa

Values: TypeAlias = Sequence[Any]

_MAX_EXACT = 2**53

_KINDS: dict[type, str | None] = {
    type(None): None,
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    bytes: "bytes",
    date: "date",
    datetime: "date",
    time: "time",
    timedelta: "duration",
    dict: "nested",
    list: "nested",
}
_TYPES = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    # Longer than 64 bits: as a number, two ids that differ in the last digit would be one.
    "long": pa.string(),
    "bytes": pa.binary(),
    "date": pa.timestamp("us"),
    "time": pa.time64("us"),
    "duration": pa.duration("us"),
}
_NESTED = pa.list_(pa.string())


def kinds_of(values: Values) -> frozenset[str]:
    """Return the kinds of values, missing ones aside.

    >>> sorted(kinds_of([1, 2.5, None])), sorted(kinds_of([2**64]))
    (['integer', 'number'], ['long'])
    """
    kinds = {kind for each in set(map(type, values)) if (kind := _KINDS[each]) is not None}
    if "integer" in kinds:
        whole = [value for value in values if type(value) is int]
        kinds.discard("integer")
        kinds |= {"integer" if -(2**63) <= value < 2**63 else "long" for value in (min(whole), max(whole))}
    return frozenset(kinds)


def type_of(kinds: frozenset[str]) -> pa.DataType:
    """Return the type of a column of such values: text holds all, and numbers hold integers.

    >>> type_of(frozenset({"integer", "number"})), type_of(frozenset({"boolean", "text"}))
    (DataType(double), DataType(string))
    """
    if not kinds:
        return pa.null()
    if "nested" in kinds:
        return _NESTED
    if "number" in kinds and kinds <= {"integer", "long", "number"}:
        return pa.float64()
    return _TYPES[next(iter(kinds))] if len(kinds) == 1 else pa.string()


def to_array(values: Values, kind: pa.DataType) -> pa.Array:
    """Return values of a column, or of a part of it, as an array of the column's type.

    >>> to_array([1, True, 0.5, None], pa.string()).to_pylist()
    ['1', 'true', '0.5', None]
    """
    if pa.types.is_string(kind):
        return pa.array([value if type(value) is str else _spell(value) for value in values], kind)
    if kind == _NESTED:
        return pa.array([None if value is None else [_spell(value)] for value in values], kind)
    if pa.types.is_floating(kind):
        # pyarrow refuses integers beyond 2^53.
        return pa.array([None if value is None else _to_float(value) for value in values], kind)
    if pa.types.is_timestamp(kind):
        return pa.array([datetime.combine(v, time()) if type(v) is date else v for v in values], kind)
    return pa.array(values, kind)


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _spell(value: Any) -> str | None:  # noqa: PLR0911 a line for each type
    """Return a value among text as text; a whole number the same with and without decimals."""
    if value is None or value != value:  # noqa: PLR0124 nan
        return None
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < _MAX_EXACT else repr(value)
        case datetime():
            return value.isoformat(sep=" ").removesuffix(" 00:00:00")
        case bytes():
            return value.hex()
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
    return str(value)
