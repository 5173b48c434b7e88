"""The parameters: W and b of every layer, and functions over all of them.

Gradients, updates and an optimiser's averages have the shapes of the parameters, and the same type.
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
"""The parameters of a network, or anything of their shapes, from the first layer to the last."""


def tree_map(function: Callable[..., Array], *layers: Layers) -> Layers:
    """Apply a function to every W and every b of one or more sets of layers of the same shapes."""
    return tuple(
        Layer(function(*(layer.W for layer in same)), function(*(layer.b for layer in same)))
        for same in zip(*layers, strict=True)
    )


def tree_map_unzip(function: Callable[..., tuple[Array, ...]], *layers: Layers) -> tuple[Layers, ...]:
    """Apply a function with several results to every W and b, and return one set of layers for each."""
    # One pass over the layers: Adam computes θ, m and v together, and keeps nothing between them.
    by_layer = (
        map(Layer, function(*(layer.W for layer in same)), function(*(layer.b for layer in same)))
        for same in zip(*layers, strict=True)
    )
    return tuple(zip(*by_layer, strict=True))


def zeros_like(layers: Layers) -> Layers:
    """Return layers of zeros, of the same shapes and types."""
    return tree_map(lambda theta: namespace(theta).zeros_like(theta), layers)


def tree_flatten(tree: Any) -> list[Any]:
    """Return the leaves of nested tuples, such as an optimiser's state, as a list for any file format."""
    if not isinstance(tree, tuple):
        return [tree]
    return [leaf for branch in tree for leaf in tree_flatten(branch)]


def tree_unflatten(template: Any, leaves: Iterator[Any]) -> Any:
    """Return the leaves of ``tree_flatten`` in the structure of a template."""
    if not isinstance(template, tuple):
        return next(leaves)
    branches = [tree_unflatten(branch, leaves) for branch in template]
    # A named tuple takes its fields one by one, and its _make an iterable, as tuple does.
    return template._make(branches) if hasattr(template, "_make") else tuple(branches)
