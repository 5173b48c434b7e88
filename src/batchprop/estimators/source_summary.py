"""One scan of a table that is read in every epoch: its number of rows, labels and validation rows."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import weight_unit
from batchprop.data.shuffle import hash_uniform
from batchprop.data.sources import DataSource, RowBlock
from batchprop.errors import InputError
from batchprop.estimators.targets import to_dense
from batchprop.estimators.validation import check_nonzero_weight, check_sample_weight

DEFAULT_MEMORY = 1 << 30
"""The memory of a fit on a source, in bytes, if the source names no ``memory``."""

_HOLDOUT_SHARE = 8
"""Validation rows stay in memory for the whole fit: they take at most the memory divided by this."""

BlockRows = tuple[Any, Any, Any]
"""X, y and weights of some rows; weights may be None."""
Validate = Callable[..., tuple[Any, Any]]
"""``(X, y, reset=..., weights=...)`` to X and y as arrays; with ``reset`` X sets the number of columns."""


class SourceSummary(NamedTuple):
    """The result of one scan of a source.

    Attributes:
        n_rows: the number of training rows.
        n_features: the number of columns of X.
        dtype: of X.
        y: rows of y that together hold every label; the first ones if it holds numbers.
        label_counts: for each column of y how often each label occurs; None if it holds numbers.
        validation: blocks of the validation rows.
        fraction: the fraction of the rows held out.
        checksum: of all rows, if requested.
        weight_unit: the unit of the rows' weights (see ``batches.rescale_weights``).
    """

    n_rows: int
    n_features: int
    dtype: Any
    y: NDArray[Any]
    label_counts: list[Counter[Any]] | None
    validation: list[BlockRows]
    fraction: float
    checksum: int
    weight_unit: float = 1.0


def scan_source(
    source: DataSource,
    validate: Validate,
    fraction: float,
    seed: int,
    *,
    count_labels: bool,
    reset: bool = True,
    with_checksum: bool = False,
) -> SourceSummary:
    """Read a source once, and check every row, before a fit spends hours on it.

    Args:
        source: of the rows.
        validate: checks a block, and learns the number of columns.
        fraction: of the rows to hold out; they take at most an eighth of the memory.
        seed: decides which rows these are.
        count_labels: whether y holds labels.
        reset: whether the first rows set the number of columns.
        with_checksum: whether to compute a checksum of all rows.

    Returns:
        The summary.

    Raises:
        InputError: some rows cannot be used; the message says which.
    """
    first = next(_blocks(source), None)
    if first is None:
        raise InputError("there are no rows: give a table with some")
    X, y, weights = validate_block(validate, first, reset=reset)
    fraction = min(fraction, _max_holdout_fraction(source, X))
    labels = LabelCounter() if count_labels else None
    n_rows, checksum, validation, weighted = 0, 0, list[BlockRows](), weights is not None
    largest, largest_trained = 0.0, 0.0
    for block in _blocks(source):
        rows = validate_block(validate, block, reset=False)
        if weighted != (rows[2] is not None):
            raise InputError(
                f"the rows from row {block.start_row} on have {'no ' if weighted else ''}weights, "
                "unlike those before them: give weights for all rows or for none"
            )
        checksum = checksum_arrays(*rows, start=checksum) if with_checksum else 0
        if labels is not None:
            labels.update(rows[1], rows[2])
        holdout = holdout_mask(block, fraction, seed)
        if weighted:
            largest = max(largest, float(rows[2].max()))
            largest_trained = max(largest_trained, float(rows[2][~holdout].max(initial=0)))
        n_rows += int(np.count_nonzero(~holdout))
        if holdout.any():
            validation.append(subset(rows, holdout))
    if weighted:
        check_nonzero_weight(np.array([largest]), "row")
        check_nonzero_weight(np.array([largest_trained]), "row that the validation set leaves to train on")
    return SourceSummary(
        n_rows=n_rows,
        n_features=X.shape[1],
        dtype=X.dtype,
        y=y if labels is None else labels.representatives(),
        label_counts=None if labels is None else labels.counts,
        validation=validation,
        fraction=fraction,
        checksum=checksum,
        weight_unit=float(weight_unit(largest)),
    )


def _blocks(source: DataSource) -> Iterator[RowBlock]:
    partitions = (source.iter_blocks(partition) for partition in range(len(source.partitions)))
    return (block for partition in partitions for block in partition if block.X.shape[0])


def validate_block(validate: Validate, block: RowBlock, *, reset: bool) -> BlockRows:
    """Return X, y and weights of a block as arrays.

    Raises:
        InputError: they cannot be used; the message says which rows.
    """
    if block.y is None:
        raise InputError("the table has no target: name its column, as in scan(..., target='price')")
    with _row_errors(block):
        weights = check_sample_weight(block.weights, block.X.shape[0], require_positive=False)
        X, y = validate(block.X, block.y, reset=reset, weights=weights)
        return X, y, weights


def subset(rows: BlockRows, mask: NDArray[np.bool_]) -> BlockRows:
    """Some rows of X, y and weights."""
    X, y, weights = rows
    return X[mask], y[mask], None if weights is None else weights[mask]


def holdout_mask(block: RowBlock, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Whether each row of a block is held out ``(m,)``: the same in every pass."""
    # A hash of the row's number, not a generator: blocks are read in a different order in every epoch.
    return hash_uniform(block.start_row + np.arange(block.X.shape[0]), seed) < fraction


