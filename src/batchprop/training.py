"""The training loop: chunks of batches, steps along their gradients, a record after every epoch.

The loop is a generator: the consumer decides when to stop, what to print and what to save. The engine runs
the steps of a chunk. A ``TrainProgress`` is the position of a run; training can resume from it exactly.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from batchprop.arrays import Array, namespace
from batchprop.batches import (
    BatchSampler,
    Chunk,
    Dataset,
    EpochBatches,
    EpochIterator,
    Indices,
    batch_sizes,
    rescale_weights,
    skip_batches,
    whole_epochs,
)
from batchprop.clipping import clip_by_global_norm
from batchprop.errors import DivergedError, ParameterError
from batchprop.format import format_number
from batchprop.network import Network
from batchprop.objective import ExampleMetric, LossAndGradient, Objective
from batchprop.optimizers import Optimizer
from batchprop.params import Layers
from batchprop.schedules import Schedule


class TrainState(NamedTuple):
    """The state between two steps: the parameters, the optimiser's state, the number of steps taken."""

    layers: Layers
    optimizer: Any
    steps: int


class MetricFns(NamedTuple):
    """Metrics to compute during training, by functions that an engine may compile.

    Attributes:
        examples: ``(step, Y) -> (q, m)``, of each example of a batch, before the batch's step; or None.
        steps: ``(gradient, before, after) -> (r,)``, of each step: the gradient of the data alone, and the
            parameters before and after; or None.
    """

    examples: ExampleMetric | None = None
    steps: Callable[[Layers, Layers, Layers], Array] | None = None


class Metrics(NamedTuple):
    """The metrics of an epoch.

    Attributes:
        examples: ``(n, q)``, in the order in which the batches name the rows, or None.
        steps: ``(number of batches, r)``, or None.
    """

    examples: NDArray[np.floating] | None = None
    steps: NDArray[np.floating] | None = None


NO_METRIC_FNS, NO_METRICS = MetricFns(), Metrics()
NO_BATCHES: EpochBatches = ()


class TrainConfig(NamedTuple):
    """The settings of a training run, which do not change while it runs.

    Attributes:
        network: its structure and initial parameters.
        optimizer: turns gradients into steps.
        objective: the loss to minimise.
        metric_fns: the metrics to compute during training.
    """

    network: Network
    optimizer: Optimizer
    objective: Objective
    metric_fns: MetricFns = NO_METRIC_FNS


class EpochResult(NamedTuple):
    """What an engine returns for a chunk of batches.

    Attributes:
        state: after the last step.
        layers: its parameters as NumPy arrays.
        losses: each batch's loss, before its step; they may end at the first loss that is not finite.
        finite: whether every parameter still is.
        metrics: what ``TrainConfig.metric_fns`` ask for.
    """

    state: TrainState
    layers: Layers
    losses: Sequence[float]
    finite: bool
    metrics: Metrics = NO_METRICS


