"""Training: one step, one epoch, and the loop, a generator that yields a record after every epoch.

Whoever consumes the loop decides when to stop, what to print and what to keep. How the steps of an epoch are
run is the engine's business: it is handed in. Where training stands is a ``Place``, from which it goes on as
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
from batchprop.batches import Batches, Course, Piece, Plan, Rows, Table, sizes_of, whole, without_first
from batchprop.errors import DivergedError, ParameterError
from batchprop.network import Network
from batchprop.objective import Collapsed, Look, Objective, limited
from batchprop.optimizers import Optimizer
from batchprop.params import Layers
from batchprop.schedules import Schedule


class State(NamedTuple):
    """Where training stands: the parameters, the optimiser's memory, and the number of steps taken."""

    layers: Layers
    optimizer: Any
    steps: int


class Watched(NamedTuple):
    """What is looked at while training, by functions that an engine may compile.

    Attributes:
        examples: ``(step, Y) -> (q, m)``, about each example of a batch, before the batch's step; or None.
        steps: ``(gradient, before, after) -> (r,)``, about each step: the gradient of the data alone, and the
            parameters before and after; or None.
    """

    examples: Look | None = None
    steps: Callable[[Layers, Layers, Layers], Array] | None = None


class Seen(NamedTuple):
    """What was seen in an epoch.

    Attributes:
        examples: ``(n, q)``, in the order in which the batches name the rows; None where none were watched.
        steps: ``(number of batches, r)``, or None.
    """

    examples: NDArray[np.floating] | None = None
    steps: NDArray[np.floating] | None = None


NOTHING_WATCHED, NOTHING_SEEN = Watched(), Seen()
NO_BATCHES: Batches = ()


class Recipe(NamedTuple):
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
    watched: Watched = NOTHING_WATCHED


class Ran(NamedTuple):
    """What an epoch left behind.

    Attributes:
        state: after its last step.
        layers: its parameters in NumPy arrays, for whoever looks at them.
        losses: each batch's loss, taken before its step; the first not finite may be the last.
        finite: whether every parameter still is.
        seen: what the recipe asked to look at.
    """

    state: State
    layers: Layers
    losses: Sequence[float]
    finite: bool
    seen: Seen = NOTHING_SEEN


