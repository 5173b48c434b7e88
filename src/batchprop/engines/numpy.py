"""The NumPy engine: the steps of an epoch as a plain loop, to read and to step through."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from batchprop.arrays import namespace
from batchprop.batches import Batches, Rows, Table, columns, gather, microbatches
from batchprop.network import Network
from batchprop.objective import (
    Collapsed,
    Objective,
    Uniform,
    add,
    contribution,
    dropout_masks,
    nothing,
    penalised,
)
from batchprop.training import Ran, Recipe, State, all_finite, update

# Loaded with this module, lest the first fit waits for it.
namespace(np.empty(0))


class NumpyEngine:
    """Runs the core in NumPy.

    Args:
        random_bits: where dropout's masks come from; needed only with dropout.
    """

    name = "numpy"

    def __init__(self, random_bits: np.random.Generator | None = None) -> None:
        self._uniform = None if random_bits is None else uniform_from(random_bits)

    def run_epoch(
        self, recipe: Recipe, state: State, table: Table, batches: Batches, rates: Sequence[float]
    ) -> Ran:
        """Run one epoch, up to the first loss that is not finite (see ``training.Engine``)."""
        losses: list[float] = []
        # Overflow is reported once, by the loop, as an error that names the batch.
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, rate in zip(batches, rates, strict=True):
                net = recipe.network.with_layers(state.layers)
                loss, gradient = value_and_gradient(net, table, rows, recipe.objective, self._uniform)
                losses.append(float(loss))
                if not math.isfinite(losses[-1]):
                    break
                state = update(recipe, state, gradient, rate)
        return Ran(state, state.layers, losses, bool(all_finite(state.layers)))

    def value_and_gradient(self, net: Network, table: Table, rows: Rows, objective: Objective) -> Collapsed:
        """Return the loss and the gradient of one batch (see ``training.Engine``)."""
        return value_and_gradient(net, table, rows, objective, self._uniform)

    def apply(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Apply a function of columns to rows (see ``training.Engine``).

        Example:
            >>> from batchprop.backprop import outputs
            >>> net = Network.create([2, 3], random_state=0)
            >>> NumpyEngine().apply(outputs, net, np.ones((5, 2), "float32")).shape
            (5, 3)
        """
        parts = microbatches(np.arange(matrices[0].shape[0]))
        chunks = [function(net, *(columns(matrix, rows) for matrix in matrices)) for rows in parts]
        if not isinstance(chunks[0], tuple):
            return np.concatenate([chunk.T for chunk in chunks])
        return tuple(np.concatenate([chunk.T for chunk in part]) for part in zip(*chunks, strict=True))


def value_and_gradient(
    net: Network, table: Table, rows: Rows, objective: Objective, uniform: Uniform | None = None
) -> Collapsed:
    """The loss and the gradient of one batch of any size, a microbatch at a time.

    Args:
        net: the network.
        table: the examples as rows.
        rows: those of the batch.
        objective: what is minimised.
        uniform: where dropout's masks come from (see ``objective.dropout_masks``).

    Returns:
        The loss as reported and the gradient, both with the penalty; zeros where the batch weighs nothing.

    Example:
        >>> table = Table(np.eye(4), np.ones((4, 1)))
        >>> net = Network.create([4, 1], head="squared_error", random_state=0, dtype="float64")
        >>> value_and_gradient(net, table, np.arange(4), Objective()).gradient[0].W.shape
        (1, 4)
    """
    weight = len(rows) if table.weights is None else float(table.weights[rows].sum())
    if weight == 0:
        return nothing(net.layers)
    share = 1.0 / weight
    parts = (
        contribution(net, batch, share, dropout_masks(net, batch.B.shape[1], objective.dropout, uniform))
        for batch in (gather(table, part) for part in microbatches(rows))
    )
    return penalised(reduce(add, parts), net.layers, objective, share)


def uniform_from(random_bits: np.random.Generator) -> Uniform:
    """Return what dropout draws from (see ``objective.dropout_masks``)."""
    return lambda shape, dtype: random_bits.random(shape, dtype=dtype)
