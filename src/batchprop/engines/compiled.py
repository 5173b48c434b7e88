"""The compiled programs: the core's functions over a chunk of microbatches, as one program each.

A program is compiled for the *static* part of a fit: activations, head, optimiser, enabled options, and
all shapes. Numbers (learning rate, alpha, momentum, betas, dropout, the limit of the gradient) are its
arguments. ``engines.programs`` keeps the programs of a process; nothing here holds state.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from batchprop.activations import Activation
from batchprop.arrays import Array, columnwise_dot, matmul_transposed, shortcut_if
from batchprop.batches import Batch, Dataset, gather
from batchprop.engines.padding import PaddedChunk
from batchprop.engines.prng import OF_THE_BATCH, random_source
from batchprop.engines.programs import compile_by_shape
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
"""The batch size up to which XLA's product with a transposed W is slow on a processor."""


@columnwise_dot.register(jax.Array)
@columnwise_dot.register(jax.core.Tracer)
def _jax_columnwise_dot(A: Array, B: Array) -> Array:
    # XLA compiles vecdot along columns as a batch of products, 3 to 6 times slower than this sum.
    return jnp.sum(A * B, axis=-2)


@matmul_transposed.register(jax.Array)
@matmul_transposed.register(jax.core.Tracer)
def _jax_matmul_transposed(W: Array, dZ: Array) -> Array:
    if dZ.shape[1] > NARROW:
        return W.T @ dZ
    return lax.platform_dependent(W, dZ, cpu=_matmul_by_rows, default=lambda W, dZ: W.T @ dZ)


@shortcut_if.register(jax.core.Tracer)
def _jax_shortcut_if(
    valid: Array, shortcut: Callable[..., Any], general: Callable[..., Any], *operands: Any
) -> Any:
    return lax.cond(valid, shortcut, general, *operands)


def _matmul_by_rows(W: Array, dZ: Array) -> Array:
    """Return ``(dZᵀ W)ᵀ``."""
    # Without the barriers XLA rewrites it as Wᵀ dZ, the slow product.
    barrier: Callable[[Array], Array] = lax.optimization_barrier
    return barrier(barrier(dZ.T) @ W).T


class StaticConfig(NamedTuple):
    """The static settings that a program is compiled for, besides shapes.

    Attributes:
        activations: of the network.
        head: of the network.
        metric_fns: the metrics to compute.
        axis: the name of the mesh's axis of processes, over which batches are summed; None for one process.
    """

    activations: tuple[Activation, ...]
    head: Head
    metric_fns: MetricFns = NO_METRIC_FNS
    axis: str | None = None

    def network(self, layers: Layers) -> Network:
        """Return the network with these layers."""
        return Network(layers, self.activations, self.head)


class Hyperparameters(NamedTuple):
    """The numbers of a fit, with the key of its random numbers (None if nothing is drawn).

    Over several processes the key is its two words, an array that all of them can hold.
    """

    optimizer: Optimizer
    objective: Objective
    key: Array | None


class Carry(NamedTuple):
    """The state that one chunk passes to the next.

    Attributes:
        state: of training.
        open_batch: the sum over the microbatches of a batch that an earlier chunk began; None if every
            batch is one microbatch.
    """

    state: TrainState
    open_batch: LossAndGradient | None


class StepMetrics(NamedTuple):
    """The metrics of a chunk's S microbatches; those of a step are at the last microbatch of its batch.

    Attributes:
        losses: ``(S,)``, of the batches.
        examples: ``(S, q, width)``, or None without a metric of examples.
        steps: ``(S, r)``, or None without a metric of steps.
    """

    losses: Array
    examples: Array | None
    steps: Array | None


class ChunkResult(NamedTuple):
    """The result of running a chunk.

    Attributes:
        carry: for the next chunk.
        metrics: of the microbatches.
        finite: whether every parameter is.
    """

    carry: Carry
    metrics: StepMetrics
    finite: Array


def _run(
    static: StaticConfig,
    hyperparameters: Hyperparameters,
    carry: Carry,
    dataset: Dataset | None,
    chunk: PaddedChunk,
) -> ChunkResult:
    """Take a step for each batch of a chunk; the dataset is None if the chunk holds its rows."""
    # A batch of one microbatch needs neither a sum nor a branch at its end: its program is smaller.
    run_chunk = _run_batches if carry.open_batch is None else _run_microbatches
    carry, metrics = run_chunk(static, hyperparameters, carry, dataset, chunk)
    return ChunkResult(carry, metrics, all_finite(carry.state.layers))


