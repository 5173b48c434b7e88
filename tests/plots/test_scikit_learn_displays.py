"""scikit-learn's own displays work with our estimators."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay
from sklearn.preprocessing import scale

import batchprop as bp

mpl.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def clf(cancer):
    return bp.MLPClassifier((8,), max_iter=5, random_state=0).fit(*cancer)


@pytest.fixture
def ax():
    return Figure().subplots()


def test_confusion_matrix_display(clf, cancer, ax):
    X, y = cancer
    display = ConfusionMatrixDisplay.from_estimator(clf, X, y, ax=ax)
    assert np.trace(display.confusion_matrix) == round(clf.score(X, y) * len(y))


def test_calibration_display(clf, cancer, ax):
    X, y = cancer
    display = CalibrationDisplay.from_estimator(clf, X, y, n_bins=5, ax=ax)
    assert np.array_equal(display.y_prob, clf.predict_proba(X)[:, 1])


@pytest.mark.parametrize("kind", ["residual_vs_predicted", "actual_vs_predicted"])
def test_prediction_error_display(kind, ax):
    X, y = load_diabetes(return_X_y=True)
    reg = bp.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X * 20, y / 80)
    display = PredictionErrorDisplay.from_estimator(reg, X * 20, y / 80, kind=kind, subsample=None, ax=ax)
    assert np.array_equal(display.y_pred, reg.predict(X * 20))
