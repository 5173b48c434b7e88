"""The compiled programs: the core's functions run over a feed, as one program each.

A program is compiled for the *structure* of a fit: activations, head, optimiser, what is switched on, and all
shapes. Numbers (learning rate, alpha, momentum, betas, dropout, the limit of the gradient) are its arguments.
JAX keeps the programs of a process; nothing here holds state.
"""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from batchprop.activations import Activation
from batchprop.arrays import Array, transposed_product
from batchprop.batches import Batch, Table, gather
from batchprop.engines.feeding import Feed
from batchprop.heads import Head
from batchprop.network import Layers, Network
from batchprop.objective import (
    Collapsed,
    Objective,
    Uniform,
    add,
    contribution,
    dropout_masks,
    nothing,
    penalised,
)
from batchprop.optimizers import Optimizer
from batchprop.training import Recipe, State, all_finite, update

NARROW = 64
"""Examples in a batch up to which XLA's product with a transposed W is slow on a processor."""


@transposed_product.register(jax.Array)
@transposed_product.register(jax.core.Tracer)
def _transposed_product(W: Array, dZ: Array) -> Array:
    if dZ.shape[1] > NARROW:
        return W.T @ dZ
    return lax.platform_dependent(W, dZ, cpu=_by_rows, default=lambda W, dZ: W.T @ dZ)


def _by_rows(W: Array, dZ: Array) -> Array:
    """``(dZᵀ W)ᵀ``, between barriers lest XLA turn it round again."""
    barrier: Callable[[Array], Array] = lax.optimization_barrier
    return barrier(barrier(dZ.T) @ W).T


Carry: TypeAlias = tuple[State, Collapsed, Array]


class Structure(NamedTuple):
    """What a program is compiled for, besides shapes."""

    activations: tuple[Activation, ...]
    head: Head

    def network(self, layers: Layers) -> Network:
        """The network with these layers."""
        return Network(layers, self.activations, self.head)


class Settings(NamedTuple):
    """The numbers of a fit, with the randomness that dropout draws from (None without)."""

    optimizer: Optimizer
    objective: Objective
    key: Array | None


class Running(NamedTuple):
    """What goes from feed to feed.

    Attributes:
        state: of training.
        open_batch: what the microbatches of a batch begun in an earlier feed add up to; None where every
            batch is one microbatch.
    """

    state: State
    open_batch: Collapsed | None


class Outcome(NamedTuple):
    """What a feed leaves behind.

    Attributes:
        running: to go on with.
        losses: ``(S,)``, of each batch at the microbatch that closes it.
        finite: whether every parameter is.
    """

    running: Running
    losses: Array
    finite: Array


def _run(
    structure: Structure, settings: Settings, running: Running, table: Table | None, feed: Feed
) -> Outcome:
    """Take a step for each batch of a feed.

    Args:
        structure: of the network.
        settings: of the fit.
        running: before.
        table: where the device holds it.
        feed: the microbatches.

    Returns:
        The outcome.
    """
    run = _run_batches if running.open_batch is None else _run_microbatches
    running, losses = run(structure, settings, running, table, feed)
    return Outcome(running, losses, all_finite(running.state.layers))


run = jax.jit(_run, static_argnames="structure")
run_in_place = jax.jit(_run, static_argnames="structure", donate_argnames="running")


@partial(jax.jit, static_argnames="structure")
def add_up(
    structure: Structure, layers: Layers, total: Collapsed, table: Table | None, feed: Feed
) -> Collapsed:
    """Add what the microbatches of a feed contribute to one batch's loss and gradient."""
    net = structure.network(layers)
    masks = (None,) * len(structure.activations)

    def step(i: Array, total: Collapsed) -> Collapsed:
        return add(total, contribution(net, _batch(table, feed, i), feed.shares[i], masks))

    added: Collapsed = lax.fori_loop(0, feed.filled, step, total)
    return added


@partial(jax.jit, static_argnames=("structure", "function"))
def applied(structure: Structure, function: Callable[..., Any], layers: Layers, *matrices: Array) -> Any:
    """Return ``function(net, *columns)`` of some rows, as rows."""
    results = function(structure.network(layers), *(matrix.T for matrix in matrices))
    return jax.tree.map(jnp.transpose, results)


def _run_batches(
    structure: Structure, settings: Settings, running: Running, table: Table | None, feed: Feed
) -> tuple[Running, Array]:
    """Each microbatch is a batch."""

    def step(i: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, losses = carry
        part = _part(structure, settings, state, table, feed, i)
        state, loss = _closed(structure, settings, state, part, feed, i)
        return state, losses.at[i].set(loss)

    first = (running.state, jnp.zeros_like(feed.shares))
    state, losses = lax.fori_loop(0, feed.filled, step, first)
    return Running(state, None), losses


def _run_microbatches(
    structure: Structure, settings: Settings, running: Running, table: Table | None, feed: Feed
) -> tuple[Running, Array]:
    """A batch is the sum of microbatches, up to the one that closes it."""

    def close(i: Array, state: State, total: Collapsed, losses: Array) -> Carry:
        state, loss = _closed(structure, settings, state, total, feed, i)
        return state, nothing(state.layers), losses.at[i].set(loss)

    def keep(_: Array, *carry: Any) -> Carry:
        return carry

    def step(i: Array, carry: Carry) -> Carry:
        state, total, losses = carry
        total = add(total, _part(structure, settings, state, table, feed, i))
        after: Carry = lax.cond(feed.closes[i], close, keep, i, state, total, losses)
        return after

    first = (running.state, running.open_batch, jnp.zeros_like(feed.shares))
    state, total, losses = lax.fori_loop(0, feed.filled, step, first)
    return Running(state, total), losses


def _batch(table: Table | None, feed: Feed, i: Array) -> Batch:
    if table is None:
        return Batch(feed.X[i].T, feed.Y[i].T, feed.weights[i])
    B, Y, _ = gather(table, feed.rows[i])
    # A batch that weighs nothing may hold anything, and zero times infinity is not zero.
    there = feed.shares[i] > 0
    return Batch(jnp.where(there, B, 0), jnp.where(there, Y, 0), feed.weights[i])


def _part(
    structure: Structure, settings: Settings, state: State, table: Table | None, feed: Feed, i: Array
) -> Collapsed:
    net, batch = structure.network(state.layers), _batch(table, feed, i)
    uniform = None if settings.key is None else _uniform(settings.key, state.steps, feed.parts[i])
    masks = dropout_masks(net, batch.B.shape[1], settings.objective.dropout, uniform)
    return contribution(net, batch, feed.shares[i], masks)


def _closed(
    structure: Structure, settings: Settings, state: State, total: Collapsed, feed: Feed, i: Array
) -> tuple[State, Array]:
    optimizer, objective, _ = settings
    loss, gradient = penalised(total, state.layers, objective, feed.shares[i])
    recipe = Recipe(structure.network(state.layers), optimizer, objective)
    return update(recipe, state, gradient, feed.rates[i]), loss


def _uniform(key: Array, step: Array, part: Array) -> Uniform:
    """Random numbers that depend on the step and on nothing that came before it, so that it can be redone."""
    draws = count()
    of_part = jax.random.fold_in(jax.random.fold_in(key, step), part)
    return lambda shape, dtype: jax.random.uniform(jax.random.fold_in(of_part, next(draws)), shape, dtype)
