"""The rows of a fit: a table in memory, or one that is read in every epoch, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import (
    BatchSampler,
    Dataset,
    EpochIterator,
    Indices,
    minibatches,
    rescale_weights,
    share_batches,
    split_epochs,
    whole_epochs,
)
from batchprop.data.shuffle import ShuffleConfig, shared_chunks, shuffled_chunks
from batchprop.data.sources import ArraySource, DataSource, IterableSource, RowBlock
from batchprop.engines.padding import share_capacity
from batchprop.errors import InputError, ParameterError, warn
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.source_summary import (
    DEFAULT_MEMORY,
    SourceSummary,
    checksum_arrays,
    holdout_mask,
    iter_nonempty_blocks,
    own_partitions,
    shared_checksum,
    subset,
    validate_block,
)
from batchprop.estimators.targets import to_dense
from batchprop.estimators.validation import (
    MIN_VALIDATION_ROWS,
    VALIDATION_TOO_SMALL,
    FitArgs,
    LabelledRows,
    check_nonzero_weight,
    train_valid_split,
)
from batchprop.format import pluralize
from batchprop.processes import Share, current

_MIN_PARTITIONS = 4
"""With fewer partitions open at a time, a large table is hardly shuffled."""


class TrainingRows(Protocol):
    """The interface of a fit's rows, in memory or not."""

    @property
    def n_rows(self) -> int:
        """The number of training rows."""

    @property
    def n_outputs(self) -> int:
        """The number of outputs for the targets."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype in which the network is trained."""

    @property
    def weights(self) -> NDArray[np.floating] | None:
        """The weights of all rows of a table in memory; None if they are equal, or are read with the rows."""

    @property
    def validation(self) -> LabelledRows | None:
        """The validation rows, or None."""

    def batch_share(self, batch_size: int) -> int:
        """Return a number of rows that a process's part of a batch rarely exceeds."""

    def fingerprint(self) -> dict[str, Any]:
        """Return plain data that identifies the rows: their number and a checksum, at least."""

    def chunks(
        self,
        batch_size: int,
        rng: np.random.RandomState | None,
        sampler: BatchSampler | None = None,
        batches_per_chunk: int | None = None,
    ) -> EpochIterator:
        """Yield epochs, each as chunks of rows with their batches.

        Args:
            batch_size: m, for batches of so many rows each.
            rng: shuffles the rows; None takes them in order.
            sampler: yields other batches, for rows in memory.
            batches_per_chunk: how many batches to run at a time, for rows in memory; None for
                a whole epoch.
        """


