"""How our docstrings are read for the reference: examples are examples, wherever they stand."""

from __future__ import annotations

from typing import Any

import griffe

from docs_hooks.google import in_google_style


class HouseStyle(griffe.Extension):
    """Reads docstrings as ``in_google_style`` has them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = in_google_style(obj.docstring.value)
