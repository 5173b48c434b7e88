"""Trains one batch at a time, with the algorithm of the text, and records what each step did."""

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

_VALIDATION_PART = 5  # one row in five
_AVERAGED_EPOCHS = 2
# The noise scale averages over at least this many batches before older ones fade.
_MIN_AVERAGED_BATCHES = 50


class LastBatch(NamedTuple):
    """The rows of the last batch ``(m,)``, and the network, learning rate and optimiser of its step."""

    rows: Indices
    network: Network
    learning_rate: float
    optimizer: str


class Validation(NamedTuple):
    """Loss and score on the validation rows after a step: accuracy for classes, R² for numbers."""

    step: int
    loss: float
    score: float


class Trainer:
    """Trains a network one batch at a time and records every step; a fifth of the rows is for validation.

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
        >>> training.losses[0] > training.losses[-1], training.validate().score
        (True, 1.0)
    """

    def __init__(self, data: PlaygroundData, settings: Settings) -> None:
        self.data = data
        self.dataset = data.dataset
        rng = np.random.RandomState(settings.seed)
        order = rng.permutation(self.dataset.n_rows)
        n_validation = max(1, len(order) // _VALIDATION_PART)
        self.validation_rows, self.train_rows = np.sort(order[:n_validation]), np.sort(order[n_validation:])
        sizes = [self.dataset.X.shape[1], *settings.hidden, self.dataset.Y.shape[1]]
        head = "softmax" if data.task == "classes" else "squared_error"
        self.initial_network = Network.create(
            sizes, activation=settings.activation, head=head, random_state=rng
        )
        self.losses, self.noise_scales, self.batch_sizes = array("f"), array("f"), array("f")
        self.n_seen = 0
        self.last_batch: LastBatch | None = None
        self.validation: list[Validation] = []
        self._noise, self._n_averaged = GradientNoise(0.0, 0.0), 0
        self._rng = rng
        self._settings = settings
        self._sampler = self._make_sampler(settings.batch_size)
        self._config = TrainConfig(self.initial_network, OPTIMIZERS[settings.optimizer](), Objective())
        self._state: TrainState = init_state(self._config)

    @property
    def network(self) -> Network:
        """The network with its current weights."""
        return self.initial_network.replace_layers(self._state.layers)

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.losses)

    @property
    def batch_size(self) -> int:
        """The size of the next batch, unless it is the last of an epoch."""
        return len(self.train_rows) if self._settings.batch_size == "full" else self._settings.batch_size

    def apply_settings(self, settings: Settings) -> None:
        """Continue with another batch size, learning rate or optimiser."""
        before = self._settings
        if settings.batch_size != before.batch_size:
            self._sampler = self._make_sampler(settings.batch_size)
        if settings.optimizer != before.optimizer:
            self._config = self._config._replace(optimizer=OPTIMIZERS[settings.optimizer]())
            # The new optimiser starts without momentum: its state has another form.
            opt_state = self._config.optimizer.init(self._state.layers)
            self._state = self._state._replace(optimizer=opt_state)
        self._settings = settings

    def step(self) -> None:
        """Train on the next batch: forward, loss, backward, collapse, update."""
        if self.steps >= MAX_STEPS:
            raise ParameterError(f"the playground takes at most {MAX_STEPS:,} steps: reset it")
        rows, network, rate = next(self._sampler), self.network, self._settings.learning_rate
        batch = gather(self.dataset, rows)
        with np.errstate(all="ignore"):
            step = backprop(network, batch.B, batch.Y)
            noise = step.gradient.noise()
            state = apply_gradient(self._config, self._state, step.gradient.mean(), rate)
        loss = float(step.loss)
        if not (math.isfinite(loss) and all_finite(state.layers)):
            raise DivergedError(
                f"step {self.steps + 1:,} overflowed (loss {loss:.3g}, learning rate {rate:g}): "
                "choose a smaller learning rate, then reset"
            )
        self._state = state
        self.last_batch = LastBatch(rows, network, rate, self._settings.optimizer)
        self.n_seen += len(rows)
        self.losses.append(loss)
        self.noise_scales.append(self._average_noise_scale(noise, len(rows)))
        self.batch_sizes.append(len(rows))

    def validate(self) -> Validation:
        """Evaluate the network on the validation rows, once per step."""
        if not self.validation or self.validation[-1].step != self.steps:
            self.validation.append(self._evaluate())
        return self.validation[-1]

    def _evaluate(self) -> Validation:
        batch = gather(self.dataset, self.validation_rows)
        with np.errstate(all="ignore"):
            P, losses = output_and_losses(self.network, batch.B, batch.Y)
            loss, score = float(losses.mean()), self._score(P, batch.Y)
        return Validation(self.steps, loss, score)

    def _score(self, P: NDArray[np.floating], Y: NDArray[np.floating]) -> float:
        if self.data.task == "classes":
            return float(np.mean(P.argmax(axis=0) == Y.argmax(axis=0)))
        total = float(np.sum((Y - Y.mean()) ** 2))
        return 1 - float(np.sum((Y - P) ** 2)) / total if total else math.nan

    def _make_sampler(self, batch_size: int | str) -> Iterator[Indices]:
        size = len(self.train_rows) if batch_size == "full" else int(batch_size)
        epochs = minibatches(self.train_rows, size, self._rng)
        return (rows for epoch in epochs for rows in epoch)

    def _average_noise_scale(self, noise: GradientNoise, m: int) -> float:
        """Return the noise scale from averages of both estimates: a ratio of single estimates is biased."""
        if math.isnan(noise.trace):
            return math.nan
        self._n_averaged += 1
        window = max(_MIN_AVERAGED_BATCHES, _AVERAGED_EPOCHS * len(self.train_rows) / m)
        weight = 1 / min(self._n_averaged, window)
        trace, squared_norm = (
            float(old + weight * (new - old)) for old, new in zip(self._noise, noise, strict=True)
        )
        self._noise = GradientNoise(trace, squared_norm)
        if squared_norm > 0:
            return trace / squared_norm
        return math.inf if trace > 0 else math.nan  # without a gradient there is no noise
