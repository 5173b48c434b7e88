"""The playground's page: data, style and scripts in one HTML file that loads nothing else."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from batchprop.microscope.formulas import formula_table
from batchprop.microscope.page import Page
from batchprop.microscope.page import is_page as starts_as
from batchprop.playground.table import Table
from batchprop.webdata import json_script, read_asset

_SKELETON = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="batchprop playground">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<noscript>The playground needs JavaScript: please enable it.</noscript>
<main id="playground"></main>
<script type="application/json" id="playground-data">{data}</script>
<script type="text/plain" id="playground-worker">{worker}</script>
<script>{script}</script>
<script type="text/plain" id="microscope-style">{microscope_style}</script>
<script type="text/plain" id="microscope-script">{microscope_script}</script>
</body>
</html>
"""

# The browser enforces it: nothing is fetched, and nothing sent. The worker is made from this page's own text.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; worker-src blob:; "
    "img-src data:; font-src data:"
)

_START = _SKELETON.partition('<meta name="viewport"')[0]


@dataclass(frozen=True)
class Playground(Page):
    """A page that trains a network; a notebook displays it.

    The one trait of its ``widget`` is ``address``: data set, network, settings and step, as in a link.

    Attributes:
        html: the page, one file that loads nothing else.
    """

    title: ClassVar[str] = "batchprop playground"
    shared: ClassVar[dict[str, Any]] = {"address": ""}


def is_page(path: Path) -> bool:
    """Whether a file is a page of the playground, by its first bytes."""
    return starts_as(path, _START)


def make_page(table: Table | None, settings: Mapping[str, Any]) -> Playground:
    """Return the page, with a table or without.

    Example:
        >>> "<title>batchprop playground</title>" in make_page(None, {"seed": 3}).html
        True
    """
    data = {
        "formulas": formula_table(),
        "table": None if table is None else table.document(),
        "settings": dict(settings),
    }
    title = "batchprop playground" if table is None else f"{table.title}: batchprop playground"
    return Playground(
        _SKELETON.format(
            policy=_POLICY,
            title=html.escape(title),
            style=read_asset("playground", "playground.css"),
            data=json_script(data),
            worker=read_asset("playground", "worker.js"),
            script=read_asset("playground", "playground.js"),
            microscope_style=read_asset("microscope", "microscope.css"),
            microscope_script=read_asset("microscope", "microscope.js"),
        )
    )
