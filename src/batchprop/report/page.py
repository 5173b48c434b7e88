"""A report: sections of text, tables and pictures, in one self-contained HTML file."""

import re
from dataclasses import dataclass
from functools import cache
from io import StringIO
from typing import Any, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from batchprop.plots.style import COLOURS, GREY, LIGHT_GREY
from batchprop.webdata import read_asset

# The browser may use only the page's style sheet: no script, no font, no image.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


_PIXELS = 96 / 72  # a point
# A drawing's black, white, greys and blue are those of the page, in the light and in the dark. Black text
# has no colour in the SVG, and takes the style sheet's.
_PAGE_COLOURS = {
    "#000000": "currentColor",
    "#ffffff": "var(--panel)",
    LIGHT_GREY.lower(): "var(--line)",
    GREY.lower(): "var(--quiet)",
    COLOURS[0].lower(): "var(--blue)",
}
_OPENING = Markup(
    '<svg role="img" aria-labelledby="{name}" viewBox="0 0 {width:g} {height:g}" '
    'style="max-width: {most:g}px" stroke-linejoin="round" stroke-linecap="butt">'
    '<title id="{name}">{title}</title>'
)


@dataclass(frozen=True)
class Table:
    """A table of text cells.

    Attributes:
        caption: its caption.
        headings: one for each column.
        rows: the first cell of each is its heading.
        right: the indices of the columns that hold numbers, which are right-aligned.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A drawing with a caption, and its numbers if they are few.

    Attributes:
        title: the text alternative.
        figure: the matplotlib figure.
        caption: the text below it.
        numbers: a table to open, or None.
    """

    title: str
    figure: Any
    caption: str = ""
    numbers: Table | None = None


Part: TypeAlias = Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading with text, tables and pictures.

    Attributes:
        title: the heading.
        text: paragraphs.
        parts: tables and pictures, side by side if there is room.
    """

    title: str
    text: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Report:
    """The content of a page.

    Attributes:
        title: the subject.
        headline: the result in one line.
        about: one line on how it was obtained.
        sections: in order.
    """

    title: str
    headline: str
    about: str
    sections: tuple[Section, ...]


def render(report: Report) -> str:
    """Return the HTML of a report; every text is escaped, so none is read as markup.

    Args:
        report: its contents.

    Returns:
        The whole file.

    Example:
        >>> page = render(Report("a < b", "Good.", "", (Section("Why", ("It <i>is</i>.",)),)))
        >>> "<h1>a &lt; b</h1>" in page, "<p>It &lt;i&gt;is&lt;/i&gt;.</p>" in page
        (True, True)
    """
    return _template().render(report=report, policy=_POLICY, sheet=read_asset("report", "report.css"))


@cache
def _template() -> Template:
    room = Environment(
        loader=PackageLoader("batchprop.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters["drawing"] = to_svg
    return room.get_template("report.html")


def to_svg(picture: Figure, name: str) -> Markup:
    """Return a picture as an SVG element that can share a page with others.

    Args:
        picture: the picture; its letters become outlines, the same on every machine.
        name: the element's id, and the prefix of every id in it.

    Returns:
        The element, with the picture's title in it.
    """
    from matplotlib import rc_context

    file = StringIO()
    # The salt makes ids, and so the file, the same for the same picture.
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        picture.figure.savefig(file, format="svg", metadata=nothing, transparent=True)
    text = re.sub(r"<!--.*?-->|<\?.*?\?>|<!.*?>|<style.*?</style>", "", file.getvalue(), flags=re.DOTALL)
    width, height = (float(size) for size in text.partition('viewBox="0 0 ')[2].partition('"')[0].split())
    drawn = re.sub(r'<g id="[^"]*">', "<g>", text.partition("<svg")[2].partition(">")[2])
    drawn = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", drawn.replace("xlink:href", "href"))
    drawn = re.sub(r"\b(fill|stroke): (#\w{6})", _use_page_colour, drawn)
    return _OPENING.format(
        name=name, title=picture.title, width=width, height=height, most=width * _PIXELS
    ) + Markup(re.sub(r"\s*\n\s*", "\n", drawn))  # noqa: S704 matplotlib's own, which escapes quoted text


def _use_page_colour(declaration: re.Match[str]) -> str:
    name, colour = declaration.groups()
    return f"{name}: {_PAGE_COLOURS.get(colour, colour)}"
