"""The NumPy engine: the steps of an epoch as a plain loop that is easy to read and debug."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.arrays import Array, namespace
from batchprop.batches import (
    MICROBATCH_SIZE,
    Batch,
    Dataset,
    EpochBatches,
    Indices,
    microbatches,
    rescale_weights,
    take_columns,
)
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

# array_api_compat imports NumPy's namespace at the first lookup: here, so that no first fit waits for it.
namespace(np.empty(0))


class NumpyEngine:
    """Runs the core in NumPy.

    Args:
        rng: draws dropout's masks and the noise of private training; needed only for these.
    """

    name = "numpy"

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        self._rng = rng
        self._random_source = None if rng is None else random_source(rng)

    def run_batches(
        self,
        config: TrainConfig,
        state: TrainState,
        dataset: Dataset,
        batches: EpochBatches,
        rates: Sequence[float],
    ) -> EpochResult:
        """Run one epoch, up to the first loss that is not finite (see ``training.Engine``)."""
        losses, of_examples, of_steps = list[float](), list[Array](), list[Array]()
        objective, metric_fns = config.objective, config.metric_fns
        # The training loop reports an overflow once, as an error that names the batch.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for rows, rate in zip(batches, rates, strict=True):
                layers = state.layers
                weights, scale = batch_weights(dataset, rows, objective)
                total, metrics = accumulate_microbatches(
                    config.network.replace_layers(layers),
                    dataset,
                    rows,
                    weights,
                    scale,
                    objective,
                    self._random_source,
                    metric_fns.examples,
                )
                of_examples.extend(metrics)
                loss, gradient = finalize_batch(total, layers, objective, scale, self._random_source)
                losses.append(float(loss))
                if not math.isfinite(losses[-1]):
                    break
                state = apply_gradient(config, state, gradient, rate)
                if metric_fns.steps is not None:
                    of_steps.append(metric_fns.steps(total.gradient, layers, state.layers))
        epoch_metrics = Metrics(
            None if metric_fns.examples is None else np.concatenate([one.T for one in of_examples]),
            None if metric_fns.steps is None else np.stack(of_steps),
        )
        return EpochResult(state, state.layers, losses, bool(all_finite(state.layers)), epoch_metrics)

    def rng_state(self) -> dict[str, Any] | None:
        """Return the state of the generator (see ``training.Engine``)."""
        return None if self._rng is None else dict(self._rng.bit_generator.state)

    def set_rng_state(self, state: dict[str, Any] | None) -> None:
        """Restore the state of the generator (see ``training.Engine``)."""
        if self._rng is None or state is None:
            return
        try:
            self._rng.bit_generator.state = state
        except (TypeError, ValueError, LookupError) as error:
            raise InputError(f"the random numbers cannot continue from {state!r:.80}: {error}") from error

    def value_and_gradient(
        self, net: Network, dataset: Dataset, rows: Indices, objective: Objective
    ) -> LossAndGradient:
        """Return the loss and the gradient of one batch (see ``training.Engine``)."""
        return value_and_gradient(net, dataset, rows, objective, self._random_source)

    def map_rows(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Apply a function of columns to rows (see ``training.Engine``).

        Example:
            >>> from batchprop.backprop import predict
            >>> net = Network.create([2, 3], random_state=0)
            >>> NumpyEngine().map_rows(predict, net, np.ones((5, 2), "float32")).shape
            (5, 3)
        """
        starts = range(0, matrices[0].shape[0], MICROBATCH_SIZE)
        parts = [slice(start, start + MICROBATCH_SIZE) for start in starts]
        results = [function(net, *(take_columns(matrix, rows) for matrix in matrices)) for rows in parts]
        if not isinstance(results[0], tuple):
            return np.concatenate([result.T for result in results])
        return tuple(np.concatenate([result.T for result in part]) for part in zip(*results, strict=True))


def value_and_gradient(
    net: Network,
    dataset: Dataset,
    rows: Indices,
    objective: Objective,
    random_source: RandomSource | None = None,
) -> LossAndGradient:
    """Return the loss and gradient of one batch of any size, both with the penalty."""
    weights, scale = batch_weights(dataset, rows, objective)
    total, _ = accumulate_microbatches(net, dataset, rows, weights, scale, objective, random_source)
    return finalize_batch(total, net.layers, objective, scale, random_source)


def batch_weights(
    dataset: Dataset, rows: Indices, objective: Objective
) -> tuple[NDArray[np.floating] | None, float]:
    """Return the weights of a batch's rows in float64, or None, and ``1 / Σw``, 0 if their weight is 0."""
    weights = None if dataset.weights is None else dataset.weights[rows]
    if objective.mechanism is not None:
        return weights, 1.0 / objective.mechanism.expected_size
    if weights is not None:
        weights = rescale_weights(weights)
    total = len(rows) if weights is None else float(weights.sum())
    return weights, 1.0 / total if total > 0 else 0.0


def accumulate_microbatches(
    net: Network,
    dataset: Dataset,
    rows: Indices,
    weights: NDArray[np.floating] | None,
    scale: float,
    objective: Objective,
    random_source: RandomSource | None,
    metric: ExampleMetric | None = None,
) -> tuple[LossAndGradient, list[Array]]:
    """Return the sum over a batch's microbatches, each times ``scale``, and the metric of each."""
    # Rows of weight 0 may be infinite or NaN, and 0 · ∞ is NaN: they are not computed at all, unless for a
    # metric, which every row of the batch gets.
    if weights is not None and metric is None and not weights.all():
        rows, weights = rows[weights != 0], weights[weights != 0]
    uniform = None if random_source is None else random_source.uniform
    terms, metrics = list[LossAndGradient](), list[Array]()
    stop = 0
    for part in microbatches(rows):
        start, stop = stop, stop + len(part)
        of_part = None if weights is None else weights[start:stop].astype(dataset.Y.dtype)
        batch = Batch(take_columns(dataset.X, part), take_columns(dataset.Y, part), of_part)
        masks = dropout_masks(net, len(part), objective.dropout, uniform)
        term, values = microbatch_gradient(net, batch, scale, masks, objective.mechanism, metric)
        terms.append(term)
        if values is not None:
            metrics.append(values)
    return reduce(add, terms) if terms else zero_gradient(net.layers), metrics


def random_source(rng: np.random.Generator) -> RandomSource:
    """Return the samplers of a generator."""
    return RandomSource(
        uniform=lambda shape, dtype: rng.random(shape, dtype=dtype),
        normal=lambda shape, dtype: rng.standard_normal(shape, dtype=dtype),
    )
