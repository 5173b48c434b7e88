"""What pages make of themselves while the site is built: their code is run, and its pictures are kept."""

from __future__ import annotations

import os
import re
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from docs_hooks.blocks import FENCE, Ran, is_run, run

# A link to a page that was made, alone on its line.
ALONE = re.compile(r"^\[(?P<title>[^\]]+)\]\((?P<file>[\w-]+\.html)(?P<line>#[\w-]+)?\)$", re.MULTILINE)


class Made(NamedTuple):
    """What a page's blocks printed and saved.

    Attributes:
        ran: the blocks, in order.
        files: the bytes of each file by its name.
    """

    ran: list[Ran]
    files: dict[str, bytes]


def make(document: Path) -> Made:
    """Run a page's blocks in a folder of their own, and keep what they saved there.

    Args:
        document: the Markdown file.

    Returns:
        What they printed and saved.

    Raises:
        RuntimeError: a command failed. What a Python block raises is raised.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    # Threads that wait for each other cost small matrices more than they give.
    with TemporaryDirectory() as scratch, chdir(scratch), threadpool_limits(1):
        ran = run(document)
        saved = [path for path in Path(scratch).iterdir() if path.is_file()]
        return Made(ran, {path.name: path.read_bytes() for path in saved})


def with_output(markdown: str, ran: list[Ran]) -> str:
    """Return the page with what each block printed below it.

    Args:
        markdown: the page.
        ran: its blocks, in order, as they were run.

    Returns:
        The page, an output block after each block that printed something.
    """
    printed = (one.printed.rstrip() for one in ran)

    def shown(found: re.Match[str]) -> str:
        output = next(printed) if is_run(found) else ""
        return f"{found[0]}\n\n``` {{.text .printed}}\n{output}\n```" if output else found[0]

    return FENCE.sub(shown, markdown)


def as_shell(markdown: str) -> str:
    """Name console blocks as shell: the lexer of sessions greys a line without a prompt, as output."""
    return re.sub(r"^```console$", "```bash", markdown, flags=re.MULTILINE)


def with_frames(markdown: str, files: dict[str, bytes]) -> str:
    """Return the page with the pages that it made in frames, where it links to them on a line of their own.

    Args:
        markdown: the page.
        files: what it made, by name.

    Returns:
        The page. Each frame is followed by the link, for those who want it large.
    """

    def framed(found: re.Match[str]) -> str:
        if found["file"] not in files:
            return found[0]
        title, file = found["title"], found["file"] + (found["line"] or "")
        frame = f'<iframe src="{file}" title="{title}" loading="lazy"></iframe>'
        return (
            f'<div class="frame" markdown="0">{frame}</div>'
            f"\n\n[{title}: open it in a window of its own]({file}){{ .alone }}"
        )

    return ALONE.sub(framed, markdown)
