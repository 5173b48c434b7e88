"""Plain JAX: ``vmap(grad)`` computes per-example gradients, which are clipped, summed and noised.

One program an epoch, a scan over the batches, rows gathered inside, as ``jax_scan`` does for plain training.
The hand-written sum is the faster of two forms; Optax's own function is the third.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np
import optax
from jax import lax
from jax import numpy as jnp

from batchprop.params import Layer, Layers
from benchmarks.cases import SEED, Run
from benchmarks.peers.jax_network import mean_loss, parameters
from benchmarks.private_cases import NOISE, PrivateTask

Summed: TypeAlias = Callable[[Any, float], Any]
"""``(gradients, C) -> `` the sum of every example's gradient, each cut to C."""


def clipped(job: PrivateTask) -> Scan:
    """Clipping without noise."""
    return Scan(job, 0.0, clipped_by_hand(job))


def clipped_by_optax(job: PrivateTask) -> Scan:
    """Clipping by Optax, without noise."""
    return Scan(job, 0.0, sum_by_optax)


def private(job: PrivateTask) -> Scan:
    """Clipping and noise."""
    return Scan(job, NOISE, clipped_by_hand(job))


def clipped_by_hand(job: PrivateTask) -> Summed:
    """The faster of two forms, by a factor of 1.5 on small networks and of 2.5 on others."""
    return sum_by_broadcast if job.task.case.is_small else sum_by_product


class Scan:
    """A compiled epoch and its parameters."""

    def __init__(self, job: PrivateTask, noise: float, summed: Summed) -> None:
        self.job = job
        self.X, self.y = jnp.array(job.task.X), jnp.array(job.task.y.astype(np.int32))
        deviation = noise * job.max_norm if noise > 0 else None
        self.epoch = jax.jit(
            partial(epoch, rate=job.rate, clip=lambda g: summed(g, job.max_norm), deviation=deviation),
            donate_argnums=0,
        )
        self.state: Any = None

    def start(self) -> Run:
        """Put the initial weights on the device."""
        self.state = (parameters(self.job.task), jax.random.key(SEED))
        return self.run

    def run(self) -> list[float]:
        """Train on the batches of every epoch."""
        curve = []
        for rows in self.job.task.epochs():
            self.state, loss = self.epoch(self.state, rows.astype(np.int32), self.X, self.y)
            curve.append(float(loss))
        return curve

    def layers(self) -> Layers:
        """The parameters after the run."""
        return tuple(Layer(np.asarray(W).T, np.asarray(b)) for W, b in self.state[0])


def epoch(
    state: Any, batches: Any, X: Any, y: Any, *, rate: float, clip: Any, deviation: float | None
) -> Any:
    """Take one step per batch; the state is the parameters and a key."""

    def step(state: Any, rows: Any) -> Any:
        layers, key = state
        key, now = jax.random.split(key)
        of_each = jax.vmap(jax.value_and_grad(mean_loss), in_axes=(None, 0, 0))
        losses, gradients = of_each(layers, X[rows], y[rows])
        total = clip(gradients)
        if deviation is not None:
            total = add_noise(total, now, deviation)
        layers = jax.tree.map(lambda theta, g: theta - rate / len(rows) * g, layers, total)
        return (layers, key), losses.mean()

    state, losses = lax.scan(step, state, batches)
    return state, losses.mean()


def sum_by_product(gradients: Any, max_norm: float) -> Any:
    """``Σ g_i min(1, C / ‖g_i‖)``, the norm over all layers; the sum as a product with the factors."""
    factors = clip_factors(gradients, max_norm)
    return jax.tree.map(lambda g: jnp.tensordot(factors, g, axes=1), gradients)


def sum_by_broadcast(gradients: Any, max_norm: float) -> Any:
    """The same sum, with each gradient scaled first."""
    factors = clip_factors(gradients, max_norm)
    return jax.tree.map(lambda g: (g * factors.reshape(-1, *(1,) * (g.ndim - 1))).sum(axis=0), gradients)


def sum_by_optax(gradients: Any, max_norm: float) -> Any:
    """The same sum by Optax's own function."""
    return optax.per_example_global_norm_clip(gradients, max_norm)[0]


def clip_factors(gradients: Any, max_norm: float) -> Any:
    """``min(1, C / ‖g_i‖)`` of each example."""
    squares = sum(jnp.square(g).reshape(len(g), -1).sum(axis=1) for g in jax.tree.leaves(gradients))
    return jnp.minimum(1.0, max_norm / jnp.sqrt(squares))


def add_noise(total: Any, key: Any, deviation: float) -> Any:
    """Add normal noise, from a key for each array."""
    leaves, structure = jax.tree.flatten(total)
    keys = jax.random.split(key, len(leaves))
    noisy = [
        g + deviation * jax.random.normal(k, g.shape, g.dtype) for g, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, noisy)
