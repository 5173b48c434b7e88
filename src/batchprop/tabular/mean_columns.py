"""Which columns have the target's mean as a feature: words of many levels, and numbers that are codes.

Index legend: n rows.
"""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchprop.data.text_rules import USUAL, TextRules
from batchprop.tabular.level_means import NO_MEANS, Floats, LevelMeans, MeanColumns
from batchprop.tabular.piecewise import PiecewiseLinear
from batchprop.tabular.schema import ColumnSchema
from batchprop.tabular.transformers import MAX_CODE, cast_column, max_categories, min_word_frequency

MAX_CLASSES = 10
"""Each column has a mean for each class: with more classes these would be most of the features."""

_MAX_LEFT_OUT = 0.1
"""If fewer rows than this share have a word without a feature of its own, features are enough."""

_MIN_GAIN = 0.02
"""The share of the target's variance that the values of a code explain beyond what their size does: 0.02 is
one percent of the error."""

_FEW = PiecewiseLinear().n_bins
"""So many values have a bin each."""


def choose_mean_columns(
    columns: Iterable[ColumnSchema],
    frame: pd.DataFrame,
    y: npt.ArrayLike,
    n_classes: int | None = None,
    typed: Collection[str] = (),
    rules: TextRules = USUAL,
) -> MeanColumns:
    """Return the columns of which one-hot features would leave out many words, and those of codes.

    A code is a number whose size says little: of a shop, a route, a person. The mean target of the other rows
    with the same number then explains more of the target than a piecewise-linear function of the number.

    Args:
        columns: the schema of the columns.
        frame: the rows to train on (n).
        y: their targets (n,), classes as indices.
        n_classes: the number of classes; None for a target of numbers.
        typed: the columns whose type was given: their numbers are no codes.
        rules: how text is read.

    >>> rng = np.random.default_rng(0)
    >>> level, shop, size = (
    ...     rng.normal(size=40),
    ...     rng.integers(40, size=400),
    ...     rng.integers(40, size=400),
    ... )
    >>> frame = pd.DataFrame(
    ...     {"shop": shop, "size": size, "owner": [f"owner {i}" for i in shop]}
    ... )
    >>> columns = [ColumnSchema(name, "number", "0 to 39") for name in ("shop", "size")]
    >>> columns.append(ColumnSchema("owner", "category", "40 values"))
    >>> choose_mean_columns(columns, frame, level[shop] + 0.1 * size)
    MeanColumns(words=(), codes=('shop',))
    """
    if n_classes is not None and n_classes > MAX_CLASSES:
        return NO_MEANS
    columns = list(columns)
    words = [column.name for column in columns if column.kind == "category"]
    plain = [column.name for column in columns if column.kind == "number" and not column.spelling]
    numbers = {name: cast_column(frame[name], "number", "", rules) for name in plain if name not in typed}
    return MeanColumns(
        tuple(name for name in words if _left_out(frame[name]) > _MAX_LEFT_OUT),
        tuple(name for name, column in numbers.items() if _is_code(column, y, n_classes)),
    )


def _left_out(words: "pd.Series[Any]") -> float:
    """The share of the rows whose word has no feature of its own; a word of one row has no mean, either."""
    counts, rows = words.value_counts(), len(words)
    kept = (counts >= min_word_frequency(rows)).to_numpy() & (np.arange(len(counts)) < max_categories(rows))
    return float(counts[~kept & (counts > 1)].sum() / max(counts.sum(), 1))


def _is_code(numbers: "pd.Series[float]", y: npt.ArrayLike, n_classes: int | None) -> bool:
    """Whether the rows of the same number tell more of the target than those of near ones."""
    present = numbers.dropna()
    if not _may_be_codes(present):
        return False
    means = LevelMeans(n_classes)
    Y = means.targets(y)
    scatter = ((Y - Y.mean(axis=0)) ** 2).sum()
    # Gaps are a level, too, as they will be among the words of codes.
    by_value = means.fit_transform(pd.DataFrame({"value": numbers.fillna(np.inf)}), y)
    most = ((Y - by_value) ** 2).sum() + _MIN_GAIN * scatter
    # Most numbers fail at the first: what their size leaves takes longer to find out.
    return bool(most < scatter) and _left_by_size(numbers, Y) > most


def _left_by_size(numbers: "pd.Series[float]", Y: Floats) -> float:
    """The sum of squares that least squares on the piecewise-linear features of a number leave."""
    gaps = numbers.isna().to_numpy()[:, None]
    bins = PiecewiseLinear().fit_transform(numbers.fillna(numbers.median()).to_numpy()[:, None])
    features = np.hstack([np.ones_like(gaps, np.float64), gaps, bins])
    # By its normal equations, which take a tenth of the time: the features lie between 0 and 1.
    weights = np.linalg.lstsq(features.T @ features, features.T @ Y, rcond=None)[0]
    return float(((Y - features @ weights) ** 2).sum())


def _may_be_codes(numbers: "pd.Series[float]") -> bool:
    """Whether numbers are whole, float64 tells them apart, and they are neither few nor mostly different."""
    are_whole = not (numbers % 1).any() and bool((numbers.abs() < MAX_CODE).all())
    return are_whole and _FEW < numbers.nunique() <= len(numbers) / 2
