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
INTERRUPTED = 130
RUN = {"python", "console", "sh", "bash", "shell"}


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    line: int
    text: str


class Ran(NamedTuple):
    """A block that was run, and what it printed."""

    block: Block
    printed: str


def blocks(document: Path) -> list[Block]:
    """Return the document's Python and console blocks, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(found["language"], text.count("\n", 0, found.start()) + 2, dedent(found["text"]))
        for found in FENCE.finditer(text)
        if found["language"] in RUN and not NOT_RUN.search(text[: found.start()])
    ]


def commands(block: Block) -> list[list[str]]:
    """Return the `batchprop` commands of a console block; `make` and `pip` are tried elsewhere."""
    joined = block.text.replace("\\\n", " ").splitlines()
    lines = [line.strip().removeprefix("$ ") for line in joined]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("batchprop ")]


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
