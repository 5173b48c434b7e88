"""The table that a batch was encoded from, to be shown beside the features that it became."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import InputError

_MAX_LETTERS = 60
_MIDNIGHT = " 00:00:00"


@dataclass(frozen=True)
class SourceTable:
    """A table as it was before its rows became features, and its target before it was standardised.

    Attributes:
        frame: the rows (n, c), a data frame of pandas.
        columns: for each feature (k,), the name of the column of ``frame`` that it comes from.
        scaler: what standardised the target; its ``inverse_transform`` returns numbers (n, 1) in their own
            unit. None if the target was not standardised.
    """

    frame: Any
    columns: Sequence[str]
    scaler: Any = None

    def check(self, n: int, k: int) -> None:
        """Refuse a table that does not fit inputs ``(n, k)``.

        Raises:
            InputError: it has other rows or features, or names a column that it has not.
        """
        if (len(self.frame), len(self.columns)) != (n, k):
            raise InputError(
                f"source has {len(self.frame):,} rows and columns for {len(self.columns):,} features, and X "
                f"is {n:,} × {k:,}: give its row for each row of X, and its column for each feature"
            )
        unknown = [name for name in self.columns if name not in self.frame.columns]
        if unknown:
            raise InputError(f"source.columns names {unknown[0]!r}, which is no column of source.frame")

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the table with some rows only."""
        return replace(self, frame=self.frame.iloc[rows])

    def restore_unit(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return targets (n,) or (n, K) in their own unit."""
        if self.scaler is None:
            return y
        restored: NDArray[Any] = self.scaler.inverse_transform(y.reshape(len(y), -1)).reshape(y.shape)
        return restored

    def encode(self, drawn: NDArray[np.intp]) -> dict[str, Any]:
        """Return the columns that the drawn features come from, and the place of each one's column there."""
        sources = [self.columns[k] for k in drawn]
        names = [name for name in self.frame.columns if name in set(sources)]
        return {
            "columns": [{"name": str(name), "cells": _cells(self.frame[name])} for name in names],
            "owners": [names.index(name) for name in sources],
        }


def _cells(column: Any) -> list[str | float | None]:
    return [None if gap else _cell(value) for value, gap in zip(column.tolist(), column.isna(), strict=True)]


def _cell(value: Any) -> str | float:
    """A value as JSON: numbers stay numbers, which the page formats."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and np.isfinite(value):
        return value
    text = str(value).removesuffix(_MIDNIGHT)
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 1]}…"