def holdout_seed(rng_state: dict[str, Any]) -> int:
    """Return a seed for ``holdout_mask`` without a draw from the generator."""
    # A draw would change the initial weights, which are those of a fit in memory with the same seed.
    return zlib.crc32(rng_state["state"]["key"].tobytes(), rng_state["state"]["pos"])


def checksum_arrays(*arrays: Any, start: int = 0) -> int:
    """Return a checksum of arrays, dense or in SciPy's CSR form; None counts for nothing.

    Example:
        >>> checksum_arrays(np.arange(3)) == checksum_arrays(np.arange(3), None)
        True
        >>> checksum_arrays(np.arange(3.0)) == 0
        False
    """
    checksum = start
    for array in arrays:
        parts = (array.data, array.indices, array.indptr) if hasattr(array, "indptr") else (array,)
        for part in parts:
            if part is not None:
                # The bytes of an object array are addresses, which differ between processes.
                plain = part.astype(str) if part.dtype == object else part
                checksum = zlib.crc32(np.ascontiguousarray(plain).reshape(-1).view(np.uint8).data, checksum)
    return checksum


class LabelCounter:
    """The labels of each column of y, counted block by block; a row of weight 0 counts as absent.

    Attributes:
        counts: for each column.

    Example:
        >>> labels = LabelCounter()
        >>> labels.update(np.array(["a", "b"])), labels.update(np.array(["a", "c"]))
        (None, None)
        >>> labels.representatives(), labels.counts[0]["a"]
        (array(['a', 'b', 'c'], dtype='<U1'), 2)
    """

    def __init__(self) -> None:
        self.counts: list[Counter[Any]] = []
        self._is_matrix = False

    def update(self, y: NDArray[Any], weights: NDArray[np.floating] | None = None) -> None:
        """Count the labels of some rows; one that occurs only in rows of weight 0 is a label, too."""
        matrix = y[:, None] if y.ndim == 1 else y
        if not self.counts:
            self.counts = [Counter() for _ in range(matrix.shape[1])]
            self._is_matrix = y.ndim > 1
        for counts, column in zip(self.counts, matrix.T, strict=True):
            labels, index = np.unique(column, return_inverse=True)
            counted = index if weights is None else index[weights > 0]
            occurrences = np.bincount(counted, minlength=len(labels))
            counts.update(dict(zip(labels.tolist(), occurrences.tolist(), strict=True)))

    def representatives(self) -> NDArray[Any]:
        """Rows of y that together hold every label, in the shape of y."""
        n = max(map(len, self.counts))
        columns = [np.resize(np.array(sorted(counts)), n) for counts in self.counts]
        return np.column_stack(columns) if self._is_matrix else columns[0]


def _max_holdout_fraction(source: DataSource, X: Any) -> float:
    memory: int = getattr(source, "memory", DEFAULT_MEMORY)
    row_bytes = int(to_dense(X[:1]).nbytes)
    return memory / _HOLDOUT_SHARE / (row_bytes * max(sum(source.partitions), 1))


@contextmanager
def _row_errors(block: RowBlock) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        last = block.start_row + block.X.shape[0] - 1
        raise InputError(f"in the rows {block.start_row} to {last} (counted from there): {error}") from error
