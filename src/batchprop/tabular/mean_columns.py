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
from batchprop.tabular.schema import MAX_EXACT, ColumnSchema
from batchprop.tabular.transformers import cast_column, max_categories, min_word_frequency

MAX_CLASSES = 10
"""Each column has a mean for each class: with more classes these would be most of the features."""

_MAX_LEFT_OUT = 0.1
"""If fewer rows than this share have a word without a feature of its own, features are enough."""

_MIN_GAIN, _MIN_GAIN_OF_RESIDUALS = 0.01, 0.02
"""The shares that the values of a code explain beyond their size: of the target's variance, and of what all
numbers leave of it."""

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

    A code is a number whose size says little: of a shop, a route, a person. Of what all numbers leave of the
    target by least squares, the mean of the other rows with the same number then explains more than a
    piecewise-linear function of the number.

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
    numbers = {name: cast_column(frame[name], "number", "", rules) for name in plain}
    candidates = {
        name: column
        for name, column in numbers.items()
        if name not in typed and _may_be_codes(column.dropna())
    }
    codes: tuple[str, ...] = ()
    if candidates:
        Y = LevelMeans(n_classes).targets(y)
        R = _residuals(numbers.values(), Y)
        least = max(_MIN_GAIN * ((Y - Y.mean(axis=0)) ** 2).sum(), _MIN_GAIN_OF_RESIDUALS * (R**2).sum())
        codes = tuple(name for name, column in candidates.items() if _is_code(column, R, least))
    return MeanColumns(tuple(name for name in words if _left_out(frame[name]) > _MAX_LEFT_OUT), codes)


def _left_out(words: "pd.Series[Any]") -> float:
    """The share of the rows whose word has no feature of its own; a word of one row has no mean, either."""
    counts, rows = words.value_counts(), len(words)
    kept = (counts >= min_word_frequency(rows)).to_numpy() & (np.arange(len(counts)) < max_categories(rows))
    return float(counts[~kept & (counts > 1)].sum() / max(counts.sum(), 1))


def _may_be_codes(numbers: "pd.Series[float]") -> bool:
    """Whether numbers are whole, float64 tells them apart, and they are neither few nor mostly different."""
    are_whole = not (numbers % 1).any() and bool((numbers.abs() < MAX_EXACT).all())
    return are_whole and _FEW < numbers.nunique() <= len(numbers) / 2


def _residuals(numbers: Iterable["pd.Series[float]"], Y: Floats) -> Floats:
    """What least squares on all numbers leave of the targets (n, t): beside large effects a code hides."""
    filled = (column.fillna(column.median()).to_numpy() for column in numbers)
    centred = np.column_stack([x - x.mean() for x in filled])
    spread = np.abs(centred).max(axis=0)
    return _fit(np.column_stack([np.ones(len(Y)), centred / np.where(spread > 0, spread, 1.0)]), Y)


def _fit(features: Floats, Y: Floats) -> Floats:
    """What least squares on features (n, k) leave of the targets (n, t)."""
    # By the normal equations, which take a tenth of the time: the features lie between −1 and 1.
    residuals: Floats = Y - features @ np.linalg.lstsq(features.T @ features, features.T @ Y, rcond=None)[0]
    return residuals


def _is_code(numbers: "pd.Series[float]", R: Floats, least: float) -> bool:
    """Whether the rows of the same number tell more of the residuals (n, t) than those of near ones."""
    # Gaps are a level, too, as they will be among the words of codes.
    values = pd.DataFrame({"value": numbers.fillna(np.inf)})
    by_value = LevelMeans().fit_transform(values, R)
    most = ((R - by_value) ** 2).sum() + least
    if most >= (R**2).sum():
        return False  # as of most numbers; what their size leaves takes longer to find out
    bins = PiecewiseLinear().fit_transform(numbers.fillna(numbers.median()).to_numpy()[:, None])
    features = np.column_stack([np.ones(len(R)), numbers.isna(), bins])
    return bool((_fit(features, R) ** 2).sum() > most)