class Engine(Protocol):
    """Runs the core's functions over the rows of a dataset, on a device and with a random generator."""

    @property
    def name(self) -> str:
        """The estimators' name for it: ``"numpy"`` or ``"jax"``."""

    def run_batches(
        self,
        config: TrainConfig,
        state: TrainState,
        dataset: Dataset,
        batches: EpochBatches,
        rates: Sequence[float],
    ) -> EpochResult:
        """Take a step for each batch, at its learning rate; the given state does not change."""

    def value_and_gradient(
        self, net: Network, dataset: Dataset, rows: Indices, objective: Objective
    ) -> LossAndGradient:
        """Return the loss and the gradient of one batch of any size, as NumPy arrays."""

    def map_rows(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Return ``function(net, *columns)`` of the matrices' rows, as NumPy rows."""

    def rng_state(self) -> dict[str, Any] | None:
        """Return the state of its generator; None if the step number determines the draws."""

    def set_rng_state(self, state: dict[str, Any] | None) -> None:
        """Restore a state of its generator."""


class TrainProgress(NamedTuple):
    """The position of a training run, possibly in the middle of an epoch; training resumes from it exactly.

    Attributes:
        state: after the last step.
        epochs: the number of epochs done.
        losses: of the batches done in the current epoch.
        sizes: the number of rows of each of these batches.
        seconds: how long they took.
        learning_rate: the last step's.
    """

    state: TrainState
    epochs: int = 0
    losses: NDArray[np.float64] = np.empty(0)
    sizes: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    seconds: float = 0.0
    learning_rate: float = math.nan


@dataclass(frozen=True)
class EpochRecord:
    """The record of an epoch; callbacks receive it.

    Attributes:
        number: 1, 2, ...
        loss: the batches' losses, averaged over rows, each before its step.
        learning_rate: the last step's.
        rows: the number of rows trained on.
        seconds: how long that took.
        network: after the epoch.
        state: after the last step.
        batches: the rows of each batch; empty if the epoch was run in several chunks.
        metrics: of these batches.
        validation_loss: on the validation rows, if there are any.
        validation_score: on the validation rows, if one is monitored.
        fit_state: all that an estimator's fit needs to resume here (``estimators.fit_state.FitState``);
            None if no estimator trains.
    """

    number: int
    loss: float
    learning_rate: float
    rows: int
    seconds: float
    network: Network
    state: TrainState
    batches: EpochBatches = ()
    metrics: Metrics = NO_METRICS
    validation_loss: float | None = None
    validation_score: float | None = None
    fit_state: Any = None


def init_state(config: TrainConfig) -> TrainState:
    """Return the state before the first step."""
    return TrainState(config.network.layers, config.optimizer.init(config.network.layers), 0)


def train(
    config: TrainConfig,
    state: TrainState,
    dataset: Dataset,
    sampler: BatchSampler,
    schedule: Schedule,
    engine: Engine,
) -> Iterator[EpochRecord]:
    """Train, yielding a record after each epoch, until the consumer or the sampler stops.

    Args:
        config: the network's structure, the optimiser and the objective.
        state: to start from, of ``init_state`` or from an earlier record.
        dataset: the examples as rows.
        sampler: yields the batches of each epoch.
        schedule: the learning rate of each step; evaluated for a whole epoch when the epoch begins.
        engine: runs the steps.

    Returns:
        An iterator over an ``EpochRecord`` after each epoch.

    Raises:
        DivergedError: the loss or a parameter is no longer finite.
        ParameterError: the schedule gave a rate that is not finite or is negative; an epoch has no batches.

    Example:
        >>> import numpy as np
        >>> from itertools import islice
        >>> from batchprop import optimizers, schedules
        >>> from batchprop.batches import minibatches
        >>> from batchprop.engines.numpy import NumpyEngine
        >>> X = np.random.RandomState(0).randn(100, 2)
        >>> dataset = Dataset(X, X @ np.array([[1.0], [-2.0]]))
        >>> net = Network.create([2, 1], head="squared_error", random_state=0, dtype="float64")
        >>> config = TrainConfig(net, optimizers.sgd(), Objective())
        >>> epochs = train(
        ...     config,
        ...     init_state(config),
        ...     dataset,
        ...     minibatches(100, 10),
        ...     schedules.constant(0.1),
        ...     NumpyEngine(),
        ... )
        >>> last = list(islice(epochs, 9))[-1]
        >>> last.number, last.loss < 1e-3, last.network.layers[0].W.round(2)
        (9, True, array([[ 1., -2.]]))
    """
    if dataset.weights is not None:
        # In one unit for all batches, as the penalty heeds the size of weights.
        dataset = dataset._replace(weights=rescale_weights(dataset.weights))
    return run_epochs(config, TrainProgress(state), whole_epochs(dataset, sampler), schedule, engine)


def run_epochs(
    config: TrainConfig,
    progress: TrainProgress,
    epochs: EpochIterator,
    schedule: Schedule,
    engine: Engine,
    on_progress: Callable[[TrainProgress], None] = lambda _: None,
) -> Iterator[EpochRecord]:
    """Train from a position on, yielding a record after each epoch.

    Args:
        config: the network's structure, the optimiser and the objective.
        progress: the position to resume from.
        epochs: the chunks of every epoch, from the first one; batches already done are skipped.
        schedule: the learning rate of each step; evaluated for a whole chunk when the chunk begins.
        engine: runs the steps.
        on_progress: called after each chunk and epoch.

    Yields:
        An ``EpochRecord`` after each epoch.

    Raises:
        DivergedError: the loss or a parameter is no longer finite.
        ParameterError: the schedule gave a rate that is not finite or is negative; an epoch has no batches.
    """
    for number, chunks in enumerate(islice(epochs, progress.epochs, None), start=progress.epochs + 1):
        seconds_before, started = progress.seconds, perf_counter()
        result, batches = EpochResult(progress.state, progress.state.layers, (), finite=True), NO_BATCHES
        for chunk in skip_batches(chunks, len(progress.losses)):
            # An epoch in several chunks has no single sequence of batches for its metrics.
            batches = NO_BATCHES if len(progress.losses) else chunk.batches
            progress, result = _run_chunk(config, progress, chunk, schedule, engine)
            progress = progress._replace(seconds=seconds_before + perf_counter() - started)
            on_progress(progress)
        if not len(progress.losses):
            raise ParameterError(
                f"epoch {number} of the sampler has no batches: give it one, which may be empty"
            )
        n_rows = int(progress.sizes.sum())
        yield EpochRecord(
            number=number,
            loss=float(progress.sizes @ progress.losses) / max(n_rows, 1),
            learning_rate=progress.learning_rate,
            rows=n_rows,
            seconds=progress.seconds,
            network=config.network.replace_layers(result.layers),
            state=progress.state,
            batches=batches,
            metrics=result.metrics if len(batches) else NO_METRICS,
        )
        # Only now: an epoch counts as done once the consumer has taken its record and asks for the next.
        progress = TrainProgress(progress.state, number)
        on_progress(progress)


def _run_chunk(
    config: TrainConfig, progress: TrainProgress, chunk: Chunk, schedule: Schedule, engine: Engine
) -> tuple[TrainProgress, EpochResult]:
    """Take a step for each batch of a chunk."""
    dataset, batches = chunk
    rates = [_checked_rate(schedule, progress.state.steps + i) for i in range(len(batches))]
    result = engine.run_batches(config, progress.state, dataset, batches, rates)
    _require_finite(result, rates, progress)
    after = TrainProgress(
        result.state,
        progress.epochs,
        np.concatenate([progress.losses, result.losses]),
        np.concatenate([progress.sizes, batch_sizes(batches)]),
        learning_rate=rates[-1] if rates else progress.learning_rate,
    )
    return after, result


def apply_gradient(
    config: TrainConfig, state: TrainState, gradient: Layers, learning_rate: float | Array
) -> TrainState:
    """Take one step along a batch's gradient, penalty included: clip its norm, then apply the optimiser."""
    gradient = clip_by_global_norm(gradient, config.objective.max_grad_norm)
    layers, opt_state = config.optimizer.update(state.layers, gradient, state.optimizer, learning_rate)
    return TrainState(layers, opt_state, state.steps + 1)


def all_finite(layers: Layers) -> Array:
    """Whether every parameter is a finite number: a scalar array of a boolean."""
    xp = namespace(layers[0].b)
    return reduce(xp.logical_and, (xp.all(xp.isfinite(theta)) for layer in layers for theta in layer))


def _checked_rate(schedule: Schedule, step: int) -> float:
    value = schedule(step)
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise ParameterError(
            f"the schedule gave a learning rate of {value!r} for step {step}: "
            "it must return a finite number of at least 0"
        )
    return rate


def _require_finite(result: EpochResult, rates: Sequence[float], progress: TrainProgress) -> None:
    remedy = "try a smaller learning rate, max_grad_norm=1.0, or scaling the columns of X to similar ranges"
    epoch, n_before = progress.epochs + 1, len(progress.losses)
    for i, loss in enumerate(result.losses):
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} in epoch {epoch}, batch {n_before + i + 1} "
                f"(learning rate {format_number(rates[i])}): {remedy}"
            )
    # A loss is computed before its step, so no loss reflects the weights after the last step.
    if not result.finite:
        raise DivergedError(
            f"the weights stopped being finite in epoch {epoch}, batch {n_before + len(rates)} "
            f"(learning rate {format_number(rates[-1])}): {remedy}"
        )
