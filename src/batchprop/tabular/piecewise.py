"""Numbers as piecewise-linear features: one for each bin between two quantiles.

Index legend: n rows, c columns of numbers, q bins of all columns.
"""

from collections.abc import Iterable
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from batchprop.tabular.presets import LONG

Floats = npt.NDArray[np.float64]

MAX_BINS = 4096
"""The most bins of all columns: a layer's time and memory grow with them."""


ROWS_PER_BIN = 50
"""With fewer a bin tells of its rows by chance, and not of others."""


def count_bins(n_bins: int, n_rows: int, n_columns: int) -> int:
    """Return how many of the bins asked for a column has: fewer in a short or wide table, none in a long one.

    >>> (
    ...     [count_bins(16, n_rows, 30) for n_rows in (5_000, 400, 10**6)],
    ...     count_bins(16, 5_000, 1_000),
    ... )
    ([16, 8, 0], 4)
    """
    # The features would take up to 17 times the memory and time of the numbers.
    if n_rows > LONG or not n_columns:
        return 0
    return min(n_bins, n_rows // ROWS_PER_BIN, MAX_BINS // n_columns)


class PiecewiseLinear(TransformerMixin, BaseEstimator):
    """Numbers (n, c) to how far each reaches through each bin (n, q): clip((x − a) / (b − a), 0, 1).

    The bins of a column lie between its quantiles, so that each holds about as many rows; equal quantiles
    are one edge, and a column with a single bin has no features here. With these a layer is piecewise linear
    in each number, and sees thresholds and dips that it would otherwise have to build from many units.

    Args:
        n_bins: the most bins of a column.

    Source:
        Gorishniy, Rubachev and Babenko, On embeddings for numerical features, arXiv 2203.05556.

    >>> PiecewiseLinear(n_bins=2).fit([[0.0], [1.0], [4.0]]).transform(
    ...     [[0.5], [1.0], [2.5], [9.0]]
    ... ).tolist()
    [[0.5, 0.0], [1.0, 0.0], [1.0, 0.5], [1.0, 1.0]]
    """

    def __init__(self, n_bins: int = 16) -> None:
        self.n_bins = n_bins

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002 scikit-learn's signature
        """Place the edges of every column's bins at its quantiles."""
        # Numbers of the column, not between two of them: a column of 0 and 1 has one bin.
        return self.set_edges(np.quantile(np.asarray(X, np.float64), self.levels(), axis=0, method="lower").T)

    def levels(self) -> Floats:
        """Return the levels (n_bins + 1,) of the quantiles at which the edges lie."""
        return np.linspace(0.0, 1.0, self.n_bins + 1)

    def set_edges(self, edges: Iterable[Floats]) -> Self:
        """Take the edges of each column's bins; equal ones count once, and a single bin is none."""
        distinct = [np.unique(each) for each in edges]
        self.n_features_in_ = len(distinct)
        kept = [(i, each) for i, each in enumerate(distinct) if len(each) > 2]  # noqa: PLR2004 two bins
        # A row for each bin: its column, where it begins, and how far it reaches.
        self.column_ = np.repeat([i for i, _ in kept], [len(each) - 1 for _, each in kept]).astype(np.intp)
        self.low_ = np.concatenate([np.empty(0), *(each[:-1] for _, each in kept)])
        self.width_ = np.concatenate([np.empty(0), *(np.diff(each) for _, each in kept)])
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the place of each number in each bin (n, q)."""
        check_is_fitted(self)
        return place_in_bins(np.asarray(X, dtype=np.float64)[:, self.column_], self.low_, self.width_)

    def get_feature_names_out(self, names: Iterable[str]) -> npt.NDArray[np.object_]:
        """Return the names of the features (q,), as "age from 30 to 40"."""
        known = list(names)
        return np.array(
            [
                f"{known[i]} from {low:.4g} to {low + width:.4g}"
                for i, low, width in zip(self.column_, self.low_, self.width_, strict=True)
            ],
            dtype=object,
        )


def place_in_bins(x: Floats, low: Floats | float, width: Floats | float) -> npt.NDArray[np.float32]:
    """Return clip((x − low) / width, 0, 1) as float32."""
    # A bin may be too narrow to divide by: all that lies beyond it is at its end.
    with np.errstate(over="ignore"):
        placed: npt.NDArray[np.float32] = np.clip((x - low) / width, 0.0, 1.0).astype(np.float32)
    return placed
