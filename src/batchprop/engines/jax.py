"""The JAX engine: an epoch as a few calls of one compiled program, on whatever device JAX reaches.

On the processor the rows of a feed are gathered by NumPy while the program works on the feed before: XLA's
own gather takes longer than a small step. On an accelerator the table lies on the device, and rows are
gathered there.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from batchprop.batches import MICROBATCH_SIZE, Dataset, EpochBatches, Indices, batch_sizes, microbatches
from batchprop.engines.compiled import (
    Carry,
    Hyperparameters,
    StaticConfig,
    StepMetrics,
    accumulate,
    map_rows,
    run,
    run_donated,
)
from batchprop.engines.devices import check_not_forked, get_device, make_key, matmul_precision
from batchprop.engines.padding import (
    MAX_AT_ONCE,
    PaddedChunk,
    aligned,
    chunk_size,
    copy_rows,
    iter_padded_chunks,
    microbatch_width,
    padded_batch_size,
    power_of_two,
    valid_mask,
)
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.objective import LossAndGradient, Objective, add_l2_penalty, zero_gradient
from batchprop.params import Layers
from batchprop.training import NO_METRIC_FNS, EpochResult, MetricFns, Metrics, TrainConfig, TrainState

_NOT_COMPILED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
)

LARGE_BYTES = 32_000_000
"""Parameters and optimiser's state above so many bytes are not held twice."""


