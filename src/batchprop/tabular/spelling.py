"""How the text of a column spells numbers, times, dates and truth, such as 1.234,50 € or 31/12/2020.

A spelling is decided once, from the whole column: every word has to fit it. The same rule holds for text from
every source, a CSV file, a Parquet file or a DataFrame, and for the rows to predict.

Index legend: k words.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api import types

from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError
from batchprop.tabular.dtypes import SECONDS, TRUTH, simplify_column, to_seconds, zones_error

_MOSTLY = 0.9
_HEAD = 64  # words that are tried before all: most columns of words fit no spelling
_MINUS = ("[−–]", "-")
# In English, German, French, Spanish, Italian, Portuguese and Dutch, from January on; none is of two months.
_MONTHS = (
    "january jan januar jänner janvier janv enero ene gennaio gen janeiro januari",
    "february feb februar février févr fév febrero febbraio fevereiro fev februari",
    "march mar märz mär mrz mars marzo março maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug août agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro",
)
_PLAIN_LETTERS = str.maketrans("äéûç", "aeuc")
_MONTH_OF = {
    word: str(number)
    for number, names in enumerate(_MONTHS, 1)
    for name in names.split()
    for word in (name, name.translate(_PLAIN_LETTERS))
}

_BLANK = "[ \u00a0\u2009\u202f]"
_UNIT = (
    r"(?:US-?|CA?|AU?|NZ|HK|MX|NT|S|R)?\$|[¢£¤¥฿₡₦₨₩₪₫€₭₮₱₲₴₵₸₹₺₼₽₾₿円元원]|USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD"
    r"|NZD|HKD|SGD|TWD|BRL|MXN|ARS|CLP|COP|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|UAH|RUB|TRY|ILS|AED|SAR|QAR|EGP"
    r"|ZAR|NGN|KES|PKR|BDT|LKR|THB|IDR|PHP|VND|KRW|zł|Kč|Ft|TL|บาท|грн|(?:kr|Rs|Rp|руб)\.?"
)
# The other units that people write behind a number, each with its other spellings. One letter is in its case.
_MEASURES = {
    "kg": "kgs kilogram kilograms", "g": "gram grams", "mg": "", "µg": "μg", "lb": "lbs pound pounds",
    "oz": "ounce ounces", "km": "kms kilometer kilometers kilometre kilometres",
    "m": "meter meters metre metres", "cm": "", "mm": "", "µm": "μm", "nm": "", "mi": "mile miles",
    "ft": "feet", "yd": "yard yards", "inch": "inches", "m²": "m2 sqm", "km²": "km2", "cm²": "cm2",
    "ft²": "ft2 sqft", "ha": "hectare hectares", "acre": "acres", "m³": "m3", "cm³": "cm3 cc ccm",
    "l": "L liter liters litre litres", "ml": "", "gal": "gallon gallons",
    "year": "years yr yrs", "month": "months", "week": "weeks", "day": "days", "h": "hr hrs hour hours",
    "min": "mins minute minutes", "s": "sec secs second seconds", "ms": "", "W": "", "kW": "", "MW": "",
    "Wh": "", "kWh": "", "MWh": "", "hp": "bhp", "Nm": "", "V": "", "mV": "", "mA": "", "mAh": "", "Hz": "",
    "kHz": "", "MHz": "", "GHz": "", "kB": "", "MB": "", "GB": "", "TB": "", "px": "", "dpi": "",
    "°C": "", "°F": "", "°": "", "kcal": "", "kJ": "", "hPa": "", "mbar": "", "ppm": "", "rpm": "",
    "km/h": "kmh kph", "mph": "", "m/s": "", "mpg": "", "kmpl": "km/l", "mg/dl": "", "g/dl": "", "mg/l": "",
    "mmol/l": "", "mmhg": "", "bpm": "", "kg/m³": "kg/m3", "bps": "bp",
    "pcs": "pc piece pieces",
}  # fmt: skip
_MEASURE_OF = {
    other if len(other) == 1 else other.lower(): name
    for name, others in _MEASURES.items()
    for other in (name, *others.split())
} | {"percent": "%", "pct": "%"}
_FACTORS = {
    "k": 1e3, "K": 1e3, "thousand": 1e3, "mn": 1e6, "Mio": 1e6, "M": 1e6, "million": 1e6, "bn": 1e9,
    "Mrd": 1e9, "B": 1e9, "billion": 1e9,
}  # fmt: skip
# Behind an amount of money this is no metre.
_MILLIONS = "m"


def _any_of(words: Iterable[str]) -> str:
    """Return the pattern of any of the words, the longest first: of km and k, km is found in 5km."""
    parts = (re.escape(word) if len(word) == 1 else f"(?i:{re.escape(word)})" for word in words)
    return "|".join(sorted(parts, key=len, reverse=True))


_MEASURE, _FACTOR = _any_of(_MEASURE_OF), "|".join(_FACTORS)
_AMOUNT = rf"(?i:inf(?:inity)?)|[0-9][0-9.,'’_]*(?:[eE][+-]?[0-9]+)?|/-|[-+.,'’()—]|{_BLANK}"
_ANY_UNIT = rf"{_UNIT}|[%‰]|{_MEASURE}"
_BEHIND = rf"{_UNIT}|[%‰]|{_any_of([*_MEASURE_OF, *_FACTORS])}"
# The ways to write one unit; ¥ and kr are of several countries, and so stay apart from their codes.
_SAME_UNITS = {
    "US$": "$", "US-$": "$", "USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "Rs": "₹", "₨": "₹", "PLN": "zł",
    "CZK": "Kč", "HUF": "Ft", "円": "JPY", "元": "CNY", "RMB": "CNY", "KRW": "₩", "원": "₩", "RUB": "₽",
    "руб": "₽", "TRY": "₺", "TL": "₺", "ILS": "₪", "THB": "฿", "บาท": "฿", "VND": "₫", "UAH": "₴", "грн": "₴",
    "IDR": "Rp", "MX$": "MXN", "NT$": "TWD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD",
    "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "R$": "BRL",
}  # fmt: skip
_CLOCK = r"(?P<H>\d{1,2})[:.h](?P<M>\d{2})(?:[:.](?P<S>\d{2}(?:\.\d{1,6})?))?"
_UTC = r"(?: ?(?:(?:Z|UTC|GMT|(?:GMT)?\+00:?00)(?: \([^)]*\))?|Uhr|h))"
_TIME = rf"(?:(?:,? +|T|:){_CLOCK}(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?{_UTC}?)?"
_DAY, _MONTH, _YEAR = r"(?P<d>\d{1,2})", r"(?P<m>\d{1,2})", r"(?P<y>\d{4}|\d{2})"
_ORDINAL = r"(?:\.|st|nd|rd|th|er|º)?"
_WEEKDAY = r"(?:(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? )?"
_TIME_OF_DAY = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?"
_DAYS = r"(?:-?\d+ days?,? [+-]?)?"
_LONG_TIME = r"\d{1,5}:[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
_HALF_SECONDS = 12 * 3600
_HALF_DAY = r"(?:0?[1-9]|1[0-2]):[0-5]\d(?::[0-5]\d)? ?[AaPp]\.?[Mm]\.?"
# 1h 30m, 2 days and 4 hours, and ISO's P1DT2H.
_PART = r"\d+(?:\.\d+)? ?(?:d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)"
_PARTS = rf"(?i:{_PART}(?:(?:,| and)? ?{_PART}){{0,3}})|\d+h[0-5]\d"
_ISO_PARTS = r"P(?:\d+D|(?:\d+D)?T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)"
_TRUE, _FALSE = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")
_ZONED_DATE = r"^\d{4}-?\d{2}-?\d{2}[T ]\d{2}.*(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$"
_ZONE = "zone"
_NAME = rf"(?P<m>{_any_of(_MONTH_OF)})\.?"
# In other languages "set01" and "out12" may be codes.
_ENGLISH_NAME = r"(?P<m>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))"
_OF = "(?: (?:de|del|of) |[ ,/-]*)"


def _plain_number(point: str) -> str:
    return rf"(?:\d+(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"


def _number(point: str, separator: str) -> str:
    """Return the pattern of a number: parentheses or a sign, and a unit, around its digits."""
    # One separator in a number: "1,234 567" is none. No thousands begin with 0: "0,123" is less than 1.
    groups = "|".join(rf"[1-9]\d{{0,2}}(?:{each}\d{{3}})+" for each in (separator, "['’]", "_", _BLANK))
    if separator == ",":
        groups += r"|[1-9]\d?(?:,\d{2})+,\d{3}"  # lakhs and crores
    # Nor are thousands grouped before an exponent: 2,063e4 has decimals behind its comma.
    plain = _plain_number(point)
    # "5,-" and "5/-" say that there are no cents.
    digits = rf"(?:(?:{groups})(?:{point}\d*)?|{plain}|(?:{groups}|\d+)(?:{point}[-—]{{1,2}}|/-))"
    behind = rf"{digits}(?:{_BLANK}?(?:{_FACTOR}))?{_BLANK}?(?:{_ANY_UNIT})?"
    amount = rf"(?:{_UNIT})?{_BLANK}?{behind}"
    signed = rf"[+-]?{_BLANK}?{amount}|(?:{_UNIT}){_BLANK}?[+-]{behind}"
    millions = rf"{digits}{_BLANK}?{_MILLIONS}"
    money = rf"[+-]?(?:(?:{_UNIT}){_BLANK}?{millions}|{millions}{_BLANK}?(?:{_UNIT}))"
    return rf"^(?:{signed}|{money}|\({amount}\)|{amount}-|[+-]?(?i:inf(?:inity)?))$"


Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Spelling:
    """A way to write numbers, dates or truth values.

    Attributes:
        kind: what the words become.
        pattern: what each word matches; its groups are the parts of a date.
        example: such a value, for messages.
        note: what a reader of the table may not expect.
    """

    kind: Literal["number", "date", "boolean"]
    pattern: str
    example: str
    note: str = ""


_Y4 = r"(?P<y>\d{4})"
DAY_DIGITS = "digits"
"""The spelling of dates that are numbers unless the type of their column says otherwise."""

IN_SECONDS = "in seconds"
"""How times of day and durations are read."""
IN_WEEKS, IN_MONTHS, IN_QUARTERS = (f"the first day of each {part}" for part in ("week", "month", "quarter"))
MOSTLY_DATES = "mostly dates"
SEVERAL_UNITS = "numbers of several units"
_QUARTER = "[Qq](?P<q>[1-4])"
_DIGITS = {ord(zero) + i: str(i) for zero in "٠۰०০੦૦୦௦౦೦൦๐໐༠၀០᠐０" for i in range(10)}
_OTHER_SIGNS = str.maketrans(
    _DIGITS | {ord(a): b for a, b in zip("٪％．，：／－＋٫٬", "%%.,:/-+.,", strict=True)}
)
_OTHER_SIGN = f"[{''.join(map(chr, _OTHER_SIGNS))}]"

# Alone with a month, four digits are a year only if they may be one: 3/1200 is none.
_RECENT = r"(?P<y>(?:1[5-9]|2[01])\d{2})"
_SIGNS = r"(?:[/ -]|\. ?)"
_COMPACT = r"\d{8}T\d{2}(?:\d{2}(?:\d{2}(?:\.\d+)?)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?"
SPELLINGS = {
    "point": Spelling("number", _number(r"\.", ","), "a number like 1,234.5"),
    "comma": Spelling("number", _number(",", r"\."), "a number like 1.234,5", "',' before the decimals"),
    SECONDS: Spelling(
        "number",
        f"^(?:{_DAYS}{_TIME_OF_DAY}|{_LONG_TIME}|{_HALF_DAY}|{_PARTS}|{_ISO_PARTS})$",
        "a time like 10:30",
        IN_SECONDS,
    ),
    "iso": Spelling(
        "date",
        rf"^(?:\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]\d{{2}}(?::\d{{2}}.*)?)?|{_COMPACT})$",
        "a date like 2020-02-29",
    ),
    "yearfirst": Spelling(
        "date",
        rf"^{_Y4}(?:{_SIGNS}|年|년 ?){_MONTH}(?:{_SIGNS}|月|월 ?){_DAY}[.日일]?{_TIME}$",
        "a date like 2020/02/29",
    ),
    "dayfirst": Spelling(
        "date", f"^{_DAY}{_SIGNS}{_MONTH}{_SIGNS}{_YEAR}{_TIME}$", "a date like 29/02/2020", "the day first"
    ),
    # With points between, the day comes first everywhere.
    "monthfirst": Spelling(
        "date", f"^{_MONTH}[/ -]{_DAY}[/ -]{_YEAR}{_TIME}$", "a date like 02/29/2020", "the month first"
    ),
    "daynamed": Spelling(
        "date", f"^{_WEEKDAY}{_DAY}{_ORDINAL}{_OF}{_NAME}{_OF}{_YEAR}{_TIME}$", "a date like 29 Feb 2020"
    ),
    "monthnamed": Spelling(
        "date", f"^{_WEEKDAY}{_NAME}[ /-]+{_DAY}{_ORDINAL},?[ /-]{_YEAR}{_TIME}$", "a date like Feb 29, 2020"
    ),
    "yearfirstnamed": Spelling("date", f"^{_Y4}[ /-]?{_NAME}[ /-]?{_DAY}{_TIME}$", "a date like 2020-Feb-29"),
    # As C's ctime and the command date write it.
    "clocknamed": Spelling(
        "date",
        rf"^{_WEEKDAY}{_NAME} +{_DAY} {_CLOCK}(?P<half>)(?: UTC| GMT)? {_Y4}$",
        "a date like Sat Feb 29 10:30:00 2020",
    ),
    "weekdate": Spelling("date", rf"^{_RECENT}-?W(?P<w>[0-5]\d)-?(?P<d>[1-7])$", "a date like 2020-W09-6"),
    "week": Spelling("date", rf"^{_RECENT}-?W(?P<w>[0-5]\d)$", "a week like 2020-W09", IN_WEEKS),
    "month": Spelling("date", rf"^{_RECENT}(?:[/mM-]|年){_MONTH}月?$", "a month like 2020-02", IN_MONTHS),
    "yearlast": Spelling("date", rf"^{_MONTH}[/-]{_RECENT}$", "a month like 02/2020", IN_MONTHS),
    "yearnamed": Spelling("date", f"^{_NAME}{_OF}{_RECENT}$", "a month like Feb 2020", IN_MONTHS),
    "yearthennamed": Spelling("date", f"^{_RECENT}[ /-]?{_NAME}$", "a month like 2020-Feb", IN_MONTHS),
    # As spreadsheets and SAS write it; behind a blank the two digits may be the day.
    "shortnamed": Spelling(
        "date", rf"^{_ENGLISH_NAME}(?:-|[ -]?['’])?(?P<y>\d{{2}})$", "a month like Feb-20", IN_MONTHS
    ),
    "quarter": Spelling("date", rf"^{_RECENT}[ /-]?{_QUARTER}$", "a quarter like 2020-Q1", IN_QUARTERS),
    "quarterfirst": Spelling("date", rf"^{_QUARTER}[ /-]?{_RECENT}$", "a quarter like Q1 2020", IN_QUARTERS),
    DAY_DIGITS: Spelling(
        "date",
        r"^(?P<y>[12]\d{3})(?P<m>\d{2})(?P<d>\d{2})(?:\.0)?$",
        "a date like 20200229",
        "eight digits of year, month and day",
    ),
    TRUTH: Spelling("boolean", f"^(?:{'|'.join((*_TRUE, *_FALSE))})$", "true or false"),
}
"""The spellings, the preferred one first where several fit."""

PLAIN = {"number": "point", "date": "iso", "boolean": TRUTH}
"""For each kind the spelling of text for which no other was decided."""

DECIMALS = {".": "point", ",": "comma"}
"""The spelling of numbers with each decimal sign."""
_PLAIN_NUMBERS = {key: f"^[+-]?{_plain_number(re.escape(point))}$" for point, key in DECIMALS.items()}

ZONED = f"iso {_ZONE}"
"""The stored spelling of dates with a time zone, in text or typed."""

_FIND_UNITS = re.compile(_BEHIND).findall
_IS_MONEY = re.compile(_UNIT).fullmatch


@cache
def _matcher(key: str) -> Callable[[str], object]:
    # Compiled when it is needed: a start of the command waits for none of them.
    return re.compile(SPELLINGS[key].pattern).match


def clean(column: pd.Series, rules: TextRules = USUAL, *, labels: bool = False) -> pd.Series:
    r"""Return text without blanks around the words, in Unicode's form NFC; other columns in a plain type.

    What then means "missing" is missing.

    Args:
        column: of any type.
        rules: how text is read.
        labels: whether they come back as they are: not in another form of Unicode, decimals with all digits.

    >>> clean(pd.Series([" cafe\u0301", "NA", None])).tolist()
    ['café', None, None]
    """
    column = simplify_column(column, exact=labels)
    if not is_text(column):
        return _mask_values(column, rules)
    words = pc.utf8_trim_whitespace(pa.array(column, pa.large_string(), from_pandas=True))
    if not labels:
        # Excel keeps text such as 007 from becoming a number so.
        words = pc.replace_substring_regex(words, '^="(.*)"$', r"\1")
        words = pc.utf8_normalize(words, form="NFC")
    words = pc.if_else(pc.is_in(words, pa.array(rules.everywhere, words.type)), None, words)
    return pd.Series(words.to_numpy(zero_copy_only=False), column.index, dtype=object, name=column.name)


def spell_digits(column: pd.Series) -> pd.Series:
    """Return numbers as text, to be read as dates such as 20200229; other columns as they are.

    >>> spell_digits(pd.Series([20200229.0, np.nan])).tolist()
    ['20200229', None]
    """
    if not types.is_numeric_dtype(column) or types.is_bool_dtype(column):
        return column
    words = pc.cast(pa.array(column, from_pandas=True), pa.large_string())
    return pd.Series(words.to_numpy(zero_copy_only=False), column.index, dtype=object, name=column.name)


def _mask_values(column: pd.Series, rules: TextRules) -> pd.Series:
    """Return a typed column without the numbers and the dates that mean "missing"."""
    if rules.numbers and types.is_numeric_dtype(column) and not types.is_bool_dtype(column):
        gaps = column.isin(rules.numbers)
    elif rules.everywhere != USUAL.everywhere and types.is_datetime64_any_dtype(column):
        words = pd.Series(rules.everywhere, dtype=object)
        dates = pd.to_datetime(words, format="ISO8601", errors="coerce", utc=True).dropna()
        gaps = pd.to_datetime(column, utc=True).isin(dates)
    else:
        return column
    return column.mask(gaps) if gaps.any() else column


def split_spelling(stored: str) -> tuple[str, str]:
    """Return the key of a stored spelling, and the unit of its numbers or the zone of its dates, "" for none.

    >>> split_spelling("comma €"), split_spelling("dayfirst"), split_spelling("")
    (('comma', '€'), ('dayfirst', ''), ('', ''))
    """
    key, _, unit = stored.partition(" ")
    return key, unit


def stored_kind(stored: str) -> str | None:
    """Return the kind of what a stored spelling spells; None if there is no such spelling.

    >>> (
    ...     stored_kind("point %"),
    ...     stored_kind("point $?"),
    ...     stored_kind("seconds %"),
    ...     stored_kind("iso zone"),
    ... )
    ('number', 'number', None, 'date')
    """
    key, unit = split_spelling(stored)
    kind = SPELLINGS[key].kind if key in SPELLINGS else None
    if not unit or stored == ZONED:
        return kind
    return (
        kind
        if key in DECIMALS.values() and re.fullmatch(rf"(?:{_UNIT}|{_any_of(_MEASURES)})\??|[%‰]", unit)
        else None
    )


def has_other_unit(words: pd.Series, kind: str, unit: str) -> Flags:
    """Return which numbers or dates (k,) in text have not the unit of their column, or not its zone.

    >>> has_other_unit(pd.Series(["5%", "1"]), "number", "")
    array([ True, False])
    >>> has_other_unit(pd.Series(["2020-02-29T10:30Z"]), "date", "")
    array([ True])
    """
    text = _normalize_signs(words)
    if kind == "date":
        zoned = pc.match_substring_regex(text, _ZONED_DATE).fill_null(False)
        other = pc.not_equal(zoned, pa.scalar(unit == _ZONE))
    else:
        one = _unify(unit.removesuffix("?"))
        allowed = {one, "" if unit.endswith("?") else one}
        other = pc.invert(pc.is_in(_units(text), pa.array(sorted(allowed), text.type)))
    flags: Flags = other.to_numpy(zero_copy_only=False)
    return flags


def describe_unit(kind: str, unit: str) -> str:
    """Return which numbers or dates have a unit or a zone, for messages.

    >>> describe_unit("number", "$?"), describe_unit("date", "")
    ('numbers in $ or without a unit', 'dates without a time zone')
    """
    if kind == "date":
        return f"dates with{'' if unit else 'out'} a time zone"
    if not unit:
        return "numbers without a unit"
    return f"numbers in {unit.removesuffix('?')}{' or without a unit' if unit.endswith('?') else ''}"


def _units(text: pa.Array) -> pa.Array:
    """Return the unit of each number, "" for none, and both of a number with two, such as $5%."""
    return _unify_all(_cut_amounts(text))


def _unify_all(words: pa.Array) -> pa.Array:
    """Return the units in what stands around each number."""
    return _map_words(words, lambda each: pa.array(map(_unify, each), words.type))


def _map_words(words: pa.Array, function: Callable[[list[str]], pa.Array]) -> pa.Array:
    """Apply a function to the few different words that stand around numbers."""
    codes = pc.dictionary_encode(pc.fill_null(words, ""))
    return pc.take(function(codes.dictionary.to_pylist()), codes.indices)


def _cut_amounts(text: pa.Array) -> pa.Array:
    """Return what stands around each number; the digit of m2 and m3 belongs to the unit.

    >>> _cut_amounts(pa.array(["1,200 m2", "€ 5"])).to_pylist()
    ['  m²', '€  ']
    """
    for digit, power in ("2²", "3³"):
        text = pc.replace_substring_regex(text, f"([A-Za-z]){digit}$", rf"\1{power}")
    return pc.replace_substring_regex(text, _AMOUNT, " ")


def _unify(units: str) -> str:
    """Return the one way to write a unit, or several units.

    >>> _unify("US$"), _unify("$ USD"), _unify("$ %"), _unify("KGs"), _unify("K")
    ('$', '$', '$ %', 'kg', '')
    """
    found = _FIND_UNITS(units)
    names = [unit.rstrip(".") for unit in found if unit not in _FACTORS and not _is_million(unit, found)]
    return " ".join(dict.fromkeys(map(_unify_name, names)))


def _is_million(unit: str, units: list[str]) -> bool:
    return unit == _MILLIONS and any(map(_IS_MONEY, units))


def _unify_name(unit: str) -> str:
    if unit == "Ft":  # forint, not feet
        return unit
    return _SAME_UNITS.get(unit) or _MEASURE_OF.get(unit if len(unit) == 1 else unit.lower(), unit)


def _factor_of(units: str) -> float:
    """Return by what a number is multiplied: 1.2M is 1.2 millions.

    >>> _factor_of("€ M"), _factor_of("km"), _factor_of("k"), _factor_of("£ m")
    (1000000.0, 1.0, 1000.0, 1000000.0)
    """
    found = _FIND_UNITS(units)
    return math.prod(1e6 if _is_million(unit, found) else _FACTORS.get(unit, 1.0) for unit in found)


def is_number_gap(numbers: pd.Series, spelling: str, rules: TextRules) -> npt.NDArray[np.bool_]:
    """Return which numbers that text spells (k,) mean "missing", as -999 does in $-999.00 where it is named.

    >>> is_number_gap(pd.Series([-999.0, 1.0]), "point", TextRules.of(["-999"])).tolist()
    [True, False]
    """
    if not rules.numbers or spelling not in DECIMALS.values():
        return np.zeros(len(numbers), dtype=bool)
    return numbers.isin(rules.numbers).to_numpy()


def plain_spelling(kind: str, rules: TextRules) -> str:
    """Return the spelling of text of a kind for which no other was decided.

    >>> plain_spelling("number", TextRules.of(None, ",")), plain_spelling("date", USUAL)
    ('comma', 'iso')
    """
    return DECIMALS[rules.decimal] if kind == "number" and rules.decimal is not None else PLAIN[kind]


def is_text(column: pd.Series) -> bool:
    """Whether all values of a column that are not missing are text."""
    if column.dtype == object:
        return types.infer_dtype(column, skipna=True) == "string"
    return isinstance(column.dtype, pd.StringDtype)


def parse(words: pd.Series, spelling: str, rules: TextRules = USUAL) -> pd.Series:
    """Return the numbers or dates (k,) that words spell, truth as 1 and 0; missing where one does not fit.

    >>> parse(pd.Series(["1.234,50 €", "(3)", "x"]), "comma").tolist()
    [1234.5, -3.0, nan]
    >>> parse(pd.Series(["31/12/2020", "31/02/2020"]), "dayfirst").dt.day.tolist()
    [31.0, nan]
    >>> parse(pd.Series(["10:30", "-1 days +23:59:59.5"]), "seconds").tolist()
    [37800.0, -0.5]
    """
    return pd.Series(_parse(_normalize_signs(words), spelling, rules), words.index, name=words.name)


def _parse(text: pa.Array, spelling: str, rules: TextRules) -> Floats | npt.NDArray[np.datetime64]:
    text = pc.if_else(_is_gap(text, rules), None, text)
    if spelling == SECONDS:
        return _to_seconds(text)
    if spelling == TRUTH:
        truth = pc.if_else(pc.is_in(text, pa.array((*_TRUE, *_FALSE), text.type)), text, None)
        true = pc.if_else(pc.is_valid(truth), pc.is_in(truth, pa.array(_TRUE, text.type)), None)
        return np.asarray(pc.cast(true, pa.float64()).to_numpy(zero_copy_only=False))
    if SPELLINGS[spelling].kind == "number":
        return _to_number(text, spelling)
    # Each date once: most columns have fewer days than rows, and patterns with the names of months take long.
    words = text.dictionary_encode()
    dates = np.append(_to_date(words.dictionary, spelling), np.datetime64("NaT"))
    return np.asarray(dates[words.indices.fill_null(-1).to_numpy(zero_copy_only=False)])


def may_fit(words: pd.Series, spelling: str, rules: TextRules) -> bool:
    """Return whether the first of words, none of them missing, fit a spelling: most columns need no others.

    >>> (
    ...     may_fit(pd.Series(["1.137", "63"]), "comma", USUAL),
    ...     may_fit(pd.Series(["1.5"]), "comma", USUAL),
    ... )
    (True, False)
    """
    return all(map(_matcher(spelling), _head(words, rules)))


def _head(words: pd.Series, rules: TextRules) -> list[str]:
    """Return the first words, without those that mean that a value is missing, and with the usual signs."""
    head = [word for word in words.iloc[:_HEAD] if word not in rules.among_numbers]
    return [re.sub(*_MINUS, word.translate(_OTHER_SIGNS)) for word in head]


def _normalize_signs(words: pd.Series) -> pa.Array:
    """Return words with the minus sign of keyboards, and other scripts' digits as 0 to 9."""
    array = pa.array(words, pa.large_string(), from_pandas=True)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if pc.any(pc.match_substring_regex(array, _OTHER_SIGN)).as_py():
        array = pa.array(array.to_pandas().str.translate(_OTHER_SIGNS), array.type)
    return pc.replace_substring_regex(array, *_MINUS)


