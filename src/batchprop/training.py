"""Training: one step, one epoch, and the loop, a generator that yields a record after every epoch.

Whoever consumes the loop decides when to stop, what to print and what to keep. How the steps of an epoch are
run is the engine's business: it is handed in. Where training stands is a ``TrainProgress``, to go on from as
if it had never stopped.
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
    skip_batches,
    whole_epochs,
)
from batchprop.errors import DivergedError, ParameterError
from batchprop.network import Network
from batchprop.objective import ExampleMetric, LossAndGradient, Objective, clip_by_global_norm
from batchprop.optimizers import Optimizer
from batchprop.params import Layers
from batchprop.schedules import Schedule


class TrainState(NamedTuple):
    """Where training stands: the parameters, the optimiser's memory, and the number of steps taken."""

    layers: Layers
    optimizer: Any
    steps: int


class MetricFns(NamedTuple):
    """What is looked at while training, by functions that an engine may compile.

    Attributes:
        examples: ``(step, Y) -> (q, m)``, about each example of a batch, before the batch's step; or None.
        steps: ``(gradient, before, after) -> (r,)``, about each step: the gradient of the data alone, and the
            parameters before and after; or None.
    """

    examples: ExampleMetric | None = None
    steps: Callable[[Layers, Layers, Layers], Array] | None = None


class Metrics(NamedTuple):
    """What was seen in an epoch.

    Attributes:
        examples: ``(n, q)``, in the order in which the batches name the rows; None where none were watched.
        steps: ``(number of batches, r)``, or None.
    """

    examples: NDArray[np.floating] | None = None
    steps: NDArray[np.floating] | None = None


NO_METRIC_FNS, NO_METRICS = MetricFns(), Metrics()
NO_BATCHES: EpochBatches = ()


class TrainConfig(NamedTuple):
    """All that stays the same while training: the network's structure, the optimiser, the objective.

    Attributes:
        network: its structure; where training begins.
        optimizer: makes steps of gradients.
        objective: what is minimised.
        watched: what is looked at besides.
    """

    network: Network
    optimizer: Optimizer
    objective: Objective
    metric_fns: MetricFns = NO_METRIC_FNS


class EpochResult(NamedTuple):
    """What an epoch left behind.

    Attributes:
        state: after its last step.
        layers: its parameters in NumPy arrays, for whoever looks at them.
        losses: each batch's loss, taken before its step; the first not finite may be the last.
        finite: whether every parameter still is.
        seen: what the recipe asked to look at.
    """

    state: TrainState
    layers: Layers
    losses: Sequence[float]
    finite: bool
    metrics: Metrics = NO_METRICS


