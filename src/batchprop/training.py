"""Training: one step, one epoch, and the loop, a generator that yields a record after every epoch.

Whoever consumes the loop decides when to stop, what to print and what to keep. How the steps of an epoch are
run is the engine's business: it is handed in as ``run_epoch``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from batchprop.arrays import Array, namespace
from batchprop.backprop import Masks, backprop
from batchprop.batches import Batch, Plan, Rows, Table
from batchprop.errors import DivergedError, ParameterError
from batchprop.network import Layer, Layers, Network
from batchprop.optimizers import Optimizer, each, zeros_like
from batchprop.schedules import Schedule


class Objective(NamedTuple):
    """What is minimised, and how the gradient is tamed.

    Attributes:
        alpha: the L2 penalty ``½ α ‖W‖² / Σw`` of each batch, biases left out, as scikit-learn defines it.
        dropout: for each hidden layer the chance that a unit is left out of a step.
        max_grad_norm: the gradient's norm over all layers is cut to this, None for no limit.
        loss_scale: what the data's loss is multiplied with when it is reported; the gradient knows nothing of
            it.
    """

    alpha: float = 0.0
    dropout: tuple[float, ...] = ()
    max_grad_norm: float | None = None
    loss_scale: float = 1.0


class Collapsed(NamedTuple):
    """A batch's loss and gradient, or what a microbatch adds to them."""

    loss: Array
    gradient: Layers


class State(NamedTuple):
    """Where training stands: the parameters, the optimiser's memory, and the number of steps taken."""

    layers: Layers
    optimizer: Any
    steps: int


class Recipe(NamedTuple):
    """All that stays the same while training: the network's structure, the optimiser, the objective."""

    network: Network
    optimizer: Optimizer
    objective: Objective


