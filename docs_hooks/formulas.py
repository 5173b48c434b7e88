r"""Formulas: LaTeX becomes MathML while the site is built, so that a page needs no script and no other host.

`pymdownx.arithmatex` finds `$...$` and `$$...$$` outside of code and wraps them, escaped, as `\(...\)` and
`\[...\]`. Browsers draw MathML themselves; it is also what a screen reader reads.
"""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
# MathML sets no space between a function's name and what it applies to; TeX does.
_FUNCTION = re.compile(r"(<mi>(?:log|exp|max|min|tr|diag)</mi>)(?=<m[infs])")


def render_formulas(page: str) -> str:
    """Return a page's HTML with each formula as MathML."""
    return _FORMULA.sub(_to_mathml, page)


def _to_mathml(formula: re.Match[str]) -> str:
    display = formula["tag"] == "div"
    mathml = convert(html.unescape(formula["latex"].strip()), display="block" if display else "inline")
    # A norm's bars would stretch one by one, each to its neighbours.
    mathml = mathml.replace("<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>')
    mathml = _FUNCTION.sub(r'\1<mspace width="0.17em"></mspace>', mathml)
    # The block scrolls by itself where a phone is too narrow for it.
    return f'<div class="formula">{mathml}</div>' if display else mathml