def _is_gap(text: pa.Array, rules: TextRules) -> pa.Array:
    gaps = pc.replace_substring_regex(pa.array(rules.among_numbers, text.type), *_MINUS)
    return pc.is_in(text, gaps)


def _to_number(text: pa.Array, spelling: str) -> Floats:
    # To compile the pattern with all units takes longer than to read thousands of numbers without one.
    if pc.all(pc.match_substring_regex(text, _PLAIN_NUMBERS[spelling])).as_py():
        return _cast_to_floats(pc.replace_substring(text, "+", ""))
    fits = pc.match_substring_regex(text, SPELLINGS[spelling].pattern)
    text = pc.if_else(fits, text, None)
    separator = "." if spelling == "comma" else ","
    plain = pc.replace_substring_regex(
        text, rf"{_BEHIND}|[.,][-—]{{1,2}}|/-|-$|[+()'’_{separator}]|{_BLANK}", ""
    )
    numbers = _cast_to_floats(plain)
    if pc.any(pc.match_substring_regex(text, f"[0-9.,]{_BLANK}?(?:{_FACTOR}|{_MILLIONS})")).as_py():
        words = _cut_amounts(text)
        factors = _map_words(words, lambda each: pa.array(map(_factor_of, each), pa.float64()))
        numbers = numbers * factors.to_numpy(zero_copy_only=False)
    behind = pc.match_substring_regex(text, r"^\(|[^.,/-]-$")  # as accountants write less than nothing
    return np.asarray(np.where(behind.fill_null(False).to_numpy(zero_copy_only=False), -numbers, numbers))


