"""The cases, contestants and comparisons of the private-training benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Protocol, TypeAlias, cast

import numpy as np

from batchprop.backprop import backprop
from batchprop.dp_sgd import DPMechanism, FlatClipping
from batchprop.gradient import BatchGradient
from batchprop.params import Layers
from benchmarks.cases import Case, Run, Task

NOISE = 1.0
"""σ of the private steps."""

CASES = (
    Case((64, 64, 64, 10), 128, steps_an_epoch=400),
    Case((784, 256, 128, 10), 128, steps_an_epoch=60),
    Case((784, 256, 128, 10), 1024, steps_an_epoch=12),
    Case((784, 256, 128, 10), 4096, steps_an_epoch=4),
    Case((784, 1024, 1024, 10), 1024, steps_an_epoch=4),
)
MNIST = "784-256-128-10"


@dataclass(frozen=True)
class PrivateTask:
    """A task, and the clipping norm C that every contestant uses.

    Plain SGD, one solver for all: clipping and noise are done before the optimiser, whose own passes over
    the parameters would only make both sides of each ratio longer.
    """

    task: Task
    rate: float = 0.05

    @cached_property
    def max_norm(self) -> float:
        """C: the median gradient norm of the first batch at the initial weights."""
        return float(np.sqrt(np.median(self.first_gradient().squared_norms())))

    def first_gradient(self) -> BatchGradient:
        """The first batch's gradient at the initial weights, in factors, by NumPy."""
        rows = next(self.task.epochs())[0]
        return backprop(self.task.network, self.task.X[rows].T, self.task.Y[rows].T).gradient

    def mechanism(self, noise_multiplier: float | None) -> DPMechanism:
        """Flat clipping to C, with or without noise."""
        return DPMechanism(FlatClipping(self.max_norm), noise_multiplier, float(self.task.case.batch_size))


class Trainer(Protocol):
    """A contestant with its task."""

    def start(self) -> Run:
        """Restore the initial weights (not timed), and return the run to time."""

    def layers(self) -> Layers:
        """The parameters after the run, in NumPy arrays, as batchprop shapes them."""


Factory: TypeAlias = Callable[[PrivateTask], Trainer]


