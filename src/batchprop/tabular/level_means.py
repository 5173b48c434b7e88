"""Words of many levels as numbers: the mean of the target in the rows of each.

Index legend: n rows, c columns of words, l levels of one, t targets: one, or one for each of many classes.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from batchprop.tabular.schema import ColumnSchema

Floats = npt.NDArray[np.float64]

MAX_CLASSES = 10
"""Each column has a mean for each class: with more classes these would be most of the features."""

_BINARY = 2
_N_PARTS = 5


def choose_level_means(
    columns: Iterable[ColumnSchema], frame: pd.DataFrame, most: int, n_classes: int | None
) -> list[str]:
    """Return the columns of words that have more levels than features of their own.

    Args:
        columns: the schema of the columns.
        frame: the rows to train on.
        most: the most features of a column.
        n_classes: the number of classes; None for a target of numbers.

    >>> frame = pd.DataFrame({"plane": ["a", "b", "c", "a"]})
    >>> choose_level_means([ColumnSchema("plane", "category", "3 values")], frame, 2, None)
    ['plane']
    """
    if n_classes is not None and n_classes > MAX_CLASSES:
        return []
    names = [column.name for column in columns if column.kind == "category"]
    return [name for name in names if frame[name].nunique() > most]


class LevelMeans(TransformerMixin, BaseEstimator):
    """Words (n, c) to the target's mean in the rows that hold them (n, ct).

    The mean of a level is shrunk towards that of all rows, ``λ ȳ_level + (1 − λ) ȳ``, the more the fewer rows
    it has: ``λ = n_level σ² / (n_level σ² + σ_level²)``. An unknown word has the mean of all rows.
    ``fit_transform`` is cross-fitted: a training row has the means of the rows in the other fifths, since its
    own target must not be among its features. ``transform`` has those of all training rows.

    Args:
        n_classes: the target holds class indices, and its mean is the share of the second of two, of more
            that of each; None for a target of numbers.

    Source:
        Micci-Barreca, SIGKDD Explorations 3, 2001; the λ is that of scikit-learn's ``TargetEncoder``.

    >>> planes = pd.DataFrame({"plane": ["a"] * 50 + ["b"] * 50})
    >>> means = LevelMeans().fit(planes, np.repeat([0.0, 10.0], 50))
    >>> means.transform(pd.DataFrame({"plane": ["a", "b", "new"]})).tolist()
    [[0.0], [10.0], [5.0]]
    """

    def __init__(self, n_classes: int | None = None) -> None:
        self.n_classes = n_classes

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike) -> Self:
        """Take the mean of each level of every column."""
        Y = self._targets(y)
        self.n_features_in_ = X.shape[1]
        self.prior_ = Y.mean(axis=0)
        factorized = [pd.factorize(X[name], sort=True) for name in X.columns]
        self.categories_ = [np.asarray(words, dtype=object) for _, words in factorized]
        self.means_ = [_shrunk_means(codes, Y) for codes, _ in factorized]
        return self

    def fit_transform(self, X: pd.DataFrame, y: npt.ArrayLike) -> Floats:
        """Fit, and return the cross-fitted means of the training rows."""
        y = np.asarray(y)
        means = np.empty((len(y), X.shape[1] * self._targets(y[:1]).shape[1]))
        for others, part in KFold(_N_PARTS, shuffle=True, random_state=0).split(y):
            means[part] = self.fit(X.iloc[others], y[others]).transform(X.iloc[part])
        self.fit(X, y)
        return means

    def transform(self, X: pd.DataFrame) -> Floats:
        """Return the means (n, ct), column by column."""
        check_is_fitted(self)
        columns = []
        for name, words, means in zip(X.columns, self.categories_, self.means_, strict=True):
            # Behind the levels stands the place −1 of unknown words.
            columns.append(np.vstack([means, self.prior_])[pd.Index(words).get_indexer(X[name])])
        return np.hstack(columns)

    def get_feature_names_out(self, names: Iterable[str]) -> npt.NDArray[np.object_]:
        """Return the names of the features (ct,), as "plane mean" or "plane share 0"."""
        several = len(self.prior_) > 1
        of_targets = [f"share {k}" for k in range(len(self.prior_))] if several else ["mean"]
        return np.array([f"{name} {of}" for name in names for of in of_targets], dtype=object)

    def _targets(self, y: npt.ArrayLike) -> Floats:
        """Return the targets (n, t) to average."""
        values = np.asarray(y)
        if self.n_classes is not None and self.n_classes > _BINARY:
            return (values[:, None] == np.arange(self.n_classes)).astype(np.float64)
        return values[:, None].astype(np.float64)


def _shrunk_means(codes: npt.NDArray[np.integer[Any]], Y: Floats) -> Floats:
    """Return the shrunk mean of each level (l, t) from the levels (n,) and the targets (n, t) of rows."""
    counts = np.bincount(codes)[:, None]
    mean, variance = Y.mean(axis=0), Y.var(axis=0)
    means = _sums(codes, Y) / counts
    within = _sums(codes, (Y - means[codes]) ** 2) / counts
    between = counts * variance
    # A target that is the same in all rows, as that of a class which a part lacks, has nothing to shrink.
    weight = np.divide(between, between + within, out=np.zeros_like(between), where=between > 0)
    shrunk: Floats = weight * means + (1 - weight) * mean
    return shrunk


def _sums(codes: npt.NDArray[np.integer[Any]], values: Floats) -> Floats:
    return np.column_stack([np.bincount(codes, weights=column) for column in values.T])
