"""The contestants, their requirements, and our target ratio against each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from benchmarks.cases import Case, Start, Task


@dataclass(frozen=True)
class Contestant:
    """One way of training the same network.

    Attributes:
        name: as the tables show it.
        made_by: module and function in ``benchmarks.peers``, imported when needed.
        needs: packages beyond batchprop's own dependencies.
        on_gpu: whether it can run there.
        trains: whether it returns a loss curve; the bare products do not.
        doubles: whether a short run in float64 is cheap enough to check.
        two_classes_by_one: whether it gives two classes one output.
    """

    name: str
    factory: str
    needs: tuple[str, ...] = ()
    on_gpu: bool = True
    trains: bool = True
    supports_float64: bool = True
    has_single_output: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The required packages that are not installed."""
        return tuple(package for package in self.needs if find_spec(package) is None)

    def prepare(self, task: Task) -> Start:
        """Prepare a task: move data and network to the device; programs compile at their first run."""
        module, function = self.factory.split(".")
        made = cast("Callable[[Task], Start]", getattr(import_module(f"benchmarks.peers.{module}"), function))
        return made(task)


OURS = Contestant("batchprop, JAX", "ours.on_jax", needs=("jax",))
OURS_IN_NUMPY = Contestant("batchprop, NumPy", "ours.on_numpy", on_gpu=False)
SCIKIT_LEARN = Contestant("scikit-learn", "scikit_learn.fit", on_gpu=False, has_single_output=True)
EAGER = Contestant("PyTorch", "pytorch.eager", needs=("torch",))
FUSED = Contestant("PyTorch, fused", "pytorch.fused", needs=("torch",))
COMPILED = Contestant("torch.compile", "pytorch.compiled", needs=("torch",), supports_float64=False)
JITTED_STEP = Contestant("JAX, jitted step", "jax_loop.loop", needs=("jax", "optax"))
JITTED_SCAN = Contestant("JAX, jitted scan", "jax_scan.scan", needs=("jax", "optax"))
SCAN_OF_COPY = Contestant("JAX, scan of a copy", "jax_scan.scan_of_copy", needs=("jax", "optax"))
PRODUCTS = Contestant("products, NumPy", "products.in_numpy", on_gpu=False, trains=False)
PRODUCTS_COMPILED = Contestant("products, compiled", "products.compiled", needs=("jax",), trains=False)

CONTESTANTS = (
    OURS,  # first: the ratios are to it
    OURS_IN_NUMPY,
    SCIKIT_LEARN,
    EAGER,
    FUSED,
    COMPILED,
    JITTED_STEP,
    JITTED_SCAN,
    SCAN_OF_COPY,
    PRODUCTS,
    PRODUCTS_COMPILED,
)


def min_ratio(name: str, case: Case) -> float | None:
    """Return the minimum ratio of the contestant's time to ours, or None without a target."""
    by_size = {EAGER.name: (10.0, 3.0, 1.1), SCIKIT_LEARN.name: (5.0, 3.0, 1.3)}
    if name in by_size:
        small_batch, large_batch, others = by_size[name]
        return others if not case.is_small else small_batch if case.batch_size <= 32 else large_batch
    if name in (JITTED_SCAN.name, SCAN_OF_COPY.name):
        return 0.95
    if name == JITTED_STEP.name and case.is_small:
        return 1.5
    if case.is_wide:
        return {PRODUCTS.name: 1.0, PRODUCTS_COMPILED.name: 0.9}.get(name)
    return None
