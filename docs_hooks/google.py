"""Our docstrings in Google's style, which the reference's parser knows."""

from __future__ import annotations

import re
from textwrap import dedent, indent

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_SOURCE = re.compile(r"^Source:\n(?P<text>(?:(?:    .*)?(?:\n|\Z))+)", re.MULTILINE)
_PAPER = re.compile(r"\barXiv (\d{4}\.\d{4,5})|(?<=, )(\d{4}\.\d{4,5})")
_DEFAULT = re.compile(r"(default:\s*<code>[^\n]*</code>)\s*\)")
_BARE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def in_google_style(docstring: str) -> str:
    """Return a docstring with the heading ``Examples:`` above its doctests, and links to its papers.

    Args:
        docstring: one of ours, without indentation; it writes ``Example:``, or a doctest without a heading,
            and ``Source:`` above a paper.

    Returns:
        The same in Google's style.
    """
    docstring = _SOURCE.sub(_paragraph, docstring)
    docstring = _EXAMPLE.sub("Examples:", docstring)
    return _BARE.sub(lambda found: "Examples:\n" + indent(found[0], "    "), docstring)


def without_blanks(html: str) -> str:
    """Take out the blank that the reference's template has between a default and what closes it."""
    return _DEFAULT.sub(r"\1)", html)


def _paragraph(found: re.Match[str]) -> str:
    text = _PAPER.sub(_link, dedent(found["text"]).strip())
    return f"**Source:** {text}\n\n"


def _link(found: re.Match[str]) -> str:
    return f"[{found[0]}](https://arxiv.org/abs/{found[1] or found[2]})"
