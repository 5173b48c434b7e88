"""Whether all take the same private step: each one's gradient of one batch, compared with a slow loop's.

The reference is made in float64, one example after another, from whole gradients: no closed form is in it. A
contestant's gradient is read from its parameters: at a learning rate of 1 they move by just that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import backprop
from batchprop.params import Layer, Layers
from benchmarks.cases import Case, Task
from benchmarks.private_cases import NOISE, Contestant, PrivateTask

# Measured: 3e-7 to 4e-6; a C larger by 1% moves the mean by 8e-3, by 0.1% by 8e-4, and no clipping by 0.2.
MAX_DIFFERENCE = 1e-4
# The noise has as many numbers as the network parameters, 9000 at least: its deviation is known to 1%.
MAX_NOISE_DIFFERENCE = 0.05
FIRST_ROWS = 256


class NotTheSameWorkError(Exception):
    """A contestant's step is not that of the others."""


def one_step_task(case: Case) -> PrivateTask:
    """Return a job of one step, with a rate of 1; of large batches the first rows."""
    few = replace(case, batch_size=min(case.batch_size, FIRST_ROWS), steps_an_epoch=1, epochs=1)
    return PrivateTask(Task(few, "sgd"), rate=1.0)


def flatten(layers: Layers) -> NDArray[np.float64]:
    """All parameters in one vector, in float64."""
    return np.concatenate([np.ravel(theta) for layer in layers for theta in layer]).astype(np.float64)


def reference(job: PrivateTask, *, clips: bool) -> NDArray[np.float64]:
    """The batch's mean gradient, each example's cut to C or not, by the loop over examples in float64."""
    task = job.task
    layers = tuple(Layer(*(theta.astype(np.float64) for theta in layer)) for layer in task.network.layers)
    net = task.network.replace_layers(layers)
    total = np.zeros_like(flatten(layers))
    for x, y in zip(task.X.astype(np.float64), task.Y.astype(np.float64), strict=True):
        g = flatten(backprop(net, x[:, None], y[:, None]).gradient.mean())
        total += g * (min(1.0, job.max_norm / float(np.linalg.norm(g))) if clips else 1.0)
    return total / len(task.X)


def check(case: Case, contestants: list[Contestant]) -> dict[str, float]:
    """Take one step with each contestant.

    Returns:
        For those without noise how far their gradient lies from the reference, relative to its length; for
        those with noise σ as it is found.

    Raises:
        NotTheSameWorkError: one is too far off.
    """
    job = one_step_task(case)
    expected = {clips: reference(job, clips=clips) for clips in (False, True)}
    before = flatten(job.task.network.layers)
    unit = job.max_norm / job.task.case.batch_size
    found = {}
    for one in contestants:
        if not one.same_rows:
            continue
        trainer = one.prepare(job)
        trainer.start()()
        error = before - flatten(trainer.layers()) - expected[one.clips]
        if one.noisy:
            found[one.name] = float(error.std() / unit)
            fine = (
                abs(found[one.name] / NOISE - 1) < MAX_NOISE_DIFFERENCE
                and abs(error.mean()) < MAX_NOISE_DIFFERENCE * unit
            )
        else:
            found[one.name] = float(np.linalg.norm(error) / np.linalg.norm(expected[one.clips]))
            fine = found[one.name] < MAX_DIFFERENCE
        if not fine:
            what = f"noise of {found[one.name]:.3f} C" if one.noisy else f"{found[one.name]:.1e} apart"
            raise NotTheSameWorkError(f"{case.name}: {one.name} did not do the same work: {what}")
    return found
