"""The NumPy engine: the steps of an epoch as a plain loop, to read and to step through."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from batchprop.arrays import Array, namespace
from batchprop.batches import Dataset, EpochBatches, Indices, gather, microbatches, take_columns
from batchprop.errors import InputError
from batchprop.network import Network
from batchprop.objective import (
    ExampleMetric,
    LossAndGradient,
    Objective,
    RandomSource,
    add,
    dropout_masks,
    finalize_batch,
    microbatch_gradient,
    zero_gradient,
)
from batchprop.training import EpochResult, Metrics, TrainConfig, TrainState, all_finite, apply_gradient

# Loaded with this module, lest the first fit waits for it.
namespace(np.empty(0))


class NumpyEngine:
    """Runs the core in NumPy.

    Args:
        random_bits: where dropout's masks and the noise of private training come from; needed only for these.
    """

    name = "numpy"

    def __init__(self, random_bits: np.random.Generator | None = None) -> None:
        self._random = random_bits
        self._draws = None if random_bits is None else random_source(random_bits)

    def run_batches(
        self,
        recipe: TrainConfig,
        state: TrainState,
        table: Dataset,
        batches: EpochBatches,
        rates: Sequence[float],
    ) -> EpochResult:
        """Run one epoch, up to the first loss that is not finite (see ``training.Engine``)."""
        losses, examples, steps = list[float](), list[Array](), list[Array]()
        objective, watched = recipe.objective, recipe.metric_fns
        # Overflow is reported once, by the loop, as an error that names the batch.
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, rate in zip(batches, rates, strict=True):
                net, before = recipe.network.replace_layers(state.layers), state.layers
                share = inverse_weight(table, rows, objective)
                total, seen = accumulate_microbatches(
                    net, table, rows, share, objective, self._draws, watched.examples
                )
                examples.extend(seen)
                loss, gradient = finalize_batch(total, before, objective, share, self._draws)
                losses.append(float(loss))
                if not math.isfinite(losses[-1]):
                    break
                state = apply_gradient(recipe, state, gradient, rate)
                if watched.steps is not None:
                    steps.append(watched.steps(total.gradient, before, state.layers))
        seen_in_all = Metrics(
            None if watched.examples is None else np.concatenate([part.T for part in examples]),
            None if watched.steps is None else np.stack(steps),
        )
        return EpochResult(state, state.layers, losses, bool(all_finite(state.layers)), seen_in_all)

    def rng_state(self) -> dict[str, Any] | None:
        """Where the generator stands (see ``training.Engine``)."""
        return None if self._random is None else dict(self._random.bit_generator.state)

    def set_rng_state(self, random_bits: dict[str, Any] | None) -> None:
        """Set the generator where it stood (see ``training.Engine``)."""
        if self._random is None or random_bits is None:
            return
        try:
            self._random.bit_generator.state = random_bits
        except (TypeError, ValueError, LookupError) as error:
            raise InputError(f"the random numbers cannot go on from {random_bits!r:.80}: {error}") from error

    def value_and_gradient(
        self, net: Network, table: Dataset, rows: Indices, objective: Objective
    ) -> LossAndGradient:
        """Return the loss and the gradient of one batch (see ``training.Engine``)."""
        return value_and_gradient(net, table, rows, objective, self._draws)

    def map_rows(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Apply a function of columns to rows (see ``training.Engine``).

        Example:
            >>> from batchprop.backprop import predict
            >>> net = Network.create([2, 3], random_state=0)
            >>> NumpyEngine().map_rows(predict, net, np.ones((5, 2), "float32")).shape
            (5, 3)
        """
        parts = microbatches(np.arange(matrices[0].shape[0]))
        chunks = [function(net, *(take_columns(matrix, rows) for matrix in matrices)) for rows in parts]
        if not isinstance(chunks[0], tuple):
            return np.concatenate([chunk.T for chunk in chunks])
        return tuple(np.concatenate([chunk.T for chunk in part]) for part in zip(*chunks, strict=True))


def value_and_gradient(
    net: Network, table: Dataset, rows: Indices, objective: Objective, draws: RandomSource | None = None
) -> LossAndGradient:
    """The loss and the gradient of one batch of any size, a microbatch at a time.

    Args:
        net: the network.
        table: the examples as rows.
        rows: those of the batch.
        objective: what is minimised.
        draws: where dropout's masks and noise come from.

    Returns:
        The loss as reported and the gradient, both with the penalty; zeros where the batch weighs nothing.

    Example:
        >>> table = Dataset(np.eye(4), np.ones((4, 1)))
        >>> net = Network.create([4, 1], head="squared_error", random_state=0, dtype="float64")
        >>> value_and_gradient(net, table, np.arange(4), Objective()).gradient[0].W.shape
        (1, 4)
    """
    share = inverse_weight(table, rows, objective)
    total, _ = accumulate_microbatches(net, table, rows, share, objective, draws)
    return finalize_batch(total, net.layers, objective, share, draws)


def inverse_weight(table: Dataset, rows: Indices, objective: Objective) -> float:
    """Return what a weight of 1 counts in a batch: ``1 / Σw``, 0 where it weighs nothing."""
    if objective.mechanism is not None:
        return 1.0 / objective.mechanism.expected_size
    weight = len(rows) if table.weights is None else float(table.weights[rows].sum())
    return 1.0 / weight if weight > 0 else 0.0


def accumulate_microbatches(
    net: Network,
    table: Dataset,
    rows: Indices,
    share: float,
    objective: Objective,
    draws: RandomSource | None,
    look: ExampleMetric | None = None,
) -> tuple[LossAndGradient, list[Array]]:
    """Add up what the microbatches of a batch contribute.

    Args:
        net: the network.
        table: the examples as rows.
        rows: those of the batch.
        share: what a weight of 1 counts; 0 for nothing at all.
        objective: what is minimised.
        draws: where dropout's masks come from.
        look: what to see of each example, or None.

    Returns:
        The sum, and what was seen of each microbatch.
    """
    if share == 0 and look is None:
        return zero_gradient(net.layers), []
    uniform = None if draws is None else draws.uniform
    parts, seen = list[LossAndGradient](), list[Array]()
    for part in microbatches(rows):
        batch = gather(table, part)
        masks = dropout_masks(net, len(part), objective.dropout, uniform)
        added, looked = microbatch_gradient(net, batch, share, masks, objective.mechanism, look)
        parts.append(added)
        if looked is not None:
            seen.append(looked)
    return reduce(add, parts) if parts else zero_gradient(net.layers), seen


def random_source(random_bits: np.random.Generator) -> RandomSource:
    """Return random numbers from a generator of NumPy's."""
    return RandomSource(
        uniform=lambda shape, dtype: random_bits.random(shape, dtype=dtype),
        normal=lambda shape, dtype: random_bits.standard_normal(shape, dtype=dtype),
    )
