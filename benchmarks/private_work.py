"""Check that all take the same private step: compare each gradient of one batch with a slow loop.

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

# Measured: 3e-7 to 4e-6. A C larger by 1% moves the mean by 8e-3, by 0.1% by 8e-4; no clipping by 0.2.
MAX_DIFFERENCE = 1e-4
# The noise has one number per parameter, at least 9000, so its deviation is known to 1%.
MAX_NOISE_DIFFERENCE = 0.05
FIRST_ROWS = 256


class NotTheSameWorkError(Exception):
    """A contestant's step differs from the reference."""


def one_step_task(case: Case) -> PrivateTask:
    """Return a one-step task with learning rate 1, using the first rows of large batches."""
    few = replace(case, batch_size=min(case.batch_size, FIRST_ROWS), steps_an_epoch=1, epochs=1)
    return PrivateTask(Task(few, "sgd"), rate=1.0)


def flatten(layers: Layers) -> NDArray[np.float64]:
    """Flatten all parameters into one float64 vector."""
    return np.concatenate([np.ravel(theta) for layer in layers for theta in layer]).astype(np.float64)


def reference(job: PrivateTask, *, clips: bool) -> NDArray[np.float64]:
    """The mean of clipped or unclipped per-example gradients, by a float64 loop over examples."""
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
        Without noise, the distance of the gradient from the reference, relative to its norm;
        with noise, the measured σ.

    Raises:
        NotTheSameWorkError: If one is too far off.
    """
    job = one_step_task(case)
    expected = {clips: reference(job, clips=clips) for clips in (False, True)}
    before = flatten(job.task.network.layers)
    unit = job.max_norm / job.task.case.batch_size
    result = {}
    for one in contestants:
        if not one.same_rows:
            continue
        trainer = one.prepare(job)
        trainer.start()()
        error = before - flatten(trainer.layers()) - expected[one.clips]
        if one.noisy:
            result[one.name] = float(error.std() / unit)
            fine = (
                abs(result[one.name] / NOISE - 1) < MAX_NOISE_DIFFERENCE
                and abs(error.mean()) < MAX_NOISE_DIFFERENCE * unit
            )
        else:
            result[one.name] = float(np.linalg.norm(error) / np.linalg.norm(expected[one.clips]))
            fine = result[one.name] < MAX_DIFFERENCE
        if not fine:
            what = f"noise of {result[one.name]:.3f} C" if one.noisy else f"{result[one.name]:.1e} apart"
            raise NotTheSameWorkError(f"{case.name}: {one.name} did not do the same work: {what}")
    return result
