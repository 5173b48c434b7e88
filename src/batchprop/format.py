"""Numbers, counts, shares, durations and commands as people read them, the same everywhere.

Messages, tables, plots, the report and the pages (``web/src/format.ts``) share these rules: four significant
digits unless more are needed, the whole part in full, a comma between thousands, the sign −, and a power of
ten where a number is tiny or huge. What programs read has Python's own spelling: CSV and JSON, and settings
that a message quotes, as ``learning_rate=1e-05``, since that is how they are given.
"""

import math
import shlex
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal

INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Letters and marks by their class, of which nothing is seen: fillers, joiners and separators of scripts."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MIN_POWER, _MAX_POWER = -4, 14  # of the first digit of a number that is written in full
_TARGET_DIGITS, _SPREAD_DIGITS, _EXACT_DIGITS = 6, 5, 17
_MIN_YEAR, _MAX_YEAR = 1000, 9999
_CONTEXT = Context(28, ROUND_HALF_UP)
"""Of the decimals here: whoever calls may have set a few digits for decimals of their own."""

_UNITS_IN_FRONT, _UNITS_WITHOUT_BLANK = frozenset("$£¥₹"), frozenset("%‰°")


def format_number(value: float, digits: int = 4, *, zeros: bool = False) -> str:
    """Write a number with so many significant digits, and all of its whole part.

    Args:
        value: the number.
        digits: significant digits, at least one; a longer whole part is not cut.
        zeros: whether zeros at the end stay, for numbers below each other.

    >>> format_number(0.12345), format_number(-12345.6), format_number(1179200.0)
    ('0.1235', '−12,346', '1,179,200')
    >>> format_number(1.5e-07), format_number(-2e15), format_number(math.inf)
    ('1.5·10⁻⁷', '−2·10¹⁵', '∞')
    """
    if math.isnan(value):
        return "NaN"
    sign = "−" if value < 0 else ""
    if math.isinf(value):
        return f"{sign}∞"
    # Decimals and half up, as in the pages: Python rounds 0.5 to 0 and 1.5 to 2.
    size = Decimal(abs(float(value)))
    power = _power(size, digits)
    if not _MIN_POWER <= power <= _MAX_POWER:
        return format_power(value, digits, zeros=zeros)
    return f"{sign}{_format_decimal(size, max(digits - 1 - power, 0), zeros=zeros)}"


def format_power(value: float, digits: int, *, zeros: bool = False) -> str:
    """Write a finite number with a power of ten, where its whole part is too long.

    >>> format_power(-1234567.0, 2)
    '−1.2·10⁶'
    """
    size = Decimal(abs(float(value)))
    power = _power(size, digits)
    mantissa = _format_decimal(size.scaleb(-power, _CONTEXT), digits - 1, zeros=zeros)
    return f"{'−' if value < 0 else ''}{mantissa}·10{superscript(power)}"


def _power(size: Decimal, digits: int) -> int:
    """Return the power of ten of the first digit of a rounded number."""
    return Context(digits, ROUND_HALF_UP).plus(size).adjusted()


def _format_decimal(size: Decimal, decimals: int, *, zeros: bool) -> str:
    text = f"{size.quantize(Decimal(1).scaleb(-decimals, _CONTEXT), context=_CONTEXT):,f}"
    return text.rstrip("0").rstrip(".") if "." in text and not zeros else text


def superscript(number: int) -> str:
    """Write an exponent, or the number of a layer, raised.

    >>> superscript(-12)
    '⁻¹²'
    """
    return str(number).translate(_SUPERSCRIPTS)


def format_score(value: float) -> str:
    """Write a score with four significant digits, its last zeros too, so that columns of them line up.

    >>> format_score(0.977), format_score(12345.6), format_score(-0.00447)
    ('0.9770', '12,346', '−0.004470')
    """
    return format_number(value, zeros=True)


