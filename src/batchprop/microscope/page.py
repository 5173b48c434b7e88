"""The page: data, style and script in one HTML file that loads nothing else."""

import html
import webbrowser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from batchprop.files import atomic_write, open_file
from batchprop.microscope.widget import has_widgets, make_widget
from batchprop.webdata import json_script, read_asset

_SKELETON = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="batchprop microscope">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page needs JavaScript to draw its matrices: please enable it.</noscript>
<main id="microscope"></main>
<script type="application/json" id="batch-data">{document}</script>
<script>{script}</script>
</body>
</html>
"""

# The browser enforces it: nothing is fetched, even if a label in the user's data contains markup.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; font-src data:"
)


@dataclass(frozen=True)
class Page:
    """A page in one file; a notebook displays it.

    Attributes:
        html: the page, which loads nothing else.
    """

    html: str
    title: ClassVar[str] = "batchprop"
    # What Python and the page share in a notebook, with the first values.
    shared: ClassVar[dict[str, Any]] = {}

    @cached_property
    def widget(self) -> Any:
        """The page as a widget of Jupyter or marimo, whose traits Python and the page both read and set.

        Raises:
            BatchpropError: anywidget is not installed.
        """
        return make_widget(self.html, self.title, self.shared)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file.

        Args:
            path: of the file; an existing file is replaced.

        Returns:
            The path.
        """
        path = Path(path)
        atomic_write(self.html.encode(), path)
        return path

    def open(self, path: str | Path) -> bool:
        """Write the page to a file and open it in the browser.

        Args:
            path: of the file.

        Returns:
            Whether a browser was found.
        """
        return webbrowser.open(self.save(path).resolve().as_uri())

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if has_widgets():
            return self.widget._repr_mimebundle_(**kwargs)
        framed = html.escape(self.html)
        return {
            "text/html": f'<iframe title="{self.title}" srcdoc="{framed}" width="100%" height="900"></iframe>'
        }


_START = _SKELETON.partition('<meta name="viewport"')[0]


def is_page(path: Path, start: str = _START) -> bool:
    """Whether a file is a page of the microscope, or one that starts otherwise, by its first bytes."""
    first = start.encode()
    try:
        with open_file(path) as file:
            return file.read(len(first)) == first
    except OSError:
        return False


def page(document: dict[str, Any]) -> str:
    """Return the HTML file for the data from ``batchprop.microscope.document.document``.

    Example:
        >>> page({"title": "a < b"})[:15]
        '<!doctype html>'
    """
    return _SKELETON.format(
        policy=_POLICY,
        title=html.escape(document["title"]),
        style=read_asset("microscope", "microscope.css"),
        document=json_script(document),
        script=read_asset("microscope", "microscope.js"),
    )