class Engine(Protocol):
    """Runs the core's functions over the rows of a table: how, where, and with which random bits."""

    @property
    def name(self) -> str:
        """As the estimators call it: ``"numpy"`` or ``"jax"``."""

    def run_batches(
        self, recipe: Recipe, state: State, table: Table, batches: Batches, rates: Sequence[float]
    ) -> Ran:
        """Take a step for each batch, at its learning rate; the state given stays as it is."""

    def value_and_gradient(self, net: Network, table: Table, rows: Rows, objective: Objective) -> Collapsed:
        """Return the loss and the gradient of one batch of any size, in NumPy arrays."""

    def apply(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Return ``function(net, *columns)`` of the matrices' rows, a chunk at a time, as NumPy rows."""

    def random_bits(self) -> dict[str, Any] | None:
        """Where its random numbers stand, in plain data; None where they follow from the number of a step."""

    def go_on_from(self, random_bits: dict[str, Any] | None) -> None:
        """Let its random numbers go on from where they stood."""


class Place(NamedTuple):
    """Where training stands: enough to go on from there, batch for batch.

    Attributes:
        state: after the last step.
        epochs: how many are done.
        losses: of the batches so far of the epoch under way.
        sizes: how many rows these batches had.
        seconds: how long they took.
        learning_rate: the last step's.
    """

    state: State
    epochs: int = 0
    losses: NDArray[np.float64] = np.empty(0)
    sizes: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    seconds: float = 0.0
    learning_rate: float = math.nan


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
        batches: the rows of each batch; none where the epoch was not run in one piece.
        seen: what the recipe asked to look at, of these batches.
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
    batches: Batches = ()
    seen: Seen = NOTHING_SEEN
    validation_loss: float | None = None
    validation_score: float | None = None


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


def all_finite(layers: Layers) -> Array:
    """Whether every parameter is a finite number: a scalar array of a boolean."""
    xp = namespace(layers[0].b)
    return reduce(xp.logical_and, (xp.all(xp.isfinite(theta)) for layer in layers for theta in layer))


def begin(recipe: Recipe) -> State:
    """Return the state before the first step."""
    return State(recipe.network.layers, recipe.optimizer.init(recipe.network.layers), 0)


def train(
    recipe: Recipe, state: State, table: Table, plan: Plan, schedule: Schedule, engine: Engine
) -> Iterator[Epoch]:
    """Train without end, yielding a record after each epoch.

    Args:
        recipe: the network's structure, the optimiser and the objective.
        state: where to begin, from ``begin`` or from an earlier record.
        table: the examples as rows.
        plan: which rows make up each batch of each epoch; training ends where the plan does.
        schedule: the learning rate of each step; asked for a whole epoch when the epoch begins.
        engine: runs the steps.

    Returns:
        An iterator over an ``Epoch`` after each epoch.

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
    return go_on(recipe, Place(state), whole(table, plan), schedule, engine)


def go_on(
    recipe: Recipe,
    place: Place,
    course: Course,
    schedule: Schedule,
    engine: Engine,
    reached: Callable[[Place], None] = lambda _: None,
) -> Iterator[Epoch]:
    """Train from a place on, without end, yielding a record after each epoch.

    Args:
        recipe: the network's structure, the optimiser and the objective.
        place: where to go on.
        course: the pieces of every epoch, from the first one; what lies behind the place is passed over.
        schedule: the learning rate of each step; asked for a whole piece when the piece begins.
        engine: runs the steps.
        reached: told of every place: after each piece, and after each epoch, once the record of it was
            taken.

    Yields:
        An ``Epoch`` after each epoch.

    Raises:
        DivergedError: the loss or a parameter is no longer finite.
        ParameterError: the schedule gave a rate that is not finite or is negative; an epoch has no batches.
    """
    for number, pieces in enumerate(islice(course, place.epochs, None), start=place.epochs + 1):
        earlier, started = place.seconds, perf_counter()
        ran, batches = Ran(place.state, place.state.layers, (), finite=True), NO_BATCHES
        for piece in without_first(pieces, len(place.losses)):
            batches = NO_BATCHES if len(place.losses) else piece.batches
            place, ran = _take(recipe, place, piece, schedule, engine)
            place = place._replace(seconds=earlier + perf_counter() - started)
            reached(place)
        if not len(place.losses):
            raise ParameterError(
                f"epoch {number} of the plan has no batches: give it one, which may be empty"
            )
        n_rows = int(place.sizes.sum())
        yield Epoch(
            number=number,
            loss=float(place.sizes @ place.losses) / max(n_rows, 1),
            learning_rate=place.learning_rate,
            rows=n_rows,
            seconds=place.seconds,
            network=recipe.network.with_layers(ran.layers),
            state=place.state,
            batches=batches,
            seen=ran.seen if len(batches) else NOTHING_SEEN,
        )
        place = Place(place.state, number)
        reached(place)


def _take(
    recipe: Recipe, place: Place, piece: Piece, schedule: Schedule, engine: Engine
) -> tuple[Place, Ran]:
    """Take the steps of a piece."""
    table, batches = piece
    rates = [_checked_rate(schedule, place.state.steps + i) for i in range(len(batches))]
    ran = engine.run_batches(recipe, place.state, table, batches, rates)
    _require_finite(ran, rates, place)
    after = Place(
        ran.state,
        place.epochs,
        np.concatenate([place.losses, ran.losses]),
        np.concatenate([place.sizes, sizes_of(batches)]),
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


def _require_finite(ran: Ran, rates: Sequence[float], place: Place) -> None:
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
