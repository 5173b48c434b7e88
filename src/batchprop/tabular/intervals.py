"""95% bootstrap intervals of the scores on the test rows.

Index legend: n test rows, k classes, r resamples at a time.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from batchprop.tabular.metrics import MAE, R2, RMSE, without_zeros
from batchprop.tabular.scales import scale_to_1

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Intervals = dict[str, tuple[float, float]]

CONFIDENCE = 0.95
"""The share of resamples that an interval holds."""

_MAX_COUNT, _MIN_COUNT = 1000, 200
_MAX_DRAWS = 40_000_000  # of rows, over all resamples
_MAX_DRAWS_AT_ONCE = 400_000
_MIN_ROWS = 2
_BINARY = 2
_EPS = 1e-12


def resamples(rows: int) -> int:
    """Return how many times the rows are drawn: 1000 times, fewer for very many rows.

    Args:
        rows: the number of test rows.

    >>> resamples(360), resamples(1_000_000)
    (1000, 200)
    """
    return int(np.clip(_MAX_DRAWS // max(rows, 1), _MIN_COUNT, _MAX_COUNT))


def bootstrap_classification(
    y: Array, P: Array, classes: Array, random_state: int = 0, weights: Array | None = None
) -> Intervals:
    """Return a bootstrap interval for each of the scores that ``classification_scores`` gives.

    The interval is the percentile interval: from 2.5 to 97.5% of the scores of resamples, each of n rows
    drawn with replacement. A class that a resample lacks does not count in it; a resample in which a
    score is not defined, as the ROC AUC of one class, does not count for that score.

    Args:
        y: the true labels (n,).
        P: a probability for each row and class (n, k).
        classes: the classes in the order of P's columns (k,).
        random_state: the seed of the draws.
        weights: how much each row counts (n,), at least one of them more than 0; None for once. A row that is
            drawn keeps its weight.

    Returns:
        Score → its lower and upper end; nothing for fewer than 2 rows.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    >>> y, P = (
    ...     np.array([0, 1, 1, 1]),
    ...     np.array([[0.8, 0.2], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]]),
    ... )
    >>> bootstrap_classification(y, P, np.array([0, 1]))["accuracy"]
    (0.25, 1.0)
    """
    y, P, weights = without_zeros(weights, y, P.astype(float))
    P /= P.sum(axis=1, keepdims=True)
    k, label = len(classes), np.argmax(y[:, None] == classes, axis=1)
    guess = P.argmax(axis=1)
    hit = np.where(guess == label, label, k)
    losses = -np.log(np.maximum(np.take_along_axis(P, label[:, None], axis=1)[:, 0], np.finfo(float).eps))
    codes = _rank_codes(label, P[:, 1]) if k == len(np.unique(y)) == _BINARY else None

    def scores(indices: Indices) -> dict[str, Floats]:
        w = None if weights is None else weights[indices]
        there, guessed = _bincount(label[indices], k, w), _bincount(guess[indices], k, w)
        right = _bincount(hit[indices], k + 1, w)[:, :k]
        metrics = {
            "accuracy": right.sum(axis=1) / there.sum(axis=1),
            "balanced accuracy": _mean_of_ratios(right, there),
            "macro F1": _mean_of_ratios(2 * right, there + guessed),
            "log loss": _mean(losses[indices], w),
        }
        return metrics if codes is None else {**metrics, "ROC AUC": _auc(codes[indices], codes.max(), w)}

    return _intervals(len(y), scores, random_state)


def bootstrap_regression(
    y: Array,
    guess: Array,
    loss: str = "squared_error",
    quantile: float = 0.5,
    random_state: int = 0,
    weights: Array | None = None,
) -> Intervals:
    """Return a bootstrap interval for each of the scores that ``regression_scores`` gives.

    Args:
        y: the true numbers (n,).
        guess: the predicted ones (n,).
        loss: the minimised loss.
        quantile: its level, with the loss "quantile".
        random_state: the seed of the draws.
        weights: how much each row counts (n,), as in ``bootstrap_classification``.

    Returns:
        Score → its lower and upper end, as in ``bootstrap_classification``; no R² where all y are one number.

    >>> ends = bootstrap_regression(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0]))
    >>> ends["mean absolute error"]
    (0.0, 3.0)
    """
    y, guess, weights = without_zeros(weights, y.astype(float), guess.astype(float))
    off = y - guess
    # Centred, so that the variance of a resample keeps its digits beside the square of its mean.
    centred = y - np.average(y, weights=weights)
    (off_near_1, centred), exponent = scale_to_1(off, centred)
    columns = {"off": np.abs(off), "off²": off_near_1**2, "y": centred, "y²": centred**2}
    if loss == "quantile":
        columns["pinball"] = np.maximum(quantile * off, (quantile - 1) * off)
    if loss == "poisson":
        above_0 = np.maximum(guess, np.finfo(float).tiny)
        columns["deviance"] = 2 * (xlogy(y, y / above_0) - y + above_0)

    def scores(indices: Indices) -> dict[str, Floats]:
        w = None if weights is None else weights[indices]
        mean = {name: _mean(column[indices], w) for name, column in columns.items()}
        variance = mean["y²"] - mean["y"] ** 2
        varied = variance > _EPS * mean["y²"]
        metrics = {
            R2: 1 - _ratio(mean["off²"], np.where(varied, variance, 0.0)),
            RMSE: np.ldexp(np.sqrt(mean["off²"]), exponent),
            MAE: mean["off"],
        }
        if loss == "quantile":
            metrics[f"pinball loss of quantile {quantile:g}"] = mean["pinball"]
        if loss == "poisson":
            metrics["mean Poisson deviance"] = mean["deviance"]
        return metrics

    return _intervals(len(y), scores, random_state)


def _intervals(n: int, scores: Callable[[Indices], dict[str, Floats]], random_state: int) -> Intervals:
    if n < _MIN_ROWS:
        return {}
    chunks = [scores(indices) for indices in _resample(n, random_state)]
    tail = (1 - CONFIDENCE) / 2
    intervals: Intervals = {}
    for name in chunks[0]:
        values = np.concatenate([chunk[name] for chunk in chunks])
        # A resample that lacks a class leaves some scores undefined.
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.quantile(values, [tail, 1 - tail]).tolist()
            intervals[name] = (low, high)
    return intervals


def _resample(n: int, random_state: int) -> Iterator[Indices]:
    """Yield the rows of some resamples (r, n) at a time: all 1000 would take too much memory."""
    generator = np.random.default_rng(random_state)
    left, at_once = resamples(n), max(1, _MAX_DRAWS_AT_ONCE // n)
    while left > 0:
        yield generator.integers(n, size=(min(left, at_once), n))
        left -= at_once


def _mean(values: Floats, weights: Floats | None) -> Floats:
    """Average each resample (r,) of values (r, n)."""
    mean: Floats = (
        values.mean(axis=1) if weights is None else (values * weights).sum(axis=1) / weights.sum(axis=1)
    )
    return mean


def _bincount(codes: Indices, kinds: int, weights: Floats | None) -> Floats:
    """Count each code, 0 to kinds − 1, by the rows' weights in each resample (r, kinds)."""
    # One bincount for all resamples: each gets its own range of codes.
    shifted = codes + kinds * np.arange(len(codes))[:, None]
    flat = None if weights is None else weights.ravel()
    return np.bincount(shifted.ravel(), flat, kinds * len(codes)).reshape(-1, kinds).astype(float)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Divide; nan where the denominator is 0."""
    quotient: Floats = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
    return quotient


def _mean_of_ratios(top: Floats, bottom: Floats) -> Floats:
    """Average over the classes that occur."""
    there = bottom > 0
    mean: Floats = np.where(there, _ratio(top, bottom), 0.0).sum(axis=1) / there.sum(axis=1)
    return mean


def _rank_codes(label: Indices, score: Array) -> Indices:
    """Return each row's code: twice the rank of its score, plus 1 where its label is 1."""
    rank: Indices = np.unique(score, return_inverse=True)[1]
    return 2 * rank + label


def _auc(codes: Indices, highest: int, weights: Floats | None) -> Floats:
    """Return the share of pairs (label 1, label 0) whose scores are in order; ties count half."""
    # Counts of ranks instead of sorting: the ranks stay the same in every resample.
    tallies = _bincount(codes, highest + 1 + (highest + 1) % 2, weights)
    down, up = tallies[:, ::2], tallies[:, 1::2]
    below = np.cumsum(down, axis=1) - down / 2
    return _ratio((up * below).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))
