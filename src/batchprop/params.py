"""Parameters: W and b of every layer, and how a function is mapped over them.

Whatever has the shape of the parameters is of the same type: a gradient, an update, an optimiser's averages.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from batchprop.arrays import Array, namespace


class Layer(NamedTuple):
    """The parameters of one dense layer, or anything of their shape: a gradient, an optimiser's average.

    Attributes:
        W: weights ``(n_l, n_{l-1})``, a row for each unit.
        b: biases ``(n_l,)``.
    """

    W: Array
    b: Array


Layers: TypeAlias = tuple[Layer, ...]


def tree_map(function: Callable[..., Array], *layers: Layers) -> Layers:
    """Apply a function to every W and every b of one or more sets of layers of the same shapes.

    Args:
        function: takes one array of each set, returns one array.
        layers: the sets.

    Returns:
        The layers of the results.
    """
    return tuple(
        Layer(function(*(layer.W for layer in same)), function(*(layer.b for layer in same)))
        for same in zip(*layers, strict=True)
    )


def tree_map_unzip(function: Callable[..., tuple[Array, ...]], *layers: Layers) -> tuple[Layers, ...]:
    """Apply a function with several results to every W and every b; one pass over the layers.

    Args:
        function: takes one array of each set, returns a tuple of arrays.
        layers: the sets.

    Returns:
        As many sets of layers as the function has results.

    Example:
        >>> tree_map_unzip(lambda x: (x + 1, 2 * x), (Layer(3, 5),))
        ((Layer(W=4, b=6),), (Layer(W=6, b=10),))
    """
    by_layer = (
        map(Layer, function(*(layer.W for layer in same)), function(*(layer.b for layer in same)))
        for same in zip(*layers, strict=True)
    )
    return tuple(zip(*by_layer, strict=True))


def zeros_like(layers: Layers) -> Layers:
    """Return layers of zeros, of the same shapes and types."""
    return tree_map(lambda theta: namespace(theta).zeros_like(theta), layers)


def tree_flatten(memory: Any) -> list[Any]:
    """Return what an optimiser remembers as a plain list, which any file format can hold.

    Example:
        >>> tree_flatten((Layer("W", "b"), 3))
        ['W', 'b', 3]
    """
    if not isinstance(memory, tuple):
        return [memory]
    return [leaf for part in memory for leaf in tree_flatten(part)]


def tree_unflatten(template: Any, values: Iterator[Any]) -> Any:
    """Return ``values``, a list from ``tree_flatten``, in the shape of a template.

    Example:
        >>> tree_unflatten((Layer(0, 0), 0), iter(["W", "b", 3]))
        (Layer(W='W', b='b'), 3)
    """
    if not isinstance(template, tuple):
        return next(values)
    parts = [tree_unflatten(part, values) for part in template]
    return template._make(parts) if hasattr(template, "_make") else tuple(parts)