def _cast_to_floats(text: pa.Array) -> Floats:
    """Return the numbers that text spells without thousands, with either decimal sign."""
    numbers = pc.cast(pc.replace_substring(text, ",", "."), pa.float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _to_seconds(text: pa.Array) -> Floats:
    text = pc.if_else(pc.match_substring_regex(text, SPELLINGS[SECONDS].pattern), text, None)
    # Parts get the names of units that pandas knows.
    words = pc.if_else(pc.match_substring_regex(text, f"^(?:{_PARTS})$"), pc.utf8_lower(text), text)
    for pattern, unit in ((",|and", ""), (r"^(\d+h\d+)$", r"\1m"), (r"(\d) ?d[ays]*", r"\1 days ")):
        words = pc.replace_substring_regex(words, pattern, unit)
    for unit in "hms":
        words = pc.replace_substring_regex(words, rf"(\d) ?{unit}[a-z]*", rf"\1{unit} ")
    half = pc.match_substring_regex(words, f"^{_HALF_DAY}$")
    clock = pc.replace_substring_regex(pc.if_else(half, words, None), r" ?[AaPp]\.?[Mm]\.?$", "")
    clock = pc.if_else(half, clock, words)
    short = pc.match_substring_regex(clock, r"^(?:.* )?[+-]?\d{1,2}:\d{2}$")
    clock = pc.if_else(short, _join("", clock, pa.repeat(pa.scalar(":00", text.type), len(text))), clock)
    seconds = np.asarray(to_seconds(pd.to_timedelta(clock.to_pandas(), errors="coerce")))
    is_half, is_late = (
        pc.fill_null(flags, False).to_numpy(zero_copy_only=False)
        for flags in (half, pc.match_substring_regex(words, "[Pp]"))
    )
    return np.where(is_half, seconds % _HALF_SECONDS + _HALF_SECONDS * is_late, seconds)


def _to_date(text: pa.Array, spelling: str) -> npt.NDArray[np.datetime64]:
    pattern = SPELLINGS[spelling].pattern
    if spelling == "iso":
        words = pc.if_else(pc.match_substring_regex(text, pattern), text, None)
        words = pc.replace_substring_regex(words, " ?(?:UTC|GMT)$", "Z")
        words = pc.replace_substring_regex(words, r",(\d)", r".\1").to_pandas()
        dates = pd.to_datetime(words, format="ISO8601", errors="coerce", utc=True)
        return np.asarray(dates.dt.tz_localize(None).to_numpy())
    parts = pc.extract_regex(text, pattern)
    words = dict(zip((part.name for part in parts.type), parts.flatten(), strict=True))
    if "w" in words:
        day = words.get("d", pa.scalar("1", text.type))
        days = _join("-", words["y"], words["w"], day).to_pandas()
        return np.asarray(pd.to_datetime(days, format="%G-%V-%u", errors="coerce").to_numpy())
    year, month = words["y"], words["m"] if "m" in words else _first_month(words["q"])
    if pc.any(short := pc.equal(pc.utf8_length(year), 2)).as_py():
        # 69 is 2069, and 70 is 1970, as in POSIX.
        century = pc.if_else(pc.less(year, "70"), "20", "19").cast(year.type)
        year = pc.if_else(short, _join("", century, year), year)
    if spelling.endswith("named"):
        place = pc.index_in(pc.utf8_lower(month), pa.array(_MONTH_OF, month.type))
        month = pc.take(pa.array(_MONTH_OF.values(), year.type), place)
    day = words.get("d", pa.scalar("1", year.type))
    days = pd.to_datetime(_join("-", year, month, day).to_pandas(), format="%Y-%m-%d", errors="coerce")
    if "H" in words and pc.any(pc.greater(pc.utf8_length(words["H"]), 0)).as_py():
        days += _to_time({name: part.to_pandas() for name, part in words.items()})
    return np.asarray(days.to_numpy())


def _first_month(quarter: pa.Array) -> pa.Array:
    number = pc.cast(quarter, pa.int64())
    return pc.cast(pc.subtract(pc.multiply(number, 3), 2), quarter.type)


def _join(between: str, *parts: pa.Array) -> pa.Array:
    """Join texts (k,) element by element."""
    return pc.binary_join_element_wise(*parts, pa.scalar(between, parts[0].type))


def _to_time(words: dict[str, pd.Series]) -> pd.Series:
    """Return the time of day (k,): 0:00 where none is given, missing where it does not exist."""
    hour, minute, second = (pd.to_numeric(words[part].replace("", "0")).fillna(0) for part in ("H", "M", "S"))
    half = words["half"].str.lower().fillna("")
    valid = (hour < 24) & (minute < 60) & (second < 60)  # noqa: PLR2004 a day's
    valid &= (half == "") | hour.between(1, 12)
    hour = hour.where(half == "", hour % 12 + 12 * (half == "p"))
    return pd.to_timedelta((3600 * hour + 60 * minute + second).where(valid), unit="s")


def spells_moments(words: pd.Series) -> tuple[bool, bool]:
    """Return whether all words, none of them missing, are dates, and whether all are times or durations.

    >>> (
    ...     spells_moments(pd.Series(["2020-02-29", "2020-03-01"])),
    ...     spells_moments(pd.Series(["10:30"])),
    ... )
    ((True, False), (False, True))
    """
    dates, times = SpellingCandidates("date"), SpellingCandidates(f"number:{SECONDS}")
    for candidates in (dates, times):
        candidates.narrow(words)
    return bool(dates.parsed.keys() - {DAY_DIGITS}), bool(times.parsed)


class SpellingCandidates:
    """The spellings that all words of a column so far fit.

    Args:
        kind: "number" or "date" to try only these, "date:dayfirst" and the like to try only one.
        infer: whether 007 is a code; whoever gives a kind says otherwise.
        rules: how text is read.

    Attributes:
        parsed: the last words in each of the spellings.
        odd: the first word that left no spelling, or None.

    >>> candidates = SpellingCandidates()
    >>> (
    ...     candidates.narrow(pd.Series(["1,234", "-"])),
    ...     candidates.narrow(pd.Series(["1,234,567"])),
    ... )
    (None, None)
    >>> candidates.decide("price"), candidates.describe("point")
    ('point', "',' between thousands, '-' for missing")
    """

    def __init__(self, kind: str | None = None, *, infer: bool = False, rules: TextRules = USUAL) -> None:
        tried = [key for key, of in SPELLINGS.items() if kind in {None, of.kind, f"{of.kind}:{key}"}]
        if kind is None:
            tried.remove(DAY_DIGITS)
        if kind in {None, "number"} and rules.decimal is not None:
            barred = {*DECIMALS.values()} - {DECIMALS[rules.decimal]}
            tried = [key for key in tried if key not in barred]
        self.parsed = dict.fromkeys(tried, pd.Series(dtype=float))
        self.odd: str | None = None
        self._separators, self._gaps = set[str](), set[str]()
        self._units = dict[str, None]()  # in the order of the words
        self._factors = set[str]()
        self._words = self._n_gaps = self._numbers = self._with_unit = self._n_separated = 0
        self._dates = self._zoned = 0
        self._number_gaps = dict.fromkeys(tried, 0)
        self._inferred, self._rules = infer or kind is None, rules
        self._code: str | None = None
        self._mixed = ""
        # The same few words, whether a column comes at once or in blocks.
        self._first_words, self._n_first = list[str](), 0
        self._all_digits = True

    def narrow(self, words: pd.Series) -> None:
        """Drop the spellings that one of more words (k,), none of them missing, does not fit."""
        # Arrow is for many words: a few of them show that most columns of words fit no spelling.
        among_numbers, head = self._rules.among_numbers, _head(words, self._rules)
        first = words.iloc[: _HEAD - self._n_first]
        self._n_first += len(first)
        self._first_words += first[~first.isin(among_numbers)].tolist()
        self._keep_fitting({key: len([*takewhile(_matcher(key), head)]) for key in self.parsed}, head)
        if not self.parsed:
            self._all_digits = False
            return
        gaps = words.isin(among_numbers)
        self._gaps |= set(words[gaps].unique())
        self._words += len(words)
        self._n_gaps += int(gaps.sum())
        text = _normalize_signs(words)
        index, name = words.index, words.name
        self.parsed = {
            key: pd.Series(_parse(text, key, self._rules), index, name=name) for key in self.parsed
        }
        fits = {key: np.append(values.notna() | gaps, False) for key, values in self.parsed.items()}
        self._keep_fitting({key: int(flags.argmin()) for key, flags in fits.items()}, words.to_numpy())
        if "iso" in self.parsed:
            self._dates += len(words) - int(gaps.sum())
            self._zoned += pc.sum(pc.match_substring_regex(text, _ZONED_DATE)).as_py() or 0
        marks = self._mask_numbers()
        if self.parsed.keys() & {*DECIMALS.values()}:
            self._compare(text.filter(pa.array(~marks)) if marks.any() else text)
        else:
            self._all_digits = False

    def _keep_fitting(self, fits: dict[str, int], words: Sequence[str] | npt.NDArray[np.object_]) -> None:
        """Keep the spellings that all words fit, given how many of the first words fit each."""
        if fits and (longest := max(fits.values())) < len(words):
            self.odd = words[longest]
        self.parsed = {key: self.parsed[key] for key, fit in fits.items() if fit == len(words)}

    def _mask_numbers(self) -> npt.NDArray[np.bool_]:
        """Mask the numbers that mean "missing" in each spelling; return which words any spelling masks."""
        masked = np.zeros(max(map(len, self.parsed.values()), default=0), dtype=bool)
        for key, values in self.parsed.items():
            marks = is_number_gap(values, key, self._rules)
            if marks.any():
                self._number_gaps[key] += int(marks.sum())
                self.parsed[key] = values.mask(marks)
                masked |= marks
        return masked

    def count_gaps(self, spelling: str) -> int:
        """Return how many words mean that a value is missing, by one of the spellings."""
        return self._n_gaps + self._number_gaps[spelling]

    def _compare(self, text: pa.Array) -> None:
        """Collect the units of the numbers, and the signs between their digits; look for codes among them."""
        text = text.filter(pc.invert(_is_gap(text, self._rules)))
        self._find_codes(text)
        words = _cut_amounts(text)
        units = _unify_all(words)
        self._numbers += len(text)
        self._with_unit += pc.sum(pc.not_equal(units, "")).as_py() or 0
        self._units |= dict.fromkeys(unit for unit in pc.unique(units).to_pylist() if unit)
        behind = pc.unique(words).to_pylist()
        self._factors |= {
            unit
            for found in map(_FIND_UNITS, behind)
            for unit in found
            if unit in _FACTORS or _is_million(unit, found)
        }
        around = "^[^0-9]+|[^0-9]+$"
        if any(map(str.strip, behind)):
            around = f"{_BLANK}?(?:{_BEHIND}){_BLANK}?|{around}"
        text = pc.replace_substring_regex(text, around, "")
        grouped = text.filter(pc.match_substring_regex(text, f"[0-9](?:[.,'’_]|{_BLANK})[0-9]"))
        self._n_separated += len(grouped)
        signs = pc.unique(pc.replace_substring_regex(grouped, f"[^.,'’_{_BLANK[1:]}", "")).to_pylist()
        self._separators |= {sign for each in signs for sign in each}

    def _find_codes(self, text: pa.Array) -> None:
        """Note whether all are digits, and the first number with leading zeros."""
        self._all_digits &= bool(pc.all(pc.match_substring_regex(text, "^[0-9]+$")).as_py())
        if self._code is None:
            codes = text.filter(pc.match_substring_regex(text, "^0[0-9]+$"))
            self._code = codes[0].as_py() if len(codes) else None

    @property
    def _is_unit_optional(self) -> bool:
        """Whether some of the numbers have no unit."""
        return self._with_unit < self._numbers

    @property
    def _are_codes(self) -> bool:
        """Whether all are digits, some with leading zeros, such as zip codes: as numbers, 01 would be 1."""
        return self._inferred and self._code is not None and self._all_digits

    @property
    def mixed_units(self) -> str:
        """The units of numbers that are not of one, so that they are no numbers together; "" if they are."""
        if not any(SPELLINGS[key].kind == "number" for key in self.parsed):
            return ""
        units = list(self._units)
        if self._is_unit_optional and {"%", "‰"} & {*units}:
            units.append("none")
        is_one = len(units) < 2 and not any(" " in unit for unit in units)  # noqa: PLR2004 $5% has two
        shown = " and ".join(unit.replace(" ", " with ") for unit in units[:2])
        return "" if is_one else f"{SEVERAL_UNITS}, such as {shown}"

    def _drop_numbers(self) -> None:
        self.parsed = {key: part for key, part in self.parsed.items() if key not in DECIMALS.values()}

    def decide(self, name: str) -> str | None:
        """Return the spelling of the column, None if its words are words.

        Raises:
            DataError: each of its dates may begin with the day or with the month; some have a time zone.
        """
        self._mixed = self.mixed_units or self._mixed
        if self._are_codes or self._mixed:
            self._drop_numbers()
        fitting = [key for key in self.parsed if self.count_gaps(key) < self._words]
        if {"dayfirst", "monthfirst"} <= {*fitting}:
            raise DataError(
                f"in the column {name!r} each date can begin with the day or with the month: say which by "
                f"`type` {name}=date:dayfirst or {name}=date:monthfirst"
            )
        spelling = next(iter(fitting), None)
        if spelling == "iso" and 0 < self._zoned < self._dates:
            raise zones_error(name, self._zoned, self._dates)
        return spelling

    def to_stored(self, spelling: str | None) -> str:
        """Return a decided spelling as a model keeps it: with the unit of numbers, or the zone of dates.

        >>> candidates = SpellingCandidates()
        >>> candidates.narrow(pd.Series(["1,5 %", "2 %"]))
        >>> candidates.to_stored(candidates.decide("rate"))
        'comma %'
        """
        if spelling in DECIMALS.values() and self._units:
            return f"{spelling} {next(iter(self._units))}{'?' * self._is_unit_optional}"
        return ZONED if spelling == "iso" and self._zoned else spelling or ""

    @property
    def is_open(self) -> bool:
        """Whether all signs between digits are as in 1.137, or all as in 1,137: each may be either."""
        return {*DECIMALS.values()} <= self.parsed.keys() and self._separators in ({"."}, {","})

    def describe(self, spelling: str | None) -> str:
        """Return what is special about the spelling of the column, for people; "" if nothing is."""
        if spelling is None:
            if self._are_codes:
                return f"codes with leading zeros, such as {self._code}"
            return self._mixed or self._describe_dates()
        of = SPELLINGS[spelling]
        between = sorted(self._separators - {"," if spelling == "comma" else "."})
        # Several kinds of blanks are told as one.
        names = dict.fromkeys("blanks" if sign.isspace() else f"{sign!r}" for sign in between)
        separators = " and ".join(names)
        parts = [f"{separators} between thousands"] if between and of.kind == "number" else []
        some = "some " if self._is_unit_optional else ""
        units = [f"{name!r} for {_FACTORS.get(name, 1e6):,.0f}" for name in sorted(self._factors)]
        units += [f"{some}in {unit}" for unit in sorted(self._units)]
        units = units if spelling in DECIMALS.values() else []
        gaps = [f"{' and '.join(map(repr, sorted(self._gaps)))} for missing"] if self._gaps else []
        hint = ""
        if spelling == "point" and self.is_open and self._n_separated > 1:
            # A single such number is more likely a measurement, or an error.
            parts = parts or ["'.' before the decimals"]
            other = "between thousands" if "." in self._separators else "before the decimals"
            hint = f"; if it stands {other}, give --decimal , (in Python decimal=',')"
        return ", ".join([*parts, *filter(None, [of.note]), *units, *gaps]) + hint

    def _describe_dates(self) -> str:
        """Say that the first words are mostly dates, with one that is none, or of another spelling; or ""."""
        words = self._first_words
        dates = [key for key, of in SPELLINGS.items() if of.kind == "date" and key != DAY_DIGITS]
        fits = {key: [_matcher(key)(word) is not None for word in words] for key in dates}
        n_dates = sum(map(any, zip(*fits.values(), strict=True)))
        if n_dates < max(1, _MOSTLY * len(words)):
            return ""
        most = max(fits.values(), key=sum)
        if all(most):
            return f"{MOSTLY_DATES}, but not all of them exist"
        return f"{MOSTLY_DATES}, but not all in one spelling, such as {words[most.index(False)]!r:.40}"


def shown_spelling(words: pd.Series, kind: str, rules: TextRules) -> str:
    """Return the spelling of text where the training had none: of dates one that shows which is the day.

    >>> shown_spelling(pd.Series(["29 Feb 2020"]), "date", USUAL)
    'daynamed'
    """
    if kind != "date":
        return plain_spelling(kind, rules)
    candidates = SpellingCandidates(kind, rules=rules)
    candidates.narrow(words.dropna())
    # 12/11/2020 is not read: another block could tell otherwise whether the day comes first. Nor are digits,
    # which only the type of a column makes dates.
    closed = {"dayfirst", "monthfirst", DAY_DIGITS}
    return next((key for key in candidates.parsed if key not in closed), PLAIN[kind])
