"""A fit on rows that do not lie in memory: looked through once, then trained on as they are read."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from batchprop.batches import Dataset
from batchprop.data.shuffle import ShuffleConfig, shuffle_config
from batchprop.data.sources import DataSource, RowBlock
from batchprop.errors import InputError
from batchprop.estimators.early_stopping import warn
from batchprop.estimators.fit import fit_minibatch
from batchprop.estimators.keeping.restoring import mixing_of
from batchprop.estimators.keeping.saving import Start, start_of
from batchprop.estimators.privacy import is_continuation
from batchprop.estimators.streaming.streamed import MEMORY, Streamed, refuse_unstreamed
from batchprop.estimators.streaming.survey import Survey, checked, held_out, part, survey
from batchprop.estimators.targets import to_dense
from batchprop.estimators.validation import FitArgs, LabelledRows

if TYPE_CHECKING:
    from batchprop.estimators.base import BaseMLP

MIN_HELD = 2

FEW_RUNS = 4
"""With fewer runs than so many, a large table is hardly mixed."""


def fit_streamed(estimator: BaseMLP, source: DataSource, call: FitArgs) -> None:
    """Train on a table that is read in runs.

    Args:
        estimator: to be fitted.
        source: of the rows.
        call: what ``fit`` was given.

    Raises:
        InputError: rows cannot be used, or are too few.
        ParameterError: something is asked for that needs all rows at once.
    """
    refuse_unstreamed(estimator, call)
    start, fresh = start_of(estimator, call), not is_continuation(estimator, call)
    lot = lot_of(start.random)
    holds = estimator.early_stopping and call.X_val is None
    fraction, summed = estimator.validation_fraction if holds else 0.0, start.checkpoints is not None
    seen = survey(estimator, source, fraction, lot, reset=fresh, summed=summed)
    estimator._fit_targets(seen.y, call._replace(counts=seen.counts), fresh=fresh)
    dtype = np.dtype(estimator.dtype or seen.dtype)
    n_outputs = estimator._encode_targets(seen.y, dtype).shape[1]
    if fresh:
        estimator._init_fit_attributes(n_outputs)
    estimator.t_ = estimator.t_ if start.rows_seen is None else start.rows_seen
    estimator._records = estimator.privacy_spent_ = None
    net = estimator._initial_network(dtype, start.rng, call, fresh=fresh)
    held = _held(estimator, seen, call, dtype) if holds or call.X_val is not None else None

    def prepared(block: RowBlock) -> Dataset:
        of_block = checked(estimator, block, reset=False)
        X, y, weights = part(of_block, ~held_out(block, seen.fraction, lot)) if holds else of_block
        X = np.asarray(to_dense(X), dtype=dtype)
        if not len(X):
            return Dataset(X, np.empty((0, n_outputs), dtype=dtype), weights)
        return Dataset(X, estimator._encode_targets(y, dtype), estimator._apply_class_weight(y, weights))

    mixing = _mixing(source, start, (estimator.n_features_in_ + n_outputs) * dtype.itemsize)
    if estimator.shuffle and mixing.partitions < FEW_RUNS and mixing.rows < seen.n_rows:
        warn(
            f"{mixing.partitions} of the table's {len(source.partitions)} row groups or the like are "
            "read at a time, and "
            f"{mixing.rows:,} of its {seen.n_rows:,} rows are shuffled: if it is sorted, write it with more "
            "row groups, or give more memory"
        )
    supply = Streamed(source, seen.n_rows, prepared, mixing, seen.checksum)
    net, _ = fit_minibatch(estimator, net, supply, held, start, call)
    estimator._set_weights(net, dtype)
    names = getattr(source, "feature_names", None)
    if names is not None and len(names) == estimator.n_features_in_:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def lot_of(random: dict[str, Any]) -> int:
    """Return the seed of the lots of a fit, without a draw: weights are drawn first, as in memory."""
    return zlib.crc32(random["state"]["key"].tobytes(), random["state"]["pos"])


def _mixing(source: DataSource, start: Start, row_bytes: int) -> ShuffleConfig:
    if start.saved is not None:
        # As it was begun, whatever memory there is now.
        return mixing_of(start.saved, row_bytes)
    memory, partition_bytes = getattr(source, "memory", MEMORY), getattr(source, "partition_bytes", 0)
    return shuffle_config(len(source.partitions), row_bytes, memory, partition_bytes)


def _held(estimator: BaseMLP, seen: Survey, call: FitArgs, dtype: Any) -> LabelledRows:
    if call.X_val is not None:
        return estimator._validate_validation_data(call, dtype)
    if sum(len(y) for _, y, _ in seen.held) < MIN_HELD or not seen.n_rows:
        raise InputError(
            f"validation_fraction={estimator.validation_fraction} leaves {seen.n_rows} rows to train on and "
            f"{sum(len(y) for _, y, _ in seen.held)} to validate on: give more rows, or validate on rows of "
            "your own with X_val and y_val"
        )
    X, y, weights = zip(*seen.held, strict=True)
    labels, weighted = np.concatenate(y), weights[0] is not None
    return LabelledRows(
        np.concatenate([np.asarray(to_dense(some), dtype=dtype) for some in X]),
        labels,
        estimator._encode_targets(labels, dtype),
        np.concatenate(weights) if weighted else None,
    )
