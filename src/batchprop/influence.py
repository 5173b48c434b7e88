"""Influence of training rows on predictions, from inner products of per-example gradients (TracIn)."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import Step
from batchprop.errors import InputError, check_positive_int
from batchprop.format import pluralize

CHUNK_ROWS = 1024
"""The number of training rows, and of test rows, in memory at a time."""

_MATRIX_NDIM = 2


class SupportsBackprop(Protocol):
    """The part of ``MLPClassifier`` and ``MLPRegressor`` that influence uses."""

    @property
    def weight_snapshots_(self) -> Sequence[Any]:
        """The weights at points of the training, each with its ``learning_rate_sum``."""

    def at_snapshot(self, snapshot: Any) -> Self:
        """Return the estimator with the weights of a snapshot."""

    def backprop(self, X: Any, y: Any) -> Step:
        """Run one forward and backward pass."""


def influence(
    estimator: SupportsBackprop,
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    sample_weight: Any = None,
    chunk: int = CHUNK_ROWS,
) -> NDArray[np.floating]:
    """Return how far training on each row lowered the loss of each test row, to first order.

    ``I[i, j] = v_i Σ_c α_c ⟨∇loss(train i; θ_c), ∇loss(test j; θ_c)⟩`` over the weight snapshots c, where
    α_c is the sum of the learning rates of the epochs that c represents, and v_i the training row's weight, 1
    on average over the rows that count: its ``sample_weight`` times its class's weight. Above 0 the training
    row lowered the loss of the test row, below 0 it raised it. The inner products come from the factors; no
    gradient is built.

    Args:
        estimator: a fitted estimator. After ``fit(..., record_examples=True)`` the sum runs over its
            ``weight_snapshots_``; otherwise over its final weights alone, with α = 1.
        X_train: training inputs ``(n, n_0)``.
        y_train: their targets.
        X_test: test inputs ``(n', n_0)``.
        y_test: their targets.
        sample_weight: how much each training row counted in the fit ``(n,)``, or None for equal weights. A
            row of weight 0 did not train the network: its influence is 0, whatever it holds.
        chunk: the number of rows of each side in memory at a time.

    Returns:
        ``(n, n')``, in units of the loss for SGD with one row a step, otherwise proportional to them.

    Raises:
        InputError: an X is not a table, X and y have different numbers of rows, or do not fit the network;
            ``sample_weight`` is not one finite number of at least 0 for each training row; the estimator
            holds several networks.
        NotFittedError: the estimator is not fitted.
        ParameterError: ``chunk`` is not an integer, or below 1.

    Source:
        Pruthi et al. 2020 (TracIn), arXiv 2002.08484.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(tol=0.01, random_state=0).fit(X, y, record_examples=True)
        >>> I = influence(clf, X, y, X[:2], y[:2])
        >>> I.shape, bool(I[y == 0].mean() > I[y != 0].mean())
        ((150, 2), True)
    """
    if not hasattr(estimator, "backprop"):
        raise InputError(
            f"a {type(estimator).__name__} has no gradients of its own: give a fitted MLPClassifier or "
            "MLPRegressor; of several networks one, as model.network_.members_[0] of a tabular estimator"
        )
    check_positive_int("chunk", chunk, f"at least 1 row, as {CHUNK_ROWS}")
    n, n_test = _count_rows("train", X_train, y_train), _count_rows("test", X_test, y_test)
    result, weights = np.zeros((n, n_test)), _check_weights(sample_weight, n)
    counted, class_weights = np.flatnonzero(weights), np.ones(n)
    for network, rate in _iter_snapshots(estimator):
        for test in _iter_chunks(n_test, chunk):
            test_gradient = network.backprop(_take_rows(X_test, test), _take_rows(y_test, test)).gradient
            for part in _iter_chunks(len(counted), chunk):
                train = part if len(counted) == n else counted[part]
                # Recomputed for each chunk of test rows: factors of all training rows would be
                # n × (sum of the layers' widths) numbers in memory, and one chunk of test rows is the rule.
                gradient = network.backprop(_take_rows(X_train, train), _take_rows(y_train, train)).gradient
                result[train, test] += rate * gradient.gram(test_gradient)
                if gradient.weights is not None:
                    class_weights[train] = gradient.weights
    factors = _relative_weights(weights * class_weights)
    result[factors == 0] = 0  # a product with 0 may be NaN
    return result if (factors == 1).all() else result * factors[:, None]


def _check_weights(sample_weight: Any, n: int) -> NDArray[np.float64]:
    """Return the weights of the training rows in units of their largest; ones without weights."""
    if sample_weight is None:
        return np.ones(n)
    remedy = f"give {pluralize(n, 'finite number')} of at least 0, one for each training row"
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"sample_weight is {sample_weight!r:.80}: {remedy}") from error
    if weights.shape != (n,):
        raise InputError(f"sample_weight has shape {weights.shape}: {remedy}")
    wrong = np.flatnonzero(~((weights >= 0) & np.isfinite(weights)))
    if len(wrong):
        raise InputError(f"sample_weight[{wrong[0]}]={weights[wrong[0]]:g} is not allowed: {remedy}")
    return weights / (weights.max(initial=0) or 1.0)


def _relative_weights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights with a mean of 1 over those that are not 0."""
    if (weights == weights[:1]).all() and weights.any():
        return np.ones_like(weights)
    scaled = weights / (weights.max(initial=0) or 1.0)
    return scaled * (np.count_nonzero(scaled) / (scaled.sum() or 1.0))


def _iter_snapshots(estimator: SupportsBackprop) -> Iterator[tuple[SupportsBackprop, float]]:
    """Yield the estimator with each snapshot's weights, and the sum of the learning rates up to it."""
    if not hasattr(estimator, "weight_snapshots_"):
        yield estimator, 1.0
        return
    for snapshot in estimator.weight_snapshots_:
        # The snapshot before the first epoch represents no step.
        if snapshot.learning_rate_sum > 0:
            yield estimator.at_snapshot(snapshot), snapshot.learning_rate_sum


def _count_rows(name: str, X: Any, y: Any) -> int:
    X_shape, y_shape = _shape(f"X_{name}", X), _shape(f"y_{name}", y)
    if len(X_shape) != _MATRIX_NDIM:
        raise InputError(
            f"X_{name} has shape {X_shape}: give rows and columns, a single row as [row]; "
            "images are flattened, as for fit"
        )
    if X_shape[0] != y_shape[0]:
        raise InputError(
            f"X_{name} has {pluralize(X_shape[0], 'row')} and y_{name} {y_shape[0]}: "
            "give one target for each row"
        )
    return X_shape[0]


def _shape(name: str, values: Any) -> tuple[int, ...]:
    """Return the shape of an array or a frame, and of a list by its first row: backprop checks the others."""
    try:
        shape = tuple(values.shape) if hasattr(values, "shape") else (len(values), *np.shape(values[0]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name} is {values!r}: give an array, a frame or a list of rows") from error
    if not shape:
        raise InputError(f"{name} is the single number {values}: give a value for each row")
    return shape


def _iter_chunks(n: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n, size))


def _take_rows(values: Any, rows: slice | NDArray[np.intp]) -> Any:
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    # A list takes no array of numbers.
    if isinstance(rows, np.ndarray) and not hasattr(values, "shape"):
        return [values[i] for i in rows]
    return values[rows]
