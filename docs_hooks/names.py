"""The index of all public names, read from each module's `__all__` and from the pages of the reference."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pkgutil import resolve_name
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHOWN = re.compile(r"^::: (?P<name>[\w.]+)$(?P<options>(?:\n {4}.*)*)", re.MULTILINE)
_MEMBERS = re.compile(r"members: \[(?P<names>.*)\]")
_SENTENCE_END = re.compile(r"(?<=[.:])\s+(?=[A-Z`(])|\n\s*\n")
_ROLE = re.compile(r"``([^`]+)``")


def render_names(reference: Path) -> str:
    """Return a table for each public module: each name, linked, with the first sentence of its docstring.

    Args:
        reference: the folder of the reference's pages.
    """
    anchors = {id(one): anchor for anchor, one in _shown_objects(reference)}
    tables: dict[str, list[str]] = {}
    listed = set()
    for module, name, one in [*_exports(), *_rest(reference)]:
        # A name that `batchprop` itself exports stands there once, under its short name.
        if id(one) in anchors and id(one) not in listed:
            tables.setdefault(module, []).extend(_rows(name, one, anchors[id(one)]))
            listed.add(id(one))
    return "\n\n".join(
        "\n".join([f"## {module}\n", "| name | what it is |", "|---|---|", *rows])
        for module, rows in tables.items()
    )


def _shown_objects(reference: Path) -> Iterator[tuple[str, Any]]:
    """Yield each object that the reference shows, after its anchor there."""
    for page in sorted(reference.glob("*.md")):
        for shown in _SHOWN.finditer(page.read_text(encoding="utf-8")):
            target = resolve_name(shown["name"])
            if not isinstance(target, ModuleType):
                yield shown["name"], target
                continue
            members = _MEMBERS.search(shown["options"])
            for name in members["names"].split(", ") if members else _defined_names(target):
                yield f"{shown['name']}.{name}", getattr(target, name)


def _exports() -> Iterator[tuple[str, str, Any]]:
    """Yield module, name and object of what `batchprop` and its public packages export."""
    package = import_module("batchprop")
    objects = {name: getattr(package, name) for name in package.__all__}
    for name, one in objects.items():
        if not isinstance(one, ModuleType):
            yield package.__name__, name, one
    for module in objects.values():
        if isinstance(module, ModuleType):
            for name in getattr(module, "__all__", ()):
                yield module.__name__, name, getattr(module, name)


def _rest(reference: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield module, name and object of what the reference shows."""
    for anchor, one in _shown_objects(reference):
        module, _, name = anchor.rpartition(".")
        yield module, name, one


def _rows(name: str, one: Any, anchor: str) -> Iterator[str]:
    yield f"| [`{name}`][{anchor}] | {_first_sentence(one)} |"
    if inspect.isclass(one) and not issubclass(one, Exception):
        for method, function in inspect.getmembers(one, inspect.isroutine):
            # What comes from scikit-learn's base classes, or from tuples, is in other references.
            ours = getattr(function, "__module__", None) or ""
            if not method.startswith("_") and function.__doc__ and ours.startswith("batchprop"):
                yield f"| [`{name}.{method}`][{anchor}.{method}] | {_first_sentence(function)} |"


def _first_sentence(one: Any) -> str:
    docstring = inspect.cleandoc(one.__doc__ or "")
    sentence = " ".join(_SENTENCE_END.split(docstring, maxsplit=1)[0].split()).rstrip(".:")
    return _ROLE.sub(r"`\1`", sentence).replace("|", "&#124;")


def _defined_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, one in vars(module).items()
        if not name.startswith("_")
        and callable(one)
        and one.__doc__
        and getattr(one, "__module__", None) == module.__name__
    ]
