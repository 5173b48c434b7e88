"""The command line's reference, written from the app itself."""

from __future__ import annotations

import html
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo

from batchprop.cli.app import app

# A bound beyond these only guards a computation; nobody comes near it, so the reference leaves it out.
SMALL, LARGE = 1e-9, 1e6
# A plain bar would end the cell of a table.
BAR = "&#124;"

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Parameter(NamedTuple):
    """An argument or an option of a command.

    Attributes:
        name: the name of the function's parameter.
        kind: its type.
        info: Typer's description of it.
        default: its value where the user gives none.
    """

    name: str
    kind: Any
    info: Any
    default: Any


def render_commands() -> str:
    """Return every command with its arguments and options, in Markdown."""
    return "\n\n".join(part for command in app.registered_commands for part in _command(command))


def command_parameters(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of a command's function, in order.

    Args:
        function: annotated as ``name: Annotated[type, typer.Option(...)] = default``.
    """
    hints = get_type_hints(function, include_extras=True)
    return [
        Parameter(name, kind, info, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        for kind, info in [get_args(hints[name])]
    ]


def _command(command: Any) -> Iterator[str]:
    yield f"## batchprop {command.name} {{ #{command.name} }}"
    yield _mark_options(inspect.cleandoc(command.help or command.callback.__doc__))
    parameters = command_parameters(command.callback)
    arguments = [one for one in parameters if isinstance(one.info, ArgumentInfo)]
    panels: dict[str, list[Parameter]] = {}
    for one in parameters:
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
        yield _table(panel, [(_spelling(one), _describe(one)) for one in members])
    examples = [line for line in (command.epilog or "").splitlines() if line.startswith("batchprop")]
    if examples:
        yield "Examples:"
        yield "\n".join(f"    {line}" for line in examples)


def _table(heading: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {heading} | meaning |", "|---|---|"]
    lines += [f"| {left} | {right} |" for left, right in rows]
    return "\n".join(lines)


def _spelling(one: Parameter) -> str:
    """Return an option as users type it: `--rows NUMBER`."""
    # Inside Annotated, Typer keeps the first declaration where a default would be.
    declared = [one.info.default, *(one.info.param_decls or ())]
    spellings = [text for text in declared if isinstance(text, str) and text.startswith("-")]
    words = (", ".join(spellings) or f"--{one.name.replace('_', '-')}") + _value(one)
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
    return next((choices for part in inner if (choices := _choices(part))), ())


def _mark_options(text: str) -> str:
    """Return running text with options as code."""
    return re.sub(r"(--[a-z][a-z-]+)", r"`\1`", text)


def _describe(one: Parameter) -> str:
    text = _mark_options(one.info.help or "").replace("|", BAR)
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
    return f"{text} *{said[0].upper()}{said[1:]}.*" if facts else text
