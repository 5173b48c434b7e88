"""Numbers, durations, counts and commands as reports and the command line write them."""

import math
import shlex
from collections.abc import Iterable

INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Letters and marks by their class, of which nothing is seen: fillers, joiners and separators of scripts."""

_WHOLE_FROM, _POWERS_BELOW, _POWERS_FROM = 1e3, 1e-4, 1e15
_DIGITS, _SPREAD_DIGITS, _EXACT_DIGITS = 6, 5, 17


def format_score(value: float) -> str:
    """Write a score with four significant digits, and without decimals if it is large.

    >>> format_score(0.97766), format_score(12345.6), format_score(1179200.4)
    ('0.9777', '12,346', '1,179,200')
    """
    if _WHOLE_FROM <= abs(value) < _POWERS_FROM:
        return f"{value:,.0f}"
    return f"{value:#.4g}"


def format_significant(value: float, digits: int = 6) -> str:
    """Write a number with so many significant digits, all of its whole part, and commas between thousands.

    >>> format_significant(1179200.0), format_significant(341000.25), format_significant(-12.5)
    ('1,179,200', '341,000', '-12.5')
    >>> (
    ...     format_significant(0.0012345678, 4),
    ...     format_significant(1.5e-07),
    ...     format_significant(2e15),
    ... )
    ('0.001235', '1.5e-07', '2e+15')
    """
    size = abs(value)
    if not size:
        return "0"
    if not _POWERS_BELOW <= size < _POWERS_FROM:
        return f"{value:.{digits}g}"
    # Rounded first: 9.9999996 has one more digit before the point than it seems.
    rounded = float(f"{value:.{digits}g}")
    decimals = max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_number(number: str) -> str:
    """Write a number in print style, with a minus sign for the hyphen.

    >>> format_number("-1.5e-05")
    '−1.5e−05'
    """
    return number.replace("-", "−")


def format_target(value: float, spread: float) -> str:
    """Write a number of a target with the digits that tell apart numbers of its spread, at least six.

    Args:
        value: the number.
        spread: the largest number of the target less the smallest.

    >>> format_target(1700000123.0, 600.0), format_target(2460001.07, 6.0)
    ('1,700,000,123', '2,460,001.07')
    >>> format_target(341000.4, 9e5), format_target(1.25e15, 3e15)
    ('341,000', '1.25e+15')
    """
    place = math.floor(math.log10(abs(value))) if value else 0  # of the first digit
    last = place - math.floor(math.log10(spread)) + _SPREAD_DIGITS if spread else 0
    return format_significant(value, min(max(_DIGITS, last), _EXACT_DIGITS))


def format_duration(seconds: float) -> str:
    """Write a duration as hours, minutes and seconds.

    >>> format_duration(75.4), format_duration(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count_epochs(epochs: int) -> str:
    """Write a number of epochs.

    >>> count_epochs(1), count_epochs(1200)
    ('1 epoch', '1,200 epochs')
    """
    return "1 epoch" if epochs == 1 else f"{epochs:,} epochs"


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
