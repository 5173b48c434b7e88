"""The floor: nothing but the matrix products of a step, called from NumPy or compiled into one program.

Forward, the mean gradient, and backward; the input needs no gradient. No activation, no loss, no update.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.cases import Matrix, Run, Start, Task


def step(x: Any, weights: list[Any]) -> list[Any]:
    """The products of one step on a batch of rows.

    Args:
        x: the batch ``(m, n_0)``.
        weights: one matrix ``(n_in, n_out)`` a layer.

    Returns:
        What stands for each layer's gradient ``(n_in, n_out)``; the output stands for its own derivative.
    """
    H = [x]
    for W in weights:
        H.append(H[-1] @ W)
    dZ = H.pop()
    gradients = []
    for h, W in zip(reversed(H[1:]), reversed(weights[1:]), strict=True):
        gradients.append(h.T @ dZ)
        dZ = dZ @ W.T
    return [x.T @ dZ, *reversed(gradients)]


def operands(task: Task) -> tuple[Matrix, list[Matrix]]:
    """The first batch, and the initial weights."""
    return task.X[: task.case.batch_size], [np.ascontiguousarray(layer.W.T) for layer in task.network.layers]


def in_numpy(task: Task) -> Start:
    """Call the products one by one."""
    x, weights = operands(task)

    def run() -> list[float]:
        for _ in range(task.case.steps):
            step(x, weights)
        return []

    def start() -> Run:
        return run

    return start


def compiled(task: Task) -> Start:
    """Compile the products of all steps of an epoch into one program."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    @partial(jax.jit, static_argnums=2)
    def epoch(x: Any, weights: Any, steps: int) -> Any:
        def body(carry: Any, _: None) -> Any:
            x, _ = carry
            gradients = step(x, weights)
            # One entry of the next batch hangs on the last product of this one, so that no product can leave
            # the loop; all gradients are carried, so that none can be dropped.
            return (x.at[0, 0].set(jnp.tanh(gradients[0][0, 0])), gradients), None

        return lax.scan(body, (x, [jnp.zeros_like(W) for W in weights]), length=steps)[0]

    x, weights = jax.tree.map(jnp.array, operands(task))

    def run() -> list[float]:
        for _ in range(task.case.epochs):
            epoch(x, weights, task.case.steps_an_epoch)[0].block_until_ready()
        return []

    def start() -> Run:
        return run

    return start


def operations(task: Task) -> int:
    """Floating-point operations of one step's products."""
    per_layer = [2 * task.case.batch_size * n_in * n_out for n_in, n_out in pairwise(task.case.sizes)]
    return 3 * sum(per_layer) - per_layer[0]
