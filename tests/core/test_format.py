"""Numbers as people read them: one table of cases for the library and for the pages."""

from __future__ import annotations

import decimal
import math
import random

import pytest

from batchprop.format import format_count, format_number, format_percent, pluralize
from tests.playground.worker import ask_worker

# A number, its significant digits, and the text.
NUMBERS = [
    (0.0, 4, "0"),
    (-0.0, 4, "0"),
    (1.0, 4, "1"),
    (0.12345, 4, "0.1235"),
    (-0.3661, 4, "−0.3661"),
    (-1.05063, 4, "−1.051"),
    (0.97766, 3, "0.978"),
    (0.5, 1, "0.5"),
    (999.96, 4, "1,000"),
    (9999.6, 4, "10,000"),
    (12345.6, 4, "12,346"),
    (-12344.5, 4, "−12,345"),
    (2.5, 1, "3"),
    (1179200.4, 4, "1,179,200"),
    (341000.25, 6, "341,000"),
    (1234.5678, 6, "1,234.57"),
    (1700000123.5, 12, "1,700,000,123.5"),
    (999999999999999.0, 2, "1·10¹⁵"),
    (123456789012345.0, 2, "123,456,789,012,345"),
    (1.25e15, 4, "1.25·10¹⁵"),
    (-1.7976931348623157e308, 4, "−1.798·10³⁰⁸"),
    (1e-4, 4, "0.0001"),
    (0.000099996, 4, "0.0001"),
    (0.000099994, 4, "9.999·10⁻⁵"),
    (1.5e-07, 4, "1.5·10⁻⁷"),
    (-1e-5, 2, "−1·10⁻⁵"),
    (5e-324, 4, "4.941·10⁻³²⁴"),
    (math.inf, 4, "∞"),
    (-math.inf, 4, "−∞"),
    (math.nan, 4, "NaN"),
]


def test_numbers_have_one_format_in_the_library_and_in_the_pages():
    assert [format_number(value, digits) for value, digits, _ in NUMBERS] == [text for *_, text in NUMBERS]
    draw = random.Random(0)  # noqa: S311 no secret
    drawn = [(draw.uniform(-10, 10) * 10 ** draw.uniform(-9, 18), draw.randint(1, 17)) for _ in range(400)]
    # A half is between two texts.
    drawn += [(draw.randint(-(10**6), 10**6) / 2, draw.randint(1, 7)) for _ in range(100)]
    calls = [(value, digits, format_number(value, digits)) for value, digits in drawn] + NUMBERS
    pages = ask_worker([("format", ["formatNumber", repr(value), digits]) for value, digits, _ in calls])
    assert pages == [text for *_, text in calls]


def test_counts_and_shares_have_one_format_in_the_library_and_in_the_pages():
    counts, shares = [0, 7, -12_000, 1_234_567], [0.0, 0.98765, 0.098, 1.0, 0.00012, -0.5]
    assert ask_worker(
        [("format", ["formatCount", str(count)]) for count in counts]
        + [("format", ["formatPercent", repr(share)]) for share in shares]
        + [("format", ["pluralize", str(count), "row"]) for count in (1, 2, 1000)]
    ) == [*map(format_count, counts), *map(format_percent, shares), "1 row", "2 rows", "1,000 rows"]
    assert [pluralize(count, "row") for count in (1, 2, 1000)] == ["1 row", "2 rows", "1,000 rows"]


def test_the_digits_of_the_callers_decimals_change_nothing():
    with decimal.localcontext(prec=2):
        for value, digits, text in NUMBERS:
            assert format_number(value, digits) == text


@pytest.mark.parametrize("value", [0.0, 0.5, 99.999, 0.000012, -1.0, 12345.0])
def test_numbers_below_each_other_keep_their_last_zeros(value):
    text = format_number(value, zeros=True)
    digits = "".join(letter for letter in text.partition("·")[0] if letter.isdigit())
    assert len(digits.lstrip("0") or digits) == max(4, len(str(int(abs(value)))))
    shown = text.replace(",", "").replace("−", "-").replace("·10⁻⁵", "e-5")
    assert float(shown) == pytest.approx(value, rel=5e-4)
