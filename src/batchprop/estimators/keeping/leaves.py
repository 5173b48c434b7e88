"""Leaves: what an optimiser remembers as a plain list, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves(memory: Any) -> list[Any]:
    """Return what an optimiser remembers as a plain list, which any file format can hold.

    Example:
        >>> from batchprop.network import Layer
        >>> leaves((Layer("W", "b"), 3))
        ['W', 'b', 3]
    """
    if not isinstance(memory, tuple):
        return [memory]
    return [leaf for part in memory for leaf in leaves(part)]


def rebuilt(template: Any, values: Iterator[Any]) -> Any:
    """Return ``values``, a list from ``leaves``, in the shape of a template.

    Example:
        >>> from batchprop.network import Layer
        >>> rebuilt((Layer(0, 0), 0), iter(["W", "b", 3]))
        (Layer(W='W', b='b'), 3)
    """
    if not isinstance(template, tuple):
        return next(values)
    parts = [rebuilt(part, values) for part in template]
    return template._make(parts) if hasattr(template, "_make") else tuple(parts)
