"""One scan of a table that is read in every epoch: its number of rows, labels and validation rows."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import weight_unit
from batchprop.data.frames import to_exact
from batchprop.data.shuffle import hash_uniform
from batchprop.data.sources import BLOCK_ROWS, DataSource, RowBlock
from batchprop.errors import InputError
from batchprop.estimators.targets import check_label_kinds, to_dense
from batchprop.estimators.validation import check_nonzero_weight, check_sample_weight
from batchprop.processes import current

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
        weighted: whether the rows have weights.
        own_rows: the number of training rows of each process.
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
    weighted: bool = False
    own_rows: tuple[int, ...] = ()


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

    Each of several processes reads its own partitions, and they tell each other what they found.

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
    processes = current()
    with processes.guard():
        first = next(iter_nonempty_blocks(source, range(len(source.partitions))), None)
        if first is None:
            raise InputError("there are no rows: give a table with some")
        X, y, weights = validate_block(validate, first, reset=reset)
    fraction = processes.broadcast(min(fraction, _max_holdout_fraction(source, X)))
    own = _PartScan(weights is not None, count_labels=count_labels, with_checksum=with_checksum)
    with processes.guard():
        for partition in own_partitions(source.partitions):
            for block in iter_nonempty_blocks(source, [partition]):
                rows = validate_block(validate, block, reset=False)
                own.update(partition, block, rows, holdout_mask(block, fraction, seed))
    return _merge(own, SourceSummary(0, X.shape[1], X.dtype, y, None, [], fraction, 0))


class _PartScan:
    """What one process finds in its partitions."""

    def __init__(self, weighted: bool, *, count_labels: bool, with_checksum: bool) -> None:
        self.weighted, self.n_rows = weighted, 0
        self.labels = LabelCounter() if count_labels else None
        self.checksums = dict[int, int]() if with_checksum else None
        self.validation = list[BlockRows]()
        self.held_out = list[NDArray[np.intp]]()
        self.largest = self.largest_trained = 0.0

    def update(self, partition: int, block: RowBlock, rows: BlockRows, holdout: NDArray[np.bool_]) -> None:
        """Add the rows of a block, of which some are held out."""
        weights = rows[2]
        if self.weighted != (weights is not None):
            raise InputError(
                f"the rows from row {block.start_row} on have {'no ' if self.weighted else ''}weights, "
                "unlike those before them: give weights for all rows or for none"
            )
        if self.checksums is not None:
            self.checksums[partition] = checksum_arrays(*rows, start=self.checksums.get(partition, 0))
        if self.labels is not None:
            self.labels.update(rows[1], weights)
        if self.weighted:
            self.largest = max(self.largest, float(weights.max()))
            self.largest_trained = max(self.largest_trained, float(weights[~holdout].max(initial=0)))
        self.n_rows += int(np.count_nonzero(~holdout))
        if holdout.any():
            self.validation.append(subset(rows, holdout))
            self.held_out.append(block.start_row + np.flatnonzero(holdout))


def _merge(own: _PartScan, first: SourceSummary) -> SourceSummary:
    """Return the summary of what all processes found; ``first`` tells of the first rows."""
    facts = {
        "columns": [first.n_features, np.dtype(first.dtype).str, own.weighted],
        "n_rows": own.n_rows,
        "counts": None if own.labels is None else [[*counts.items()] for counts in own.labels.counts],
        "checksums": None if own.checksums is None else [*own.checksums.items()],
        "largest": [own.largest, own.largest_trained],
    }
    parts = current().gather(facts)
    largest, largest_trained = np.max([part["largest"] for part in parts], axis=0).tolist()
    if own.weighted:
        check_nonzero_weight(np.array([largest]), "row")
        check_nonzero_weight(np.array([largest_trained]), "row that the validation set leaves to train on")
    if own.labels is not None:
        own.labels.merge([part["counts"] for part in parts], first.y)
    checksums = sorted(tuple(item) for part in parts for item in part["checksums"] or [])
    return first._replace(
        n_rows=sum(part["n_rows"] for part in parts),
        y=first.y if own.labels is None else own.labels.representatives(),
        label_counts=None if own.labels is None else own.labels.counts,
        validation=_gather_validation(own, first),
        checksum=zlib.crc32(np.array(checksums, np.int64).tobytes()) if checksums else 0,
        weight_unit=float(weight_unit(largest)),
        weighted=own.weighted,
        own_rows=tuple(part["n_rows"] for part in parts),
    )


def _gather_validation(own: _PartScan, first: SourceSummary) -> list[BlockRows]:
    """Return the validation rows of all processes, in the order of the table."""
    processes = current()
    if processes.count == 1:
        return own.validation
    X = np.zeros((0, first.n_features), first.dtype)
    blocks = [(X, first.y[:0], np.zeros(0) if own.weighted else None), *own.validation]
    joined: list[Any] = []
    for parts in zip(*blocks, strict=True):
        dense = None if parts[0] is None else np.concatenate([to_dense(part) for part in parts])
        joined.append(None if dense is None else np.concatenate(_gather_column(dense)))
    numbers = np.concatenate(processes.gather_rows(np.concatenate([np.zeros(0, np.intp), *own.held_out])))
    if not len(numbers):
        return []
    order = np.argsort(numbers)
    return [(joined[0][order], joined[1][order], None if joined[2] is None else joined[2][order])]


def _gather_column(values: NDArray[Any]) -> list[NDArray[Any]]:
    as_text = values.dtype == object
    parts = current().gather_rows(values.astype(str) if as_text else values)
    return [part.astype(object) for part in parts] if as_text else parts


def own_partitions(partitions: Sequence[int]) -> list[int]:
    """Return the partitions of this process: the largest first, each goes to whoever has the fewest rows.

    Args:
        partitions: the number of rows of each.
    """
    processes = current()
    shares: list[list[int]] = [[] for _ in range(processes.count)]
    n_rows = [0] * processes.count
    for partition in sorted(range(len(partitions)), key=lambda i: -partitions[i]):
        process = n_rows.index(min(n_rows))
        shares[process].append(partition)
        n_rows[process] += partitions[partition]
    return sorted(shares[processes.index])


def iter_nonempty_blocks(
    source: DataSource, partitions: Iterable[int], rows: int = BLOCK_ROWS
) -> Iterator[RowBlock]:
    """Read partitions, some rows at a time, without blocks of no rows: a source may hold out all of one."""
    blocks = (source.iter_blocks(partition, rows) for partition in partitions)
    return (block for partition in blocks for block in partition if block.X.shape[0])


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
        for part in _parts(array):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _parts(array: Any) -> Iterator[Any]:
    """The bytes of an array by parts, each of which the rows of two arrays join."""
    if array is None:
        return
    parts: tuple[Any, ...] = (array,)
    if hasattr(array, "indptr"):
        parts = (array.data, array.indices.astype(np.int64), np.diff(array.indptr).astype(np.int64))
    for part in parts:
        # The bytes of an object array are addresses, which differ between processes.
        plain = part.astype(str) if part.dtype == object else part
        yield np.ascontiguousarray(plain).reshape(-1).view(np.uint8).data


def shared_checksum(rows: Any) -> int:
    """Return the checksum of the rows that several processes hold: ``checksum_arrays`` of them all.

    Args:
        rows: those of this process, dense or in SciPy's CSR form.
    """
    own = [[zlib.crc32(part), len(part)] for part in _parts(rows)]
    checksum = 0
    for parts in zip(*current().gather(own), strict=True):
        for crc, n_bytes in parts:
            checksum = combine_crc32(checksum, crc, n_bytes)
    return checksum


def combine_crc32(first: int, second: int, n_bytes: int) -> int:
    """Return the CRC-32 of two texts in a row, by that of each and the length of the second.

    Source:
        ``crc32_combine`` of zlib: n zero bytes change a checksum by a linear map over GF(2), whose powers of
        two come by squaring.

    Example:
        >>> combine_crc32(zlib.crc32(b"batch"), zlib.crc32(b"prop"), 4) == zlib.crc32(b"batchprop")
        True
    """
    # The map of one zero bit, as the images of the 32 bits; three squarings make it that of a byte.
    zeros = [0xEDB88320, *(1 << bit for bit in range(31))]
    for _ in range(3):
        zeros = [_apply(zeros, image) for image in zeros]
    while n_bytes:
        if n_bytes & 1:
            first = _apply(zeros, first)
        zeros = [_apply(zeros, image) for image in zeros]
        n_bytes >>= 1
    return first ^ second


def _apply(images: list[int], bits: int) -> int:
    """The image of some bits under a linear map."""
    result = 0
    for bit, image in enumerate(images):
        if bits >> bit & 1:
            result ^= image
    return result


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
            check_label_kinds(column)
            labels, index = np.unique(column, return_inverse=True)
            counted = index if weights is None else index[weights > 0]
            occurrences = np.bincount(counted, minlength=len(labels))
            counts.update(dict(zip(labels.tolist(), occurrences.tolist(), strict=True)))

    def merge(self, counts: Sequence[Any], y: NDArray[Any]) -> None:
        """Take the counts of several processes, for each column pairs of a label and its number, together."""
        self._is_matrix = y.ndim > 1
        merged = [Counter[Any]() for _ in range(y.shape[1] if y.ndim > 1 else 1)]
        for part in counts:
            for total, pairs in zip(merged, part, strict=False):
                total.update(dict(pairs))
        self.counts = merged

    def representatives(self) -> NDArray[Any]:
        """Rows of y that together hold every label, in the shape of y."""
        for counts in self.counts:
            check_label_kinds(list(counts))
        n = max(map(len, self.counts))
        columns = [np.resize(to_exact(sorted(counts)), n) for counts in self.counts]
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