def format_target(value: float, spread: float, unit: str = "") -> str:
    """Write a number of a target with the digits that tell apart numbers of its spread, at least six.

    Args:
        value: the number.
        spread: the largest number of the target less the smallest.
        unit: of the target.

    >>> format_target(1700000123.0, 600.0), format_target(2460001.07, 6.0)
    ('1,700,000,123', '2,460,001.07')
    >>> format_target(341000.4, 9e5, "€"), format_target(1.25e15, 3e15)
    ('341,000 €', '1.25·10¹⁵')
    """
    last = 0
    if 0 < spread < math.inf:
        place = math.floor(math.log10(abs(value))) if value else 0  # of the first digit
        last = place - math.floor(math.log10(spread)) + _SPREAD_DIGITS
    return with_unit(format_number(value, min(max(_TARGET_DIGITS, last), _EXACT_DIGITS)), unit)


def format_range(low: float, high: float, unit: str = "") -> str:
    """Write the smallest and the largest number of a column; whole ones of four digits may be years.

    >>> format_range(-1.5, 12345.6, "€"), format_range(1998.0, 2024.0)
    ('−1.5 to 12,345.6 €', '1998 to 2024')
    """
    if not unit and all(value.is_integer() and _MIN_YEAR <= value <= _MAX_YEAR for value in (low, high)):
        return f"{low:.0f} to {high:.0f}"
    return f"{format_target(low, high - low)} to {format_target(high, high - low, unit)}"


def with_unit(number: str, unit: str) -> str:
    """Write a number with its unit, as the unit is usually written.

    >>> (
    ...     with_unit("−1,200", "$"),
    ...     with_unit("75.4", "m²"),
    ...     with_unit("12", "%"),
    ...     with_unit("3", ""),
    ... )
    ('−$1,200', '75.4 m²', '12%', '3')
    """
    if unit in _UNITS_IN_FRONT:
        digits = number.removeprefix("−")
        return f"{'−' * (digits != number)}{unit}{digits}"
    return f"{number}{'' if not unit or unit in _UNITS_WITHOUT_BLANK else ' '}{unit}"


def label_with_unit(name: str, unit: str) -> str:
    """Write what numbers are of, with their unit, for titles, tables and axes.

    >>> label_with_unit("given", "€"), label_with_unit("given", "")
    ('given, in €', 'given')
    """
    return f"{name}, in {unit}" if unit else name


def format_count(count: int) -> str:
    """Write a whole number in full.

    >>> format_count(5000), format_count(-12000)
    ('5,000', '−12,000')
    """
    return f"{count:,}".replace("-", "−")


def pluralize(count: int, one: str, many: str = "") -> str:
    """Write how many there are of something; ``many`` is by default ``one`` with an s.

    >>> pluralize(1, "epoch"), pluralize(1200, "epoch"), pluralize(2, "loss", "losses")
    ('1 epoch', '1,200 epochs', '2 losses')
    """
    return f"{format_count(count)} {one if count == 1 else many or f'{one}s'}"


def format_percent(share: float, digits: int = 3) -> str:
    """Write a share in percent.

    >>> format_percent(0.98765), format_percent(1.0), format_percent(0.00012)
    ('98.8%', '100%', '0.012%')
    """
    return f"{format_number(100 * share, digits)}%"


def format_duration(seconds: float) -> str:
    """Write a duration as hours, minutes and seconds.

    >>> format_duration(75.4), format_duration(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def join_command(words: Iterable[str]) -> str:
    r"""Join words to a command to paste into a shell: all of it is seen, and every word arrives as it is.

    What is not seen, or would control the terminal, is escaped as bash and zsh read it, in ``$'...'``.

    >>> print(join_command(["batchprop", "predict", "a model", "it's\x1b.csv"]))
    batchprop predict 'a model' $'it\'s\x1b.csv'
    """
    return " ".join(map(_quote, words))


def _quote(word: str) -> str:
    if word.isprintable() and INVISIBLE.isdisjoint(word):
        return shlex.quote(word)
    return f"$'{''.join(map(_escape, word))}'"


def _escape(letter: str) -> str:
    if letter in "'\\":
        return f"\\{letter}"
    if letter.isascii() and letter.isprintable():
        return letter
    # Names of files that are not UTF-8 have their bytes as surrogates.
    errors = "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", errors))
