"""The fenced blocks of a document, and how they are run: by the tests, and for the site's own pictures."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from typer.testing import CliRunner

from batchprop.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
# Stands on the line above a block that no test can run, with the reason.
NOT_RUN = re.compile(r"<!-- not run: .+ -->\n\s*\Z")
RUN = {"python", "console"}
# A console block may hold these besides `batchprop`: they set up, or take long, and CI tries them.
TRIED_ELSEWHERE = re.compile(r"(make|pip|uv|python -m|git|\.|cd) ")


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    line: int
    text: str


class ExecutedBlock(NamedTuple):
    """A block that was run, and what it printed."""

    block: Block
    output: str


def is_executable(fence: re.Match[str]) -> bool:
    """Return whether a fenced block, matched by ``FENCE`` in the whole document, is run."""
    return fence["language"] in RUN and not NOT_RUN.search(fence.string[: fence.start()])


def find_blocks(document: Path) -> list[Block]:
    """Return the blocks of the document that are run, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(fence["language"], text.count("\n", 0, fence.start()) + 2, dedent(fence["text"]))
        for fence in FENCE.finditer(text)
        if is_executable(fence)
    ]


def parse_commands(block: Block) -> list[list[str]]:
    """Return the arguments of each `batchprop` command of a console block.

    Raises:
        ValueError: a line is neither `batchprop`, nor a comment, nor tried elsewhere: nothing would try it.
    """
    lines = [line.strip() for line in block.text.replace("\\\n", " ").splitlines()]
    commands = [line for line in lines if line.startswith("batchprop ")]
    for line in lines:
        if line and line not in commands and not line.startswith("#") and not TRIED_ELSEWHERE.match(line):
            raise ValueError(f"line {block.line} ff.: nothing tries {line!r}")
    return [shlex.split(line, comments=True)[1:] for line in commands]


def run_document(document: Path) -> list[ExecutedBlock]:
    """Run a document's blocks in the current folder, in order: a block may use what one before it left.

    Args:
        document: the Markdown file.

    Returns:
        Every block with what it printed.

    Raises:
        RuntimeError: a command failed. Exceptions of Python blocks pass through.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    return [
        ExecutedBlock(
            block,
            _run_python(document, block, namespace)
            if block.language == "python"
            else _run_console(document, block),
        )
        for block in find_blocks(document)
    ]


def _run_python(document: Path, block: Block, namespace: dict[str, Any]) -> str:
    # Blank lines in front make a traceback point at the document's own line.
    source = "\n" * (block.line - 1) + block.text
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(source, str(document), "exec"), namespace)  # noqa: S102 our own documents
    return output.getvalue()


def _run_console(document: Path, block: Block) -> str:
    output = ""
    for arguments in parse_commands(block):
        # All commands share this process and what it has imported, as a process for each spends 3 seconds on
        # imports before it does anything.
        code, out, err = _run_here(arguments)
        if code != 0:
            raise RuntimeError(f"{document}, line {block.line}: {arguments}\n{err}")
        output += out
    return output


def _run_here(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command that opens no browser; return its exit code, its output and its errors."""
    # The module remembers the browsers it found at its first use, so BROWSER may come too late.
    with patch("webbrowser.open", lambda _: True):
        result = CliRunner().invoke(app, arguments, prog_name="batchprop")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr
