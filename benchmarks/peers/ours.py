"""batchprop: the core's training loop, with either engine."""

from __future__ import annotations

from itertools import islice

from batchprop import optimizers, schedules
from batchprop.batches import Dataset
from batchprop.engines.numpy import NumpyEngine
from batchprop.objective import Objective
from batchprop.training import Engine, TrainConfig, init_state, train
from benchmarks.cases import Run, Start, Task


def on_jax(task: Task) -> Start:
    """Train with one compiled program per epoch."""
    from batchprop.engines.jax import JaxEngine

    precision = None if task.precision == "float32" else task.precision
    return loop(task, JaxEngine(device=task.device, precision=precision))


def on_numpy(task: Task) -> Start:
    """Train with a plain loop over the steps."""
    return loop(task, NumpyEngine())


def loop(task: Task, engine: Engine) -> Start:
    """Train with an engine, one record per epoch."""
    optimizer = optimizers.sgd() if task.solver == "sgd" else optimizers.adam(epsilon=task.epsilon)
    recipe = TrainConfig(task.network, optimizer, Objective())
    table = Dataset(task.X, task.Y)
    schedule = schedules.constant(task.learning_rate)

    def start() -> Run:
        epochs = train(recipe, init_state(recipe), table, task.sampler(), schedule, engine)
        return lambda: [epoch.loss for epoch in islice(epochs, task.case.epochs)]

    return start
