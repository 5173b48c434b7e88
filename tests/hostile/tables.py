"""Hypothesis strategies for tables of every Arrow type."""

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

FLOATS = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    1e-310,
    1e-45,
    1.0,
    3.5,
    -1e10,
    3.4e38,
    1e39,
    -1e300,
    1.7976931348623157e308,
]
ODD_FLOATS = [np.nan, np.inf, -np.inf]
WORDS = [
    "", " ", "a", "A", "é", "e\u0301", "\u0130", "ß", "日本", "👩‍👩‍👧", "\u202e", "\ufeff", "\ufffe",
    "\\ud800", "\x00", "\x07", "\x1b[31m", "\x85", "\u2028", "\r", "\n", "a\nb", '"', "'", ",", "a,b", ";",
    "\t", "=1+1", "[red]", "[/]", "[bold", "{x}", "%s", "<b>", "&amp;", "$x$", "\\frac", "NA", "None", "nan",
    "-inf", "1e999", "1", "1.0", "01", "0x1", "1_000", "true", "True", "2020-02-29", "2020-02-30",
    "9999-12-31", "0001-01-01", "10000-01-01", "-1", "١٢", "x" * 5000,
]  # fmt: skip
NAMES = [word for word in WORDS if word.strip()] + [
    "prediction",
    "__loader__",
    "__id__",
    "0",
    "target",
    "class",
]

_INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
_MOMENTS = [
    pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Kolkata")
]
_EDGE = [0, 1, -1, 2**31, -(2**31), 2**53 + 1, 2**62, -(2**63), 2**63 - 1, 951827696]


def _ends(kind):
    low, high = np.iinfo(kind.to_pandas_dtype()).min, np.iinfo(kind.to_pandas_dtype()).max
    return [int(low), int(high), 0, 1, 2, 3]


def _whole(kind):
    return st.sampled_from(_ends(kind))


def _as_integers(kind, values):
    """An Arrow array from integers in the unit of its type."""
    storage = pa.int32() if kind.bit_width == 32 else pa.int64()
    low, high = (-(2**31), 2**31 - 1) if kind.bit_width == 32 else (-(2**63), 2**63 - 1)
    fitting = [None if value is None else min(max(value, low), high) for value in values]
    return pa.array(fitting, storage).view(kind)


def _array(kind, values):
    return pa.array(values, kind)


_DECIMALS = [decimal.Decimal(text) for text in ("0", "1.5", "-99999999.99", "0.01")]

KINDS = {
    "whole": (st.sampled_from(_INTEGERS), _whole, _array),
    "float": (st.sampled_from([pa.float64(), pa.float32()]), lambda _: st.sampled_from(FLOATS), _array),
    "odd float": (st.just(pa.float64()), lambda _: st.sampled_from(FLOATS + ODD_FLOATS), _array),
    "half": (
        st.just(pa.float16()),
        lambda _: st.sampled_from([np.float16(x) for x in (0, 1.5, 65504)]),
        _array,
    ),
    "bool": (st.just(pa.bool_()), lambda _: st.booleans(), _array),
    "text": (
        st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]),
        lambda _: st.sampled_from(WORDS) | st.text(max_size=5),
        _array,
    ),
    "few words": (st.just(pa.string()), lambda _: st.sampled_from(["a", "b", "c"]), _array),
    "date": (st.sampled_from([pa.date32(), *_MOMENTS]), lambda _: st.sampled_from(_EDGE), _as_integers),
    "day": (st.just(pa.date32()), lambda _: st.sampled_from([0, 10957, -25567, 2932896]), _as_integers),
    "time": (
        st.sampled_from([pa.time64("us"), pa.time64("ns")]),
        lambda _: st.sampled_from([0, 1, 3_600_000_000]),
        _as_integers,
    ),
    "span": (
        st.sampled_from([pa.duration(unit) for unit in ("s", "ms", "us", "ns")]),
        lambda _: st.sampled_from(_EDGE),
        _as_integers,
    ),
    "decimal": (
        st.sampled_from([pa.decimal128(12, 2), pa.decimal256(50, 2)]),
        lambda _: st.sampled_from(_DECIMALS),
        _array,
    ),
    "bytes": (
        st.sampled_from([pa.binary(), pa.large_binary()]),
        lambda _: st.binary(max_size=3),
        _array,
    ),
    "fixed bytes": (st.just(pa.binary(2)), lambda _: st.binary(min_size=2, max_size=2), _array),
    "list": (st.just(pa.list_(pa.int64())), lambda _: st.lists(st.integers(0, 2), max_size=2), _array),
    "record": (
        st.just(pa.struct([("x", pa.float64())])),
        lambda _: st.fixed_dictionaries({"x": st.sampled_from(FLOATS)}),
        _array,
    ),
    "map": (
        st.just(pa.map_(pa.string(), pa.int64())),
        lambda _: st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 1)), max_size=1),
        _array,
    ),
    "null": (st.just(pa.null()), lambda _: st.none(), _array),
}


@st.composite
def columns(draw, rows, kinds=tuple(KINDS), nulls=True):
    """One column (rows,): a type, and few distinct values, so that they repeat."""
    types, values_of, make = KINDS[draw(st.sampled_from(kinds))]
    kind = draw(types)
    pool = draw(st.lists(values_of(kind), min_size=1, max_size=4))
    if nulls and draw(st.booleans()):
        pool.append(None)
    values = draw(st.lists(st.sampled_from(pool), min_size=rows, max_size=rows))
    column = make(kind, values)
    return column.dictionary_encode() if pa.types.is_string(kind) and draw(st.booleans()) else column


def _good_targets(rows):
    """Learnable targets: two or more words, or numbers, in turn."""
    pools: Any = st.sampled_from(
        [["a", "b"], ["\u0130", "i", "\ufeff"], [1, 0], [0.5, -3.0, 1e30], [True, False]]
    )
    return pools.map(lambda pool: pa.array([pool[row % len(pool)] for row in range(rows)]))


@st.composite
def tables(draw, most_rows=24, kinds=tuple(KINDS), names=NAMES, *, bad_targets=True):
    """A table of 1 to 5 columns and, as the last column, a target that is usually learnable."""
    rows = draw(st.sampled_from([most_rows, most_rows, most_rows, 10, 12, 9, 1]))
    made = [draw(columns(rows, kinds)) for _ in range(draw(st.integers(1, 5)))]
    good = not bad_targets or draw(st.sampled_from([True, True, True, False]))
    made.append(draw(_good_targets(rows) if good else columns(rows, kinds)))
    called = draw(
        st.lists(st.sampled_from(names), min_size=len(made), max_size=len(made), unique_by=str.strip)
    )
    return pa.Table.from_arrays(made, names=called)
