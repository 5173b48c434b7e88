"""Influence: inner products of gradients over the snapshots, and the effect of real steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import batchprop as bp
from batchprop.errors import InputError, ParameterError
from tests.estimators.tables import TARGETS, estimator, refused, table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(target: str, *, record: bool = True, **settings: Any) -> Any:
    X, y = table(target)
    model = estimator(target, dtype="float64", tol=0, batch_size=40, **settings)
    return model.fit(X, y, record_examples=record)


def built(model: Any, X: Any, y: Any) -> np.ndarray:
    """Each row's gradient as one vector, from passes over single rows."""
    steps = [model.backprop(X[[i]], y[[i]]) for i in range(len(y))]
    return np.array(
        [np.concatenate([g.ravel() for layer in s.gradient.mean() for g in layer]) for s in steps]
    )


@pytest.mark.untraced
@pytest.mark.parametrize("chunk", [7, 1024])
@pytest.mark.parametrize("target", TARGETS)
def test_influence_is_the_sum_of_inner_products_over_snapshots(target: str, chunk: int) -> None:
    X, y = table(target)
    model, expected = fitted(target), np.zeros((30, 12))
    for coefs, intercepts, _, rate in model.weight_snapshots_:
        then = clone(model).set_params(max_iter=1).fit(X, y)
        then.coefs_, then.intercepts_ = coefs, intercepts
        expected += rate * built(then, X[:30], y[:30]) @ built(then, X[30:42], y[30:42]).T
    result = bp.influence(model, X[:30], y[:30], X[30:42], y[30:42], chunk=chunk)
    assert_allclose(result, expected, rtol=1e-10, atol=1e-12)


def test_snapshots_match_shorter_fits_with_the_same_rates() -> None:
    model = fitted("multiclass", max_iter=11, solver="sgd", learning_rate="invscaling")
    X, y = table("multiclass")
    begun, *later = model.weight_snapshots_
    assert (begun.epoch, begun.learning_rate_sum) == (0, 0.0)
    assert [one.epoch for one in later] == [1, 2, 4, 8, 11]
    rates = np.array(model.learning_rate_curve_)
    for before, one in pairwise(model.weight_snapshots_):
        then = clone(model).set_params(max_iter=one.epoch).fit(X, y)
        assert_allclose(one.learning_rate_sum, rates[before.epoch : one.epoch].sum())
        for ours, theirs in zip(one.coefs + one.intercepts, then.coefs_ + then.intercepts_, strict=True):
            assert_allclose(ours, theirs, rtol=1e-12)
    assert_array_equal(model.at_snapshot(later[-1]).predict_proba(X), model.predict_proba(X))


def test_first_snapshot_has_the_initial_weights() -> None:
    X, y = table("multiclass")
    model = fitted("multiclass", max_iter=3)
    still = {"learning_rate_init": 1e-300, "solver": "sgd", "max_iter": 1}
    begun, drawn = model.weight_snapshots_[0], clone(model).set_params(**still).fit(X, y)
    for ours, theirs in zip(begun.coefs + begun.intercepts, drawn.coefs_ + drawn.intercepts_, strict=True):
        assert_array_equal(ours, theirs)
    again = model.at_snapshot(begun)
    assert again.backprop(X, y).loss > model.backprop(X, y).loss


def test_unrecorded_fit_uses_only_its_final_weights() -> None:
    X, y = table("single")
    model = fitted("single", record=False)
    G = built(model, X[:20], y[:20])
    assert not hasattr(model, "weight_snapshots_")
    assert_allclose(bp.influence(model, X[:20], y[:20], X[:20], y[:20]), G @ G.T, rtol=1e-10)


def test_influence_predicts_the_effect_of_a_small_step() -> None:
    X, y = table("multiclass")
    model, rate = fitted("multiclass", record=False), 1e-6
    before = model.backprop(X, y).losses
    expected = bp.influence(model, X[:5], y[:5], X, y)
    for i in range(5):
        step = model.backprop(X[[i]], y[[i]]).gradient.mean()
        moved = fitted("multiclass", record=False)
        moved.coefs_ = [W - rate * g.W.T for W, g in zip(model.coefs_, step, strict=True)]
        moved.intercepts_ = [b - rate * g.b for b, g in zip(model.intercepts_, step, strict=True)]
        assert_allclose((before - moved.backprop(X, y).losses) / rate, expected[i], rtol=1e-3, atol=1e-3)


def test_accepts_data_frames_lists_and_sparse_rows() -> None:
    X, y = table("multiclass")
    model = fitted("multiclass")
    plain = bp.influence(model, X, y, X[:3], y[:3], chunk=50)
    shuffled = pd.Series(y, index=np.arange(len(y))[::-1])
    for rows, given in ((csr_matrix(X), y), (X.tolist(), y.tolist()), (X, shuffled)):
        assert_allclose(bp.influence(model, rows, given, X[:3], y[:3], chunk=50), plain, rtol=1e-10)


@pytest.mark.untraced
def test_mislabelled_rows_harm_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) + np.repeat([[-2.0, 0.0], [2.0, 0.0]], 150, axis=0)
    y = np.repeat([0, 1], 150)
    given = y.copy()
    given[:10] = 1
    model = bp.MLPClassifier((16,), random_state=0, max_iter=50, dtype="float64")
    model.fit(X, given, record_examples=True)
    result = bp.influence(model, X, given, X[10:150], y[10:150]).mean(axis=1)
    assert (result[:10] < 0).all()
    assert (result[10:150] > 0).mean() > 0.9


def test_mismatched_arguments_are_refused() -> None:
    X, y = table("multiclass")
    model = fitted("multiclass")
    with refused("X_test has 3 rows and y_test 2", "one target for each row"):
        bp.influence(model, X, y, X[:3], y[:2])
    with pytest.raises(NotFittedError):
        bp.influence(estimator("multiclass"), X, y, X, y)


@pytest.mark.parametrize("chunk", [0, 1.5, "a", None])
def test_invalid_chunk_size_is_refused(chunk: Any) -> None:
    X, y = table("multiclass")
    with refused(f"chunk={chunk!r} is not allowed: give at least 1 row", kind=ParameterError):
        bp.influence(fitted("multiclass"), X, y, X, y, chunk=chunk)


@pytest.mark.parametrize(
    ("rows", "targets", "told"),
    [
        (np.zeros(4), np.zeros(4), "X_test has shape (4,): give rows and columns"),
        ([1.0, 2.0], [0, 1], "X_test has shape (2,): give rows and columns"),
        (np.zeros((2, 2, 2)), [0, 1], "X_test has shape (2, 2, 2): give rows and columns"),
        (None, [0], "X_test is None: give an array, a frame or a list of rows"),
        ([], [], "X_test is []: give an array"),
        (np.zeros((1, 4)), np.float64(1), "y_test is the single number 1.0: give a value for each row"),
        (np.zeros((1, 4)), None, "y_test is None"),
    ],
)
def test_input_that_is_not_a_table_is_refused(rows: Any, targets: Any, told: str) -> None:
    X, y = table("multiclass")
    with refused(told, kind=InputError):
        bp.influence(fitted("multiclass"), X, y, rows, targets)


def test_estimator_without_gradients_is_refused() -> None:
    other: Any = object()
    with refused("a object has no gradients of its own: give a fitted MLPClassifier or MLPRegressor"):
        bp.influence(other, [[0.0]], [0.0], [[0.0]], [0.0])
