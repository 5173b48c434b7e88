"""The hook of `mkdocs build`: what pages make, figures, commands, files from outside.

Nothing that is generated is committed: the code that is read on a page is the code that made its picture.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from docs_hooks.command_line import reference
from docs_hooks.google import without_blanks
from docs_hooks.made import Made, as_shell, make, with_frames, with_output
from docs_hooks.measured import TABLES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
MADE = "tutorial/"
# What the pages link to, and what is shown, though it does not lie in docs/.
OUTSIDE = ["CHANGELOG.md", "benchmarks/NOTES.md", "benchmarks/results/*.png"]

PLACE = re.compile(r"^<!-- (?P<kind>table|commands): (?P<name>[\w-]+) -->$", re.MULTILINE)


def made(page: File) -> Made:
    """Return what a page makes; it is run once, and again when it has changed (`mkdocs serve`)."""
    document = Path(str(page.abs_src_path))
    return _made(document, document.read_text(encoding="utf-8"))


@cache
def _made(document: Path, text: str) -> Made:  # noqa: ARG001 what was made of another text is stale
    return make(document)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/, and what the tutorial's pages make, to the files of the site."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for page in list(files.documentation_pages()):
        if page.src_uri.startswith(MADE):
            for name, content in made(page).files.items():
                files.append(File.generated(config, MADE + name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 the hook's names
    """Put into a page what is generated for it, and turn its links out of docs/ to the copies."""
    if page.file.src_uri.startswith(MADE):
        found = made(page.file)
        markdown = with_frames(with_output(markdown, found.ran), found.files)
    markdown = markdown.replace("](../benchmarks/", "](benchmarks/")
    markdown = as_shell(markdown)
    return PLACE.sub(lambda place: _generated(place["kind"], place["name"]), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Tidy the reference."""
    return without_blanks(html)


def _generated(kind: str, name: str) -> str:
    return reference() if kind == "commands" else TABLES[name]()
