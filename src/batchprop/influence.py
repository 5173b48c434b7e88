"""Influence: what the steps on one row did to the loss of another, from inner products of their gradients."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import Step
from batchprop.errors import InputError, check_positive_int

CHUNK = 1024
"""How many rows of each side are worked on at once."""

_DIMENSIONS = 2  # rows and columns


class SupportsBackprop(Protocol):
    """What is asked of ``MLPClassifier`` and ``MLPRegressor``."""

    @property
    def weight_snapshots_(self) -> Sequence[Any]:
        """The weights on the way, each with its ``rate``."""

    def at_snapshot(self, checkpoint: Any) -> Self:
        """The estimator as it was."""

    def backprop(self, X: Any, y: Any) -> Step:
        """One pass over some rows."""


def influence(
    estimator: SupportsBackprop, X_train: Any, y_train: Any, X_test: Any, y_test: Any, *, chunk: int = CHUNK
) -> NDArray[np.floating]:
    """How far the steps on each training row pushed down the loss of each test row, to first order.

    ``I[i, j] = Σ_c α_c ⟨∇loss(train i; θ_c), ∇loss(test j; θ_c)⟩`` over the checkpoints c, with α_c the sum
    of the learning rates of the epochs that c stands for. Above 0 the row helped, below 0 it did harm. The
    inner products come from the factors: no gradient is built.

    Args:
        estimator: fitted; after ``fit(..., record_examples=True)`` its ``weight_snapshots_`` count, else its
            weights alone, with α = 1.
        X_train: inputs ``(n, n_0)``.
        y_train: their targets.
        X_test: inputs ``(n', n_0)``.
        y_test: their targets.
        chunk: how many rows of each side are worked on at once.

    Returns:
        ``(n, n')``, in units of the loss where training is by plain descent, one row a step; else to scale.

    Raises:
        InputError: an X is no table, X and y have different numbers of rows, or do not fit the network.
        NotFittedError: the estimator is not fitted.
        ParameterError: ``chunk`` is no whole number, or below 1.

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
    check_positive_int("chunk", chunk, f"at least 1 row, as {CHUNK}")
    n, n_test = _rows_of("train", X_train, y_train), _rows_of("test", X_test, y_test)
    found = np.zeros((n, n_test))
    for network, rate in _checkpoints(estimator):
        for those in _parts(n_test, chunk):
            tested = network.backprop(_some(X_test, those), _some(y_test, those)).gradient
            for these in _parts(n, chunk):
                trained = network.backprop(_some(X_train, these), _some(y_train, these)).gradient
                found[these, those] += rate * trained.gram(tested)
    return found


def _checkpoints(estimator: SupportsBackprop) -> Iterator[tuple[SupportsBackprop, float]]:
    """The estimator as it was, with the rates that this stands for."""
    if not hasattr(estimator, "weight_snapshots_"):
        yield estimator, 1.0
        return
    for checkpoint in estimator.weight_snapshots_:
        if checkpoint.learning_rate_sum > 0:
            yield estimator.at_snapshot(checkpoint), checkpoint.learning_rate_sum


def _rows_of(name: str, X: Any, y: Any) -> int:
    of_X, of_y = _shape(f"X_{name}", X), _shape(f"y_{name}", y)
    if len(of_X) != _DIMENSIONS:
        raise InputError(
            f"X_{name} has shape {of_X}: give rows and columns, a single row as [row]; "
            "images are flattened, as for fit"
        )
    if of_X[0] != of_y[0]:
        raise InputError(f"X_{name} has {of_X[0]} rows and y_{name} {of_y[0]}: give one target for each row")
    return of_X[0]


def _shape(name: str, values: Any) -> tuple[int, ...]:
    """The shape of an array or a frame; of a list by its first row, as the rest is checked later."""
    try:
        shape = tuple(values.shape) if hasattr(values, "shape") else (len(values), *np.shape(values[0]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name} is {values!r}: give an array, a frame or a list of rows") from error
    if not shape:
        raise InputError(f"{name} is the single number {values}: give a value for each row")
    return shape


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n, size))


def _some(values: Any, rows: slice) -> Any:
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]
