"""The JAX engine: an epoch as a few calls of one compiled program, on any device of JAX.

On the processor NumPy gathers the rows of a chunk while the program runs the previous chunk: XLA's own
gather takes longer than a small step. On an accelerator the dataset lies in the device's memory, and the
program gathers the rows there.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from batchprop.batches import (
    MICROBATCH_SIZE,
    Chunk,
    Dataset,
    EpochBatches,
    Indices,
    SharedBatches,
    batch_sizes,
    flat_rows,
    microbatches,
    own_batches,
    share_sizes,
)
from batchprop.engines.compiled import (
    Carry,
    ChunkResult,
    Hyperparameters,
    StaticConfig,
    StepMetrics,
    accumulate,
    map_rows,
    run,
    run_donated,
    run_shared,
)
from batchprop.engines.devices import check_not_forked, get_device, make_key, matmul_precision
from batchprop.engines.padding import (
    MAX_CHUNK_SIZE,
    BatchWeights,
    PaddedChunk,
    allocate_aligned,
    chunk_size,
    copy_rows,
    iter_padded_chunks,
    microbatch_width,
    padded_batch_size,
    power_of_two,
    valid_mask,
)
from batchprop.engines.sharding import AXIS, ProcessMesh
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.objective import LossAndGradient, Objective, add_l2_penalty, zero_gradient
from batchprop.params import Layers
from batchprop.training import NO_METRIC_FNS, EpochResult, MetricFns, Metrics, TrainConfig, TrainState

_TRACING_ERRORS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
)

LARGE_BYTES = 32_000_000
"""The size of parameters and optimiser's state above which the device keeps no second copy of them."""


