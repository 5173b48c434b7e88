"""JAX at its fastest: one program per epoch, a scan over the batches.

The gradient is ``jax.grad``'s, the update is written by hand, parameters and memory are donated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from benchmarks.cases import Run, Start, Task
from benchmarks.peers.jax_network import mean_loss, parameters

# Steps per loop iteration (unrolling): 4 makes small steps up to 20% faster and large ones no slower.
UNROLL = 4


def scan(task: Task) -> Start:
    """Gather rows on the device, inside the program."""
    X, y = jnp.array(task.X), jnp.array(task.y.astype(np.int32))

    def fed(rows: Any) -> Any:
        return rows.astype(np.int32)

    def batch(rows: Any, X: Any, y: Any) -> Any:
        return X[rows], y[rows]

    return train(task, fed, batch, (X, y))


def scan_of_copy(task: Task) -> Start:
    """Gather rows in NumPy, one table copy per epoch: faster on a CPU, twice the memory."""
    X, y = task.X, task.y.astype(np.int32)

    def fed(rows: Any) -> Any:
        return X[rows], y[rows]

    return train(task, fed, lambda batch: batch, ())


def train(task: Task, fed: Callable[..., Any], batch: Callable[..., Any], table: tuple[Any, ...]) -> Start:
    """Scan over the inputs of an epoch; ``batch(input, *table)`` returns x and y of a step."""
    rate = task.learning_rate
    init, update = sgd(rate) if task.solver == "sgd" else adam(rate, task.epsilon)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, batches: Any, table: Any) -> Any:
        def step(state: Any, one: Any) -> Any:
            layers, memory = state
            loss, gradient = jax.value_and_grad(mean_loss)(layers, *batch(one, *table))
            return update(layers, gradient, memory), loss

        state, losses = lax.scan(step, state, batches, unroll=UNROLL)
        return state, losses.mean()

    def start() -> Run:
        layers = parameters(task)
        state = (layers, init(layers))

        def run() -> list[float]:
            nonlocal state
            curve = []
            for rows in task.epochs():
                state, loss = epoch(state, fed(rows), table)
                curve.append(float(loss))
            return curve

        return run

    return start


def sgd(rate: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``θ ← θ − α g``."""

    def update(layers: Any, gradient: Any, memory: Any) -> Any:
        return jax.tree.map(lambda theta, g: theta - rate * g, layers, gradient), memory

    return lambda _: (), update


def adam(rate: float, epsilon: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Adam in the form at the end of section 2 of its paper, as in scikit-learn."""
    beta_1, beta_2 = 0.9, 0.999

    def init(layers: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, layers)
        return zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), layers[0][0].dtype)

    def update(layers: Any, gradient: Any, memory: Any) -> Any:
        first, second, t = memory
        t = t + 1
        first = jax.tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, second, gradient)
        step = rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        layers = jax.tree.map(
            lambda theta, m, v: theta - step * m / (jnp.sqrt(v) + epsilon), layers, first, second
        )
        return layers, (first, second, t)

    return init, update
