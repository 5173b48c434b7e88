"""The lower bound: only the matrix products of a step, in NumPy or compiled into one program.

Forward, the mean gradient, and backward; the input needs no gradient. No activation, no loss, no update.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

from benchmarks.cases import Matrix, Run, Start, Task


def step(B: Any, weights: list[Any]) -> list[Any]:
    """The products of one step.

    Args:
        B: the batch, a column per example ``(n_0, m)``.
        weights: one matrix ``(n_out, n_in)`` a layer.

    Returns:
        Stand-ins for each layer's gradient, in its shape; the output stands in for its derivative.
    """
    H = [B]
    for W in weights:
        H.append(W @ H[-1])
    dZ = H.pop()
    gradients = []
    for h, W in zip(reversed(H[1:]), reversed(weights[1:]), strict=True):
        gradients.append(dZ @ h.T)
        dZ = W.T @ dZ
    return [dZ @ B.T, *reversed(gradients)]


def operands(task: Task) -> tuple[Matrix, list[Matrix]]:
    """The first batch, and the initial weights."""
    return task.X[: task.case.batch_size].T, [layer.W for layer in task.network.layers]


def in_numpy(task: Task) -> Start:
    """Call the products one by one."""
    B, weights = operands(task)

    def run() -> list[float]:
        for _ in range(task.case.steps):
            step(B, weights)
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
    def epoch(B: Any, weights: Any, steps: int) -> Any:
        def body(carry: Any, _: None) -> Any:
            B, _ = carry
            gradients = step(B, weights)
            # One entry of the next batch hangs on the last product of this one, so that no product can leave
            # the loop; all gradients are carried, so that none can be dropped.
            return (B.at[0, 0].set(jnp.tanh(gradients[0][0, 0])), gradients), None

        return lax.scan(body, (B, [jnp.zeros_like(W) for W in weights]), length=steps)[0]

    B, weights = jax.tree.map(jnp.array, operands(task))

    def run() -> list[float]:
        for _ in range(task.case.epochs):
            epoch(B, weights, task.case.steps_an_epoch)[0].block_until_ready()
        return []

    def start() -> Run:
        return run

    return start


def operations(task: Task) -> int:
    """Floating-point operations of one step's products."""
    per_layer = [2 * task.case.batch_size * n_in * n_out for n_in, n_out in pairwise(task.case.sizes)]
    return 3 * sum(per_layer) - per_layer[0]
