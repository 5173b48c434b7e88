"""What stands between a table and the network, as ONNX operators.

Index legend: n rows, c columns of a kind, k features.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from batchprop.errors import InputError
from batchprop.export.onnx_graph import Graph, Value
from batchprop.export.onnx_network import as_matrix, concat_columns

MISSING = "(missing)"
"""What stands for missing text after ``ColumnCaster``."""

INPUTS = {
    "number": (np.float64, "a number; NaN where it is missing"),
    "category": (np.str_, "text; empty where it is missing"),
    "boolean": (np.str_, "true or false; empty where it is missing"),
    "date": (np.int64, "microseconds since 1970-01-01T00:00 UTC; -2**63 where it is missing"),
}
"""For each kind of column the type of its input ``(n, 1)``, and what it holds."""

_MAX_ABS = 1e100
_TRUE = dict.fromkeys(["True", "TRUE", "1"], "true")
_FALSE = dict.fromkeys(["False", "FALSE", "0"], "false")
_NO_DATE = np.iinfo(np.int64).min
_SECOND = 1_000_000
_DAY = 24 * 60 * 60 * _SECOND
_TO_MARCH_0 = 719_468
_ERA = 146_097


def write_by_kind(graph: Graph, operator: Any, *, known_empty: frozenset[str]) -> None:
    """Write ``ColumnCaster``: each column by itself; numbers cut at ±1e100, missing text with its word."""
    kinds: Mapping[str, str] = operator.raw_operator.kinds
    groups: dict[str, list[tuple[Any, Any]]] = {}
    for (name, kind), given, taken in zip(kinds.items(), operator.inputs, operator.outputs, strict=True):
        groups.setdefault("as it is" if name in known_empty else kind, []).append((given, taken))
    words = {"category": {"": MISSING}, "boolean": {"": MISSING} | _TRUE | _FALSE}
    for kind, group in groups.items():
        # Side by side and apart again: a few operators for a kind, and not for each of its columns.
        x = concat_columns(graph, [given.full_name for given, _ in group])
        if kind == "number":
            x = _clipped(graph, x)
        elif kind in words:
            x = _replaced(graph, x, words[kind])
        graph.split(x, [taken for _, taken in group])


def _clipped(graph: Graph, x: Value) -> Value:
    # Not Clip, whose answer for NaN is not said.
    high, low = graph.constant(_MAX_ABS), graph.constant(-_MAX_ABS)
    x = graph("Where", graph("Greater", x, high), high, x)
    return graph("Where", graph("Less", x, low), low, x)


def _replaced(graph: Graph, x: Value, words: Mapping[str, str]) -> Value:
    """Text with some words in place of others."""
    new = sorted(set(words.values()))
    place = graph.lookup(x, {word: 1 + new.index(words[word]) for word in words}, 0)
    chosen = graph("Gather", graph.constant(["", *new]), place)
    return graph("Where", graph("Equal", place, graph.constant(0, np.int64)), x, chosen)


def write_date_parts(graph: Graph, operator: Any) -> None:
    """Write ``DateParts``: year, month, day, weekday, hour and days elapsed of each column, ``(n, 6c)``.

    Source:
        Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, for the civil date of a count of days.
    """
    first = operator.raw_operator.first_
    whole = partial(graph.constant, dtype=np.int64)
    x = as_matrix(graph, operator, np.int64)
    unknown = graph("Equal", x, whole(_NO_DATE))
    x = graph("Where", unknown, whole(0), x)
    days, rest = _floor_divided(graph, x, _DAY)
    year, month, day = _civil(graph, days)
    weekday = graph("Mod", graph("Add", days, whole(3)), whole(7))
    hour = graph("Div", rest, whole(3600 * _SECOND))
    minute = graph("Mod", graph("Div", rest, whole(60 * _SECOND)), whole(60))
    minutes = graph("Div", graph.cast(minute, np.float64), graph.constant(60.0))
    elapsed = graph("Div", graph.cast(x, np.float64), graph.constant(float(_DAY)))
    parts = [
        *(graph.cast(part, np.float64) for part in (year, month, day, weekday)),
        graph("Add", graph.cast(hour, np.float64), minutes),
        graph("Sub", elapsed, graph.constant(first, np.float64)),
    ]
    known = [graph("Where", unknown, graph.constant(np.nan), part) for part in parts]
    deep = graph("Concat", *(graph("Unsqueeze", part, whole([2])) for part in known), axis=2)
    graph.output(graph("Reshape", deep, whole([0, 6 * len(first)])), operator.outputs[0])


def _floor_divided(graph: Graph, x: Value, divisor: int) -> tuple[Value, Value]:
    """⌊x / d⌋ and the rest, from 0 to below d: ONNX's own division goes towards 0."""
    d = graph.constant(divisor, np.int64)
    rest = graph("Mod", x, d)
    return graph("Div", graph("Sub", x, rest), d), rest


def _civil(graph: Graph, days: Value) -> tuple[Value, Value, Value]:
    """Year, month and day of days since 1970: in eras of 400 years, each year beginning in March."""
    op = _Whole(graph)
    era, day_of_era = _floor_divided(graph, op("Add", days, _TO_MARCH_0), _ERA)
    leaps = op("Sub", op("Div", day_of_era, 36_524), op("Div", day_of_era, 1_460))
    year_of_era = op("Div", op("Sub", op("Add", day_of_era, leaps), op("Div", day_of_era, _ERA - 1)), 365)
    gone = op("Add", op("Mul", year_of_era, 365), op("Div", year_of_era, 4))
    day_of_year = op("Sub", day_of_era, op("Sub", gone, op("Div", year_of_era, 100)))
    from_march = op("Div", op("Add", op("Mul", day_of_year, 5), 2), 153)
    before = op("Div", op("Add", op("Mul", from_march, 153), 2), 5)
    day = op("Add", op("Sub", day_of_year, before), 1)
    month = op("Add", op("Mod", op("Add", from_march, 2), 12), 1)
    january_or_february = graph.cast(op("Less", month, 3), np.int64)
    year = op("Add", op("Add", year_of_era, op("Mul", era, 400)), january_or_february)
    return year, month, day


