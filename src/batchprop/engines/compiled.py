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
from batchprop.arrays import Array, columnwise_dot, matmul_transposed
from batchprop.batches import Batch, Dataset, gather
from batchprop.engines.padding import PaddedChunk
from batchprop.engines.prng import OF_THE_BATCH, random_source
from batchprop.heads import Head
from batchprop.network import Network
from batchprop.objective import (
    LossAndGradient,
    Objective,
    add,
    dropout_masks,
    finalize_batch,
    microbatch_gradient,
    zero_gradient,
)
from batchprop.optimizers import Optimizer
from batchprop.params import Layers
from batchprop.training import NO_METRIC_FNS, MetricFns, TrainConfig, TrainState, all_finite, apply_gradient

NARROW = 64
"""Examples in a batch up to which XLA's product with a transposed W is slow on a processor."""


@columnwise_dot.register(jax.Array)
@columnwise_dot.register(jax.core.Tracer)
def _column_dots(A: Array, B: Array) -> Array:
    # XLA compiles vecdot along columns as a batch of products, 3 to 6 times slower than this sum.
    return jnp.sum(A * B, axis=-2)


@matmul_transposed.register(jax.Array)
@matmul_transposed.register(jax.core.Tracer)
def _transposed_product(W: Array, dZ: Array) -> Array:
    if dZ.shape[1] > NARROW:
        return W.T @ dZ
    return lax.platform_dependent(W, dZ, cpu=_by_rows, default=lambda W, dZ: W.T @ dZ)


def _by_rows(W: Array, dZ: Array) -> Array:
    """``(dZᵀ W)ᵀ``, between barriers lest XLA turn it round again."""
    barrier: Callable[[Array], Array] = lax.optimization_barrier
    return barrier(barrier(dZ.T) @ W).T


class StaticConfig(NamedTuple):
    """What a program is compiled for, besides shapes."""

    activations: tuple[Activation, ...]
    head: Head
    watched: MetricFns = NO_METRIC_FNS

    def network(self, layers: Layers) -> Network:
        """The network with these layers."""
        return Network(layers, self.activations, self.head)


class Hyperparameters(NamedTuple):
    """The numbers of a fit, with the randomness that dropout draws from (None without)."""

    optimizer: Optimizer
    objective: Objective
    key: Array | None


class Carry(NamedTuple):
    """What goes from feed to feed.

    Attributes:
        state: of training.
        open_batch: what the microbatches of a batch begun in an earlier feed add up to; None where every
            batch is one microbatch.
    """

    state: TrainState
    open_batch: LossAndGradient | None


class StepMetrics(NamedTuple):
    """What is noted of each microbatch of a feed; of the batch it closes, where it closes one.

    Attributes:
        losses: ``(S,)``, the batch's.
        examples: ``(S, q, width)``, what was seen of its examples; None where nothing is watched.
        steps: ``(S, r)``, what was seen of the batch's step; or None.
    """

    losses: Array
    examples: Array | None
    steps: Array | None


class ChunkResult(NamedTuple):
    """What a feed leaves behind.

    Attributes:
        running: to go on with.
        notes: of its microbatches.
        finite: whether every parameter is.
    """

    running: Carry
    notes: StepMetrics
    finite: Array


def _run(
    structure: StaticConfig,
    settings: Hyperparameters,
    running: Carry,
    table: Dataset | None,
    feed: PaddedChunk,
) -> ChunkResult:
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
    return ChunkResult(running, notes, all_finite(running.state.layers))


run = jax.jit(_run, static_argnames="structure")
run_donated = jax.jit(_run, static_argnames="structure", donate_argnames="running")


@partial(jax.jit, static_argnames="structure")
def accumulate(
    structure: StaticConfig, layers: Layers, total: LossAndGradient, table: Dataset | None, feed: PaddedChunk
) -> LossAndGradient:
    """Add what the microbatches of a feed contribute to one batch's loss and gradient."""
    net = structure.network(layers)
    masks = (None,) * len(structure.activations)

    def step(i: Array, total: LossAndGradient) -> LossAndGradient:
        added, _ = microbatch_gradient(net, _batch(table, feed, i), feed.inverse_weights[i], masks)
        return add(total, added)

    added: LossAndGradient = lax.fori_loop(0, feed.filled, step, total)
    return added


@partial(jax.jit, static_argnames=("structure", "function"))
def map_rows(structure: StaticConfig, function: Callable[..., Any], layers: Layers, *matrices: Array) -> Any:
    """Return ``function(net, *columns)`` of some rows, as rows."""
    results = function(structure.network(layers), *(matrix.T for matrix in matrices))
    return jax.tree.map(jnp.transpose, results)


