"""Check that all contestants do the same work: compare loss curves with batchprop's on NumPy.

Curves are compared in units of the first epoch's loss, as late losses may be close to zero. In float64 all
agree up to rounding. In float32 everyone rounds in another order, and the curves diverge slowly;
with coarser products, as GPUs have them, sooner.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.contestants import OURS_IN_NUMPY, Contestant

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from benchmarks.cases import Task

# Measured: at most 2e-16 in float64 with SGD and 1e-10 with Adam; in float32 3e-7 with SGD, but 2e-4 where
# rounding decides whether a ReLU is on, and 6e-4 with Adam, whose steps do not shrink with the gradient. The
# same rows in another order: 3e-4 and more, which float64 tells apart; a rate 5% larger: 2e-3 and more.
# In float64 one case alone is further apart: 1e-5 with Adam for 784-1024-1024-10, some of whose gradients are
# as small as its epsilon.
SAME_IN_FLOAT64, SAME_IN_FLOAT32, SAME_ON_GPU, SAME_IN_BFLOAT16 = 5e-5, 2e-3, 1e-2, 5e-2
# A curve that hardly moves cannot reveal differences.
MIN_DECREASE = 0.02
# Some add Adam's epsilon to the root of v before they correct v for the start, some after: an epsilon this
# small makes both the same. In float32 it would make the rounding of tiny gradients large.
SMALL_EPSILON = 1e-14


class NotTheSameWorkError(Exception):
    """A contestant's loss curve differs from the reference."""


def curve_distance(task: Task, contestant: Contestant, curve: list[float]) -> float:
    """Return the distance of a curve from the reference, in units of the first epoch's loss.

    Raises:
        NotTheSameWorkError: If it is too far, or the reference hardly moves.
    """
    by_one = contestant.has_single_output and task.case.sizes[-1] == 2
    expected = reference(task.with_one_output() if by_one else task)
    if len(curve) != len(expected):
        raise NotTheSameWorkError(
            f"{task.name}: {contestant.name} ran {len(curve)} epochs, not {len(expected)}"
        )
    if not expected[-1] < (1 - MIN_DECREASE) * expected[0]:
        raise NotTheSameWorkError(f"{task.name}: the loss hardly moves, which proves nothing: {expected}")
    far = float(np.max(np.abs(np.subtract(curve, expected))) / expected[0])
    if not far <= tolerance(task):
        raise NotTheSameWorkError(
            f"{task.name}, {task.dtype}: {contestant.name} did not do the same work. Its losses are {curve}, "
            f"expected {expected}: {far:.1e} apart, at most {tolerance(task):.0e}"
        )
    return far


@lru_cache(maxsize=4)
def reference(task: Task) -> tuple[float, ...]:
    """Return the reference curve: batchprop's on NumPy."""
    return tuple(OURS_IN_NUMPY.prepare(task)()())


def tolerance(task: Task) -> float:
    """Return the largest allowed distance from the reference."""
    if task.dtype == "float64":
        return SAME_IN_FLOAT64
    if task.precision == "bfloat16":
        return SAME_IN_BFLOAT16
    return SAME_ON_GPU if task.device == "gpu" else SAME_IN_FLOAT32


def float64_distances(task: Task, contestants: list[Contestant]) -> dict[str, float]:
    """Run every contestant for a few float64 steps, and return each curve's distance from ours."""
    case = replace(task.case, steps_an_epoch=5, epochs=4)
    short = replace(task, case=case, dtype="float64", epsilon=SMALL_EPSILON)
    result = {}
    for contestant in contestants:
        if contestant.trains and contestant.supports_float64:
            with enable_float64(contestant):
                result[contestant.name] = curve_distance(short, contestant, contestant.prepare(short)()())
    return result


def enable_float64(contestant: Contestant) -> AbstractContextManager[object]:
    """Enable float64 in JAX; our own engine does this itself."""
    if not contestant.factory.startswith("jax_"):
        return nullcontext()
    import jax

    allowed: AbstractContextManager[object] = jax.enable_x64(True)
    return allowed