class _Whole:
    """Operators over int64, whose Python numbers become constants."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(self, operator: str, *inputs: Value | int) -> Value:
        named = [x if isinstance(x, str) else self._graph.constant(x, np.int64) for x in inputs]
        return self._graph(operator, *named)


def write_smooth_clip(graph: Graph, operator: Any) -> None:
    """Write ``SmoothClip``: ``x / √(1 + (x/3)²)`` of the scaled columns, as float32 ``(n, k)``."""
    scaled = as_matrix(graph, operator, np.float64)
    x = graph("Div", scaled, graph.constant(operator.raw_operator.scale_, np.float64))
    one = graph.constant(1.0)
    t = graph("Abs", graph("Div", x, graph.constant(3.0)))
    # The root without a square that overflows: max √(1 + (min/max)²).
    large, small = graph("Max", t, one), graph("Min", t, one)
    ratio = graph("Div", small, large)
    root = graph("Sqrt", graph("Add", graph("Mul", ratio, ratio), one))
    graph.output(graph.cast(graph("Div", x, graph("Mul", large, root)), np.float32), operator.outputs[0])


def write_imputer(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write a ``SimpleImputer`` of numbers, with the columns that say what was missing."""
    imputer = operator.raw_operator
    statistics = np.asarray(imputer.statistics_, np.float64)
    x = as_matrix(graph, operator, dtype)
    missing = graph("IsNaN", x)
    filled = graph("Where", missing, graph.constant(statistics, dtype), x)
    if imputer.indicator_ is not None:
        shown = graph.constant(imputer.indicator_.features_, np.int64)
        filled = graph("Concat", filled, graph.cast(graph("Gather", missing, shown, axis=1), dtype), axis=1)
    graph.output(filled, operator.outputs[0])


def check_imputer(imputer: Any) -> None:
    """Refuse a ``SimpleImputer`` that this chapter would write wrongly.

    Raises:
        InputError: it is not about NaN in numbers, or leaves columns out.
    """
    numbers = imputer.statistics_.dtype.kind == "f"
    about_nan = isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)
    if not (numbers and about_nan) or np.isnan(imputer.statistics_).any():
        raise InputError(
            f"{imputer!r} has no ONNX form here: impute NaN in columns of numbers, and keep empty columns "
            "with keep_empty_features=True"
        )


def write_one_hot(graph: Graph, operator: Any) -> None:
    """Write a ``OneHotEncoder`` of text: rare and unknown words have their column, or none."""
    columns = [column for variable in operator.inputs for column in _columns(graph, variable)]
    encoder = operator.raw_operator
    parts = []
    for x, (places, rare, width) in zip(columns, map(_layout, *_fitted(encoder)), strict=True):
        place = graph.lookup(x, places, rare)
        hit = graph("Equal", place, graph.constant(np.arange(width)[None, :], np.int64))
        parts.append(graph.cast(hit, encoder.dtype))
    graph.output(concat_columns(graph, parts), operator.outputs[0])


def check_one_hot(encoder: Any) -> None:
    """Refuse a ``OneHotEncoder`` that this chapter would write wrongly.

    Raises:
        InputError: it encodes other things than text, drops a category, is sparse, or fails at unknown words.
    """
    text = all(_is_text(words) for words in encoder.categories_)
    if not text or encoder.drop is not None or encoder.handle_unknown == "error":
        raise InputError(
            f"{encoder!r} has no ONNX form here: encode columns of text, with drop=None and "
            "handle_unknown='ignore' or 'infrequent_if_exist'"
        )


def _is_text(words: Any) -> bool:
    return all(isinstance(word, str) for word in words)


def _columns(graph: Graph, variable: Any) -> list[Value]:
    """The columns ``(n, 1)`` of a matrix of text."""
    width = variable.type.shape[1]
    if width == 1:
        return [variable.full_name]
    return [
        graph("Gather", variable.full_name, graph.constant([place], np.int64), axis=1)
        for place in range(width)
    ]


def _fitted(encoder: Any) -> tuple[list[Any], list[Any], list[bool]]:
    """Of each column its categories, those that are infrequent, and whether unknown ones count as such."""
    categories = list(encoder.categories_)
    limited = encoder.min_frequency is not None or encoder.max_categories is not None
    rare = list(encoder.infrequent_categories_) if limited else [None] * len(categories)
    as_rare = encoder.handle_unknown in {"infrequent_if_exist", "warn"}
    return categories, rare, [as_rare] * len(categories)


def _layout(categories: Any, rare: Any, as_rare: bool) -> tuple[dict[str, int], int, int]:
    """The place of each word, that of an unknown one (-1 for none), and how many places there are."""
    few = set() if rare is None else set(rare)
    common = [word for word in categories if word not in few]
    places = {word: place for place, word in enumerate(common)}
    last = len(common)
    places |= dict.fromkeys(few, last)
    return places, last if few and as_rare else -1, last + bool(few)
