"""The page: data, style and script in one HTML file that loads nothing else."""

import html
from pathlib import Path
from typing import Any

from batchprop.files import open_file
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


_START = _SKELETON.partition('<meta name="viewport"')[0].encode()


def is_page(path: Path) -> bool:
    """Whether a file is a page of the microscope, by its first bytes."""
    try:
        with open_file(path) as file:
            return file.read(len(_START)) == _START
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
