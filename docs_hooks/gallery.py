"""The gallery: every picture that a page shows, small, with a link to where it stands."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import NamedTuple

from PIL import Image

THUMBNAIL_WIDTH = 640  # pixels: a card is 320 wide at most, and screens may have two for one
_LINE = re.compile(
    r"^(?:#(?P<level>#*) (?P<heading>.+)|!\[(?P<alt>[^\]]*)\]\((?P<file>[^)\s]+)\)"
    r"|\[(?P<title>[^\]]+)\]\((?P<frame>[\w-]+\.html(?:#[\w-]+)?)\))$",
    re.MULTILINE,
)


class Picture(NamedTuple):
    """A picture of a page, or a live page that its code saves.

    Attributes:
        page: the page's path within docs/.
        title: the page's title and the heading above the picture.
        alt: what the picture shows, in words.
        file: its path within the site.
        is_live: whether it is a page to open, not an image.
    """

    page: str
    title: str
    alt: str
    file: str
    is_live: bool


def find_pictures(page: str, markdown: str) -> list[Picture]:
    """Return the pictures of a page, in order.

    Args:
        page: its path within docs/.
        markdown: its text.
    """
    page_title, heading, pictures = page, "", []
    for line in _LINE.finditer(markdown):
        if line["heading"]:
            if line["level"]:
                heading = _plain(line["heading"])
            else:
                page_title, heading = _plain(line["heading"]), ""
            continue
        target = line["file"] or line["frame"]
        file = normpath(str(PurePosixPath(page).parent / target)).removeprefix("../")
        alt = line["alt"] or line["title"]
        title = f"{page_title}: {heading}" if heading else page_title
        pictures.append(Picture(page, title, alt, file, is_live=line["frame"] is not None))
    return pictures


def make_thumbnail(path: Path) -> bytes:
    """Return a PNG of at most ``THUMBNAIL_WIDTH`` pixels, on white where the picture is transparent."""
    with Image.open(path) as image:
        rgba = image.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    flat.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH * 4))
    content = io.BytesIO()
    flat.save(content, "PNG", optimize=True)
    return content.getvalue()


def thumbnail_name(file: str) -> str:
    """Return where the thumbnail of a picture lies in the site; an SVG is its own."""
    return file if file.endswith(".svg") else f"thumbnails/{Path(file).stem}.png"


def render_gallery(pictures: list[Picture]) -> str:
    """Return the cards of all pictures, and after them links to the live pages."""
    cards = [
        f'<a class="card" href="{_html_page(one.page)}"><img src="{thumbnail_name(one.file)}" '
        f'alt="" loading="lazy"><b>{html.escape(one.title)}</b><span>{html.escape(one.alt)}</span></a>'
        for one in _without_repeats(pictures)
        if not one.is_live
    ]
    live = [
        f"- [{one.alt}]({one.file.split('#')[0]}), from [{one.title}]({one.page})"
        for one in pictures
        if one.is_live
    ]
    return (
        '<div class="gallery" markdown="0">\n' + "\n".join(cards) + "\n</div>\n\n"
        "## Live pages\n\nThe code of these pages saves a microscope, which the page shows in a frame:\n\n"
        + "\n".join(live)
    )


def _without_repeats(pictures: list[Picture]) -> list[Picture]:
    """Keep the first page of a picture that several show."""
    return list({one.file: one for one in reversed(pictures)}.values())[::-1]


def _html_page(page: str) -> str:
    return str(PurePosixPath(page).with_suffix(".html"))


def _plain(heading: str) -> str:
    return heading.replace("`", "").split("{")[0].strip()
