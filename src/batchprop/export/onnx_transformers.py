"""The preprocessing of a table as ONNX operators.

Index legend: n rows, c columns of a type, k features.
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
"""The text that ``ColumnCaster`` writes for a missing value."""

INPUTS = {
    "number": (np.float64, "a number; NaN where it is missing"),
    "category": (np.str_, "text; empty where it is missing"),
    "boolean": (np.str_, "true or false; empty where it is missing"),
    "date": (np.int64, "microseconds since 1970-01-01T00:00 UTC; -2**63 where it is missing"),
}
"""The type of the input ``(n, 1)`` of each type of column, and a description of its values."""

_MAX_ABS = 1e100
_NO_CODE = "(no whole number)"
_TRUE = dict.fromkeys(["True", "TRUE", "1"], "true")
_FALSE = dict.fromkeys(["False", "FALSE", "0"], "false")
_NO_DATE = np.iinfo(np.int64).min
_SECOND = 1_000_000
_DAY = 24 * 60 * 60 * _SECOND
_TO_MARCH_0 = 719_468
_ERA = 146_097


def write_column_caster(graph: Graph, operator: Any, *, known_empty: frozenset[str]) -> None:
    """Write ``ColumnCaster``: numbers clipped at ±1e100, missing text replaced by ``MISSING``."""
    kinds: Mapping[str, str] = operator.raw_operator.kinds
    groups: dict[str, list[tuple[Any, Any]]] = {}
    sources = dict(zip(kinds, operator.inputs, strict=True))
    results = operator.outputs[: len(kinds)]
    for (name, kind), source, result in zip(kinds.items(), operator.inputs, results, strict=True):
        groups.setdefault("unchanged" if name in known_empty else kind, []).append((source, result))
    words = {"category": {"": MISSING}, "boolean": {"": MISSING} | _TRUE | _FALSE}
    for kind, group in groups.items():
        # Concatenated, converted and split: a few operators for each type, not for each of its columns.
        x = concat_columns(graph, [source.full_name for source, _ in group])
        if kind == "number":
            x = _clip(graph, x)
        elif kind in words:
            x = _replace_words(graph, x, words[kind])
        graph.split(x, [result for _, result in group])
    for name, result in zip(operator.raw_operator.codes, operator.outputs[len(kinds) :], strict=True):
        graph.output(_number_words(graph, sources[name].full_name), result)


def _number_words(graph: Graph, x: Value) -> Value:
    """Return whole numbers as words; all others are one that no training saw."""
    # Beyond 2⁵³ no number is a code, and int64 ends at 2⁶³.
    near = graph("Less", graph("Abs", x), graph.constant(2.0**53))
    whole = graph("And", near, graph("Equal", x, graph("Floor", x)))
    # Not a cast to text at once: that of 17.0 is not defined.
    integers = graph.cast(graph("Where", whole, x, graph.constant(0.0)), np.int64)
    words = graph("Where", whole, graph.cast(integers, np.str_), graph.constant([[_NO_CODE]]))
    return graph("Where", graph("IsNaN", x), graph.constant([[MISSING]]), words)


def _clip(graph: Graph, x: Value) -> Value:
    # Not the operator Clip: the standard does not define its result for NaN.
    high, low = graph.constant(_MAX_ABS), graph.constant(-_MAX_ABS)
    x = graph("Where", graph("Greater", x, high), high, x)
    return graph("Where", graph("Less", x, low), low, x)


def _replace_words(graph: Graph, x: Value, words: Mapping[str, str]) -> Value:
    """Return text with some words replaced by others."""
    new = sorted(set(words.values()))
    index = graph.lookup(x, {word: 1 + new.index(words[word]) for word in words}, 0)
    replacement = graph("Gather", graph.constant(["", *new]), index)
    return graph("Where", graph("Equal", index, graph.constant(0, np.int64)), x, replacement)


def write_date_parts(graph: Graph, operator: Any) -> None:
    """Write ``DateParts``: year, month, day, weekday, hour, days since the first, of each column ``(n, 6c)``.

    Source:
        Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, for the civil date of a count of days.
    """
    first = operator.raw_operator.first_
    integer = partial(graph.constant, dtype=np.int64)
    x = as_matrix(graph, operator, np.int64)
    unknown = graph("Equal", x, integer(_NO_DATE))
    x = graph("Where", unknown, integer(0), x)
    days, rest = _floor_divide(graph, x, _DAY)
    year, month, day = _civil_date(graph, days)
    weekday = graph("Mod", graph("Add", days, integer(3)), integer(7))
    hour = graph("Div", rest, integer(3600 * _SECOND))
    minute = graph("Mod", graph("Div", rest, integer(60 * _SECOND)), integer(60))
    minutes = graph("Div", graph.cast(minute, np.float64), graph.constant(60.0))
    elapsed = graph("Div", graph.cast(x, np.float64), graph.constant(float(_DAY)))
    parts = [
        *(graph.cast(part, np.float64) for part in (year, month, day, weekday)),
        graph("Add", graph.cast(hour, np.float64), minutes),
        graph("Sub", elapsed, graph.constant(first, np.float64)),
    ]
    known = [graph("Where", unknown, graph.constant(np.nan), part) for part in parts]
    stacked = graph("Concat", *(graph("Unsqueeze", part, integer([2])) for part in known), axis=2)
    graph.output(graph("Reshape", stacked, integer([0, 6 * len(first)])), operator.outputs[0])


def _floor_divide(graph: Graph, x: Value, divisor: int) -> tuple[Value, Value]:
    """Return ⌊x / d⌋ and the rest in [0, d)."""
    # ONNX's own division rounds towards 0, and moments before 1970 are negative.
    d = graph.constant(divisor, np.int64)
    rest = graph("Mod", x, d)
    return graph("Div", graph("Sub", x, rest), d), rest


def _civil_date(graph: Graph, days: Value) -> tuple[Value, Value, Value]:
    """Return year, month and day of a number of days since 1970."""
    # Eras of 400 years have equal lengths, and in years that start in March the leap day comes last.
    op = _IntegerGraph(graph)
    era, day_of_era = _floor_divide(graph, op("Add", days, _TO_MARCH_0), _ERA)
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


class _IntegerGraph:
    """Adds operators over int64; a Python number among the inputs becomes a constant."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(self, operator: str, *inputs: Value | int) -> Value:
        values = [x if isinstance(x, str) else self._graph.constant(x, np.int64) for x in inputs]
        return self._graph(operator, *values)


