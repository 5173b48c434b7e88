"""Scores on the test rows, beside those of the simplest guess: the majority class, or the mean."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

_BINARY = 2

Scores = dict[str, float]
Array = npt.NDArray[Any]


def classification_scores(y: Array, P: Array, classes: Array) -> Scores:
    """Return accuracy, balanced accuracy, macro F1 and log loss, and for two classes ROC AUC.

    Args:
        y: the true labels (n,).
        P: a probability for each row and class (n, k).
        classes: the classes in the order of P's columns (k,).

    >>> classification_scores(
    ...     np.array([0, 1]), np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1])
    ... )["accuracy"]
    1.0
    """
    P = P.astype(float)
    P /= P.sum(axis=1, keepdims=True)
    guess = classes[P.argmax(axis=1)]
    # Over the classes among the test rows, as balanced_accuracy_score, but without its warning.
    recalls = [np.mean(guess[y == label] == label) for label in np.unique(y)]
    scores = {
        "accuracy": np.mean(guess == y),
        "balanced accuracy": np.mean(recalls),
        "macro F1": metrics.f1_score(y, guess, average="macro", zero_division=0.0),
        "log loss": metrics.log_loss(y, P, labels=classes),
    }
    if len(classes) == len(np.unique(y)) == _BINARY:
        scores["ROC AUC"] = metrics.roc_auc_score(y == classes[1], P[:, 1])
    return {name: float(score) for name, score in scores.items()}


def regression_scores(y: Array, guess: Array, loss: str = "squared_error", quantile: float = 0.5) -> Scores:
    """Return R², the root of the mean squared error, the mean absolute error, and the loss's own score.

    One row alone has no R². The loss "quantile" adds the mean pinball loss, "poisson" the mean deviance.

    Args:
        y: the true numbers (n,).
        guess: the predicted ones (n,).
        loss: the minimised loss.
        quantile: its level, with the loss "quantile".

    >>> regression_scores(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    {'R²': 0.0, 'root mean squared error': 1.0, 'mean absolute error': 1.0}
    """
    # One number has no variance to compare with.
    scores = {"R²": metrics.r2_score(y, guess)} if len(y) > 1 else {}
    scores |= {
        "root mean squared error": metrics.root_mean_squared_error(y, guess),
        "mean absolute error": metrics.mean_absolute_error(y, guess),
    }
    if loss == "quantile":
        scores[f"pinball loss of quantile {quantile:g}"] = metrics.mean_pinball_loss(y, guess, alpha=quantile)
    if loss == "poisson":
        # The exponential of a very negative number is 0 in float32, and the deviance takes its logarithm.
        above_0 = np.maximum(guess.astype(float), np.finfo(float).tiny)
        scores["mean Poisson deviance"] = metrics.mean_poisson_deviance(y, above_0)
    return {name: float(score) for name, score in scores.items()}


def dummy_classification_scores(y_train: Array, y_test: Array, counts: Array | None = None) -> Scores:
    """Score the guess that every row is of the most frequent class; its log loss uses the class shares.

    Args:
        y_train: labels of the training rows (n,).
        y_test: of the test rows.
        counts: how often each training label occurs (n,); None for once.
    """
    nothing_train, nothing_test = np.zeros((len(y_train), 1)), np.zeros((len(y_test), 1))
    prior = DummyClassifier(strategy="prior").fit(nothing_train, y_train, counts)
    return classification_scores(y_test, prior.predict_proba(nothing_test), prior.classes_)


def dummy_regression_scores(
    y_train: Array, y_test: Array, loss: str = "squared_error", quantile: float = 0.5
) -> Scores:
    """Score the guess that every row is the mean of the training rows, or the quantile of the loss."""
    nothing_train, nothing_test = np.zeros((len(y_train), 1)), np.zeros((len(y_test), 1))
    if loss == "quantile":
        constant = DummyRegressor(strategy="quantile", quantile=quantile)
    else:
        constant = DummyRegressor(strategy="mean")
    guess = constant.fit(nothing_train, y_train).predict(nothing_test)
    return regression_scores(y_test, guess, loss, quantile)
