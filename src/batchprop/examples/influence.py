"""Influence: what the steps on one row did to the loss of another, from inner products of their gradients."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import Step
from batchprop.errors import InputError, ParameterError

CHUNK = 1024
"""How many rows of each side are worked on at once."""


class Fitted(Protocol):
    """What is asked of ``MLPClassifier`` and ``MLPRegressor``."""

    coefs_: list[NDArray[np.floating]]
    intercepts_: list[NDArray[np.floating]]
    checkpoints_: Sequence[tuple[list[Any], list[Any], float]]

    def backprop(self, X: Any, y: Any) -> Step:
        """One pass over some rows."""


def influence(
    estimator: Fitted, X_train: Any, y_train: Any, X_test: Any, y_test: Any, *, chunk: int = CHUNK
) -> NDArray[np.floating]:
    """How far the steps on each training row pushed down the loss of each test row, to first order.

    ``I[i, j] = Σ_c α_c ⟨∇loss(train i; θ_c), ∇loss(test j; θ_c)⟩`` over the checkpoints c, with α_c the sum
    of the learning rates of the epochs that c stands for. Above 0 the row helped, below 0 it did harm. The
    inner products come from the factors: no gradient is built.

    Args:
        estimator: fitted; after ``fit(..., record_examples=True)`` its ``checkpoints_`` are taken, else its
            weights alone, with α = 1.
        X_train: inputs ``(n, n_0)``.
        y_train: their targets.
        X_test: inputs ``(n', n_0)``.
        y_test: their targets.
        chunk: how many rows of each side are worked on at once.

    Returns:
        ``(n, n')``, in units of the loss where training is by plain descent, one row a step; else to scale.

    Raises:
        InputError: X and y have different numbers of rows, or do not fit the network.
        NotFittedError: the estimator is not fitted.
        ParameterError: ``chunk`` is below 1.

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
    if chunk < 1:
        raise ParameterError(f"chunk={chunk!r} is not allowed: give at least 1 row, as {CHUNK}")
    n, n_test = _rows_of("train", X_train, y_train), _rows_of("test", X_test, y_test)
    found = np.zeros((n, n_test))
    for network, rate in _checkpoints(estimator):
        for those in _parts(n_test, chunk):
            tested = network.backprop(_some(X_test, those), _some(y_test, those)).gradient
            for these in _parts(n, chunk):
                trained = network.backprop(_some(X_train, these), _some(y_train, these)).gradient
                found[these, those] += rate * trained.gram(tested)
    return found


def _checkpoints(estimator: Fitted) -> Iterator[tuple[Fitted, float]]:
    """The estimator as it was, with the rates that this stands for."""
    if not hasattr(estimator, "checkpoints_"):
        yield estimator, 1.0
        return
    for coefs, intercepts, rate in estimator.checkpoints_:
        network = copy.copy(estimator)
        network.coefs_, network.intercepts_ = coefs, intercepts
        yield network, rate


def _rows_of(name: str, X: Any, y: Any) -> int:
    rows = [values.shape[0] if hasattr(values, "shape") else len(values) for values in (X, y)]
    if rows[0] != rows[1]:
        raise InputError(f"X_{name} has {rows[0]} rows and y_{name} {rows[1]}: give one target for each row")
    return int(rows[0])


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n, size))


def _some(values: Any, rows: slice) -> Any:
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]
