"""Scores agree with scikit-learn's, and the baseline is the simplest guess."""

import numpy as np
import pytest
from sklearn import metrics

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