class JaxEngine:
    """Runs the core compiled.

    Args:
        device: ``"cpu"``, ``"gpu"``, ``"tpu"``, or None for JAX's default.
        seed: where dropout's masks and the noise of private training come from; needed only for them.
        precision: of the matrix products in float32: ``"float32"``, ``"tensorfloat32"``, ``"bfloat16"``,
            where the device has it (the processor has float32 alone); None for the device's own. Parameters
            and sums keep their type.
        resident: whether a dense table lies on the device; None for where it fits, but not on the processor.
        room: the size of batch to be ready for; smaller ones are filled up, and need no program of their own.

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
        room: int = 1,
    ) -> None:
        check_not_forked()
        self.device = get_device(device)
        self._products = matmul_precision(precision, self.device)
        self._key = None if seed is None else make_key(seed)
        self._resident = resident
        self._held: tuple[Dataset, Dataset] | None = None
        self._known: tuple[TrainConfig, Hyperparameters] | None = None
        self._room = room

    def run_batches(
        self,
        recipe: TrainConfig,
        state: TrainState,
        table: Dataset,
        batches: EpochBatches,
        rates: Sequence[float],
    ) -> EpochResult:
        """Run one epoch (see ``training.Engine``)."""
        self._room = padded_batch_size(batches, self._room)
        width = microbatch_width(self._room)
        with self._as_configured(recipe.network):
            structure, settings = _structure(recipe.network, recipe.metric_fns), self._settings(recipe)
            running, noted = Carry(state, None), list[_PendingMetrics]()
            held = self._on_device(table)
            net, objective, resident = recipe.network, recipe.objective, held is not None
            # A feed's notes on examples are laid out whole, so it is no longer than the epoch.
            longest = MAX_AT_ONCE if recipe.metric_fns.examples is None else _n_microbatches(batches, width)
            for feed in _padded_chunks(
                net, objective, table, batches, rates, width, longest=longest, resident=resident
            ):
                if running.open_batch is None and feed.is_last is not None:
                    running = Carry(state, zero_gradient(state.layers))
                go = run_donated if noted and _is_large(running) else run
                running, notes, finite = go(structure, settings, running, held, feed)
                if noted:
                    noted[-1].notes.losses.block_until_ready()  # so that at most two feeds are held
                noted.append(_PendingMetrics(notes, feed.filled, feed.is_last))
            after = jax.tree.map(_restore_int, state, running.state)
            layers = jax.tree.map(np.asarray, after.layers)
            seen = _seen(noted, batch_sizes(batches), width)
            return EpochResult(after, layers, [x for one in noted for x in one.losses()], bool(finite), seen)

    def rng_state(self) -> None:
        """Nothing: what is drawn follows from the step's number and the microbatch's."""

    def set_rng_state(self, random_bits: dict[str, Any] | None) -> None:
        """Go on as ever: see ``rng_state``."""

    def value_and_gradient(
        self, net: Network, table: Dataset, rows: Indices, objective: Objective
    ) -> LossAndGradient:
        """Return the loss and the gradient of one batch (see ``training.Engine``).

        Raises:
            ParameterError: the objective draws random numbers, or limits single examples; a search along a
                line, which this is for, needs the same answer twice.
        """
        _require_plain(objective)
        with self._as_configured(net):
            structure, held, total = _structure(net), self._on_device(table), zero_gradient(net.layers)
            width, resident = microbatch_width(padded_batch_size([rows])), held is not None
            for feed in _padded_chunks(net, objective, table, [rows], [0.0], width, resident=resident):
                total = accumulate(structure, net.layers, total, held, feed)
                share = feed.inverse_weights[0]  # of the one batch, the same in every feed
            total = jax.tree.map(np.asarray, total)
        return add_l2_penalty(total, net.layers, objective, share)

    def map_rows(self, function: Callable[..., Any], net: Network, *matrices: Any) -> Any:
        """Apply a function of columns to rows (see ``training.Engine``).

        Example:
            >>> from batchprop.backprop import predict
            >>> net = Network.create([2, 3], random_state=0)
            >>> JaxEngine().map_rows(predict, net, np.ones((5, 2), "float32")).shape
            (5, 3)
        """
        n = matrices[0].shape[0]
        width = min(MICROBATCH_SIZE, power_of_two(n))
        with self._as_configured(net):
            structure, layers = _structure(net), jax.device_put(net.layers)
            chunks = [
                _applied(function, structure, layers, matrices, rows, width)
                for rows in microbatches(np.arange(n), width)
            ]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *chunks)

    @contextmanager
    def _as_configured(self, net: Network) -> Iterator[None]:
        # 64-bit floats are there for who brings them, and for scalars, which round as those of Python do.
        with (
            jax.enable_x64(True),
            jax.default_device(self.device),
            jax.default_matmul_precision(self._products if _is_float32(net) else None),
            jax.numpy_rank_promotion("allow"),
            jax.transfer_guard("allow"),
        ):
            try:
                yield
            except _NOT_COMPILED as error:
                raise ParameterError(
                    "an activation, head or optimiser of your own cannot be compiled "
                    f"({str(error).splitlines()[0]}): write it with the functions of "
                    "batchprop.arrays.namespace(Z), without looking at values, or use engine='numpy'"
                ) from error

    def _settings(self, recipe: TrainConfig) -> Hyperparameters:
        if self._known is None or self._known[0] is not recipe:
            self._known = (recipe, self._numbers_of(recipe))
        return self._known[1]

    def _numbers_of(self, recipe: TrainConfig) -> Hyperparameters:
        draws, drops = recipe.objective.needs_rng, recipe.objective.has_dropout
        if draws and self._key is None:
            what = "dropout" if drops else "mechanism"
            raise ParameterError(
                f"{what}={getattr(recipe.objective, what)!r} needs randomness: "
                "make the engine as JaxEngine(seed=0)"
            )
        try:
            # A float of NumPy's has a type of its own, and would lift float32 to float64.
            optimizer, objective = jax.tree.map(float, (recipe.optimizer, recipe.objective))
        except (TypeError, ValueError):
            raise ParameterError(
                f"the optimiser {recipe.optimizer!r} is no named tuple of numbers, which a program takes as "
                "arguments: make it one, or use engine='numpy'"
            ) from None
        return Hyperparameters(optimizer, objective, self._key if draws else None)

    def _holds(self, table: Dataset) -> bool:
        """Whether the device holds the table; where it does not, it is fed."""
        if hasattr(table.X, "toarray"):  # sparse rows are made dense a feed at a time
            return False
        if self._resident is not None:
            return self._resident
        memory = (self.device.memory_stats() or {}).get("bytes_limit", math.inf)
        return self.device.platform != "cpu" and bool(table.X.nbytes + table.Y.nbytes < memory / 2)

    def _on_device(self, table: Dataset) -> Dataset | None:
        if not self._holds(table):
            return None
        if self._held is None or self._held[0] is not table:
            # Not bound to the device by name, lest the results be, which would be another program.
            self._held = (table, Dataset(*jax.device_put((table.X, table.Y))))
        return self._held[1]


def _require_plain(objective: Objective) -> None:
    found = {"dropout": objective.has_dropout, "mechanism": objective.mechanism is not None}
    for name, there in found.items():
        if there:
            raise ParameterError(
                f"{name}={getattr(objective, name)!r} has no place in a single loss and gradient on JAX: "
                "leave it out, or train with run_batches"
            )


def _padded_chunks(
    net: Network,
    objective: Objective,
    table: Dataset,
    batches: EpochBatches,
    rates: Sequence[float],
    width: int,
    *,
    resident: bool,
    longest: int = MAX_AT_ONCE,
) -> Iterator[PaddedChunk]:
    with np.errstate(over="ignore"):  # what a rate too large leads to is reported by the loop
        in_dtype = np.asarray(rates).astype(table.Y.dtype)
    S = min(longest, chunk_size(net.sizes, width, table.Y.dtype.itemsize, resident=resident))
    mechanism = objective.mechanism
    expected_size = None if mechanism is None else mechanism.expected_size
    return iter_padded_chunks(
        table, batches, in_dtype, width, S, resident=resident, expected_size=expected_size
    )


def _n_microbatches(batches: EpochBatches, width: int) -> int:
    """How many microbatches an epoch has, up to the next power of two."""
    return power_of_two(int(np.maximum(-(-batch_sizes(batches) // width), 1).sum()))


def _applied(
    function: Callable[..., Any],
    structure: StaticConfig,
    layers: Layers,
    matrices: tuple[Any, ...],
    rows: Indices,
    width: int,
) -> Any:
    chunk = [aligned((width, matrix.shape[1]), matrix.dtype) for matrix in matrices]
    for matrix, out in zip(matrices, chunk, strict=True):
        copy_rows(matrix, rows, out[: len(rows)])
        out[len(rows) :] = 0
    results = map_rows(structure, function, layers, *chunk)
    return jax.tree.map(lambda result: np.asarray(result)[: len(rows)], results)


def _is_float32(net: Network) -> bool:
    return bool(net.layers[0].b.dtype == np.float32)


class _PendingMetrics(NamedTuple):
    """A feed's notes, on their way from the device."""

    notes: StepMetrics
    filled: int
    closes: NDArray[np.bool_] | None

    def losses(self) -> list[float]:
        found: list[float] = self._of_batches(self.notes.losses).tolist()
        return found

    def steps(self) -> NDArray[Any]:
        return self._of_batches(self.notes.steps)

    def examples(self) -> NDArray[Any]:
        """``(filled, width, q)``."""
        return np.asarray(self.notes.examples)[: self.filled].swapaxes(1, 2)

    def _of_batches(self, notes: Any) -> NDArray[Any]:
        found = np.asarray(notes)[: self.filled]
        return found if self.closes is None else found[self.closes[: self.filled]]


def _seen(noted: list[_PendingMetrics], sizes: NDArray[np.intp], width: int) -> Metrics:
    _, examples, steps = noted[0].notes
    return Metrics(
        None
        if examples is None
        else np.concatenate([one.examples() for one in noted])[valid_mask(sizes, width)],
        None if steps is None else np.concatenate([one.steps() for one in noted]),
    )


def _structure(net: Network, watched: MetricFns = NO_METRIC_FNS) -> StaticConfig:
    structure = StaticConfig(net.activations, net.head, watched)
    try:
        hash(structure)
    except TypeError as error:
        raise ParameterError(
            f"an activation, head or look of your own cannot be told from another ({error}): "
            "make it of functions, or use engine='numpy'"
        ) from None
    return structure


def _is_large(running: Carry) -> bool:
    """Whether a second copy would matter: then the memory of the last is given up, by another program."""
    sizes = (leaf.nbytes for leaf in jax.tree.leaves(running) if hasattr(leaf, "nbytes"))
    return bool(sum(sizes) > LARGE_BYTES)


def _restore_int(before: Any, after: Any) -> Any:
    """A counter as the number that it was."""
    return int(after) if isinstance(before, int) else after
