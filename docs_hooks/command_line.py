"""The command line's reference, written from the app itself."""

from __future__ import annotations

import html
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo

from batchprop.cli.app import app

# A bound beyond these keeps a computation sound, and nobody comes near it.
SMALL, LARGE = 1e-9, 1e6
# In a table a bar would begin a cell.
BAR = "&#124;"

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Parameter(NamedTuple):
    """An argument or an option of a command.

    Attributes:
        name: of the function's parameter.
        kind: its type.
        info: what Typer was told of it.
        default: its value where none is given.
    """

    name: str
    kind: Any
    info: Any
    default: Any


def reference() -> str:
    """Return every command with its arguments and options, in Markdown."""
    return "\n\n".join(part for command in app.registered_commands for part in _command(command))


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of a command's function, in order.

    Args:
        function: annotated as Typer has it, ``name: Annotated[type, typer.Option(...)] = default``.

    Returns:
        What is said of each.
    """
    hints = get_type_hints(function, include_extras=True)
    return [
        Parameter(name, kind, info, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        for kind, info in [get_args(hints[name])]
    ]


def _command(command: Any) -> Iterator[str]:
    yield f"## batchprop {command.name} {{ #{command.name} }}"
    yield _marked(inspect.cleandoc(command.help or command.callback.__doc__))
    found = parameters(command.callback)
    arguments = [one for one in found if isinstance(one.info, ArgumentInfo)]
    panels: dict[str, list[Parameter]] = {}
    for one in found:
        if one not in arguments:
            panels.setdefault(one.info.rich_help_panel or "Options", []).append(one)
    words = [
        one.info.metavar if one.default is inspect.Parameter.empty else f"[{one.info.metavar}]"
        for one in arguments
    ]
    yield "    " + " ".join(["batchprop", command.name, *words, "[OPTIONS]"])
    if arguments:
        yield _table("Argument", [(f"`{one.info.metavar}`", one.info.help) for one in arguments])
    for panel, members in panels.items():
        yield _table(panel, [(_spelled(one), _told(one)) for one in members])
    examples = [line for line in (command.epilog or "").splitlines() if line.startswith("batchprop")]
    if examples:
        yield "Examples:"
        yield "\n".join(f"    {line}" for line in examples)


def _table(heading: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {heading} | what it says |", "|---|---|"]
    lines += [f"| {left} | {right} |" for left, right in rows]
    return "\n".join(lines)


def _spelled(one: Parameter) -> str:
    """An option as it is written: `--rows NUMBER`."""
    # In Annotated the first declaration stands where a default would.
    declared = [one.info.default, *(one.info.param_decls or ())]
    spelled = [text for text in declared if isinstance(text, str) and text.startswith("-")]
    words = (", ".join(spelled) or f"--{one.name.replace('_', '-')}") + _value(one)
    return f"<code>{html.escape(words).replace('|', BAR)}</code>"


def _value(one: Parameter) -> str:
    if one.kind is bool:
        return ""
    if one.info.metavar:
        return f" {one.info.metavar}"
    if Path in (one.kind, *get_args(one.kind)):
        return " FILE"
    choices = _choices(one.kind)
    return " " + "|".join(choices) if choices else ""


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    inner = get_args(kind) if get_origin(kind) in {Union, type(int | None)} else ()
    return next((found for part in inner if (found := _choices(part))), ())


def _marked(text: str) -> str:
    """Options in running text as code."""
    return re.sub(r"(--[a-z][a-z-]+)", r"`\1`", text)


def _told(one: Parameter) -> str:
    told = _marked(one.info.help or "").replace("|", BAR)
    facts = []
    shown = one.info.show_default
    default = shown if isinstance(shown, str) else one.default if shown else None
    if default not in (None, False, inspect.Parameter.empty):
        facts.append(f"by default {'yes' if default is True else default}")
    facts += [
        f"at {end} {bound:g}"
        for end, bound in (("least", one.info.min), ("most", one.info.max))
        if bound is not None and SMALL < bound < LARGE
    ]
    said = ", ".join(facts)
    return f"{told} *{said[0].upper()}{said[1:]}.*" if facts else told
