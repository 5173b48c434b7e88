"""Pages that run their own code while the site is built: what their blocks print and save is shown."""

from __future__ import annotations

import html
import os
import re
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from docs_hooks.blocks import FENCE, ExecutedBlock, is_executable, run_document

# A link to a page that the code saved, alone on its line.
FRAME_LINK = re.compile(
    r"^\[(?P<title>[^\]]+)\]\((?P<file>[\w-]+\.html)(?P<fragment>#[\w=&.,-]+)?\)$", re.MULTILINE
)


class PageOutput(NamedTuple):
    """What a page's blocks printed and saved.

    Attributes:
        executed: the blocks, in order.
        files: the bytes of each file by its name.
    """

    executed: list[ExecutedBlock]
    files: dict[str, bytes]


def execute_page(document: Path) -> PageOutput:
    """Run a page's blocks in a temporary folder, and keep what they save there.

    Raises:
        RuntimeError: a command failed. Exceptions of Python blocks pass through.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    # Small matrices on several BLAS threads spend more time waiting than computing.
    with TemporaryDirectory() as scratch, chdir(scratch), threadpool_limits(1):
        executed = run_document(document)
        saved = [path for path in Path(scratch).iterdir() if path.is_file()]
        return PageOutput(executed, {path.name: path.read_bytes() for path in saved})


def insert_output(markdown: str, executed: list[ExecutedBlock]) -> str:
    """Return the page with the output of each block below it.

    Args:
        markdown: the page.
        executed: its blocks, in the order in which they ran.
    """
    outputs = (one.output.rstrip() for one in executed)

    def append_output(fence: re.Match[str]) -> str:
        output = next(outputs) if is_executable(fence) else ""
        return f"{fence[0]}\n\n``` {{.text .printed}}\n{output}\n```" if output else fence[0]

    return FENCE.sub(append_output, markdown)


def relabel_console(markdown: str) -> str:
    """Label console blocks as bash: the lexer of sessions greys a line without a prompt, as output."""
    return re.sub(r"^```console$", "```bash", markdown, flags=re.MULTILINE)


def insert_frames(markdown: str, files: dict[str, bytes]) -> str:
    """Return the page with a frame for each page that its code saved, where a line holds only the link.

    Args:
        markdown: the page.
        files: what its code saved, by name.

    Returns:
        The page. The link stays below the frame, for readers who want it large.
    """

    def insert_frame(link: re.Match[str]) -> str:
        if link["file"] not in files:
            return link[0]
        title, file = link["title"], html.escape(link["file"] + (link["fragment"] or ""))
        frame = f'<iframe src="{file}" title="{title}" loading="lazy"></iframe>'
        return (
            f'<div class="frame" markdown="0">{frame}</div>'
            f"\n\n[{title}: open it in a window of its own]({file}){{ .alone }}"
        )

    return FRAME_LINK.sub(insert_frame, markdown)
