"""What a training of the page starts from and draws, so that the library can repeat it step by step."""

import math
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import Masks
from batchprop.network import Network
from batchprop.objective import dropout_masks
from batchprop.params import Layer
from batchprop.playground.random import Stream, permutation, uniforms

Indices = NDArray[np.intp]

_VALIDATION_PART = 5  # one row in five


def make_network(sizes: Sequence[int], activation: str, head: str, seed: int) -> Network:
    """Make the network that the page begins with.

    Args:
        sizes: the widths ``[n_0, ..., n_{L+1}]``.
        activation: of the hidden layers.
        head: a name of ``batchprop.heads.HEADS``.
        seed: the page's.

    Returns:
        The network, in float32: ``W, b ~ U(−r, r)``, ``r = √(6 / (n_{l-1} + n_l))``, with 2 for the sigmoid.

    Example:
        >>> make_network([2, 8, 2], "tanh", "softmax", seed=0).sizes
        (2, 8, 2)
    """
    gain = 2.0 if activation == "sigmoid" else 6.0
    layers = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        draws = uniforms((n_in + 1) * n_out, seed, Stream.WEIGHTS, k)
        theta = (math.sqrt(gain / (n_in + n_out)) * (2 * draws - 1)).astype(np.float32)
        layers.append(Layer(theta[: n_in * n_out].reshape(n_out, n_in), theta[n_in * n_out :]))
    return Network.from_weights(layers, activation=activation, head=head)


def split_rows(n: int, seed: int) -> tuple[Indices, Indices]:
    """Return the rows that train and those held out, each ascending; a fifth is held out.

    Example:
        >>> [len(rows) for rows in split_rows(100, seed=0)]
        [80, 20]
    """
    order, n_held = permutation(n, seed, Stream.SPLIT), max(1, n // _VALIDATION_PART)
    return np.sort(order[n_held:]), np.sort(order[:n_held])


def minibatches(rows: Indices, size: int, seed: int, *, first_epoch: int = 0) -> Iterator[Indices]:
    """Yield the page's batches without end, epoch after epoch, each in an order of its own.

    Example:
        >>> batches = minibatches(np.arange(5), 2, seed=0)
        >>> [len(next(batches)) for _ in range(3)]
        [2, 2, 1]
    """
    for epoch in count(first_epoch):
        order = rows[permutation(len(rows), seed, Stream.BATCHES, epoch)]
        yield from (order[start : start + size] for start in range(0, len(order), size))


def make_masks(net: Network, m: int, dropout: float, seed: int, step: int) -> Masks:
    """Draw the page's dropout masks of a step, counted from 0."""
    layers = count()

    def uniform(shape: tuple[int, ...], _: Any) -> NDArray[np.floating]:
        draws = uniforms(math.prod(shape), seed, Stream.DROPOUT, step, next(layers))
        # In float64: a mask is a comparison, which rounding could turn.
        return draws.reshape(shape)

    masks = dropout_masks(net, m, (dropout,) * len(net.activations), uniform)
    return tuple(None if mask is None else mask.astype(np.float32) for mask in masks)
