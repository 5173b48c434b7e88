"""JAX at its strongest: one program an epoch, a scan over the batches, rows gathered on the device."""

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


def scan(task: Task) -> Start:
    """The gradient by ``jax.grad``, the update by hand, parameters and memory donated."""
    rate = task.learning_rate
    init, update = sgd(rate) if task.solver == "sgd" else adam(rate, task.epsilon)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, X: Any, y: Any, batches: Any) -> Any:
        def step(state: Any, rows: Any) -> Any:
            layers, memory = state
            loss, gradient = jax.value_and_grad(mean_loss)(layers, X[rows], y[rows])
            return update(layers, gradient, memory), loss

        state, losses = lax.scan(step, state, batches)
        return state, losses.mean()

    X, y = jnp.array(task.X), jnp.array(task.y.astype(np.int32))

    def start() -> Run:
        layers = parameters(task)
        state = (layers, init(layers))

        def run() -> list[float]:
            nonlocal state
            curve = []
            for batches in task.epochs():
                state, loss = epoch(state, X, y, batches.astype(np.int32))
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
    """Adam in the form at the end of its paper's section 2, as scikit-learn has it."""
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
