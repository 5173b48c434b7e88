"""A training that is taken a batch at a time: the text's own lines, and what is told of each step."""

import math
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import backprop, output_and_losses
from batchprop.batches import Indices, gather, minibatches
from batchprop.errors import DivergedError, ParameterError
from batchprop.gradient import GradientNoise
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.optimizers import OPTIMIZERS
from batchprop.playground.data import PlaygroundData
from batchprop.playground.settings import Settings
from batchprop.training import TrainConfig, TrainState, all_finite, apply_gradient, init_state

MAX_STEPS = 1_000_000

_HELD_OUT = 5  # one row of so many
_EPOCHS_AVERAGED = 2
_MIN_AVERAGED = 50  # batches, before older ones begin to be forgotten


class LastBatch(NamedTuple):
    """The last batch.

    Attributes:
        rows: which examples, ``(m,)``.
        network: as it was before the step.
        learning_rate: α of the step.
        optimizer: which made the step.
    """

    rows: Indices
    network: Network
    learning_rate: float
    optimizer: str


class Validation(NamedTuple):
    """How the network did on the rows held out.

    Attributes:
        step: after so many.
        loss: their mean loss.
        score: the share that is right; of numbers R².
    """

    step: int
    loss: float
    score: float


class Trainer:
    """A network, the rows that it learns from, and all that happened so far.

    Args:
        examples: to learn from; a fifth is held out.
        settings: the choices.

    Attributes:
        losses: of each batch, before its step.
        noise_scales: ``tr Σ / ‖G‖²`` after each step, in examples, of both estimates averaged over the last
            epochs; NaN after a batch of one, which tells nothing.
        sizes: of the batches.
        seen: rows so far.
        taken: the last batch, or None.
        held: what became of the rows held out, each time that it was asked for.

    Source:
        The batch algorithm of the text that this comes from; the noise scale of McCandlish et al. 2018, arXiv
        1812.06162.

    Example:
        >>> from batchprop.playground.toy_datasets import make_toy
        >>> training = Trainer(
        ...     make_toy("blobs", 100, 0.1, 0), Settings(data="blobs", batch_size="full")
        ... )
        >>> for _ in range(100):
        ...     training.step()
        >>> training.losses[0] > training.losses[-1], training.held_out().score
        (True, 1.0)
    """

    def __init__(self, examples: PlaygroundData, settings: Settings) -> None:
        self.examples = examples
        self.table = examples.table
        rng = np.random.RandomState(settings.seed)
        order = rng.permutation(self.table.n_rows)
        held_out = max(1, len(order) // _HELD_OUT)
        self.rows_held_out, self.rows = np.sort(order[:held_out]), np.sort(order[held_out:])
        sizes = [self.table.X.shape[1], *settings.hidden, self.table.Y.shape[1]]
        head = "softmax" if examples.task == "classes" else "squared_error"
        self.start = Network.create(sizes, activation=settings.activation, head=head, random_state=rng)
        self.losses, self.noise_scales, self.sizes = array("f"), array("f"), array("f")
        self.seen = 0
        self.taken: LastBatch | None = None
        self.held: list[Validation] = []
        self._noise, self._measured_batches = GradientNoise(0.0, 0.0), 0
        self._rng = rng
        self._settings = settings
        self._batches = self._make_sampler(settings.batch_size)
        self._recipe = TrainConfig(self.start, OPTIMIZERS[settings.optimizer](), Objective())
        self._state: TrainState = init_state(self._recipe)

    @property
    def network(self) -> Network:
        """As it is now."""
        return self.start.replace_layers(self._state.layers)

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.losses)

    @property
    def batch_size(self) -> int:
        """Examples in the next batch, unless it is the last of an epoch."""
        return len(self.rows) if self._settings.batch_size == "full" else self._settings.batch_size

    def apply_settings(self, settings: Settings) -> None:
        """Go on with another batch size, learning rate or optimiser.

        Another batch size takes the rows in a new order; another optimiser begins without a memory.

        Raises:
            ParameterError: the batch size is above the number of rows.
        """
        before = self._settings
        if settings.batch_size != before.batch_size:
            self._batches = self._make_sampler(settings.batch_size)
        if settings.optimizer != before.optimizer:
            self._recipe = self._recipe._replace(optimizer=OPTIMIZERS[settings.optimizer]())
            memory = self._recipe.optimizer.init(self._state.layers)
            self._state = self._state._replace(optimizer=memory)
        self._settings = settings

    def step(self) -> None:
        """Take the next batch: forward, loss, backward, collapse, update.

        Raises:
            DivergedError: the loss or a weight is no finite number; the step is not taken.
            ParameterError: there were a million steps.
        """
        if self.steps >= MAX_STEPS:
            raise ParameterError(f"{MAX_STEPS:,} batches are the most that the playground takes: reset it")
        rows, network, rate = next(self._batches), self.network, self._settings.learning_rate
        batch = gather(self.table, rows)
        with np.errstate(all="ignore"):
            step = backprop(network, batch.B, batch.Y)
            noise = step.gradient.noise()
            state = apply_gradient(self._recipe, self._state, step.gradient.mean(), rate)
        loss = float(step.loss)
        if not (math.isfinite(loss) and all_finite(state.layers)):
            raise DivergedError(
                f"batch {self.steps + 1} left the finite numbers (loss {loss:.3g}, learning rate {rate:g}): "
                "choose a smaller learning rate, then reset"
            )
        self._state = state
        self.taken = LastBatch(rows, network, rate, self._settings.optimizer)
        self.seen += len(rows)
        self.losses.append(loss)
        self.noise_scales.append(self._averaged(noise, len(rows)))
        self.sizes.append(len(rows))

    def held_out(self) -> Validation:
        """How the network does now on the rows held out; measured once a step."""
        if not self.held or self.held[-1].step != self.steps:
            self.held.append(self._measured())
        return self.held[-1]

    def _measured(self) -> Validation:
        batch = gather(self.table, self.rows_held_out)
        with np.errstate(all="ignore"):
            P, losses = output_and_losses(self.network, batch.B, batch.Y)
            loss, score = float(losses.mean()), self._score(P, batch.Y)
        return Validation(self.steps, loss, score)

    def _score(self, P: NDArray[np.floating], Y: NDArray[np.floating]) -> float:
        if self.examples.task == "classes":
            return float(np.mean(P.argmax(axis=0) == Y.argmax(axis=0)))
        spread = float(np.sum((Y - Y.mean()) ** 2))
        return 1 - float(np.sum((Y - P) ** 2)) / spread if spread else math.nan

    def _make_sampler(self, batch_size: int | str) -> Iterator[Indices]:
        size = len(self.rows) if batch_size == "full" else int(batch_size)
        plan = minibatches(self.rows, size, self._rng)
        return (rows for epoch in plan for rows in epoch)

    def _averaged(self, noise: GradientNoise, m: int) -> float:
        """The noise scale, of both estimates averaged over epochs: a quotient of single ones is biased."""
        if math.isnan(noise.trace):
            return math.nan
        self._measured_batches += 1
        window = max(_MIN_AVERAGED, _EPOCHS_AVERAGED * len(self.rows) / m)
        share = 1 / min(self._measured_batches, window)
        trace, squared_norm = (
            float(old + share * (new - old)) for old, new in zip(self._noise, noise, strict=True)
        )
        self._noise = GradientNoise(trace, squared_norm)
        if squared_norm > 0:
            return trace / squared_norm
        return math.inf if trace > 0 else math.nan  # there is no gradient to scatter