def write_smooth_clip(graph: Graph, operator: Any) -> None:
    """Write ``SmoothClip``: ``x / √(1 + (x/3)²)`` of the scaled columns, as float32 ``(n, k)``."""
    x = as_matrix(graph, operator, np.float64)
    one, scale = graph.constant(1.0), graph.constant(operator.raw_operator.scale_, np.float64)
    t = graph("Abs", graph("Div", x, graph.constant(3.0)))
    # √(s² + t²) as max(t, s) √(1 + (min/max)²): t² may overflow when t does not, and s may be tiny.
    large, small = graph("Max", t, scale), graph("Min", t, scale)
    ratio = graph("Div", small, large)
    root = graph("Sqrt", graph("Add", graph("Mul", ratio, ratio), one))
    graph.output(graph.cast(graph("Div", x, graph("Mul", large, root)), np.float32), operator.outputs[0])


def write_piecewise_linear(graph: Graph, operator: Any) -> None:
    """Write ``PiecewiseLinear``: ``clip((x − low) / width, 0, 1)`` of each bin, as float32 ``(n, q)``."""
    step = operator.raw_operator
    x = as_matrix(graph, operator, np.float64)
    x = graph("Gather", x, graph.constant(step.column_, np.int64), axis=1)
    placed = graph("Div", graph("Sub", x, graph.constant(step.low_)), graph.constant(step.width_))
    placed = graph("Min", graph("Max", placed, graph.constant(0.0)), graph.constant(1.0))
    graph.output(graph.cast(placed, np.float32), operator.outputs[0])