run = compile_by_shape(_run)
# The device reuses the memory of the carry: large parameters are not held twice; the caller's are lost.
run_donated = compile_by_shape(_run, donate_argnums=[2])


@partial(compile_by_shape, n_static=2)
def run_shared(
    static: StaticConfig,
    mesh: Mesh,
    hyperparameters: Hyperparameters,
    carry: Carry,
    dataset: Dataset | None,
    chunk: PaddedChunk,
) -> ChunkResult:
    """Take a step for each batch of a chunk, of which every process has its own rows."""
    specs: Callable[..., Any] = PartitionSpec
    own, same = specs(static.axis), specs()
    chunk_specs = PaddedChunk(same, own, own, own, own, same, same, same, same)
    metric_specs = StepMetrics(losses=same, examples=own, steps=same)
    run_own: Callable[..., ChunkResult] = jax.shard_map(
        partial(_run, static),
        mesh=mesh,
        in_specs=(same, same, own, chunk_specs),
        out_specs=ChunkResult(same, metric_specs, same),
        check_vma=False,
    )
    return run_own(hyperparameters, carry, dataset, chunk)


@compile_by_shape
def accumulate(
    static: StaticConfig, layers: Layers, total: LossAndGradient, dataset: Dataset | None, chunk: PaddedChunk
) -> LossAndGradient:
    """Add the microbatches of a chunk to one batch's loss and gradient."""
    net = static.network(layers)
    masks = (None,) * len(static.activations)

    def step(i: Array, total: LossAndGradient) -> LossAndGradient:
        term, _ = microbatch_gradient(net, _batch(static, dataset, chunk, i), chunk.inverse_weights[i], masks)
        return add(total, term)

    result: LossAndGradient = lax.fori_loop(0, chunk.filled, step, total)
    return result


@partial(compile_by_shape, n_static=2)
def map_rows(static: StaticConfig, function: Callable[..., Any], layers: Layers, *matrices: Array) -> Any:
    """Return ``function(net, *columns)`` of some rows, as rows."""
    results = function(static.network(layers), *(matrix.T for matrix in matrices))
    return jax.tree.map(jnp.transpose, results)


def _run_batches(
    static: StaticConfig,
    hyperparameters: Hyperparameters,
    carry: Carry,
    dataset: Dataset | None,
    chunk: PaddedChunk,
) -> tuple[Carry, StepMetrics]:
    """Take a step after each microbatch, which is a whole batch."""

    def step(i: Array, loop: tuple[TrainState, StepMetrics]) -> tuple[TrainState, StepMetrics]:
        state, (losses, examples, steps) = loop
        total, of_examples = _microbatch_step(static, hyperparameters, state, dataset, chunk, i)
        state, loss, of_step = _optimizer_step(static, hyperparameters, state, total, chunk, i)
        return state, StepMetrics(
            _set_row(losses, i, loss), _set_row(examples, i, of_examples), _set_row(steps, i, of_step)
        )

    metrics = _init_metrics(static, hyperparameters, carry.state, dataset, chunk)
    # filled is an argument and not a shape: a shorter last chunk runs the same program.
    state, metrics = lax.fori_loop(0, chunk.filled, step, (carry.state, metrics))
    return Carry(state, None), metrics


def _run_microbatches(
    static: StaticConfig,
    hyperparameters: Hyperparameters,
    carry: Carry,
    dataset: Dataset | None,
    chunk: PaddedChunk,
) -> tuple[Carry, StepMetrics]:
    """Add up microbatches, and take a step after the last one of each batch."""

    def close(i: Array, state: TrainState, total: LossAndGradient, losses: Array, steps: Array | None) -> Any:
        state, loss, of_step = _optimizer_step(static, hyperparameters, state, total, chunk, i)
        return state, zero_gradient(state.layers), _set_row(losses, i, loss), _set_row(steps, i, of_step)

    def keep_open(_: Array, *loop: Any) -> Any:
        return loop

    def step(
        i: Array, loop: tuple[TrainState, LossAndGradient, StepMetrics]
    ) -> tuple[TrainState, LossAndGradient, StepMetrics]:
        state, total, (losses, examples, steps) = loop
        term, of_examples = _microbatch_step(static, hyperparameters, state, dataset, chunk, i)
        operands = (state, add(total, term), losses, steps)
        state, total, losses, steps = lax.cond(chunk.is_last[i], close, keep_open, i, *operands)
        return state, total, StepMetrics(losses, _set_row(examples, i, of_examples), steps)

    metrics = _init_metrics(static, hyperparameters, carry.state, dataset, chunk)
    start = (carry.state, carry.open_batch, metrics)
    state, total, metrics = lax.fori_loop(0, chunk.filled, step, start)
    return Carry(state, total), metrics


