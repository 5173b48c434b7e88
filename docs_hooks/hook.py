"""The hook of `mkdocs build`: it runs pages, and adds tables, commands, pictures and outside files.

Nothing that is generated is committed: the code that a page shows is the code that made its picture.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from docs_hooks.benchmark_tables import TABLES
from docs_hooks.command_line import render_commands
from docs_hooks.execution import PageOutput, execute_page, insert_frames, insert_output, relabel_console
from docs_hooks.formulas import render_formulas
from docs_hooks.gallery import Picture, find_pictures, make_thumbnail, render_gallery, thumbnail_name
from docs_hooks.google import strip_after_default
from docs_hooks.names import render_names

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Pages whose code runs while the site is built: what it prints and saves stands in the page.
EXECUTED = ("index.md", "playground.md", "tutorial/")
# What pages link to or show, though it lies outside docs/.
OUTSIDE = ["CHANGELOG.md", "benchmarks/NOTES.md", "benchmarks/results/*.png"]

PLACEHOLDER = re.compile(r"^<!-- (?P<kind>table|commands|names|gallery): (?P<name>[\w-]+) -->$", re.MULTILINE)


def page_output(page: File) -> PageOutput:
    """Return what a page's code printed and saved; it runs once, and again when the page has changed."""
    document = Path(str(page.abs_src_path))
    return _page_output(document, document.read_text(encoding="utf-8"))


@cache
def _page_output(document: Path, text: str) -> PageOutput:  # noqa: ARG001 `mkdocs serve`: a new text is run anew
    return execute_page(document)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add to the site what lies outside docs/, what pages save, and thumbnails of all pictures."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for page in list(files.documentation_pages()):
        if page.src_uri.startswith(EXECUTED):
            folder = page.src_uri.rpartition("/")[0]
            for name, content in page_output(page).files.items():
                # Of what a page saves, the site has what the page shows: another file may have a page's name.
                if f"]({name}" in page.content_string:
                    files.append(File.generated(config, f"{folder}/{name}".lstrip("/"), content=content))
    for file in {one.file for one in _pictures() if not one.is_live}:
        source = ROOT / file if file.startswith("benchmarks/") else DOCS / file
        if thumbnail_name(file) != file:
            files.append(File.generated(config, thumbnail_name(file), content=make_thumbnail(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 the hook's names
    """Insert what is generated for a page, and point its links out of docs/ to the copies."""
    if page.file.src_uri.startswith(EXECUTED):
        output = page_output(page.file)
        markdown = insert_frames(insert_output(markdown, output.executed), output.files)
    markdown = markdown.replace("](../benchmarks/", "](benchmarks/").replace(
        "](../CHANGELOG.md", "](CHANGELOG.md"
    )
    markdown = relabel_console(markdown)
    return PLACEHOLDER.sub(lambda place: _generate(place["kind"], place["name"]), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Turn formulas into MathML, and tidy the reference."""
    return strip_after_default(render_formulas(html))


def _pictures() -> list[Picture]:
    pages = sorted(DOCS.rglob("*.md"), key=lambda path: (path.parent != DOCS / "tutorial", path))
    return [
        picture
        for page in pages
        for picture in find_pictures(page.relative_to(DOCS).as_posix(), page.read_text(encoding="utf-8"))
    ]


def _generate(kind: str, name: str) -> str:
    if kind == "commands":
        return render_commands()
    if kind == "names":
        return render_names(DOCS / "reference")
    if kind == "gallery":
        return render_gallery(_pictures())
    return TABLES[name]()
