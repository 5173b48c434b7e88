"""Words of many levels as numbers: the mean of the target in the rows of each.

Index legend: n rows, c columns of words, l levels of one, t targets: one, or one for each of many classes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]

_BINARY = 2
_N_PARTS = 5


class MeanColumns(NamedTuple):
    """Columns whose values become the target's mean in the rows that hold them (`LevelMeans`).

    Attributes:
        words: columns of words; their own features are of frequent words only.
        codes: columns of whole numbers, which are numbers too.
    """

    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


NO_MEANS = MeanColumns()


class LevelMeans(TransformerMixin, BaseEstimator):
    """Words (n, c) to the target's mean in the rows that hold them (n, ct).

    The mean of a level is shrunk towards that of all rows, ``λ ȳ_level + (1 − λ) ȳ``, the more the fewer rows
    it has: ``λ = n_level τ² / (n_level τ² + σ²)``, with the variance τ² between levels and σ² within them.
    Levels of noise have τ² near 0, and then all have the mean of all rows, as an unknown word has.
    ``fit_transform`` is cross-fitted: a training row has the means of the rows in the other fifths, since its
    own target must not be among its features. ``transform`` has those of all training rows. No other feature
    should name a level of few rows: beside it, a lower mean of the others would tell of a higher target.

    Args:
        n_classes: the target holds class indices, and its mean is the share of the second of two, of more
            that of each; None for a target of numbers.

    Source:
        Micci-Barreca, SIGKDD Explorations 3, 2001. Both variances by Henderson, Biometrics 9, 1953, method 1:
        scikit-learn's ``TargetEncoder`` takes σ² of each level by itself, and does not shrink one of a row.

    >>> planes = pd.DataFrame({"plane": ["a"] * 5 + ["b"] * 5})
    >>> means = LevelMeans().fit(planes, [0, 1, 2, 1, 1, 10, 9, 11, 10, 10])
    >>> means.transform(pd.DataFrame({"plane": ["a", "b", "new"]})).round(2).tolist()
    [[1.01], [9.99], [5.5]]
    """

    def __init__(self, n_classes: int | None = None) -> None:
        self.n_classes = n_classes

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike) -> Self:
        """Take the mean of each level of every column."""
        self._fit(X, self.targets(y))
        return self

    def fit_transform(self, X: pd.DataFrame, y: npt.ArrayLike) -> Floats:
        """Fit, and return the cross-fitted means of the training rows."""
        Y = self.targets(y)
        fitted, means = self._fit(X, Y), np.empty((len(Y), X.shape[1] * Y.shape[1]))
        for others, part in KFold(_N_PARTS, shuffle=True, random_state=0).split(Y):
            # The prior and the variances are those of all rows: others would tell a row which part it is in.
            columns = [each.shrunk_means(codes[others], Y[others])[codes[part]] for codes, each in fitted]
            means[part] = np.hstack(columns)
        return means

    def _fit(self, X: pd.DataFrame, Y: Floats) -> list[tuple[Codes, Any]]:
        """Fit, and return the level of each row (n,) and the variances of every column."""
        self.n_features_in_ = X.shape[1]
        self.prior_ = Y.mean(axis=0)
        factorized = [pd.factorize(X[name], sort=True) for name in X.columns]
        self.categories_ = [np.asarray(words, dtype=object) for _, words in factorized]
        fitted: list[tuple[Codes, Any]] = [(codes, _Levels.of(codes, Y)) for codes, _ in factorized]
        self.means_ = [each.shrunk_means(codes, Y) for codes, each in fitted]
        return fitted

    def transform(self, X: pd.DataFrame) -> Floats:
        """Return the means (n, ct), column by column."""
        check_is_fitted(self)
        columns = []
        for name, words, means in zip(X.columns, self.categories_, self.means_, strict=True):
            # Behind the levels stands the place −1 of unknown words.
            columns.append(np.vstack([means, self.prior_])[pd.Index(words).get_indexer(X[name])])
        result: Floats = np.hstack(columns)
        return result

    def get_feature_names_out(self, names: Iterable[str]) -> npt.NDArray[np.object_]:
        """Return the names of the features (ct,), as "plane mean" or "plane share 0"."""
        several = len(self.prior_) > 1
        of_targets = [f"share {k}" for k in range(len(self.prior_))] if several else ["mean"]
        return np.array([f"{name} {of}" for name in names for of in of_targets], dtype=object)

    def targets(self, y: npt.ArrayLike) -> Floats:
        """Return the targets (n, t) to average."""
        values = np.asarray(y)
        if self.n_classes is not None and self.n_classes > _BINARY:
            values = values[:, None] == np.arange(self.n_classes)
        targets: Floats = values.reshape(len(values), -1).astype(np.float64)
        return targets


class _Levels(NamedTuple):
    """What all rows say of the levels of a column (l) together, in t targets.

    Attributes:
        n_levels: l.
        prior: the mean of all rows (t,).
        within: the variance of rows within levels (t,).
        between: that of the levels' true means (t,).
    """

    n_levels: int
    prior: Floats
    within: Floats
    between: Floats

    @classmethod
    def of(cls, codes: Codes, Y: Floats) -> Self:
        """Estimate both variances.

        The mean squares of the rows within levels and of the levels' means have the expectations ``σ²`` and
        ``σ² + n₀ τ²`` with ``n₀ = (n − Σ n_l²/n) / (l − 1)``.
        """
        counts = np.bincount(codes)[:, None]
        n, levels, prior = len(Y), len(counts), Y.mean(axis=0)
        if levels in {1, n}:  # what a level is and what a row is cannot be told apart
            return cls(levels, prior, Y.var(axis=0), np.zeros(Y.shape[1]))
        means = _sums(codes, Y, levels) / counts
        within = ((Y - means[codes]) ** 2).sum(axis=0) / (n - levels)
        of_means = (counts * (means - prior) ** 2).sum(axis=0) / (levels - 1)
        n_0 = (n - (counts**2).sum() / n) / (levels - 1)
        return cls(levels, prior, within, np.maximum(of_means - within, 0.0) / n_0)

    def shrunk_means(self, codes: Codes, Y: Floats) -> Floats:
        """Return the shrunk mean of each level (l, t) in some rows; of a level without rows the prior."""
        counts = np.bincount(codes, minlength=self.n_levels)[:, None]
        means = np.divide(
            _sums(codes, Y, self.n_levels),
            counts,
            out=np.tile(self.prior, (self.n_levels, 1)),
            where=counts > 0,
        )
        scatter = counts * self.between + self.within
        # Where nothing scatters, there is nothing to shrink.
        weights = np.divide(counts * self.between, scatter, out=np.ones_like(means), where=scatter > 0)
        shrunk: Floats = self.prior + weights * (means - self.prior)
        return shrunk


def _sums(codes: Codes, values: Floats, n_levels: int) -> Floats:
    return np.column_stack([np.bincount(codes, weights=column, minlength=n_levels) for column in values.T])
