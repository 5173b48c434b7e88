"""Our docstrings in Google's style, which the reference's parser knows."""

from __future__ import annotations

import re
from textwrap import dedent, indent

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_SOURCE = re.compile(r"^Source:\n(?P<text>(?:(?:    .*)?(?:\n|\Z))+)", re.MULTILINE)
_PAPER = re.compile(r"\barXiv (\d{4}\.\d{4,5})|(?<=, )(\d{4}\.\d{4,5})")
_DEFAULT = re.compile(r"(default:\s*<code>[^\n]*</code>)\s*\)")
_UNTITLED_DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def to_google_style(docstring: str) -> str:
    """Return a docstring with the heading ``Examples:`` above its doctests, and links to its papers.

    Args:
        docstring: without indentation; it has ``Example:``, or a doctest without a heading, and ``Source:``
            above a paper.
    """
    docstring = _SOURCE.sub(_format_source, docstring)
    docstring = _EXAMPLE.sub("Examples:", docstring)
    return _UNTITLED_DOCTEST.sub(lambda doctest: "Examples:\n" + indent(doctest[0], "    "), docstring)


def strip_after_default(html: str) -> str:
    """Remove the whitespace that the reference's template leaves between a default and its bracket."""
    return _DEFAULT.sub(r"\1)", html)


def _format_source(source: re.Match[str]) -> str:
    text = _PAPER.sub(_link_paper, dedent(source["text"]).strip())
    return f"**Source:** {text}\n\n"


def _link_paper(paper: re.Match[str]) -> str:
    return f"[{paper[0]}](https://arxiv.org/abs/{paper[1] or paper[2]})"
