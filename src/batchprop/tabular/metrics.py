"""Scores on the test rows, beside those of the simplest guess: the majority class, or the mean."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

from batchprop.format import label_with_unit
from batchprop.tabular.scales import scale_to_1

R2, RMSE, MAE = "R²", "root mean squared error", "mean absolute error"
DEVIANCE = "mean Poisson deviance"
_BINARY = 2

Scores = dict[str, float]
Array = npt.NDArray[Any]


def classification_scores(y: Array, P: Array, classes: Array, weights: Array | None = None) -> Scores:
    """Return accuracy, balanced accuracy, macro F1 and log loss, and for two classes ROC AUC.

    Args:
        y: the true labels (n,).
        P: a probability for each row and class (n, k).
        classes: the classes in the order of P's columns (k,).
        weights: how much each row counts (n,), at least one of them more than 0; None for once.

    >>> classification_scores(
    ...     np.array([0, 1]), np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1])
    ... )["accuracy"]
    1.0
    """
    # Their indices: scikit-learn refuses fractions as labels.
    y, classes = np.searchsorted(classes, y), np.arange(len(classes))
    y, P, weights = without_zeros(weights, y, P.astype(float))
    P /= P.sum(axis=1, keepdims=True)
    guess = P.argmax(axis=1)
    # Over the classes among the test rows, as balanced_accuracy_score, but without its warning.
    labels = np.unique(y)
    recalls = [_weighted_share(guess == label, weights, y == label) for label in labels]
    scores = {
        "accuracy": np.average(guess == y, weights=weights),
        "balanced accuracy": np.mean(recalls),
        "macro F1": metrics.f1_score(y, guess, average="macro", zero_division=0.0, sample_weight=weights),
        "log loss": metrics.log_loss(y, P, labels=classes, sample_weight=weights),
    }
    if len(classes) == len(labels) == _BINARY:
        scores["ROC AUC"] = metrics.roc_auc_score(y == classes[1], P[:, 1], sample_weight=weights)
    return {name: float(score) for name, score in scores.items()}


def without_zeros(weights: Array | None, *arrays: Array) -> tuple[Any, ...]:
    """Return arrays (n, ...) without the rows of weight 0, and the other weights, divided by their largest.

    >>> without_zeros(np.array([0, 2, 1]), np.array([7, 8, 9]))
    (array([8, 9]), array([1. , 0.5]))
    """
    if weights is None:
        return (*arrays, None)
    counted = weights > 0
    return (*(array[counted] for array in arrays), weights[counted] / weights.max())


def _weighted_share(hit: Array, weights: Array | None, rows: Array) -> Any:
    return np.average(hit[rows], weights=None if weights is None else weights[rows])


def regression_scores(
    y: Array,
    guess: Array,
    loss: str = "squared_error",
    quantile: float = 0.5,
    *,
    weights: Array | None = None,
) -> Scores:
    """Return R², the root of the mean squared error, the mean absolute error, and the loss's own score.

    One row alone has no R². The loss "quantile" adds the mean pinball loss, "poisson" the mean deviance.

    Args:
        y: the true numbers (n,).
        guess: the predicted ones (n,).
        loss: the minimised loss.
        quantile: its level, with the loss "quantile".
        weights: how much each row counts (n,), at least one of them more than 0; None for once.

    >>> regression_scores(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    {'R²': 0.0, 'root mean squared error': 1.0, 'mean absolute error': 1.0}
    """
    y, guess, weights = without_zeros(weights, y, guess)
    weighted = {"sample_weight": weights}
    (y_near_1, guess_near_1), exponent = scale_to_1(y, guess)
    # One number has no variance to compare with.
    scores = {R2: metrics.r2_score(y_near_1, guess_near_1, **weighted)} if len(y) > 1 else {}
    root = metrics.root_mean_squared_error(y_near_1, guess_near_1, **weighted)
    scores |= {
        RMSE: np.ldexp(root, exponent),
        MAE: metrics.mean_absolute_error(y, guess, **weighted),
    }
    if loss == "quantile":
        pinball = metrics.mean_pinball_loss(y, guess, alpha=quantile, **weighted)
        scores[f"pinball loss of quantile {quantile:g}"] = pinball
    if loss == "poisson":
        # The exponential of a very negative number is 0 in float32, and the deviance takes its logarithm.
        above_0 = np.maximum(guess.astype(float), np.finfo(float).tiny)
        scores[DEVIANCE] = metrics.mean_poisson_deviance(y, above_0, **weighted)
    return {name: float(score) for name, score in scores.items()}


def unit_of(score: str, unit: str) -> str:
    """Return the unit of a regression score, which is that of the target, or none.

    >>> unit_of("mean absolute error", "€"), unit_of("R²", "€")
    ('€', '')
    """
    return "" if score in (R2, DEVIANCE) else unit


def label_score(score: str, unit: str) -> str:
    """Name a score with its unit, for tables and axes.

    >>> label_score("mean absolute error", "€"), label_score("R²", "€")
    ('mean absolute error, in €', 'R²')
    """
    return label_with_unit(score, unit_of(score, unit))


def dummy_classification_scores(
    y_train: Array, y_test: Array, counts: Array | None = None, weights: Array | None = None
) -> Scores:
    """Score the guess that every row is of the most frequent class; its log loss uses the class shares.

    Args:
        y_train: labels of the training rows (n,).
        y_test: of the test rows.
        counts: how much each training label counts (n,); None for once.
        weights: how much each test row counts; None for once.
    """
    nothing_train, nothing_test = np.zeros((len(y_train), 1)), np.zeros((len(y_test), 1))
    prior = DummyClassifier(strategy="prior").fit(nothing_train, y_train, counts)
    return classification_scores(y_test, prior.predict_proba(nothing_test), prior.classes_, weights)


def dummy_regression_scores(
    y_train: Array,
    y_test: Array,
    loss: str = "squared_error",
    quantile: float = 0.5,
    *,
    counts: Array | None = None,
    weights: Array | None = None,
) -> Scores:
    """Score the guess that every row is the mean of the training rows, or the quantile of the loss.

    Args:
        y_train: numbers of the training rows (n,).
        y_test: of the test rows.
        loss: the minimised loss.
        quantile: its level, with the loss "quantile".
        counts: how much each training row counts (n,); None for once.
        weights: how much each test row counts; None for once.
    """
    nothing_train, nothing_test = np.zeros((len(y_train), 1)), np.zeros((len(y_test), 1))
    if loss == "quantile":
        constant = DummyRegressor(strategy="quantile", quantile=quantile)
    else:
        constant = DummyRegressor(strategy="mean")
    guess = constant.fit(nothing_train, y_train, counts).predict(nothing_test)
    return regression_scores(y_test, guess, loss, quantile, weights=weights)
