"""The reference's view of our code: docstrings in Google's style, and the values of named defaults."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import griffe

from docs_hooks.google import to_google_style


class HouseStyle(griffe.Extension):
    """Griffe's extension; the reference's parser calls it for each object."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = to_google_style(obj.docstring.value)

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Show the value where a default is the name of a constant."""
        for parameter in func.parameters:
            if isinstance(parameter.default, griffe.ExprName):
                with suppress(KeyError):  # a name that another package defines
                    constant = func.modules_collection[parameter.default.canonical_path]
                    value = getattr(constant, "value", None)
                    parameter.default = value if isinstance(value, str) else parameter.default