def _init_metrics(
    static: StaticConfig,
    hyperparameters: Hyperparameters,
    state: TrainState,
    dataset: Dataset | None,
    chunk: PaddedChunk,
) -> StepMetrics:
    """Return the metrics of a whole chunk, all zeros."""
    losses = jnp.zeros_like(chunk.inverse_weights)
    if static.metric_fns == NO_METRIC_FNS:
        return StepMetrics(losses, None, None)

    def metrics(state: TrainState) -> tuple[Array | None, Array | None]:
        total, of_examples = _microbatch_step(static, hyperparameters, state, dataset, chunk, 0)
        return of_examples, _optimizer_step(static, hyperparameters, state, total, chunk, 0)[2]

    # The functions are the caller's own, so only a trace reveals the shapes of their results.
    shapes = jax.eval_shape(metrics, state)
    return StepMetrics(
        losses, *jax.tree.map(lambda one: jnp.zeros((*losses.shape, *one.shape), one.dtype), shapes)
    )


def _set_row(metrics: Array | None, i: Array, row: Array | None) -> Array | None:
    """Return the metrics with row i filled in; None without a metric."""
    return None if metrics is None else metrics.at[i].set(row)


def _batch(static: StaticConfig, dataset: Dataset | None, chunk: PaddedChunk, i: Array | int) -> Batch:
    weights = chunk.weights[i]
    if dataset is None:
        return Batch(chunk.X[i].T, chunk.Y[i].T, weights)
    B, Y, _ = gather(dataset, chunk.rows[i])
    if static.metric_fns.examples is not None:  # which needs the rows as they are
        return Batch(B, Y, weights)
    # Rows of weight 0 may be infinite or NaN, and 0 · ∞ is NaN.
    return Batch(jnp.where(weights != 0, B, 0), jnp.where(weights != 0, Y, 0), weights)


def _microbatch_step(
    static: StaticConfig,
    hyperparameters: Hyperparameters,
    state: TrainState,
    dataset: Dataset | None,
    chunk: PaddedChunk,
    i: Array | int,
) -> tuple[LossAndGradient, Array | None]:
    """Return the term of microbatch i and the metric of its examples."""
    net, batch = static.network(state.layers), _batch(static, dataset, chunk, i)
    objective, metric = hyperparameters.objective, static.metric_fns.examples
    part = chunk.microbatch_index[i]
    if static.axis is not None:
        # No two processes draw the same masks.
        part = part * lax.axis_size(static.axis) + lax.axis_index(static.axis)
    random = random_source(hyperparameters.key, state.steps, part)
    uniform = None if random is None else random.uniform
    masks = dropout_masks(net, batch.B.shape[1], objective.dropout, uniform)
    return microbatch_gradient(net, batch, chunk.inverse_weights[i], masks, objective.mechanism, metric)


def _optimizer_step(
    static: StaticConfig,
    hyperparameters: Hyperparameters,
    state: TrainState,
    total: LossAndGradient,
    chunk: PaddedChunk,
    i: Array | int,
) -> tuple[TrainState, Array, Array | None]:
    """Return the state after the step of the batch that i ends, its loss, and the step's metric."""
    optimizer, objective, key = hyperparameters
    if static.axis is not None:
        total = _sum_over(static.axis, total)
    random = random_source(key, state.steps, OF_THE_BATCH)
    loss, gradient = finalize_batch(total, state.layers, objective, chunk.inverse_weights[i], random)
    config = TrainConfig(static.network(state.layers), optimizer, objective)
    after = apply_gradient(config, state, gradient, chunk.rates[i])
    metric = static.metric_fns.steps
    return after, loss, None if metric is None else metric(total.gradient, state.layers, after.layers)


def _sum_over(axis: str, total: LossAndGradient) -> LossAndGradient:
    """Return the sum of a batch's loss and gradient over the processes, in one collective."""
    leaves, structure = jax.tree.flatten(total)
    psum: Callable[..., Array] = lax.psum
    flat = psum(jnp.concatenate([leaf.reshape(-1) for leaf in leaves]), axis)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = jnp.split(flat, ends)
    shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    result: LossAndGradient = jax.tree.unflatten(structure, shaped)
    return result