def _run_batches(
    structure: StaticConfig,
    settings: Hyperparameters,
    running: Carry,
    table: Dataset | None,
    feed: PaddedChunk,
) -> tuple[Carry, StepMetrics]:
    """Each microbatch is a batch."""

    def step(i: Array, carry: tuple[TrainState, StepMetrics]) -> tuple[TrainState, StepMetrics]:
        state, (losses, examples, steps) = carry
        part, seen = _microbatch_step(structure, settings, state, table, feed, i)
        state, loss, of_step = _optimizer_step(structure, settings, state, part, feed, i)
        return state, StepMetrics(
            _set_row(losses, i, loss), _set_row(examples, i, seen), _set_row(steps, i, of_step)
        )

    first = (running.state, _init_metrics(structure, settings, running.state, table, feed))
    state, notes = lax.fori_loop(0, feed.filled, step, first)
    return Carry(state, None), notes


def _run_microbatches(
    structure: StaticConfig,
    settings: Hyperparameters,
    running: Carry,
    table: Dataset | None,
    feed: PaddedChunk,
) -> tuple[Carry, StepMetrics]:
    """A batch is the sum of microbatches, up to the one that closes it."""

    def close(i: Array, state: TrainState, total: LossAndGradient, losses: Array, steps: Array | None) -> Any:
        state, loss, of_step = _optimizer_step(structure, settings, state, total, feed, i)
        return state, zero_gradient(state.layers), _set_row(losses, i, loss), _set_row(steps, i, of_step)

    def keep(_: Array, *carry: Any) -> Any:
        return carry

    def step(
        i: Array, carry: tuple[TrainState, LossAndGradient, StepMetrics]
    ) -> tuple[TrainState, LossAndGradient, StepMetrics]:
        state, total, (losses, examples, steps) = carry
        part, seen = _microbatch_step(structure, settings, state, table, feed, i)
        carried = (state, add(total, part), losses, steps)
        state, total, losses, steps = lax.cond(feed.is_last[i], close, keep, i, *carried)
        return state, total, StepMetrics(losses, _set_row(examples, i, seen), steps)

    notes = _init_metrics(structure, settings, running.state, table, feed)
    first = (running.state, running.open_batch, notes)
    state, total, notes = lax.fori_loop(0, feed.filled, step, first)
    return Carry(state, total), notes


def _init_metrics(
    structure: StaticConfig,
    settings: Hyperparameters,
    state: TrainState,
    table: Dataset | None,
    feed: PaddedChunk,
) -> StepMetrics:
    """Notes of a whole feed, to be filled in."""
    losses = jnp.zeros_like(feed.inverse_weights)
    if structure.watched == NO_METRIC_FNS:
        return StepMetrics(losses, None, None)

    def look(state: TrainState) -> tuple[Array | None, Array | None]:
        part, seen = _microbatch_step(structure, settings, state, table, feed, 0)
        return seen, _optimizer_step(structure, settings, state, part, feed, 0)[2]

    shapes = jax.eval_shape(look, state)
    return StepMetrics(
        losses, *jax.tree.map(lambda one: jnp.zeros((*losses.shape, *one.shape), one.dtype), shapes)
    )


def _set_row(notes: Array | None, i: Array, one: Array | None) -> Array | None:
    """Fill in what is noted of microbatch i; None where nothing is."""
    return None if notes is None else notes.at[i].set(one)


def _batch(table: Dataset | None, feed: PaddedChunk, i: Array | int) -> Batch:
    if table is None:
        return Batch(feed.X[i].T, feed.Y[i].T, feed.weights[i])
    B, Y, _ = gather(table, feed.rows[i])
    # A batch that weighs nothing may hold anything, and zero times infinity is not zero.
    there = feed.inverse_weights[i] > 0
    return Batch(jnp.where(there, B, 0), jnp.where(there, Y, 0), feed.weights[i])


def _microbatch_step(
    structure: StaticConfig,
    settings: Hyperparameters,
    state: TrainState,
    table: Dataset | None,
    feed: PaddedChunk,
    i: Array | int,
) -> tuple[LossAndGradient, Array | None]:
    net, batch = structure.network(state.layers), _batch(table, feed, i)
    draws = random_source(settings.key, state.steps, feed.microbatch_index[i])
    uniform = None if draws is None else draws.uniform
    masks = dropout_masks(net, batch.B.shape[1], settings.objective.dropout, uniform)
    mechanism, look = settings.objective.mechanism, structure.watched.examples
    return microbatch_gradient(net, batch, feed.inverse_weights[i], masks, mechanism, look)


def _optimizer_step(
    structure: StaticConfig,
    settings: Hyperparameters,
    state: TrainState,
    total: LossAndGradient,
    feed: PaddedChunk,
    i: Array | int,
) -> tuple[TrainState, Array, Array | None]:
    optimizer, objective, key = settings
    draws = random_source(key, state.steps, OF_THE_BATCH)
    loss, gradient = finalize_batch(total, state.layers, objective, feed.inverse_weights[i], draws)
    recipe = TrainConfig(structure.network(state.layers), optimizer, objective)
    after = apply_gradient(recipe, state, gradient, feed.rates[i])
    look = structure.watched.steps
    return after, loss, None if look is None else look(total.gradient, state.layers, after.layers)