@dataclass(frozen=True)
class ArrayDataset:
    """Some rows of a table in memory.

    Attributes:
        labelled: all rows, as scorers need them.
        encoded: the same rows, as the network takes them.
        rows: which of them to train on.
        validation: the validation rows, or None.
    """

    labelled: LabelledRows
    encoded: Dataset
    rows: Indices
    validation: LabelledRows | None = None

    @property
    def n_rows(self) -> int:
        """The number of training rows."""
        return len(self.rows)

    @property
    def n_outputs(self) -> int:
        """The number of outputs for the targets."""
        return int(self.encoded.Y.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype in which the network is trained."""
        return self.encoded.Y.dtype

    @property
    def weights(self) -> NDArray[np.floating] | None:
        """The weights of all rows, by their number."""
        return self.labelled.weights

    def batch_share(self, batch_size: int) -> int:
        """Return the batch size: this process holds all rows."""
        return batch_size

    @property
    def own_rows(self) -> Indices:
        """The rows to train on that this process holds, by its own numbers."""
        return self.rows

    def hold_out(
        self, fraction: float, labels: Any, rng: np.random.RandomState, weights_name: str
    ) -> ArrayDataset:
        """Hold out some rows for validation, stratified by the labels if there are any."""
        train, rows = train_valid_split(len(self.rows), fraction, labels, rng)
        weights = self.labelled.weights
        if weights is not None:
            left = "row that the validation set leaves to train on"
            check_nonzero_weight(weights[train], left, weights_name)
            check_nonzero_weight(weights[rows], "row of the validation set", weights_name)
        return replace(self, rows=train, validation=self._subset(rows).without_weightless())

    def _subset(self, rows: Indices) -> LabelledRows:
        return self.labelled.subset(rows)

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of rows, and a checksum of all."""
        encoded = self.encoded
        checksum = checksum_arrays(encoded.X, encoded.Y, encoded.weights, self.rows)
        return {"rows": self.n_rows, "data": checksum, **_validation_checksum(self.validation)}

    def chunks(
        self,
        batch_size: int,
        rng: np.random.RandomState | None,
        sampler: BatchSampler | None = None,
        batches_per_chunk: int | None = None,
    ) -> EpochIterator:
        """Yield epochs over the rows, each in one chunk by default."""
        sampler = self._own_parts(minibatches(self.rows, batch_size, rng) if sampler is None else sampler)
        if batches_per_chunk is None:
            return whole_epochs(self.encoded, sampler)
        return split_epochs(self.encoded, sampler, batches_per_chunk)

    def _own_parts(self, sampler: BatchSampler) -> BatchSampler:
        """The batches as this process runs them."""
        return sampler


@dataclass(frozen=True)
class SharedDataset(ArrayDataset):
    """Rows in the memory of several processes, of which each holds its own part of X.

    The rows are numbered through in the order of the processes. Targets and weights of all rows are in every
    process: they decide classes, strata and the sums of weights alike, and take little beside X.

    Attributes:
        labelled: X of this process, and y, Y and weights of all rows.
        encoded: the rows of this process, as the network takes them.
        rows: which of all rows to train on.
        validation: the validation rows of all processes, in each of them; or None.
        share: the rows of this process.
    """

    share: Share = field(kw_only=True)

    def batch_share(self, batch_size: int) -> int:
        """Return a number of rows that a process's part of a batch rarely exceeds."""
        counts = np.bincount(self.share.owners(self.rows), minlength=len(self.share.starts) - 1)
        return share_capacity(batch_size, float(counts.max() / max(len(self.rows), 1)))

    @property
    def own_rows(self) -> Indices:
        """The rows to train on that this process holds, by its own numbers."""
        return self.share.own(self.rows)

    def _subset(self, rows: Indices) -> LabelledRows:
        """Some of the rows of all processes, in every one of them."""
        labelled = self.labelled
        own = np.asarray(to_dense(labelled.X[self.share.own(rows)]))
        X = self.share.assemble(rows, current().gather_rows(own))
        weights = None if labelled.weights is None else labelled.weights[rows]
        return LabelledRows(X, labelled.y[rows], labelled.Y[rows], weights)

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of rows, and a checksum of all: that of one process with the same rows."""
        checksum = shared_checksum(self.encoded.X)
        checksum = checksum_arrays(self.labelled.Y, self.labelled.weights, self.rows, start=checksum)
        return {"rows": self.n_rows, "data": checksum, **_validation_checksum(self.validation)}

    def _own_parts(self, sampler: BatchSampler) -> BatchSampler:
        """The batches of all processes, of which this one runs its own rows."""
        return (share_batches(batches, self.share) for batches in sampler)


class RowEncoder(NamedTuple):
    """How an estimator turns blocks of rows into examples.

    Attributes:
        validate: ``(X, y, reset=..., weights=...)`` to arrays.
        encode: ``(y, dtype)`` to the encoded targets, ``(m, K)``.
        weigh: ``(y, weights)`` to the weights with those of the classes.
    """

    validate: Callable[..., tuple[Any, Any]]
    encode: Callable[[Any, Any], NDArray[np.floating]]
    weigh: Callable[[Any, NDArray[np.floating] | None], NDArray[np.floating] | None]


@dataclass(frozen=True)
class StreamingDataset:
    """Rows that are read in every epoch.

    Attributes:
        source: provides the rows.
        summary: the statistics of a scan of them.
        encoder: turns them into examples.
        holdout_seed: decides which rows are held out, as it did in that scan.
        n_outputs: the number of outputs for the targets.
        dtype: the dtype in which the network is trained.
        shuffle: how the rows are shuffled.
        validation: the validation rows, or None.
    """

    source: DataSource
    summary: SourceSummary
    encoder: RowEncoder
    holdout_seed: int
    n_outputs: int
    dtype: np.dtype[Any]
    shuffle: ShuffleConfig
    validation: LabelledRows | None = None

    @property
    def n_rows(self) -> int:
        """The number of training rows."""
        return self.summary.n_rows

    @property
    def weights(self) -> None:
        """None: they are read with the rows."""
        return

    def batch_share(self, batch_size: int) -> int:
        """Return the largest number of rows of a batch that a process reads."""
        return batch_size if current().count == 1 else int(self._batch_counts(batch_size).max())

    def hold_out(self, fraction: float, weights_name: str) -> StreamingDataset:
        """Validate on the rows that the scan of the source held out.

        Raises:
            InputError: there are too few of them, or all have weight 0; no training rows are left.
        """
        blocks, n_rows = self.summary.validation, self.n_rows
        n_validation = sum(len(y) for _, y, _ in blocks)
        if n_validation < MIN_VALIDATION_ROWS or not n_rows:
            raise InputError(
                f"{VALIDATION_TOO_SMALL}: validation_fraction={fraction} leaves "
                f"{pluralize(n_rows, 'row')} to train on and {n_validation} to validate on: give more rows, "
                "or validate on rows of your own with X_val and y_val"
            )
        X, y, weights = zip(*blocks, strict=True)
        labels = np.concatenate(y)
        validation = LabelledRows(
            np.concatenate([np.asarray(to_dense(block), dtype=self.dtype) for block in X]),
            labels,
            self.encoder.encode(labels, self.dtype),
            self.encoder.weigh(
                labels, None if weights[0] is None else rescale_weights(np.concatenate(weights))
            ),
        )
        check_nonzero_weight(validation.weights, "row of the validation set", weights_name)
        return replace(self, validation=validation.without_weightless())

    def fingerprint(self) -> dict[str, Any]:
        """Return the number of rows, a checksum of all, and how they are shuffled."""
        return {
            "rows": self.n_rows,
            "partitions": len(self.source.partitions),
            "data": self.summary.checksum,
            "shuffle_config": list(self.shuffle),
            **_validation_checksum(self.validation),
        }

    def chunks(
        self,
        batch_size: int,
        rng: np.random.RandomState | None,
        sampler: BatchSampler | None = None,
        batches_per_chunk: int | None = None,
    ) -> EpochIterator:
        """Yield epochs over the rows as they are read and shuffled; each chunk is one buffer."""
        if sampler is not None:
            raise ParameterError("a sampler names rows by their numbers: give it rows in memory")
        seed = None if rng is None else int(rng.randint(2**31 - 1))
        processes = current()
        if processes.count > 1:
            return shared_chunks(
                self._read_partition,
                own_partitions(self.source.partitions),
                self._batch_counts(batch_size),
                processes.index,
                self.shuffle,
                seed,
                self._no_rows(),
            )
        return shuffled_chunks(
            self._read_partition, len(self.source.partitions), batch_size, self.shuffle, seed
        )

    def _batch_counts(self, batch_size: int) -> NDArray[np.intp]:
        """How many rows each process reads for each batch: its part of all, spread evenly."""
        n_batches = -(-self.n_rows // batch_size)
        own_rows = np.array(self.summary.own_rows)[:, None]
        counts: NDArray[np.intp] = np.diff(np.arange(n_batches + 1) * own_rows // n_batches, axis=1)
        return counts

    def _no_rows(self) -> Dataset:
        """No rows, in the form in which they are read."""
        summary = self.summary
        weighs = summary.weighted or self.encoder.weigh(summary.y[:1], None) is not None
        X = np.empty((0, summary.n_features), dtype=self.dtype)
        Y = np.empty((0, self.n_outputs), dtype=self.dtype)
        return Dataset(X, Y, np.empty(0) if weighs else None)

    def warn_if_barely_shuffled(self) -> None:
        """Warn about a table whose shuffle buffer holds only a few neighbouring rows at a time."""
        if self.shuffle.partitions < _MIN_PARTITIONS and self.shuffle.rows < self.n_rows:
            warn(
                f"{self.shuffle.partitions} of the table's {len(self.source.partitions)} row groups or the "
                f"like are read at a time, and {self.shuffle.rows:,} of its {self.n_rows:,} rows are "
                "shuffled: if it is sorted, write it with more row groups, or give more memory"
            )

    def _read_partition(self, partition: int, rows: int) -> Iterator[Dataset]:
        tables = map(self._encode_block, iter_nonempty_blocks(self.source, [partition], rows))
        return (table for table in tables if table.n_rows)

    def _encode_block(self, block: RowBlock) -> Dataset:
        rows = validate_block(self.encoder.validate, block, reset=False)
        if self.summary.validation:
            rows = subset(rows, ~holdout_mask(block, self.summary.fraction, self.holdout_seed))
        X, y, weights = rows
        X = np.asarray(to_dense(X), dtype=self.dtype)
        # A target without rows may have no labels to encode, nor a shape to learn from.
        if not len(X):
            return Dataset(X, np.empty((0, self.n_outputs), dtype=self.dtype), weights)
        # In one unit for all blocks, as the penalty heeds the size of weights.
        weights = None if weights is None else weights / self.summary.weight_unit
        return Dataset(X, self.encoder.encode(y, self.dtype), self.encoder.weigh(y, weights))


def _validation_checksum(validation: LabelledRows | None) -> dict[str, int]:
    return {} if validation is None else {"validation": checksum_arrays(*validation)}


def as_source(X: Any, y: Any, sample_weight: Any) -> DataSource | None:
    """Return the source of rows that ``fit`` reads in parts; None for rows in memory.

    Args:
        X: as given to ``fit``: a source, an iterable of chunks or a function that makes one, or anything
            else.
        y: likewise.
        sample_weight: likewise.

    Raises:
        InputError: y or weights are given beside a source that brings its own.

    Example:
        >>> as_source(np.zeros((2, 1)), np.zeros(2), None) is None
        True
        >>> as_source([(np.zeros((2, 1)), np.zeros(2))], None, None).partitions
        (2,)
    """
    if isinstance(X, np.memmap) and y is not None and X.nbytes > DEFAULT_MEMORY:
        return ArraySource(X, y, sample_weight)
    is_source = hasattr(X, "partitions") and hasattr(X, "iter_blocks")
    if y is not None and not is_source:
        return None
    if not is_source and (hasattr(X, "shape") or isinstance(X, str) or not _yields_chunks(X)):
        return None
    if y is not None or sample_weight is not None:
        name = "sample_weight" if y is None else "y"
        raise InputError(
            f"{name} is given beside a table that brings its own targets and weights: leave it out"
        )
    return X if is_source else IterableSource(X)


def _yields_chunks(X: Any) -> bool:
    return callable(X) or hasattr(X, "__iter__")


def check_streamable(estimator: FitInterface, call: FitArgs) -> None:
    """Refuse options that need all rows at once.

    Raises:
        ParameterError: an option needs more than a table that is read in parts can provide.
    """
    unsupported = {
        "solver='lbfgs'": (estimator.solver == "lbfgs", "use 'adam', 'adamw' or 'sgd'"),
        f"batch_size={estimator.batch_size!r}": (
            estimator.batch_size in {"full", "noise"},
            "give a number of rows",
        ),
        "privacy": (estimator.privacy is not None, "train on rows in memory"),
        "monitor": (bool(call.monitor), "leave it out"),
        "record_examples=True": (call.record_examples, "leave it out"),
    }
    for option, (is_set, remedy) in unsupported.items():
        if is_set:
            raise ParameterError(f"{option} does not go with a table that is read a part at a time: {remedy}")
