"""How our code is read for the reference: examples are examples, wherever they stand, and defaults values."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import griffe

from docs_hooks.google import in_google_style


class HouseStyle(griffe.Extension):
    """Reads docstrings as ``in_google_style`` has them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = in_google_style(obj.docstring.value)

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Put its value where a default is the name of a constant."""
        for parameter in func.parameters:
            if isinstance(parameter.default, griffe.ExprName):
                with suppress(KeyError):  # a name from elsewhere
                    constant = func.modules_collection[parameter.default.canonical_path]
                    value = getattr(constant, "value", None)
                    parameter.default = value if isinstance(value, str) else parameter.default