class Engine(Protocol):
    """Runs the steps of one epoch."""

    def __call__(
        self,
        recipe: Recipe,
        state: State,
        table: Table,
        batches: Sequence[Rows],
        rates: Sequence[float],
    ) -> tuple[State, Sequence[float]]:
        """Return the state after the epoch and each batch's loss; the first not finite may end the epoch."""


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: 1, 2, ...
        loss: the batches' losses, averaged over rows, each taken before its step.
        learning_rate: the last step's.
        rows: how many rows were trained on.
        seconds: how long that took.
        network: as it is now.
        state: to go on from.
        validation_loss: on the validation rows, where there are any.
        validation_score: on the validation rows, where one is watched.
    """

    number: int
    loss: float
    learning_rate: float
    rows: int
    seconds: float
    network: Network
    state: State
    validation_loss: float | None = None
    validation_score: float | None = None


def contribution(net: Network, batch: Batch, share: float | Array, masks: Masks) -> Collapsed:
    """What one microbatch adds to its batch: ``Σ w_i loss_i · share`` and ``Σ w_i g_i · share``.

    Args:
        net: the network.
        batch: the microbatch.
        share: ``1 / Σw`` over the whole batch.
        masks: dropout's, one or None for each hidden layer.

    Returns:
        The loss, a scalar array, and the gradient, in the shapes of the layers.
    """
    step = backprop(net, *batch, masks)
    weights = namespace(step.losses).ones_like(step.losses) if batch.weights is None else batch.weights
    shares = share * weights
    return Collapsed(step.losses @ shares, step.gradient.collapse(shares))


def add(a: Collapsed, b: Collapsed) -> Collapsed:
    """Add what two microbatches contribute."""
    return Collapsed(a.loss + b.loss, each(lambda x, y: x + y, a.gradient, b.gradient))


def penalised(collapsed: Collapsed, layers: Layers, objective: Objective, share: float | Array) -> Collapsed:
    """Add the L2 penalty: ``½ α ‖W‖² · share`` to the loss, ``α W · share`` to the gradient.

    Args:
        collapsed: the batch's own loss and gradient.
        layers: the parameters.
        objective: its ``alpha`` and ``loss_scale``.
        share: ``1 / Σw`` over the batch.

    Returns:
        The loss to report and the gradient to follow.
    """
    strength = objective.alpha * share
    penalty = 0.5 * strength * sum(_squared_norm(layer.W) for layer in layers)
    gradient = tuple(
        Layer(g.W + strength * layer.W, g.b) for g, layer in zip(collapsed.gradient, layers, strict=True)
    )
    return Collapsed(objective.loss_scale * collapsed.loss + penalty, gradient)


def limited(gradient: Layers, max_norm: float | None) -> Layers:
    """Cut the gradient's norm over all layers: ``g · min(1, C / ‖g‖)``.

    Args:
        gradient: in the shapes of the layers.
        max_norm: C, or None for no limit.

    Returns:
        The gradient, its direction unchanged.

    Source:
        Pascanu, Mikolov and Bengio, arXiv 1211.5063.
    """
    if max_norm is None:
        return gradient
    xp = namespace(gradient[0].W)
    largest = reduce(xp.maximum, (xp.max(xp.abs(theta)) for layer in gradient for theta in layer))
    # Measured in units of its largest entry, for the square of a long gradient overflows in float32.
    unit = xp.maximum(largest, 1.0)
    norm = xp.sqrt(sum(_squared_norm(theta / unit) for layer in gradient for theta in layer))
    factor = (max_norm / unit) / xp.maximum(norm, max_norm / unit)
    return each(lambda g: factor * g, gradient)


def update(recipe: Recipe, state: State, gradient: Layers, learning_rate: float | Array) -> State:
    """Take one step along a batch's gradient.

    Args:
        recipe: its optimiser and its ``max_grad_norm``.
        state: before the step.
        gradient: of the batch, penalty included.
        learning_rate: of this step.

    Returns:
        The state after the step.
    """
    gradient = limited(gradient, recipe.objective.max_grad_norm)
    layers, memory = recipe.optimizer.update(state.layers, gradient, state.optimizer, learning_rate)
    return State(layers, memory, state.steps + 1)


def begin(recipe: Recipe) -> State:
    """Return the state before the first step."""
    return State(recipe.network.layers, recipe.optimizer.init(recipe.network.layers), 0)


def nothing(layers: Layers) -> Collapsed:
    """Return what an empty batch amounts to: no loss and a gradient of zeros."""
    b = layers[0].b
    return Collapsed(namespace(b).zeros_like(b[0]), zeros_like(layers))


def train(
    recipe: Recipe, state: State, table: Table, plan: Plan, schedule: Schedule, run_epoch: Engine
) -> Iterator[Epoch]:
    """Train without end, yielding a record after each epoch.

    Args:
        recipe: the network's structure, the optimiser and the objective.
        state: where to begin, from ``begin`` or from an earlier record.
        table: the examples as rows.
        plan: which rows make up each batch of each epoch; training ends where the plan does.
        schedule: the learning rate of each step; asked for a whole epoch when the epoch begins.
        run_epoch: the engine.

    Yields:
        An ``Epoch`` after each epoch.

    Raises:
        DivergedError: the loss or a parameter is no longer finite.
        ParameterError: the schedule gave a rate that is not finite or is negative; an epoch has no batches.

    Example:
        >>> import numpy as np
        >>> from itertools import islice
        >>> from batchprop import optimizers, schedules
        >>> from batchprop.batches import mini
        >>> from batchprop.engines.numpy import NumpyEngine
        >>> X = np.random.RandomState(0).randn(100, 2)
        >>> table = Table(X, X @ np.array([[1.0], [-2.0]]))
        >>> net = Network.create([2, 1], head="squared_error", random_state=0, dtype="float64")
        >>> recipe = Recipe(net, optimizers.sgd(), Objective())
        >>> run = train(
        ...     recipe, begin(recipe), table, mini(100, 10), schedules.constant(0.1), NumpyEngine()
        ... )
        >>> last = list(islice(run, 9))[-1]
        >>> last.number, last.loss < 1e-3, last.network.layers[0].W.round(2)
        (9, True, array([[ 1., -2.]]))
    """
    for number, batches in enumerate(plan, start=1):
        if not batches:
            raise ParameterError(
                f"epoch {number} of the plan has no batches: give it one, which may be empty"
            )
        started = perf_counter()
        rates = [_checked_rate(schedule, state.steps + i) for i in range(len(batches))]
        state, losses = run_epoch(recipe, state, table, batches, rates)
        _require_finite(state.layers, losses, rates, number)
        sizes = [len(rows) for rows in batches]
        yield Epoch(
            number=number,
            loss=sum(loss * m for loss, m in zip(losses, sizes, strict=True)) / max(sum(sizes), 1),
            learning_rate=rates[-1],
            rows=sum(sizes),
            seconds=perf_counter() - started,
            network=recipe.network.with_layers(state.layers),
            state=state,
        )


def _squared_norm(theta: Array) -> Array:
    flat = namespace(theta).reshape(theta, (-1,))
    return flat @ flat


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


def _require_finite(layers: Layers, losses: Sequence[float], rates: Sequence[float], epoch: int) -> None:
    remedy = "try a smaller learning rate, max_grad_norm=1.0, or scaling the columns of X to similar ranges"
    for i, loss in enumerate(losses):
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} in epoch {epoch}, batch {i + 1} "
                f"(learning rate {rates[i]:g}): {remedy}"
            )
    if not all(
        bool(namespace(theta).all(namespace(theta).isfinite(theta))) for layer in layers for theta in layer
    ):
        raise DivergedError(
            f"the weights stopped being finite in epoch {epoch}, at its last batch "
            f"(learning rate {rates[-1]:g}): {remedy}"
        )