@dataclass(frozen=True)
class Contestant:
    """One implementation of the steps.

    Attributes:
        name: as the tables show it.
        made_by: module and function in ``benchmarks.peers``, imported when needed.
        clips: whether each example's gradient is cut to C.
        noisy: whether noise is added.
        slow: whether it makes every example's gradient, m times the parameters: it runs fewer steps.
        same_rows: whether it is handed the rows that the others are, so that its work can be compared.
        needs: packages beyond batchprop's own dependencies.
    """

    name: str
    factory: str
    clips: bool = False
    noisy: bool = False
    slow: bool = False
    same_rows: bool = True
    needs: tuple[str, ...] = ("jax",)

    @property
    def missing(self) -> tuple[str, ...]:
        """The required packages that are not installed."""
        return tuple(package for package in self.needs if find_spec(package) is None)

    def case(self, case: Case) -> Case:
        """Return the case to run: slow contestants run one epoch of a tenth of the steps."""
        if not self.slow:
            return case
        return replace(case, steps_an_epoch=max(1, case.steps_an_epoch // 10), epochs=1)

    def bytes_needed(self, case: Case) -> int:
        """Memory for two float32 copies of the per-example gradients; 0 without them."""
        parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(case.sizes))
        return 8 * case.batch_size * parameters if self.slow else 0

    def prepare(self, task: PrivateTask) -> Trainer:
        """Prepare a task: move data and network to the device; programs compile at their first run."""
        module, function = self.factory.split(".")
        return cast("Factory", getattr(import_module(f"benchmarks.peers.{module}"), function))(task)


_OPTAX, _TORCH, _OPACUS = ("jax", "optax"), ("torch",), ("torch", "opacus")

PLAIN = Contestant("plain", "private_ours.plain")
NORMS = Contestant("plain + norms", "private_ours.with_norms")
CLIPPED = Contestant("clipped", "private_ours.clipped", clips=True)
PRIVATE = Contestant("private", "private_ours.private", clips=True, noisy=True)
POISSON = Contestant(
    "private, Poisson", "private_ours.poisson_sampled", clips=True, noisy=True, same_rows=False
)
GHOST = Contestant("Opacus ghost", "private_opacus.ghost", clips=True, noisy=True, needs=_OPACUS)
GHOST_CLIPPED = Contestant(
    "Opacus ghost, no noise", "private_opacus.ghost_clipped", clips=True, needs=_OPACUS
)
HOOKS = Contestant("Opacus hooks", "private_opacus.hooks", clips=True, noisy=True, slow=True, needs=_OPACUS)
HOOKS_CLIPPED = Contestant(
    "Opacus hooks, no noise", "private_opacus.hooks_clipped", clips=True, slow=True, needs=_OPACUS
)
VMAP = Contestant("JAX vmap", "private_jax.private", clips=True, noisy=True, slow=True, needs=_OPTAX)
VMAP_CLIPPED = Contestant("JAX vmap, no noise", "private_jax.clipped", clips=True, slow=True, needs=_OPTAX)
VMAP_OPTAX = Contestant(
    "JAX vmap, Optax's clipping", "private_jax.clipped_by_optax", clips=True, slow=True, needs=_OPTAX
)
EAGER = Contestant("PyTorch plain", "private_opacus.plain", needs=_TORCH)

CONTESTANTS = (
    PLAIN,
    NORMS,
    CLIPPED,
    PRIVATE,
    POISSON,
    GHOST,
    GHOST_CLIPPED,
    HOOKS,
    HOOKS_CLIPPED,
    VMAP,
    VMAP_CLIPPED,
    VMAP_OPTAX,
    EAGER,
)

MIN_GHOST_RATIOS = {
    "64-64-64-10, batch 128": 10.0,
    f"{MNIST}, batch 128": 3.0,
    f"{MNIST}, batch 1024": 3.0,
    f"{MNIST}, batch 4096": 1.6,
    "784-1024-1024-10, batch 1024": 1.9,
}


@dataclass(frozen=True)
class Comparison:
    """The time of one contestant as a multiple of another's.

    Attributes:
        of: the dividend.
        to: the divisor.
        bound: the target: at most (ours to ours) or at least (a peer to ours), if any.
    """

    numerator: Contestant
    denominator: Contestant
    bound: Callable[[Case], float | None]

    @property
    def is_upper_bound(self) -> bool:
        """Whether the ratio should be small, being the cost of our extras."""
        return self.denominator is PLAIN and self.numerator is not EAGER

    def is_met(self, case: Case, ratio: float) -> bool | None:
        """Whether a ratio meets its target, None without one."""
        asked = self.bound(case)
        if asked is None:
            return None
        return ratio <= asked if self.is_upper_bound else ratio >= asked


def _for_mnist(bound: float) -> Callable[[Case], float | None]:
    return lambda case: bound if case.network == MNIST else None


COMPARISONS = (
    Comparison(NORMS, PLAIN, _for_mnist(1.05)),
    Comparison(CLIPPED, PLAIN, _for_mnist(1.10)),
    Comparison(
        PRIVATE,
        PLAIN,
        lambda case: {f"{MNIST}, batch 1024": 1.25, f"{MNIST}, batch 4096": 1.1}.get(case.name),
    ),
    Comparison(POISSON, PLAIN, lambda _: None),
    Comparison(GHOST, PRIVATE, lambda case: MIN_GHOST_RATIOS.get(case.name)),
    Comparison(GHOST_CLIPPED, CLIPPED, lambda case: MIN_GHOST_RATIOS.get(case.name)),
    Comparison(HOOKS, PRIVATE, lambda _: 30.0),
    Comparison(HOOKS_CLIPPED, CLIPPED, lambda _: 30.0),
    Comparison(VMAP, PRIVATE, lambda _: None),
    Comparison(VMAP_CLIPPED, CLIPPED, lambda _: 15.0),
    Comparison(VMAP_OPTAX, CLIPPED, lambda _: 15.0),
    Comparison(EAGER, PLAIN, lambda _: None),
)