class JaxEngine:
    """Runs the core compiled.

    Args:
        device: ``"cpu"``, ``"gpu"``, ``"tpu"``, or None for JAX's default.
        seed: of dropout's masks and the noise of private training; needed only for these.
        precision: of the matrix products in float32: ``"float32"``, ``"tensorfloat32"``, ``"bfloat16"``,
            where the device has it (the processor has float32 alone); None for the device's own. Parameters
            and sums keep their type.
        resident: whether a dense dataset is kept in the device's memory; None: yes if it fits, except
            on the processor.
        capacity: the batch size to compile for; smaller batches are padded and need no program of their own.
        mesh: the devices of the processes that train together, each with its own rows; None for one process.

    Raises:
        ParameterError: JAX has no such device; the precision is unknown, or not the processor's.
    """

    name = "jax"

    def __init__(
        self,
        device: str | None = None,
        *,
        seed: int | None = None,
        precision: str | None = None,
        resident: bool | None = None,
        capacity: int = 1,
        mesh: ProcessMesh | None = None,
    ) -> None:
        check_not_forked()
        self.device = get_device(device) if mesh is None else mesh.device
        self._mesh = mesh
        self._precision = matmul_precision(precision, self.device)
        self._key = None if seed is None else make_key(seed)
        self._resident = resident
        self._capacity = capacity
        # The last dataset on the device and the last fit's numbers, each with its origin.
        self._device_cache: tuple[Dataset, Dataset] | None = None
        self._hyperparameters_cache: tuple[TrainConfig, Hyperparameters] | None = None

    def run_batches(
        self,
        config: TrainConfig,
        state: TrainState,
        dataset: Dataset,
        batches: EpochBatches,
        rates: Sequence[float],
    ) -> EpochResult:
        """Run one epoch (see ``training.Engine``)."""
        # The capacity only grows: an epoch of smaller batches runs the program of the largest so far.
        self._capacity = padded_batch_size(batches, self._capacity)
        width = microbatch_width(self._capacity)
        with self._as_configured(config.network):
            static = _static_config(config.network, config.metric_fns)
            hyperparameters = self._hyperparameters(config)
            carry, pending = Carry(state, None), list[_PendingMetrics]()
            on_device = self._on_device(dataset)
            batch_weights = self._batch_weights(dataset, batches)
            for chunk in _padded_chunks(
                config.network,
                config.objective,
                Chunk(dataset, batches),
                rates,
                width,
                resident=on_device is not None,
                metric_fns=config.metric_fns,
                batch_weights=batch_weights,
            ):
                if carry.open_batch is None and chunk.is_last is not None:
                    # Of the network's own layers, in NumPy: of JAX's each shape would be another program.
                    carry = Carry(state, zero_gradient(config.network.layers))
                # The first chunk's state is the caller's, which a donated program would destroy.
                donates = bool(pending) and _is_large(carry)
                carry, metrics, finite = self._run(
                    static, hyperparameters, carry, on_device, chunk, donates=donates
                )
                if pending:
                    # Calls return at once: waiting for the previous chunk keeps at most two in memory.
                    pending[-1].metrics.losses.block_until_ready()
                pending.append(_PendingMetrics(metrics, chunk.filled, chunk.is_last))
            after = jax.tree.map(_restore_int, state, carry.state)
            layers = jax.tree.map(np.asarray, after.layers)
            losses = [loss for one in pending for loss in one.losses()]
            epoch_metrics = self._join_metrics(pending, batches, width)
            return EpochResult(after, layers, losses, bool(finite), epoch_metrics)

    def _run(
        self,
        static: StaticConfig,
        hyperparameters: Hyperparameters,
        carry: Carry,
        on_device: Dataset | None,
        chunk: PaddedChunk,
        *,
        donates: bool,
    ) -> ChunkResult:
        if self._mesh is None:
            program = run_donated if donates else run
            result: ChunkResult = program(static, hyperparameters, carry, on_device, chunk)
            return result
        # The same places for the first chunk's arrays as for the others': others would compile again.
        carry = jax.tree.map(partial(_on_all, self._mesh), carry)
        result = run_shared(
            static._replace(axis=AXIS),
            self._mesh.mesh,
            hyperparameters,
            carry,
            on_device,
            _stack(self._mesh, chunk),
        )
        if result.metrics.examples is None:
            return result
        own = result.metrics.examples.addressable_data(0)
        return result._replace(metrics=result.metrics._replace(examples=own))

    def rng_state(self) -> None:
        """Return None: the numbers of the step and the microbatch determine all random numbers."""

    def set_rng_state(self, state: dict[str, Any] | None) -> None:
        """Do nothing: see ``rng_state``."""

    def value_and_gradient(
        self, net: Network, dataset: Dataset, rows: Indices, objective: Objective
    ) -> LossAndGradient:
        """Return the loss and the gradient of one batch (see ``training.Engine``).

        Raises:
            ParameterError: the objective draws random numbers or clips single examples; a line search needs
                the same result twice.
        """
        _check_deterministic(objective)
        with self._as_configured(net):
            static, on_device, total = (
                _static_config(net),
                self._on_device(dataset),
                zero_gradient(net.layers),
            )
            width, resident = microbatch_width(padded_batch_size([rows])), on_device is not None
            weights = self._batch_weights(dataset, [rows])
            for chunk in _padded_chunks(
                net,
                objective,
                Chunk(dataset, [rows]),
                [0.0],
                width,
                resident=resident,
                batch_weights=weights,
            ):
                total = accumulate(static, net.layers, total, on_device, chunk)
                inverse_weight = chunk.inverse_weights[0]  # of the one batch, the same in every chunk
            total = jax.tree.map(np.asarray, total)
            if self._mesh is not None:
                leaves, structure = jax.tree.flatten(total)
                total = jax.tree.unflatten(structure, _sum_arrays(self._mesh, leaves))
        return add_l2_penalty(total, net.layers, objective, inverse_weight)

    def map_rows(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Apply a function of columns to rows (see ``training.Engine``).

        Example:
            >>> from batchprop.backprop import predict
            >>> net = Network.create([2, 3], random_state=0)
            >>> JaxEngine().map_rows(predict, net, np.ones((5, 2), "float32")).shape
            (5, 3)
        """
        n = matrices[0].shape[0]
        bounds = _even_bounds(n, 1 if self._mesh is None else self._mesh.count)
        own = bounds[0 if self._mesh is None or len(bounds) == 1 else self._mesh.index]
        # Powers of two: tables of any length share a dozen programs.
        width = min(MICROBATCH_SIZE, power_of_two(len(own)))
        with self._as_configured(net):
            static, layers = _static_config(net), jax.device_put(net.layers)
            results = [
                _map_padded_rows(function, static, layers, matrices, rows, width)
                for rows in microbatches(np.asarray(own), width)
            ]
            result = jax.tree.map(lambda *parts: np.concatenate(parts), *results)
            if len(bounds) == 1 or self._mesh is None:
                return result
            return jax.tree.map(partial(_join_parts, self._mesh, [*map(len, bounds)]), result)

    @contextmanager
    def _as_configured(self, net: Network) -> Iterator[None]:
        """Set JAX's options for the block alone, and explain compilation errors."""
        # x64 is on for networks in float64, and for scalar arguments, which then round as in Python; the
        # user's own settings of promotion and transfers are for the user's programs.
        waiting = nullcontext() if self._mesh is None else self._mesh.count_wait()
        with (
            waiting,
            jax.enable_x64(True),
            jax.default_device(self.device),
            jax.default_matmul_precision(self._precision if _is_float32(net) else None),
            jax.numpy_rank_promotion("allow"),
            jax.transfer_guard("allow"),
        ):
            try:
                yield
            except _TRACING_ERRORS as error:
                raise ParameterError(
                    "an activation, head or optimiser of your own cannot be compiled "
                    f"({str(error).splitlines()[0]}): write it with the functions of "
                    "batchprop.arrays.namespace(Z), without looking at values, or use engine='numpy'"
                ) from error

    def _hyperparameters(self, config: TrainConfig) -> Hyperparameters:
        if self._hyperparameters_cache is None or self._hyperparameters_cache[0] is not config:
            self._hyperparameters_cache = (config, self._to_hyperparameters(config))
        return self._hyperparameters_cache[1]

    def _to_hyperparameters(self, config: TrainConfig) -> Hyperparameters:
        needs_rng = config.objective.needs_rng
        if needs_rng and self._key is None:
            name = "dropout" if config.objective.has_dropout else "mechanism"
            raise ParameterError(
                f"{name}={getattr(config.objective, name)!r} needs randomness: "
                "make the engine as JaxEngine(seed=0)"
            )
        try:
            # A NumPy float has its own type, and would lift float32 to float64.
            optimizer, objective = jax.tree.map(float, (config.optimizer, config.objective))
        except (TypeError, ValueError):
            raise ParameterError(
                f"the optimiser {config.optimizer!r} is no named tuple of numbers, which a program takes as "
                "arguments: make it one, or use engine='numpy'"
            ) from None
        key: Any = self._key
        if needs_rng and self._mesh is not None:
            key = np.asarray(jax.random.key_data(key))
        return Hyperparameters(optimizer, objective, key if needs_rng else None)

    def _is_resident(self, dataset: Dataset) -> bool:
        """Whether the device keeps the dataset in its memory; otherwise chunks carry the rows."""
        # Sparse rows become dense a chunk at a time; the shares of several processes have several lengths.
        if hasattr(dataset.X, "toarray") or self._mesh is not None:
            return False
        if self._resident is not None:
            return self._resident
        # Half of the memory, so that parameters, activations and chunks have the other half.
        memory = (self.device.memory_stats() or {}).get("bytes_limit", math.inf)
        return self.device.platform != "cpu" and bool(dataset.X.nbytes + dataset.Y.nbytes < memory / 2)

    def _on_device(self, dataset: Dataset) -> Dataset | None:
        if not self._is_resident(dataset):
            return None
        if self._device_cache is None or self._device_cache[0] is not dataset:
            # Given without a device: arrays committed to one commit the results too, which compiles again.
            self._device_cache = (dataset, Dataset(*jax.device_put((dataset.X, dataset.Y))))
        return self._device_cache[1]

    def _batch_weights(self, dataset: Dataset, batches: EpochBatches) -> BatchWeights | None:
        """Return the weights of batches of which other processes hold parts."""
        # Without weights the sizes tell, except for a batch of which this process knows its own part only.
        if self._mesh is None or (dataset.weights is None and isinstance(batches, SharedBatches)):
            return None
        own = own_batches(batches)
        rows, of_batch = flat_rows(own), np.repeat(np.arange(len(own)), batch_sizes(own))
        weights = np.ones(len(rows)) if dataset.weights is None else dataset.weights[rows].astype(np.float64)
        largest = np.zeros(len(own))
        np.maximum.at(largest, of_batch, weights)
        totals = np.bincount(of_batch, weights=weights, minlength=len(own))
        parts = self._mesh.gather(np.stack([largest, totals]))
        return BatchWeights(parts[:, 0].max(axis=0), parts[:, 1].sum(axis=0))

    def _join_metrics(self, pending: list["_PendingMetrics"], batches: EpochBatches, width: int) -> Metrics:
        _, examples, steps = pending[0].metrics
        of_steps = None if steps is None else np.concatenate([one.steps() for one in pending])
        if examples is None:
            return Metrics(None, of_steps)
        own = np.concatenate([one.examples() for one in pending])[valid_mask(batches, width)]
        if self._mesh is None or not isinstance(batches, SharedBatches) or batches.share is None:
            return Metrics(own, of_steps)
        lengths = self._mesh.gather(np.array(len(own)))
        parts = _gather_parts(self._mesh, lengths.tolist(), own)
        return Metrics(batches.share.assemble(flat_rows(batches), parts), of_steps)


class _PendingMetrics(NamedTuple):
    """A chunk's metrics, which the device may still be computing."""

    metrics: StepMetrics
    filled: int
    is_last: NDArray[np.bool_] | None

    def losses(self) -> list[float]:
        losses: list[float] = self._of_batches(self.metrics.losses).tolist()
        return losses

    def steps(self) -> NDArray[Any]:
        return self._of_batches(self.metrics.steps)

    def examples(self) -> NDArray[Any]:
        """Return the metrics of the examples, padded ones included, ``(filled, width, q)``."""
        return np.asarray(self.metrics.examples)[: self.filled].swapaxes(1, 2)

    def _of_batches(self, values: Any) -> NDArray[Any]:
        filled = np.asarray(values)[: self.filled]
        return filled if self.is_last is None else filled[self.is_last[: self.filled]]


def _on_all(mesh: ProcessMesh, leaf: Any) -> Any:
    """Return an array on all processes; a Python number stays one, whose type yields to that of arrays."""
    return mesh.same(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


def _stack(mesh: ProcessMesh, chunk: PaddedChunk) -> PaddedChunk:
    """Return a chunk of all processes: rows and weights of each, and what is the same for all."""
    own = {name: mesh.stack(getattr(chunk, name)) for name in ("X", "Y", "weights")}
    same = {
        name: mesh.same(value)
        for name in ("inverse_weights", "microbatch_index", "is_last", "rates")
        if (value := getattr(chunk, name)) is not None
    }
    return chunk._replace(**own, **same)


def _sum_arrays(mesh: ProcessMesh, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the sums of arrays over the processes, in one collective."""
    flat = mesh.sum(np.concatenate([array.reshape(-1) for array in arrays]))
    parts = np.split(flat, np.cumsum([array.size for array in arrays])[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]


def _even_bounds(n: int, count: int) -> list[range]:
    """Return the parts of n rows for each process; all of them for everybody if there are not enough."""
    if n < count or count == 1:
        return [range(n)]
    return [range(n * i // count, n * (i + 1) // count) for i in range(count)]


def _gather_parts(mesh: ProcessMesh, lengths: Sequence[int], own: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the rows of each process, which have these numbers of them."""
    padded = np.zeros((max(lengths), *own.shape[1:]), own.dtype)
    padded[: len(own)] = own
    return [part[:n] for part, n in zip(mesh.gather(padded), lengths, strict=True)]


def _join_parts(mesh: ProcessMesh, lengths: Sequence[int], own: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(_gather_parts(mesh, lengths, own))


def _padded_chunks(
    net: Network,
    objective: Objective,
    examples: Chunk,
    rates: Sequence[float],
    width: int,
    *,
    resident: bool,
    metric_fns: MetricFns = NO_METRIC_FNS,
    batch_weights: BatchWeights | None = None,
) -> Iterator[PaddedChunk]:
    dataset, batches = examples
    # A metric is of the rows as they are, also of those of weight 0.
    keep_weightless = metric_fns.examples is not None
    # A chunk's metrics of examples take memory for all S microbatches: limited to the epoch's length.
    max_size = _n_microbatches(batches, width) if keep_weightless else MAX_CHUNK_SIZE
    # A rate too large for float32 becomes infinite; the training loop reports the consequences.
    with np.errstate(over="ignore"):
        in_dtype = np.asarray(rates).astype(dataset.Y.dtype)
    S = min(max_size, chunk_size(net.sizes, width, dataset.Y.dtype.itemsize, resident=resident))
    expected_size = None if objective.mechanism is None else objective.mechanism.expected_size
    chunks = iter_padded_chunks(
        dataset,
        batches,
        in_dtype,
        width,
        S,
        resident=resident,
        batch_weights=batch_weights if expected_size is None else expected_size,
        keep_weightless=keep_weightless,
    )
    if dataset.weights is None or resident or keep_weightless:
        return chunks
    return map(_zero_weightless, chunks)


def _zero_weightless(chunk: PaddedChunk) -> PaddedChunk:
    """Put zeros, in place, where rows of weight 0 may be infinite or NaN: 0 · ∞ is NaN."""
    weightless = chunk.weights[: chunk.filled] == 0
    chunk.X[: chunk.filled][weightless] = 0
    chunk.Y[: chunk.filled][weightless] = 0
    return chunk


def _n_microbatches(batches: EpochBatches, width: int) -> int:
    """Return the number of microbatches in an epoch, up to the next power of two."""
    return power_of_two(int(np.maximum(-(-share_sizes(batches) // width), 1).sum()))


def _map_padded_rows(
    function: Callable[..., Any],
    static: StaticConfig,
    layers: Layers,
    matrices: tuple[Any, ...],
    rows: Indices,
    width: int,
) -> Any:
    padded = [allocate_aligned((width, matrix.shape[1]), matrix.dtype) for matrix in matrices]
    for matrix, out in zip(matrices, padded, strict=True):
        copy_rows(matrix, rows, out[: len(rows)])
        out[len(rows) :] = 0
    results = map_rows(static, function, layers, *padded)
    return jax.tree.map(lambda result: np.asarray(result)[: len(rows)], results)


def _static_config(net: Network, metric_fns: MetricFns = NO_METRIC_FNS) -> StaticConfig:
    static = StaticConfig(net.activations, net.head, metric_fns)
    try:
        # JAX finds a compiled program by the hash of its static argument.
        hash(static)
    except TypeError as error:
        raise ParameterError(
            f"an activation, head or metric of your own is not hashable ({error}): "
            "make it of functions, or use engine='numpy'"
        ) from None
    return static


def _check_deterministic(objective: Objective) -> None:
    excluded = {"dropout": objective.has_dropout, "mechanism": objective.mechanism is not None}
    for name, is_set in excluded.items():
        if is_set:
            raise ParameterError(
                f"{name}={getattr(objective, name)!r} has no place in a single loss and gradient on JAX: "
                "leave it out, or train with run_batches"
            )


def _is_float32(net: Network) -> bool:
    return bool(net.layers[0].b.dtype == np.float32)


def _is_large(carry: Carry) -> bool:
    """Whether a second copy in the device's memory would matter."""
    sizes = (leaf.nbytes for leaf in jax.tree.leaves(carry) if hasattr(leaf, "nbytes"))
    return bool(sum(sizes) > LARGE_BYTES)


def _restore_int(before: Any, after: Any) -> Any:
    """Return a counter as the Python int that it was before the program."""
    return int(after) if isinstance(before, int) else after
