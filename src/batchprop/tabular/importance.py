"""Which columns a model relies on: how its loss rises when a column's values are shuffled.

Index legend: n rows, c columns of the table, k features.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import inspection
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from batchprop.tabular.metrics import without_zeros
from batchprop.tabular.transformers import NumberSteps

Array = npt.NDArray[Any]
Score = Callable[[Any, Array, Array | None], float]

_MAX_ROWS, _MIN_ROWS = 1000, 100
_MAX_REPEATS = 5
# Features computed over all shuffles: a few seconds on one core.
_MAX_NUMBERS = 400_000_000


@dataclass(frozen=True)
class PermutationImportance:
    """How much the score falls when a column is shuffled.

    Attributes:
        columns: their names (c,), the most important first.
        mean: how much the score fell (c,), over the repeats.
        std: its standard deviation over the repeats (c,).
        rows: the number of shuffled test rows.
        repeats: how often each column was shuffled.
    """

    columns: tuple[str, ...]
    mean: Array
    std: Array
    rows: int
    repeats: int


def permutation_importance(
    model: Pipeline,
    X: Array,
    y: Array,
    score: Score,
    random_state: int = 0,
    weights: Array | None = None,
    repeats: int | None = None,
) -> PermutationImportance | None:
    """Shuffle the values of each column of the table among rows, and measure how much the score falls.

    The features of a column are shuffled together. As each row is encoded independently, this equals
    shuffling the column before the encoding, but encodes the table only once.

    Args:
        model: a fitted pipeline that begins with the steps "columns" and "features".
        X: the encoded rows (n, k).
        y: their targets (n,).
        score: of features, targets and weights, higher is better.
        random_state: the seed of the shuffles, and of the choice of rows if there are too many.
        weights: how much each row counts (n,), at least one of them more than 0; None for once.
        repeats: how often to shuffle each column; None for as often as a few seconds allow, up to 5.

    Returns:
        The importances; None for one row, and for a table so wide that it would take minutes.

    Source:
        Breiman, Random Forests, 2001, section 10; Fisher, Rudin and Dominici, arXiv 1801.01489.
    """
    X, y, weights = without_zeros(weights, X, y)
    owners = source_columns(model)
    names = list(model["columns"].kinds)
    rows, possible = _sample_sizes(len(y), len(names), len(owners))
    repeats = repeats or possible
    if rows < min(len(y), _MIN_ROWS) or rows == 1:
        return None
    if rows < len(y):
        sample = np.sort(np.random.default_rng(random_state).permutation(len(y))[:rows])
        X, y, weights = X[sample], y[sample], None if weights is None else weights[sample]
    result = inspection.permutation_importance(
        model[-1],
        np.tile(np.arange(rows)[:, None], (1, len(names))),
        y,
        scoring=_make_scorer(X, owners, score),
        n_repeats=repeats,
        random_state=random_state,
        sample_weight=weights,
    )
    order = np.argsort(-result.importances_mean, kind="stable")
    columns = tuple(names[i] for i in order)
    return PermutationImportance(
        columns, result.importances_mean[order], result.importances_std[order], rows, repeats
    )


def mean_importances(parts: Iterable[PermutationImportance]) -> pd.DataFrame:
    """Average the importances of several models of one table.

    Returns:
        For each column of the table ``mean`` and ``std``, over models and shuffles, the greatest mean first.

    >>> parts = [
    ...     PermutationImportance(("a", "b"), np.array(mean), np.zeros(2), 9, 1)
    ...     for mean in ([3, 1], [1, 1])
    ... ]
    >>> mean_importances(parts).loc["a"].tolist()
    [2.0, 1.0]
    """
    tables = [
        pd.DataFrame({"mean": part.mean, "variance": part.std**2}, list(part.columns)) for part in parts
    ]
    by_column = pd.concat(tables).groupby(level=0, sort=False)
    mean = by_column["mean"].mean()
    # The variance within the models and that between them.
    std = np.sqrt(by_column["variance"].mean() + by_column["mean"].var(ddof=0))
    return pd.DataFrame({"mean": mean, "std": std}).sort_values("mean", ascending=False, kind="stable")


def _sample_sizes(rows: int, columns: int, features: int) -> tuple[int, int]:
    """Return how many rows and repeats to use: fewer for a wide table."""
    each = columns * features
    rows = min(rows, _MAX_ROWS, max(1, _MAX_NUMBERS // each))
    return rows, int(np.clip(_MAX_NUMBERS // (each * rows), 1, _MAX_REPEATS))


def _make_scorer(X: Array, owners: Array, score: Score) -> Callable[..., float]:
    """Return a scorer of row numbers (n, c): the row from which each column takes its value."""
    # scikit-learn shuffles the row numbers; the features follow, so that no row is encoded again.
    unshuffled = np.arange(len(X))[:, None]

    def score_shuffled(_: Any, rows: Array, y: Array, sample_weight: Array | None = None) -> float:
        shuffled = X.copy()
        for column in np.flatnonzero((rows != unshuffled).any(axis=0)):
            features = np.flatnonzero(owners == column)
            shuffled[:, features] = X[np.ix_(rows[:, column], features)]
        return score(shuffled, y, sample_weight)

    return score_shuffled


def source_columns(model: Pipeline) -> Array:
    """Return the column of the table that each feature comes from.

    Args:
        model: a fitted pipeline of the steps "columns" and "features", as ``encoder`` makes it.

    Returns:
        The index of the column among the model's (k,).
    """
    index = {name: i for i, name in enumerate(model["columns"].kinds)}
    index |= {words: index[name] for name, words in model["columns"].code_names.items()}
    features: ColumnTransformer = model["features"]
    owners = np.empty(sum(part.stop - part.start for part in features.output_indices_.values()), np.intp)
    for part, transformer, names in features.transformers_:
        if part != "remainder":
            owned = np.array([index[name] for name in names])
            find_owners = _text_owners if isinstance(transformer, OneHotEncoder) else _number_owners
            owners[features.output_indices_[part]] = find_owners(transformer, owned)
    return owners


def _text_owners(encoder: OneHotEncoder, owned: Array) -> Array:
    """Return the columns of one-hot features: one for each category, one for all rare ones of a column."""
    widths = [
        len(known) if rare is None else len(known) - len(rare) + 1
        for known, rare in zip(encoder.categories_, encoder.infrequent_categories_, strict=True)
    ]
    return np.repeat(owned, widths)


def _number_owners(transformer: Pipeline, owned: Array) -> Array:
    """Return the columns of numbers or parts of dates, of the features that mark their gaps, and of bins."""
    imputer, _, _, bins = NumberSteps.of(transformer)
    each = np.repeat(owned, imputer.n_features_in_ // len(owned))
    filled = np.concatenate([each, each[imputer.indicator_.features_]])
    return filled if bins is None else np.concatenate([filled, filled[bins.column_]])
