"""The fenced blocks of a document, and how they are run: by the tests, and for the site's own pictures."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
# Written on the line above a block that no test can run, with the reason.
NOT_RUN = re.compile(r"<!-- not run: .+ -->\n\s*\Z")
RUN = {"python", "console"}
# What a console block may hold besides `batchprop`: it sets up, or takes long, and is tried elsewhere.
TRIED_ELSEWHERE = re.compile(r"(make|pip|python -m|git|\.|cd) ")
INTERRUPTED = 130


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    line: int
    text: str


class Ran(NamedTuple):
    """A block that was run, and what it printed."""

    block: Block
    printed: str


def is_run(fence: re.Match[str]) -> bool:
    """Whether a fenced block, found by ``FENCE`` in the whole document, is run."""
    return fence["language"] in RUN and not NOT_RUN.search(fence.string[: fence.start()])


def blocks(document: Path) -> list[Block]:
    """Return the blocks of the document that are run, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(found["language"], text.count("\n", 0, found.start()) + 2, dedent(found["text"]))
        for found in FENCE.finditer(text)
        if is_run(found)
    ]


def commands(block: Block) -> list[list[str]]:
    """Return the `batchprop` commands of a console block.

    Args:
        block: its lines are `batchprop` with arguments, comments, or tried elsewhere.

    Returns:
        The arguments of each.

    Raises:
        ValueError: a line is nothing of that, and so would never be tried.
    """
    lines = [line.strip() for line in block.text.replace("\\\n", " ").splitlines()]
    ours = [line for line in lines if line.startswith("batchprop ")]
    for line in lines:
        if line and line not in ours and not line.startswith("#") and not TRIED_ELSEWHERE.match(line):
            raise ValueError(f"line {block.line} ff.: nothing tries {line!r}")
    return [shlex.split(line, comments=True)[1:] for line in ours]


def run(document: Path) -> list[Ran]:
    """Run a document's blocks in the current folder, in order: what one leaves behind, the next may use.

    Args:
        document: the Markdown file.

    Returns:
        Every block with what it printed.

    Raises:
        RuntimeError: a command failed. What a Python block raises is raised.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    return [
        Ran(
            block,
            _python(document, block, namespace) if block.language == "python" else _console(document, block),
        )
        for block in blocks(document)
    ]


def _python(document: Path, block: Block, namespace: dict[str, Any]) -> str:
    # Blank lines in front make a traceback point at the document's own line.
    source = "\n" * (block.line - 1) + block.text
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(source, str(document), "exec"), namespace)  # noqa: S102 our own documents
    return printed.getvalue()


def _console(document: Path, block: Block) -> str:
    printed = ""
    for arguments in commands(block):
        start = "import sys; from batchprop.cli import main; sys.exit(main())"
        running = subprocess.Popen(  # noqa: S603 our own command line
            [sys.executable, "-c", start, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "BROWSER": "true"},  # which opens nothing
        )
        serves = arguments[0] == "play"
        printed += _until_it_serves(running) if serves else ""
        out, err = running.communicate()
        if running.returncode != (INTERRUPTED if serves else 0):
            raise RuntimeError(f"{document}, line {block.line}: {arguments}\n{err}")
        printed += out
    return printed


def _until_it_serves(running: subprocess.Popen[str]) -> str:
    """Read what a server says when it is up, then end it as its user would."""
    first = running.stdout.readline() if running.stdout else ""
    if first.startswith("Playground: "):
        running.send_signal(signal.SIGINT)
    return first
