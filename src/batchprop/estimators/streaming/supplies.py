"""Supplies: where the rows of a fit come from, a table in memory or one that is read in runs."""

from __future__ import annotations

from typing import Any, NamedTuple

from batchprop.batches import Dataset, Indices
from batchprop.estimators.keeping.saving import about


class InMemory(NamedTuple):
    """Some rows of a table that lies in memory.

    Attributes:
        table: the examples.
        rows: which of them to train on.
    """

    table: Dataset
    rows: Indices

    @property
    def n_rows(self) -> int:
        """How many there are to train on."""
        return len(self.rows)

    @property
    def kind(self) -> dict[str, Any]:
        """Their number, and a checksum of all."""
        return about(self.table, self.rows)