class Engine(Protocol):
    """Runs the core's functions over the rows of a table: how, where, and with which random bits."""

    @property
    def name(self) -> str:
        """As the estimators call it: ``"numpy"`` or ``"jax"``."""

    def run_batches(
        self,
        recipe: TrainConfig,
        state: TrainState,
        table: Dataset,
        batches: EpochBatches,
        rates: Sequence[float],
    ) -> EpochResult:
        """Take a step for each batch, at its learning rate; the state given stays as it is."""

    def value_and_gradient(
        self, net: Network, table: Dataset, rows: Indices, objective: Objective
    ) -> LossAndGradient:
        """Return the loss and the gradient of one batch of any size, in NumPy arrays."""

    def map_rows(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Return ``function(net, *columns)`` of the matrices' rows, a chunk at a time, as NumPy rows."""

    def rng_state(self) -> dict[str, Any] | None:
        """Where its random numbers stand, in plain data; None where they follow from the number of a step."""

    def set_rng_state(self, random_bits: dict[str, Any] | None) -> None:
        """Let its random numbers go on from where they stood."""


class TrainProgress(NamedTuple):
    """Where training stands: enough to go on from there, batch for batch.

    Attributes:
        state: after the last step.
        epochs: how many are done.
        losses: of the batches so far of the epoch under way.
        sizes: how many rows these batches had.
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
    """What is known after an epoch.

    Attributes:
        number: 1, 2, ...
        loss: the batches' losses, averaged over rows, each taken before its step.
        learning_rate: the last step's.
        rows: how many rows were trained on.
        seconds: how long that took.
        network: as it is now.
        state: to go on from.
        batches: the rows of each batch; none where the epoch was not run in one piece.
        seen: what the recipe asked to look at, of these batches.
        validation_loss: on the validation rows, where there are any.
        validation_score: on the validation rows, where one is watched.
        fit_state: all that an estimator's fit needs to go on from here (``estimators.fit_state.FitState``);
            None where no estimator trains.
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


def apply_gradient(
    recipe: TrainConfig, state: TrainState, gradient: Layers, learning_rate: float | Array
) -> TrainState:
    """Take one step along a batch's gradient.

    Args:
        recipe: its optimiser and its ``max_grad_norm``.
        state: before the step.
        gradient: of the batch, penalty included.
        learning_rate: of this step.

    Returns:
        The state after the step.
    """
    gradient = clip_by_global_norm(gradient, recipe.objective.max_grad_norm)
    layers, memory = recipe.optimizer.update(state.layers, gradient, state.optimizer, learning_rate)
    return TrainState(layers, memory, state.steps + 1)


def all_finite(layers: Layers) -> Array:
    """Whether every parameter is a finite number: a scalar array of a boolean."""
    xp = namespace(layers[0].b)
    return reduce(xp.logical_and, (xp.all(xp.isfinite(theta)) for layer in layers for theta in layer))


def init_state(recipe: TrainConfig) -> TrainState:
    """Return the state before the first step."""
    return TrainState(recipe.network.layers, recipe.optimizer.init(recipe.network.layers), 0)


def train(
    recipe: TrainConfig,
    state: TrainState,
    table: Dataset,
    plan: BatchSampler,
    schedule: Schedule,
    engine: Engine,
) -> Iterator[EpochRecord]:
    """Train without end, yielding a record after each epoch.

    Args:
        recipe: the network's structure, the optimiser and the objective.
        state: where to begin, from ``init_state`` or from an earlier record.
        table: the examples as rows.
        plan: which rows make up each batch of each epoch; training ends where the plan does.
        schedule: the learning rate of each step; asked for a whole epoch when the epoch begins.
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
        >>> table = Dataset(X, X @ np.array([[1.0], [-2.0]]))
        >>> net = Network.create([2, 1], head="squared_error", random_state=0, dtype="float64")
        >>> recipe = TrainConfig(net, optimizers.sgd(), Objective())
        >>> run = train(
        ...     recipe,
        ...     init_state(recipe),
        ...     table,
        ...     minibatches(100, 10),
        ...     schedules.constant(0.1),
        ...     NumpyEngine(),
        ... )
        >>> last = list(islice(run, 9))[-1]
        >>> last.number, last.loss < 1e-3, last.network.layers[0].W.round(2)
        (9, True, array([[ 1., -2.]]))
    """
    return run_epochs(recipe, TrainProgress(state), whole_epochs(table, plan), schedule, engine)


def run_epochs(
    recipe: TrainConfig,
    progress: TrainProgress,
    epochs: EpochIterator,
    schedule: Schedule,
    engine: Engine,
    on_progress: Callable[[TrainProgress], None] = lambda _: None,
) -> Iterator[EpochRecord]:
    """Train from a place on, without end, yielding a record after each epoch.

    Args:
        recipe: the network's structure, the optimiser and the objective.
        progress: where to go on.
        epochs: the chunks of every epoch, from the first one; what was done before is passed over.
        schedule: the learning rate of each step; asked for a whole piece when the piece begins.
        engine: runs the steps.
        on_progress: called after each chunk, and after each epoch, once the record of it was
            taken.

    Yields:
        An ``EpochRecord`` after each epoch.

    Raises:
        DivergedError: the loss or a parameter is no longer finite.
        ParameterError: the schedule gave a rate that is not finite or is negative; an epoch has no batches.
    """
    for number, pieces in enumerate(islice(epochs, progress.epochs, None), start=progress.epochs + 1):
        earlier, started = progress.seconds, perf_counter()
        ran, batches = EpochResult(progress.state, progress.state.layers, (), finite=True), NO_BATCHES
        for piece in skip_batches(pieces, len(progress.losses)):
            batches = NO_BATCHES if len(progress.losses) else piece.batches
            progress, ran = _run_chunk(recipe, progress, piece, schedule, engine)
            progress = progress._replace(seconds=earlier + perf_counter() - started)
            on_progress(progress)
        if not len(progress.losses):
            raise ParameterError(
                f"epoch {number} of the plan has no batches: give it one, which may be empty"
            )
        n_rows = int(progress.sizes.sum())
        yield EpochRecord(
            number=number,
            loss=float(progress.sizes @ progress.losses) / max(n_rows, 1),
            learning_rate=progress.learning_rate,
            rows=n_rows,
            seconds=progress.seconds,
            network=recipe.network.replace_layers(ran.layers),
            state=progress.state,
            batches=batches,
            metrics=ran.metrics if len(batches) else NO_METRICS,
        )
        progress = TrainProgress(progress.state, number)
        on_progress(progress)


def _run_chunk(
    recipe: TrainConfig, place: TrainProgress, piece: Chunk, schedule: Schedule, engine: Engine
) -> tuple[TrainProgress, EpochResult]:
    """Take the steps of a piece."""
    table, batches = piece
    rates = [_checked_rate(schedule, place.state.steps + i) for i in range(len(batches))]
    ran = engine.run_batches(recipe, place.state, table, batches, rates)
    _require_finite(ran, rates, place)
    after = TrainProgress(
        ran.state,
        place.epochs,
        np.concatenate([place.losses, ran.losses]),
        np.concatenate([place.sizes, batch_sizes(batches)]),
        learning_rate=rates[-1] if rates else place.learning_rate,
    )
    return after, ran


def _checked_rate(schedule: Schedule, step: int) -> float:
    given = schedule(step)
    try:
        rate = float(given)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise ParameterError(
            f"the schedule gave a learning rate of {given!r} for step {step}: "
            "it must return a finite number of at least 0"
        )
    return rate


def _require_finite(ran: EpochResult, rates: Sequence[float], place: TrainProgress) -> None:
    remedy = "try a smaller learning rate, max_grad_norm=1.0, or scaling the columns of X to similar ranges"
    epoch = place.epochs + 1
    for i, loss in enumerate(ran.losses):
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} in epoch {epoch}, batch {len(place.losses) + i + 1} "
                f"(learning rate {rates[i]:g}): {remedy}"
            )
    if not ran.finite:
        raise DivergedError(
            f"the weights stopped being finite in epoch {epoch}, batch {len(place.losses) + len(rates)} "
            f"(learning rate {rates[-1]:g}): {remedy}"
        )
