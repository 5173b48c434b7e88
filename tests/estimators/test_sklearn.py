"""Compatibility with scikit-learn: its own checks, its signatures, and its tools."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier, VotingRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import batchprop as bp
from tests.estimators.tables import quiet, with_checks

NAMES = ["MLPClassifier", "MLPRegressor"]


def small(**parameters: Any) -> bp.MLPClassifier:
    """A classifier that learns the irises in half a second."""
    return bp.MLPClassifier(
        **{
            "hidden_layer_sizes": (8,),
            "solver": "lbfgs",
            "max_iter": 500,
            "alpha": 0.1,
            "tol": 0.01,
            "random_state": 0,
            **parameters,
        }
    )


def irises() -> tuple[np.ndarray, np.ndarray]:
    """X (150, 4) of one scale, and three classes."""
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


# ---- scikit-learn's own checks


# A few large steps learn what the checks ask for; the defaults as they are have the checks of learning.
# Another type of numbers, and SGD for Adam, show only where these count; L-BFGS, whose loop is its own, also
# where a fit ends.
BRIEF: dict[str, Any] = {"max_iter": 15, "learning_rate_init": 0.02}
OF_NUMBERS = "dtype|train|weight|invariance|pipeline|partial_fit|overwrite"
OF_LOOPS = "n_iter|idempotent|unchanged|pickle|multioutput|1sample|nan_inf"


@pytest.mark.filterwarnings("ignore")
@with_checks(
    {
        bp.MLPClassifier(): "train$|param",
        bp.MLPRegressor(): "train$|param",
        bp.MLPClassifier(**BRIEF): "",
        bp.MLPRegressor(**BRIEF): OF_NUMBERS,
        bp.MLPClassifier(**BRIEF, dtype="float64"): f"{OF_NUMBERS}|sparse_matrix",
        bp.MLPClassifier(**BRIEF, dtype=None, solver="sgd"): f"{OF_NUMBERS}|sparse_array",
        bp.MLPRegressor(dtype=None, solver="lbfgs", max_iter=50): f"{OF_NUMBERS}|{OF_LOOPS}|sparse_array",
    }
)
def test_check_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


# ---- the same interface


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_defaults_match_scikit_learn(name: str) -> None:
    ours = inspect.signature(getattr(bp, name)).parameters
    theirs = inspect.signature(getattr(neural_network, name)).parameters
    for parameter, wanted in theirs.items():
        assert ours[parameter].default == wanted.default, parameter
        assert ours[parameter].kind == wanted.kind, parameter
    # So that positional calls and the order of a printed estimator are the same.
    assert list(ours)[: len(theirs)] == list(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_public_methods_match_scikit_learn(name: str) -> None:
    ours, theirs = getattr(bp, name), getattr(neural_network, name)
    methods = {member for member in dir(theirs) if not member.startswith("_")}
    assert methods <= set(dir(ours))
    for method in ("fit", "partial_fit", "predict", "score"):
        wanted = list(inspect.signature(getattr(theirs, method)).parameters)
        assert list(inspect.signature(getattr(ours, method)).parameters)[: len(wanted)] == wanted


@quiet
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "parameters", [{}, {"early_stopping": True}, {"solver": "sgd"}, {"solver": "lbfgs"}], ids=str
)
def test_fitted_attributes_match_scikit_learn(name: str, parameters: dict[str, Any]) -> None:
    X, y = irises()
    parameters = {"max_iter": 3, "random_state": 0, **parameters}
    table = pd.DataFrame(X, columns=list("abcd"))
    ours = getattr(bp, name)(**parameters).fit(table, y)
    theirs = getattr(neural_network, name)(**parameters).fit(table, y)
    public = [a for a in vars(theirs) if a.endswith("_") and not a.startswith("_")]
    assert {"coefs_", "intercepts_", "feature_names_in_"} <= set(public)
    for attribute in public:
        result, wanted = getattr(ours, attribute), getattr(theirs, attribute)
        if np.isscalar(wanted):
            assert np.isscalar(result), attribute
        else:
            assert type(result) is type(wanted), attribute
            assert wanted is None or len(result) == len(wanted), attribute
    assert [coef.shape for coef in ours.coefs_] == [coef.shape for coef in theirs.coefs_]


def test_partial_fit_is_hidden_with_lbfgs() -> None:
    assert hasattr(bp.MLPClassifier(), "partial_fit")
    assert not hasattr(bp.MLPClassifier(solver="lbfgs"), "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        bp.MLPRegressor(solver="lbfgs").partial_fit([[0.0]], [0.0])


def test_parameters_are_stored_unchanged_and_printed() -> None:
    sizes: list[Any] = [64, np.int64(32)]
    clf = bp.MLPClassifier(hidden_layer_sizes=sizes, dropout=0.5)
    assert clf.hidden_layer_sizes is sizes
    assert repr(clf).startswith("MLPClassifier(dropout=0.5, hidden_layer_sizes=[64,")
    assert clf.set_params(alpha=1.0, solver="sgd").get_params()["alpha"] == 1.0
    assert "MLPClassifier" in clf._repr_html_()


# ---- scikit-learn's tools


def test_pipeline_and_grid_search() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), small())
    grid = GridSearchCV(
        pipeline, {"mlpclassifier__alpha": [0.1, 1e4], "mlpclassifier__activation": ["tanh"]}, cv=3
    )
    grid.fit(X, y)
    assert grid.best_params_["mlpclassifier__alpha"] == 0.1
    assert grid.best_score_ > 0.9
    assert grid.predict_proba(X).shape == (150, 3)


def test_cross_validation() -> None:
    X, y = irises()
    assert cross_val_score(small(), X, y, cv=3).min() > 0.9
    assert (cross_val_predict(small(), X, y, cv=3, method="predict_log_proba") <= 0).all()
    scores = cross_validate(small(), X, y, cv=3, scoring=["accuracy", "neg_log_loss", "roc_auc_ovr"])
    assert scores["test_roc_auc_ovr"].min() > 0.95
    X, y = load_diabetes(return_X_y=True)
    reg = TransformedTargetRegressor(
        bp.MLPRegressor(solver="lbfgs", alpha=100, max_iter=200, random_state=0), transformer=StandardScaler()
    )
    assert cross_val_score(make_pipeline(StandardScaler(), reg), X, y, cv=3).mean() > 0.4


@quiet
def test_clone_gives_an_unfitted_twin() -> None:
    X, y = irises()
    clf = bp.MLPClassifier(max_iter=3, random_state=0, callbacks=[lambda _: False], dropout=(0.1,)).fit(X, y)
    twin = clone(clf)
    assert not hasattr(twin, "coefs_")
    np.testing.assert_array_equal(twin.fit(X, y).coefs_[0], clf.coefs_[0])


def test_ensembles() -> None:
    X, y = irises()
    voting = VotingClassifier([("one", small()), ("two", small(random_state=1))], voting="soft")
    assert voting.fit(X, y).score(X, y) > 0.95
    assert CalibratedClassifierCV(small(), cv=3).fit(X, y).score(X, y) > 0.95
    assert BaggingClassifier(small(), n_estimators=2, random_state=0).fit(X, y).score(X, y) > 0.9
    assert OneVsRestClassifier(small()).fit(X, y).score(X, y) > 0.9
    stack = StackingClassifier([("mlp", small())], LogisticRegression(), cv=3)
    assert stack.fit(X, y).score(X, y) > 0.95
    reg = bp.MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", alpha=1.0, tol=0.01, random_state=0)
    assert VotingRegressor([("mlp", reg)]).fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9


def test_permutation_importance_ranks_the_informative_column_first() -> None:
    X = np.random.RandomState(0).randn(200, 3)
    clf = small().fit(X, X[:, 1] > 0)
    importances = permutation_importance(clf, X, X[:, 1] > 0, random_state=0).importances_mean
    assert importances.argmax() == 1
    assert importances[1] > 0.3


def test_pipeline_set_output_passes_column_names() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), small()).set_output(transform="pandas").fit(X, y)
    assert list(pipeline[-1].feature_names_in_) == list(X.columns)
    assert pipeline.score(X, y) > 0.95
    # An estimator that predicts has nothing to set, as in scikit-learn.
    assert not hasattr(small(), "set_output")
    assert not hasattr(neural_network.MLPClassifier(), "set_output")


def test_feature_names_of_pandas_columns_are_stored() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    clf = small().fit(X, y)
    assert list(clf.feature_names_in_) == list(X.columns)
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        clf.predict(X.rename(columns={"petal width (cm)": "petal breadth"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        clf.predict(X[X.columns[::-1]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        clf.predict(X.to_numpy())


@quiet
def test_pandas_columns_with_a_validation_set_and_early_stopping() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    clf: Any = bp.MLPClassifier(max_iter=5, early_stopping=True, scoring="neg_log_loss", random_state=0)
    assert len(clf.fit(X, y).validation_scores_) == 5
    assert len(clf.fit(X, y, X_val=X[::3], y_val=y[::3]).validation_scores_) == 5
    assert list(clf.feature_names_in_) == list(X.columns)


def test_mixed_columns_through_a_column_transformer() -> None:
    rng = np.random.RandomState(0)
    table = pd.DataFrame({"size": rng.randn(120), "colour": rng.choice(["red", "blue"], 120)})
    y = np.where((table["size"] > 0) == (table["colour"] == "red"), "yes", "no")
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    assert make_pipeline(columns, small()).fit(table, y).score(table, y) > 0.95


@pytest.fixture
def routing() -> Any:
    """scikit-learn's metadata routing, for the duration of one test."""
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_sample_weight_is_routed() -> None:
    X, y = irises()
    weights = (y != 2).astype(float)
    clf = small().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipeline = make_pipeline(clf).fit(X, y, sample_weight=weights)
    assert set(pipeline.predict(X)) == {0, 1}
    grid = GridSearchCV(clf, {"alpha": [0.1]}, cv=3).fit(X, y, sample_weight=weights)
    assert grid.best_score_ > 0.95
    unasked = small().set_fit_request(sample_weight=False)
    assert set(make_pipeline(unasked).fit(X, y).predict(X)) == {0, 1, 2}


@pytest.mark.usefixtures("routing")
def test_a_validation_set_can_be_routed() -> None:
    X, y = irises()
    clf = small().set_fit_request(X_val=True, y_val=True)
    pipeline = make_pipeline(clf).fit(X, y, X_val=X[:30], y_val=y[:30])
    assert len(pipeline[-1].validation_loss_curve_) == pipeline[-1].n_iter_
