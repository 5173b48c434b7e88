"""The features of many rows without scikit-learn's checks of every block: the same numbers in half the time.

Index legend: n rows, c columns of a kind, k features, d distinct words.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from batchprop.tabular.level_means import LevelMeans
from batchprop.tabular.piecewise import place_in_bins
from batchprop.tabular.transformers import DateParts, NumberSteps, date_parts, squash

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

_LINE = 16  # numbers of a cache line


def encode_features(features: ColumnTransformer, columns: pd.DataFrame) -> Features:
    """Return ``features.transform(columns)`` (n, k), bit for bit.

    Args:
        features: the fitted step "features" of a model.
        columns: what its step "columns" returns (n rows), words also as categories.

    >>> from batchprop.tabular.schema import infer_schema
    >>> from batchprop.tabular.transformers import make_preprocessor
    >>> table = pd.DataFrame({"age": [30, None, 40], "home": ["rent", "own", "rent"]})
    >>> encoder = make_preprocessor(infer_schema(table), 3).fit(table)
    >>> columns = encoder["columns"].transform(table)
    >>> np.array_equal(
    ...     encode_features(encoder["features"], columns),
    ...     encoder["features"].transform(columns),
    ... )
    True
    """
    places = features.output_indices_
    encoded = _empty_columns(max(place.stop for place in places.values()), len(columns))
    if not len(columns):
        return encoded.T  # scikit-learn refuses a block without rows
    for name, part, names in features.transformers_:
        if isinstance(part, OneHotEncoder):
            _encode_words(part, columns[names], encoded[places[name]])
        elif isinstance(part, Pipeline):
            _encode_numbers(part, _numbers(part, columns, names), encoded[places[name]])
    # In rows, as scikit-learn has them: a matrix product sums in another order where they lie otherwise.
    return np.ascontiguousarray(encoded.T)


def _empty_columns(k: int, n: int) -> Features:
    """Return an array (k, n) to fill in feature by feature: a feature's numbers lie side by side."""
    # To write them a row apart took thirty times as long. Features a power of two apart share few places
    # of the cache, and to bring them into rows took five times as long: an odd number of cache lines is best.
    lines = -(-n // _LINE) | 1
    return np.empty((k, lines * _LINE), np.float32)[:, :n]


class QuickEncoder(Pipeline):
    """The fitted steps "columns" and "features" of a model: what the pipeline returns, in less time."""

    def transform(self, X: pd.DataFrame) -> Features:
        """Return the features (n, k) of a table."""
        return encode_features(self["features"], self["columns"].cast(X))


def _numbers(part: Pipeline, columns: pd.DataFrame, names: Sequence[str]) -> Iterable[Floats]:
    """Yield the numbers (n,) of each column, those of each part of each date, or the means of each word."""
    if isinstance(part[0], LevelMeans):
        return _level_means(part[0], columns[names])
    if not isinstance(part[0], DateParts):
        return (columns[name].to_numpy() for name in names)
    return (
        numbers
        for name, first in zip(names, part[0].first_, strict=True)
        for numbers in date_parts(columns[name], first)
    )


def _level_means(means: LevelMeans, columns: pd.DataFrame) -> Iterable[Floats]:
    """Yield the means (n,) of each column, of many classes several: each distinct word is looked up once."""
    factorized, distinct = _distinct_words(columns)
    of_words = means.transform(distinct)
    width = of_words.shape[1] // len(factorized)
    for i, codes in enumerate(factorized):
        for j in range(width):
            yield of_words[codes, i * width + j]


def _distinct_words(columns: pd.DataFrame) -> tuple[list[npt.NDArray[np.integer[Any]]], pd.DataFrame]:
    """Return the place of each word (n,) of each column in a table of the distinct ones (d, c)."""
    factorized = [factorize_words(columns[name]) for name in columns]
    d = max(len(words) for _, words in factorized)
    distinct = {name: np.resize(words, d) for name, (_, words) in zip(columns, factorized, strict=True)}
    return [codes for codes, _ in factorized], pd.DataFrame(distinct)


def _encode_numbers(part: Pipeline, columns: Iterable[Floats], encoded: Features) -> None:
    """Fill in numbers (c, n), marks of gaps and bins, column by column: each stays in the cache."""
    steps = NumberSteps.of(part)
    imputer, scaler, clip, bins = steps
    marked, c = imputer.indicator_.features_.tolist(), len(imputer.statistics_)
    first_bin = c + len(marked)

    def scale(x: Floats, i: int) -> Features:
        return squash((x - steps.center[i]) / scaler.scale_[i], clip.scale_[i])

    for i, x in enumerate(columns):
        gaps = np.isnan(x)
        filled = np.where(gaps, imputer.statistics_[i], x) if gaps.any() else x
        encoded[i] = scale(filled, i)
        if bins is not None:
            for q in np.flatnonzero(bins.column_ == i):
                encoded[first_bin + q] = place_in_bins(filled, bins.low_[q], bins.width_[q])
        if i in marked:
            j = c + marked.index(i)
            encoded[j] = scale(np.array([0.0, 1.0]), j)[gaps.astype(np.intp)]


def factorize_words(column: "pd.Series[Any]") -> tuple[npt.NDArray[np.integer[Any]], Any]:
    """Return the place of each word (n,) among the distinct ones, and these (d,).

    >>> codes, words = factorize_words(pd.Series(["red", "blue", "red"], dtype="category"))
    >>> codes.tolist(), list(words)
    ([1, 0, 1], ['blue', 'red'])
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), column.cat.categories.to_numpy(object)
    return pd.factorize(column)


def _encode_words(encoder: OneHotEncoder, columns: pd.DataFrame, encoded: Features) -> None:
    """Fill in words (c, n): each distinct one is encoded once, beside one of each other column."""
    factorized, distinct = _distinct_words(columns)
    of_words, rows, start = encoder.transform(distinct), np.arange(len(columns)), 0
    encoded[:] = 0
    for codes, known, rare in zip(
        factorized, encoder.categories_, encoder.infrequent_categories_, strict=True
    ):
        end = start + (len(known) if rare is None else len(known) - len(rare) + 1)
        # At most one feature of a word is not 0; to copy the others would take longer.
        place = start + of_words[:, start:end].argmax(axis=1)
        encoded[place[codes], rows] = of_words[np.arange(len(distinct)), place][codes]
        start = end