def write_imputer(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write a ``SimpleImputer`` of numbers, with its missing indicators."""
    imputer = operator.raw_operator
    statistics = np.asarray(imputer.statistics_, np.float64)
    x = as_matrix(graph, operator, dtype)
    missing = graph("IsNaN", x)
    filled = graph("Where", missing, graph.constant(statistics, dtype), x)
    if imputer.indicator_ is not None:
        features = graph.constant(imputer.indicator_.features_, np.int64)
        indicators = graph.cast(graph("Gather", missing, features, axis=1), dtype)
        filled = graph("Concat", filled, indicators, axis=1)
    graph.output(filled, operator.outputs[0])


def check_imputer(imputer: Any) -> None:
    """Refuse a ``SimpleImputer`` that imputes anything other than NaN in numbers, or drops columns."""
    is_numeric = imputer.statistics_.dtype.kind == "f"
    imputes_nan = isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)
    if not (is_numeric and imputes_nan) or np.isnan(imputer.statistics_).any():
        raise InputError(
            f"{imputer!r} has no ONNX form here: impute NaN in columns of numbers, and keep empty columns "
            "with keep_empty_features=True"
        )


def write_one_hot(graph: Graph, operator: Any) -> None:
    """Write a ``OneHotEncoder`` of text; infrequent and unknown words may share a column."""
    columns = [column for variable in operator.inputs for column in _columns(graph, variable)]
    encoder = operator.raw_operator
    layouts = map(_column_layout, *_encoder_categories(encoder))
    parts = []
    for x, (indices, unknown, width) in zip(columns, layouts, strict=True):
        index = graph.lookup(x, indices, unknown)
        one_hot = graph("Equal", index, graph.constant(np.arange(width)[None, :], np.int64))
        parts.append(graph.cast(one_hot, encoder.dtype))
    graph.output(concat_columns(graph, parts), operator.outputs[0])


def write_level_means(graph: Graph, operator: Any) -> None:
    """Write ``LevelMeans`` of text: the mean of each word, and that of all rows for an unknown one."""
    columns = [column for variable in operator.inputs for column in _columns(graph, variable)]
    step = operator.raw_operator
    parts = []
    for x, words, means in zip(columns, step.categories_, step.means_, strict=True):
        place = graph.lookup(x, {word: place for place, word in enumerate(words)}, len(words))
        table = graph.constant(np.vstack([means, step.prior_]), np.float64)
        parts.append(graph("Gather", table, graph("Reshape", place, graph.constant([-1], np.int64))))
    graph.output(concat_columns(graph, parts), operator.outputs[0])


def check_one_hot(encoder: Any) -> None:
    """Refuse a ``OneHotEncoder`` of other values than text, with dropped categories, or without unknowns."""
    is_text = all(_is_text(words) for words in encoder.categories_)
    if not is_text or encoder.drop is not None or encoder.handle_unknown == "error":
        raise InputError(
            f"{encoder!r} has no ONNX form here: encode columns of text, with drop=None and "
            "handle_unknown='ignore' or 'infrequent_if_exist'"
        )


def _is_text(words: Any) -> bool:
    return all(isinstance(word, str) for word in words)


def _columns(graph: Graph, variable: Any) -> list[Value]:
    """Return the columns ``(n, 1)`` of a matrix of text."""
    width = variable.type.shape[1]
    if width == 1:
        return [variable.full_name]
    return [
        graph("Gather", variable.full_name, graph.constant([column], np.int64), axis=1)
        for column in range(width)
    ]


def _encoder_categories(encoder: Any) -> tuple[list[Any], list[Any], list[bool]]:
    """Return each column's categories, its infrequent ones, and whether unknown ones count as infrequent."""
    categories = list(encoder.categories_)
    # The encoder has infrequent_categories_ only if it groups them.
    has_limit = encoder.min_frequency is not None or encoder.max_categories is not None
    infrequent = list(encoder.infrequent_categories_) if has_limit else [None] * len(categories)
    unknown_is_infrequent = encoder.handle_unknown in {"infrequent_if_exist", "warn"}
    return categories, infrequent, [unknown_is_infrequent] * len(categories)


def _column_layout(
    categories: Any, infrequent: Any, unknown_is_infrequent: bool
) -> tuple[dict[str, int], int, int]:
    """Return the index of each word, that of an unknown word (-1 for none), and the number of columns."""
    grouped = set() if infrequent is None else set(infrequent)
    frequent = [word for word in categories if word not in grouped]
    indices = {word: index for index, word in enumerate(frequent)}
    last = len(frequent)
    indices |= dict.fromkeys(grouped, last)
    return indices, last if grouped and unknown_is_infrequent else -1, last + bool(grouped)
