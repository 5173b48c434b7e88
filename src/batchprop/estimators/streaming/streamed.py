"""Streaming: rows that do not lie in memory, and are read in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from batchprop.batches import Dataset, EpochIterator
from batchprop.data.shuffle import ShuffleConfig, shuffled_chunks
from batchprop.data.sources import ArraySource, DataSource, IterableSource, RowBlock
from batchprop.errors import InputError, ParameterError
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.validation import FitArgs

MEMORY = 1 << 30
"""Bytes that a streamed fit goes by, where its source does not say."""


def source_of(X: Any, y: Any, sample_weight: Any) -> DataSource | None:
    """Return where rows come from that ``fit`` is to read bit by bit; None for rows that lie in memory.

    Args:
        X: as given to ``fit``: a source, an iterable of chunks or a function that makes one, or anything
            else.
        y: likewise.
        sample_weight: likewise.

    Returns:
        The source, or None.

    Raises:
        InputError: y or weights are given beside a source that brings its own.

    Example:
        >>> source_of(np.zeros((2, 1)), np.zeros(2), None) is None
        True
        >>> source_of([(np.zeros((2, 1)), np.zeros(2))], None, None).partitions
        (2,)
    """
    if isinstance(X, np.memmap) and y is not None and X.nbytes > MEMORY:
        return ArraySource(X, y, sample_weight)
    is_source = hasattr(X, "partitions") and hasattr(X, "iter_blocks")
    if y is not None and not is_source:
        return None
    if not is_source and (hasattr(X, "shape") or isinstance(X, str) or not _gives_chunks(X)):
        return None
    if y is not None or sample_weight is not None:
        what = "sample_weight" if y is None else "y"
        raise InputError(
            f"{what} is given beside a table that brings its own targets and weights: leave it out"
        )
    return X if is_source else IterableSource(X)


def _gives_chunks(X: Any) -> bool:
    return callable(X) or hasattr(X, "__iter__")


def refuse_unstreamed(estimator: FitInterface, call: FitArgs) -> None:
    """Refuse what needs all rows at once.

    Args:
        estimator: its parameters.
        call: what ``fit`` was given.

    Raises:
        ParameterError: something is asked for that a table which is read in runs cannot serve.
    """
    cannot = {
        "solver='lbfgs'": (estimator.solver == "lbfgs", "use 'adam', 'adamw' or 'sgd'"),
        f"batch_size={estimator.batch_size!r}": (
            estimator.batch_size in {"full", "noise"},
            "give a number of rows",
        ),
        "privacy": (estimator.privacy is not None, "train on rows in memory"),
        "monitor": (bool(call.monitor), "leave it out"),
        "record_examples=True": (call.record_examples, "leave it out"),
    }
    for what, (given, remedy) in cannot.items():
        if given:
            raise ParameterError(f"{what} does not go with a table that is read a part at a time: {remedy}")


class Streamed(NamedTuple):
    """Rows that are read in every epoch.

    Attributes:
        source: where they come from.
        n_rows: how many there are to train on.
        prepared: makes of a block the examples to train on.
        mixing: how they are mixed.
        checksum: of all rows.
    """

    source: DataSource
    n_rows: int
    prepared: Callable[[RowBlock], Dataset]
    mixing: ShuffleConfig
    checksum: int

    @property
    def kind(self) -> dict[str, Any]:
        """Their number, a checksum of all, and how they are mixed."""
        runs = len(self.source.partitions)
        return {"rows": self.n_rows, "runs": runs, "data": self.checksum, "mixing": list(self.mixing)}

    def course(self, batch_size: int, seed: int | None) -> EpochIterator:
        """Run epochs of mixed batches."""
        return shuffled_chunks(self._tables, len(self.source.partitions), batch_size, self.mixing, seed)

    def _tables(self, run: int, rows: int) -> Iterator[Dataset]:
        tables = (self.prepared(block) for block in self.source.iter_blocks(run, rows))
        return (table for table in tables if table.n_rows)
