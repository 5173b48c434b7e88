"""The cases (networks, batch sizes and solvers), and the task that every contestant runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import BatchSampler, minibatches
from batchprop.network import Network

Matrix: TypeAlias = NDArray[np.floating]
Run: TypeAlias = Callable[[], list[float]]
"""Trains, and returns the loss of each epoch; this is what is timed."""
Start: TypeAlias = Callable[[], Run]
"""Puts the initial weights back in place; not timed."""

# Large enough that ten epochs clearly lower every loss, so that loss curves distinguish trainings.
LEARNING_RATES = {"sgd": 0.05, "adam": 1e-3}
SOLVERS = tuple(LEARNING_RATES)
SEED = 0


@dataclass(frozen=True)
class Case:
    """A network, its batch size, and the number of steps in one timed run."""

    sizes: tuple[int, ...]
    batch_size: int
    steps_an_epoch: int
    epochs: int = 3

    @property
    def name(self) -> str:
        """The name shown in the tables: 64-64-10, batch 32."""
        return f"{self.network}, batch {self.batch_size}"

    @property
    def network(self) -> str:
        """The widths: 64-64-10."""
        return "-".join(map(str, self.sizes))

    @property
    def rows(self) -> int:
        """The number of rows: a multiple of the batch size, so that no contestant compiles a second shape."""
        return self.steps_an_epoch * self.batch_size

    @property
    def steps(self) -> int:
        """Updates in one timed run."""
        return self.steps_an_epoch * self.epochs

    @property
    def is_small(self) -> bool:
        """Whether call overhead dominates a step: all widths are at most 100."""
        return max(self.sizes) <= 100

    @property
    def is_wide(self) -> bool:
        """Whether matrix products dominate a step: batch at least 128 and width at least 256."""
        return self.batch_size >= 128 and max(self.sizes[1:-1]) >= 256


CASES = (
    Case((64, 64, 10), 32, steps_an_epoch=800),
    Case((64, 64, 10), 200, steps_an_epoch=250),
    Case((30, 100, 2), 32, steps_an_epoch=800),
    Case((784, 256, 128, 10), 32, steps_an_epoch=100),
    Case((784, 256, 128, 10), 128, steps_an_epoch=40),
    Case((784, 256, 128, 10), 1024, steps_an_epoch=8),
    Case((784, 1024, 1024, 10), 256, steps_an_epoch=8),
)
GPU_CASES = (*CASES, Case((784, 4096, 4096, 10), 8192, steps_an_epoch=8))


@dataclass(frozen=True)
class Task:
    """A case with a solver: the data, the initial weights and the order of the rows, the same for all.

    Attributes:
        case: the network and the batch size.
        solver: ``"sgd"``, without momentum, or ``"adam"``.
        dtype: of the data and of the parameters.
        device: ``"cpu"`` or ``"gpu"``.
        precision: of the matrix products, ``"float32"`` or ``"bfloat16"``.
        head: ``"softmax"``, or ``"sigmoid"`` where two classes are told by one output.
        epsilon: Adam's ε.
    """

    case: Case
    solver: str
    dtype: str = "float32"
    device: str = "cpu"
    precision: str = "float32"
    head: str = "softmax"
    epsilon: float = 1e-8

    @property
    def name(self) -> str:
        """The name shown in messages."""
        return f"{self.case.name}, {self.solver}"

    @property
    def learning_rate(self) -> float:
        """The same for all steps."""
        return LEARNING_RATES[self.solver]

    @cached_property
    def _data(self) -> tuple[Matrix, NDArray[np.int64]]:
        rng = np.random.default_rng(SEED)
        X = rng.standard_normal((self.case.rows, self.case.sizes[0]), dtype=np.float32)
        scores = X @ rng.standard_normal((self.case.sizes[0], self.case.sizes[-1]), dtype=np.float32)
        return X.astype(self.dtype), scores.argmax(axis=1)

    @property
    def X(self) -> Matrix:  # noqa: N802 the equations' own name
        """Normally distributed rows ``(n, n_0)``."""
        return self._data[0]

    @property
    def y(self) -> NDArray[np.int64]:
        """Classes ``(n,)``: the argmax of random linear scores."""
        return self._data[1]

    @cached_property
    def Y(self) -> Matrix:  # noqa: N802 the equations' own name
        """The network's targets ``(n, K)``: one column per class, or a single column for two classes."""
        if self.head == "sigmoid":
            return self.y[:, None].astype(self.dtype)
        return np.eye(self.case.sizes[-1], dtype=self.dtype)[self.y]

    def with_one_output(self) -> Task:
        """Return the task as scikit-learn encodes two classes: one sigmoid output."""
        return replace(self, head="sigmoid")

    @cached_property
    def network(self) -> Network:
        """The initial weights."""
        return self._draw()[0]

    def _draw(self) -> tuple[Network, np.random.RandomState]:
        random_state = np.random.RandomState(SEED)
        sizes = (*self.case.sizes[:-1], self.Y.shape[1])
        network = Network.create(sizes, head=self.head, random_state=random_state, dtype=self.dtype)
        return network, random_state

    @cached_property
    def _generator_state(self) -> dict[str, Any]:
        return self._draw()[1].get_state(legacy=False)

    def random_state(self) -> np.random.RandomState:
        """Return the generator after drawing the weights, which scikit-learn continues to use."""
        random_state = np.random.RandomState()
        random_state.set_state(self._generator_state)
        return random_state

    def sampler(self) -> BatchSampler:
        """Plan the rows of every batch of every epoch."""
        return minibatches(self.case.rows, self.case.batch_size, self.random_state())

    def epochs(self) -> Iterator[NDArray[np.integer]]:
        """Yield the same plan as one array ``(steps, batch_size)`` for each epoch of a run."""
        random_state = self.random_state()
        order = np.arange(self.case.rows)
        for _ in range(self.case.epochs):
            order = order[random_state.permutation(self.case.rows)]
            yield order.reshape(-1, self.case.batch_size)


def shorten(case: Case) -> Case:
    """Return the case with data for a few steps only."""
    return replace(case, steps_an_epoch=4, epochs=2)
