"""The NumPy engine: the steps of an epoch as a plain loop, to read and to step through."""

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

from batchprop.backprop import Masks
from batchprop.batches import Rows, Table, gather, microbatches
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.training import (
    Collapsed,
    Objective,
    Recipe,
    State,
    add,
    contribution,
    nothing,
    penalised,
    update,
)


class NumpyEngine:
    """Runs epochs in NumPy.

    Args:
        random_bits: where dropout's masks come from; needed only with dropout.
    """

    def __init__(self, random_bits: np.random.Generator | None = None) -> None:
        self.random_bits = random_bits

    def __call__(
        self,
        recipe: Recipe,
        state: State,
        table: Table,
        batches: Sequence[Rows],
        rates: Sequence[float],
    ) -> tuple[State, list[float]]:
        """Run one epoch, up to the first loss that is not finite (see ``training.Engine``)."""
        losses: list[float] = []
        # Overflow is reported once, by the loop, as an error that names the batch.
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, rate in zip(batches, rates, strict=True):
                net = recipe.network.with_layers(state.layers)
                loss, gradient = value_and_gradient(net, table, rows, recipe.objective, self.random_bits)
                losses.append(float(loss))
                if not math.isfinite(losses[-1]):
                    break
                state = update(recipe, state, gradient, rate)
        return state, losses


def value_and_gradient(
    net: Network,
    table: Table,
    rows: Rows,
    objective: Objective,
    random_bits: np.random.Generator | None = None,
) -> Collapsed:
    """The loss and the gradient of one batch of any size, a microbatch at a time.

    Args:
        net: the network.
        table: the examples as rows.
        rows: those of the batch.
        objective: what is minimised.
        random_bits: where dropout's masks come from.

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
        contribution(net, batch, share, dropout_masks(net, batch.B.shape[1], objective.dropout, random_bits))
        for batch in (gather(table, part) for part in microbatches(rows))
    )
    return penalised(reduce(add, parts), net.layers, objective, share)


def dropout_masks(
    net: Network, m: int, rates: tuple[float, ...], random_bits: np.random.Generator | None
) -> Masks:
    """Draw what each hidden H is multiplied with: ``1/(1 − p)`` with chance ``1 − p``, else 0.

    Args:
        net: the network.
        m: the number of examples.
        rates: p for each hidden layer; an empty tuple for no dropout.
        random_bits: where they come from.

    Returns:
        For each hidden layer a mask ``(n_l, m)``, or None where p is 0.

    Raises:
        ParameterError: there is dropout but nothing to draw it from.

    Source:
        Srivastava et al. 2014, in the form that leaves prediction as it is.

    Example:
        >>> net = Network.create([1, 2, 1], random_state=0)
        >>> dropout_masks(net, 4, (0.5,), np.random.default_rng(0))[0]
        array([[2., 2., 2., 0.],
               [0., 0., 0., 0.]], dtype=float32)
    """
    if not any(rates):
        return (None,) * len(net.activations)
    if random_bits is None:
        raise ParameterError(
            f"dropout={rates!r} needs randomness: make the engine as NumpyEngine(np.random.default_rng(seed))"
        )
    return tuple(
        (random_bits.random((len(layer.b), m), dtype=layer.b.dtype) >= p) / layer.b.dtype.type(1 - p)
        if p
        else None
        for layer, p in zip(net.layers[:-1], rates, strict=True)
    )
