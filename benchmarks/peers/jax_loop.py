"""JAX in the common style: a Python loop that calls a jitted step, with Optax."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jax import numpy as jnp

from benchmarks.cases import Run, Start, Task
from benchmarks.peers.jax_network import mean_loss, parameters


def loop(task: Task) -> Start:
    """Train with one program per step; rows are gathered in NumPy, or on the GPU if the data is there."""
    rate = task.learning_rate
    optimizer = optax.sgd(rate) if task.solver == "sgd" else optax.adam(rate, eps=task.epsilon)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(layers: Any, memory: Any, x: Any, y: Any) -> Any:
        loss, gradient = jax.value_and_grad(mean_loss)(layers, x, y)
        updates, memory = optimizer.update(gradient, memory, layers)
        return optax.apply_updates(layers, updates), memory, loss

    def taken(X: Any, y: Any, rows: Any) -> Any:
        return X[rows], y[rows]

    X: Any = task.X
    y: Any = task.y.astype(np.int32)
    if task.device == "gpu":
        X, y, taken = jnp.array(X), jnp.array(y), jax.jit(taken)

    def start() -> Run:
        layers = parameters(task)
        memory = optimizer.init(layers)

        def run() -> list[float]:
            nonlocal layers, memory
            curve = []
            for batches in task.epochs():
                losses = []
                for rows in batches:
                    layers, memory, loss = step(layers, memory, *taken(X, y, rows))
                    losses.append(loss)
                curve.append(float(np.mean(jax.device_get(losses))))
            return curve

        return run

    return start
