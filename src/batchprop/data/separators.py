"""What separates the fields of a text file."""

import re

from batchprop.errors import ParameterError

SEPARATORS = (",", ";", "\t", "|")
"""What separates the fields of most files."""

_WORDS = {"tab": "\t", "\\t": "\t"}
# Nothing that a number, a word or a quoted field is made of, nor the end of a line.
_SEPARATOR = re.compile(r"[^\w\"'\r\n\0.+-]", re.ASCII)


def check_separator(separator: str | None) -> str | None:
    r"""Return the separator, "tab" as its character.

    Raises:
        ParameterError: it cannot separate fields.

    >>> check_separator("tab"), check_separator(";")
    ('\t', ';')
    """
    if separator is None:
        return None
    character = _WORDS.get(str(separator), str(separator))
    if character.isascii() and _SEPARATOR.fullmatch(character):
        return character
    raise ParameterError(
        f"separator={separator!r} cannot separate fields: give one character such as ';', '|' or 'tab'"
    )
