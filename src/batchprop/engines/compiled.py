"""The compiled programs: the core's functions run over a feed, as one program each.

A program is compiled for the *structure* of a fit: activations, head, optimiser, what is switched on, and all
shapes. Numbers (learning rate, alpha, momentum, betas, dropout, the limit of the gradient) are its arguments.
JAX keeps the programs of a process; nothing here holds state.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from batchprop.activations import Activation
from batchprop.arrays import Array, column_dots, transposed_product
from batchprop.batches import Batch, Table, gather
from batchprop.engines.padding import Feed
from batchprop.engines.prng import OF_THE_BATCH, draws_of
from batchprop.heads import Head
from batchprop.network import Network
from batchprop.objective import (
    Collapsed,
    Objective,
    add,
    closed,
    contribution,
    dropout_masks,
    nothing,
)
from batchprop.optimizers import Optimizer
from batchprop.params import Layers
from batchprop.training import NOTHING_WATCHED, Recipe, State, Watched, all_finite, update

NARROW = 64
"""Examples in a batch up to which XLA's product with a transposed W is slow on a processor."""


@column_dots.register(jax.Array)
@column_dots.register(jax.core.Tracer)
def _column_dots(A: Array, B: Array) -> Array:
    # XLA compiles vecdot along columns as a batch of products, 3 to 6 times slower than this sum.
    return jnp.sum(A * B, axis=-2)


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


class Structure(NamedTuple):
    """What a program is compiled for, besides shapes."""

    activations: tuple[Activation, ...]
    head: Head
    watched: Watched = NOTHING_WATCHED

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


class Notes(NamedTuple):
    """What is noted of each microbatch of a feed; of the batch it closes, where it closes one.

    Attributes:
        losses: ``(S,)``, the batch's.
        examples: ``(S, q, width)``, what was seen of its examples; None where nothing is watched.
        steps: ``(S, r)``, what was seen of the batch's step; or None.
    """

    losses: Array
    examples: Array | None
    steps: Array | None


class Outcome(NamedTuple):
    """What a feed leaves behind.

    Attributes:
        running: to go on with.
        notes: of its microbatches.
        finite: whether every parameter is.
    """

    running: Running
    notes: Notes
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
    running, notes = run(structure, settings, running, table, feed)
    return Outcome(running, notes, all_finite(running.state.layers))


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
        added, _ = contribution(net, _batch(table, feed, i), feed.shares[i], masks)
        return add(total, added)

    added: Collapsed = lax.fori_loop(0, feed.filled, step, total)
    return added


@partial(jax.jit, static_argnames=("structure", "function"))
def applied(structure: Structure, function: Callable[..., Any], layers: Layers, *matrices: Array) -> Any:
    """Return ``function(net, *columns)`` of some rows, as rows."""
    results = function(structure.network(layers), *(matrix.T for matrix in matrices))
    return jax.tree.map(jnp.transpose, results)


def _run_batches(
    structure: Structure, settings: Settings, running: Running, table: Table | None, feed: Feed
) -> tuple[Running, Notes]:
    """Each microbatch is a batch."""

    def step(i: Array, carry: tuple[State, Notes]) -> tuple[State, Notes]:
        state, (losses, examples, steps) = carry
        part, seen = _part(structure, settings, state, table, feed, i)
        state, loss, of_step = _closed(structure, settings, state, part, feed, i)
        return state, Notes(_at(losses, i, loss), _at(examples, i, seen), _at(steps, i, of_step))

    first = (running.state, _empty(structure, settings, running.state, table, feed))
    state, notes = lax.fori_loop(0, feed.filled, step, first)
    return Running(state, None), notes


def _run_microbatches(
    structure: Structure, settings: Settings, running: Running, table: Table | None, feed: Feed
) -> tuple[Running, Notes]:
    """A batch is the sum of microbatches, up to the one that closes it."""

    def close(i: Array, state: State, total: Collapsed, losses: Array, steps: Array | None) -> Any:
        state, loss, of_step = _closed(structure, settings, state, total, feed, i)
        return state, nothing(state.layers), _at(losses, i, loss), _at(steps, i, of_step)

    def keep(_: Array, *carry: Any) -> Any:
        return carry

    def step(i: Array, carry: tuple[State, Collapsed, Notes]) -> tuple[State, Collapsed, Notes]:
        state, total, (losses, examples, steps) = carry
        part, seen = _part(structure, settings, state, table, feed, i)
        carried = (state, add(total, part), losses, steps)
        state, total, losses, steps = lax.cond(feed.closes[i], close, keep, i, *carried)
        return state, total, Notes(losses, _at(examples, i, seen), steps)

    notes = _empty(structure, settings, running.state, table, feed)
    first = (running.state, running.open_batch, notes)
    state, total, notes = lax.fori_loop(0, feed.filled, step, first)
    return Running(state, total), notes


def _empty(structure: Structure, settings: Settings, state: State, table: Table | None, feed: Feed) -> Notes:
    """Notes of a whole feed, to be filled in."""
    losses = jnp.zeros_like(feed.shares)
    if structure.watched == NOTHING_WATCHED:
        return Notes(losses, None, None)

    def look(state: State) -> tuple[Array | None, Array | None]:
        part, seen = _part(structure, settings, state, table, feed, 0)
        return seen, _closed(structure, settings, state, part, feed, 0)[2]

    shapes = jax.eval_shape(look, state)
    return Notes(losses, *jax.tree.map(lambda one: jnp.zeros((*losses.shape, *one.shape), one.dtype), shapes))


def _at(notes: Array | None, i: Array, one: Array | None) -> Array | None:
    """Fill in what is noted of microbatch i; None where nothing is."""
    return None if notes is None else notes.at[i].set(one)


def _batch(table: Table | None, feed: Feed, i: Array | int) -> Batch:
    if table is None:
        return Batch(feed.X[i].T, feed.Y[i].T, feed.weights[i])
    B, Y, _ = gather(table, feed.rows[i])
    # A batch that weighs nothing may hold anything, and zero times infinity is not zero.
    there = feed.shares[i] > 0
    return Batch(jnp.where(there, B, 0), jnp.where(there, Y, 0), feed.weights[i])


def _part(
    structure: Structure, settings: Settings, state: State, table: Table | None, feed: Feed, i: Array | int
) -> tuple[Collapsed, Array | None]:
    net, batch = structure.network(state.layers), _batch(table, feed, i)
    draws = draws_of(settings.key, state.steps, feed.parts[i])
    uniform = None if draws is None else draws.uniform
    masks = dropout_masks(net, batch.B.shape[1], settings.objective.dropout, uniform)
    mechanism, look = settings.objective.mechanism, structure.watched.examples
    return contribution(net, batch, feed.shares[i], masks, mechanism, look)


def _closed(
    structure: Structure, settings: Settings, state: State, total: Collapsed, feed: Feed, i: Array | int
) -> tuple[State, Array, Array | None]:
    optimizer, objective, key = settings
    draws = draws_of(key, state.steps, OF_THE_BATCH)
    loss, gradient = closed(total, state.layers, objective, feed.shares[i], draws)
    recipe = Recipe(structure.network(state.layers), optimizer, objective)
    after = update(recipe, state, gradient, feed.rates[i])
    look = structure.watched.steps
    return after, loss, None if look is None else look(total.gradient, state.layers, after.layers)
