"""Our docstrings in Google's style, which the reference's parser knows."""

from __future__ import annotations

import re
from textwrap import indent

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_BARE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def in_google_style(docstring: str) -> str:
    """Return a docstring with the heading ``Examples:`` above its doctests.

    Args:
        docstring: one of ours, without indentation; it writes ``Example:``, or a doctest without a heading.

    Returns:
        The same in Google's style.
    """
    docstring = _EXAMPLE.sub("Examples:", docstring)
    return _BARE.sub(lambda found: "Examples:\n" + indent(found[0], "    "), docstring)
