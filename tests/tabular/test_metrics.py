"""Scores agree with scikit-learn's, and the baseline is the simplest guess."""

import numpy as np
import pytest
from sklearn import metrics

from batchprop.tabular.intervals import bootstrap_classification, bootstrap_regression
from batchprop.tabular.metrics import (
    classification_scores,
    dummy_classification_scores,
    dummy_regression_scores,
    regression_scores,
)


def test_classification_scores_match_scikit_learn():
    rng = np.random.default_rng(0)
    P = rng.dirichlet([1, 1, 1], 200)
    classes = np.array(["a", "b", "c"])
    y = rng.choice(classes, 200)
    scores = classification_scores(y, P, classes)
    guess = classes[P.argmax(axis=1)]
    assert scores["accuracy"] == metrics.accuracy_score(y, guess)
    assert scores["balanced accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, guess))
    assert scores["log loss"] == pytest.approx(metrics.log_loss(y, P, labels=classes))


def test_float32_probabilities_need_not_sum_to_one_exactly():
    P = np.full((4, 3), 1 / 3, dtype=np.float32)
    assert classification_scores(np.array([0, 1, 2, 0]), P, np.arange(3))["log loss"] == pytest.approx(
        np.log(3), abs=1e-6
    )


def test_roc_auc_exists_for_two_classes_and_not_for_one():
    P = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert classification_scores(np.array([0, 1]), P, np.arange(2))["ROC AUC"] == 1.0
    assert "ROC AUC" not in classification_scores(np.array([0, 0]), P, np.arange(2))


def test_majority_baseline_accuracy_is_the_majority_share():
    y_train, y_test = np.repeat([0, 1], [30, 10]), np.repeat([0, 1], [6, 4])
    assert dummy_classification_scores(y_train, y_test)["accuracy"] == 0.6


def test_quantile_score_is_pinball_loss_with_a_constant_baseline():
    y = np.arange(101.0)
    scores, baseline = (
        regression_scores(y, y + 1, "quantile", 0.9),
        dummy_regression_scores(y, y, "quantile", 0.9),
    )
    assert scores["pinball loss of quantile 0.9"] == pytest.approx(0.1)
    expected = metrics.mean_pinball_loss(y, np.full(101, 90.0), alpha=0.9)
    assert baseline["pinball loss of quantile 0.9"] == pytest.approx(expected)


def test_count_score_is_poisson_deviance_even_at_prediction_0():
    y = np.array([0.0, 1.0, 2.0])
    assert regression_scores(y, y, "poisson")["mean Poisson deviance"] == pytest.approx(0)
    assert np.isfinite(regression_scores(y, np.zeros(3, np.float32), "poisson")["mean Poisson deviance"])


def test_mean_baseline_has_an_r2_of_0():
    y = np.array([1.0, 2.0, 3.0])
    scores = dummy_regression_scores(y, y)
    assert scores["R²"] == 0.0
    assert scores["mean absolute error"] == pytest.approx(2 / 3)
    assert regression_scores(y, y)["R²"] == 1.0


COUNTS = np.array([0, 1, 2, 3, 5] * 12)
"""Whole weights of 60 rows: a row of weight 3 is the same as three rows."""


def repeated(*arrays):
    return [np.repeat(array, COUNTS, axis=0) for array in arrays]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_weighted_classification_scores_are_those_of_repeated_rows(classes, scale):
    rng = np.random.default_rng(classes)
    labels = np.array(["a", "b", "c"])[:classes]
    P, y = rng.dirichlet(np.ones(classes), 60), rng.choice(labels, 60)
    y_rows, P_rows = repeated(y, P)
    scores = classification_scores(y, P, labels, scale * COUNTS)
    assert scores == pytest.approx(classification_scores(y_rows, P_rows, labels))
    guess = labels[P.argmax(axis=1)]
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(y, guess, sample_weight=COUNTS))
    baseline = dummy_classification_scores(y, y, scale * COUNTS, scale * COUNTS)
    assert baseline == pytest.approx(dummy_classification_scores(y_rows, y_rows))


@pytest.mark.parametrize("loss", ["squared_error", "quantile", "poisson"])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_weighted_regression_scores_are_those_of_repeated_rows(loss, scale):
    rng = np.random.default_rng(1)
    y = rng.poisson(3.0, 60).astype(float)
    guess = y + rng.uniform(0, 1, 60)
    # A row of weight 0 may hold anything.
    y[COUNTS == 0] = 1e20
    y_rows, guess_rows = repeated(y, guess)
    scores = regression_scores(y, guess, loss, 0.5, weights=scale * COUNTS)
    assert scores == pytest.approx(regression_scores(y_rows, guess_rows, loss, 0.5))
    if loss != "quantile":  # scikit-learn's weighted quantile is one of the numbers, not between two
        baseline = dummy_regression_scores(y, y, loss, 0.5, counts=scale * COUNTS, weights=scale * COUNTS)
        assert baseline == pytest.approx(dummy_regression_scores(y_rows, y_rows, loss, 0.5))


def test_weighted_intervals_hold_the_weighted_scores():
    rng = np.random.default_rng(2)
    weights = rng.choice([0.0, 1.0, 9.0], 300)
    labels = np.array(["no", "yes"])
    y = rng.choice(labels, 300)
    # Rows that count much are answered rightly; the others are guessed.
    right = np.where(y == "yes", 0.9, 0.1)
    p = np.where((weights > 1) | (rng.random(300) < 0.5), right, 1 - right)
    P = np.column_stack([1 - p, p])
    for name, score in classification_scores(y, P, labels, weights).items():
        low, high = bootstrap_classification(y, P, labels, weights=weights)[name]
        assert low < score < high, name
        plain = bootstrap_classification(y, P, labels)[name]
        assert not plain[0] < score < plain[1], name
    z = rng.normal(size=300)
    guess = z + np.where(weights > 1, 0.01, 1.0) * rng.normal(size=300)
    for name, score in regression_scores(z, guess, weights=weights).items():
        low, high = bootstrap_regression(z, guess, weights=weights)[name]
        assert low < score < high, name


def test_intervals_of_equal_weights_are_those_without():
    rng = np.random.default_rng(3)
    labels = np.array([0, 1])
    y, P = rng.choice(labels, 50), rng.dirichlet([1, 1], 50)
    plain, weighted = (bootstrap_classification(y, P, labels, weights=w) for w in (None, np.full(50, 7.0)))
    assert {name: pytest.approx(ends) for name, ends in plain.items()} == weighted
    z = rng.normal(size=50)
    plain, weighted = (bootstrap_regression(z, z + P[:, 0], weights=w) for w in (None, np.full(50, 7.0)))
    assert {name: pytest.approx(ends) for name, ends in plain.items()} == weighted
