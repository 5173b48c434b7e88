"""Text for the terminal: what a table holds is shown, and never controls it."""

import os
import re
import shutil
import sys
import textwrap
from typing import Any

import typer

from batchprop.format import INVISIBLE

MAX_WIDTH = 120
"""Longer lines of text are hard to read."""

_LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_SPELLINGS = {"−": "-", "·": "*", "×": "x", "∞": "inf", "≤": "<=", "±": "+-", "…": "...", "→": "->", "─": "-"}


def printable(text: str, *, keep: str = "") -> str:
    r"""Escape, as Python does, what moves the cursor, turns the direction of text or is not seen.

    These are control characters, ESC among them, bidirectional overrides, zero-width characters, line
    separators, and blanks other than the space.

    Args:
        text: of any characters.
        keep: characters to leave.

    >>> printable("caf\u00e9 \x1b]52;c;aGk=\x07 \u202etxt.exe", keep="\n")
    'café \\x1b]52;c;aGk=\\x07 \\u202etxt.exe'
    """
    if text.isprintable() and INVISIBLE.isdisjoint(text):
        return text
    return "".join(map(_show, text)) if not keep else "".join(c if c in keep else _show(c) for c in text)


def spell_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Spell what an encoding lacks in ASCII, for ``codecs.register_error``: a number must not lose its sign.

    >>> spell_unencodable(UnicodeEncodeError("ascii", "−0.5", 0, 1, ""))
    ('-', 1)
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    raised = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda power: f"^{power[0].translate(_LOWERED)}", letters)
    return "".join(_SPELLINGS.get(c, c if c.isascii() else "?") for c in raised), error.end


def _show(letter: str) -> str:
    seen = letter.isprintable() and letter not in INVISIBLE
    return letter if seen else ascii(letter)[1:-1]


def echo(text: str, *, err: bool = False, **style: Any) -> None:
    """Print a line of text."""
    typer.secho(printable(text), err=err, **style)


def echo_data(text: str) -> None:
    """Print lines of data: as they are in a pipe or a file, printable in a terminal."""
    typer.echo(printable(text, keep="\n") if is_terminal() else text, nl=False)


def wrap(text: str, width: int, *, terminal: bool) -> str:
    r"""Break lines between words, as a terminal would break them within; a pipe's stay whole, for programs.

    In a pipe, the environment variable COLUMNS asks for it too. Words longer than a line, such as paths, stay
    whole.

    >>> wrap("Saved in m: a.csv, report.html", 20, terminal=True)
    'Saved in m: a.csv,\n  report.html'
    """
    if not (terminal or "COLUMNS" in os.environ):
        return text
    how: dict[str, Any] = {"subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(textwrap.fill(line, width, **how) for line in text.split("\n"))


def page_width() -> int:
    """Return how many characters a line of text may have: as many as the terminal has, or 80; at most 120."""
    return min(shutil.get_terminal_size().columns, MAX_WIDTH)


def is_terminal() -> bool:
    """Return whether the standard output is a terminal."""
    return sys.stdout.isatty()
