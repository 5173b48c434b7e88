"""Ensembles: their folds, their averages and their temperature, against plain loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.base import clone

from batchprop import MLPClassifier, MLPRegressor
from batchprop.errors import CheckpointError, InputError, ParameterError
from batchprop.estimators.checkpoints import Checkpoints
from batchprop.estimators.ensemble import (
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    fit_temperature,
    member_folds,
    merge_ensembles,
)
from batchprop.privacy import Privacy
from tests.estimators.test_checkpoints import DiedError, dying_after

NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (8,),
    "max_iter": 5,
    "early_stopping": True,
    "scoring": "loss",
    "tol": 0.0,
}


@given(st.integers(1, 20), st.integers(16, 60), st.integers(0, 9))
def test_every_row_is_held_out_as_often_as_any_other_and_never_learned_from_then(n_members, n_rows, seed):
    folds = member_folds(n_members, n_rows, None, seed)
    assert len(folds) == n_members
    for train, held_out in folds:
        assert sorted([*train, *held_out]) == list(range(n_rows))
    times = np.bincount(np.concatenate([fold.held_out for fold in folds]), minlength=n_rows)
    if n_members in {4, 5, 6, 7, 8, 16}:
        assert set(times) == {max(n_members // 8, 1)}


@given(st.lists(st.integers(0, 5), min_size=40, max_size=60))
def test_no_member_lacks_a_class(labels):
    labels = np.array([*labels, *[6] * 8])
    for train, held_out in member_folds(5, len(labels), labels, 0):
        assert set(labels[train]) == set(labels)
        assert sorted([*train, *held_out]) == list(range(len(labels)))


def test_too_few_rows_to_hold_out_are_refused_and_few_are_divided_in_fewer_parts():
    with pytest.raises(InputError, match="n_samples = 1: no class has two rows"):
        member_folds(8, 1, None, 0)
    folds = member_folds(8, 5, None, 0)
    assert [len(fold.held_out) for fold in folds] == [1] * 8
    assert sorted(row for fold in folds[:5] for row in fold.held_out) == list(range(5))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning")
def test_probabilities_are_the_mean_of_the_members_and_those_of_held_out_rows_are_of_their_own_member():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3)).astype(np.float32)
    y = np.array(["a", "b", "c"])[(X[:, 0] + rng.normal(size=90) * 0.3 > 0).astype(int) + (X[:, 1] > 1)]
    folds = member_folds(4, 90, y, 0)
    ensemble = MLPEnsembleClassifier(MLPClassifier(random_state=3, **NETWORK)).fit(X, y, folds=folds)
    T = ensemble.temperature_

    def alone(number, rows):
        train, held_out = folds[number]
        network = MLPClassifier(random_state=3 + number, **NETWORK)
        network.fit(X[train], y[train], X_val=X[held_out], y_val=y[held_out])
        return softmax(network.predict_log_proba(X[rows]) / T, axis=1)

    rows = np.arange(90)
    np.testing.assert_allclose(
        ensemble.predict_proba(X), np.mean([alone(k, rows) for k in range(4)], axis=0), atol=1e-6
    )
    for k, fold in enumerate(folds):
        np.testing.assert_allclose(ensemble.out_of_fold_[fold.held_out], alone(k, fold.held_out), atol=1e-6)
    assert (ensemble.predict(X) == ensemble.classes_[ensemble.predict_proba(X).argmax(1)]).all()


def test_answers_of_a_regression_are_the_mean_of_the_members():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 2))
    y, weights = X[:, 0] - X[:, 1], rng.uniform(0.5, 2, 60)
    ensemble = MLPEnsembleRegressor(MLPRegressor(random_state=0, **NETWORK)).fit(X, y, weights)
    np.testing.assert_allclose(
        ensemble.predict(X), np.mean([m.predict(X) for m in ensemble.members_], axis=0)
    )
    assert np.isfinite(ensemble.out_of_fold_).all()
    assert not np.array_equal(ensemble.members_[0].coefs_[0], ensemble.members_[1].coefs_[0])


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.0])
def test_temperature_is_that_which_a_search_finds_best(true_temperature):
    rng = np.random.default_rng(2)
    Z = rng.normal(size=(4000, 3)) * 2
    codes = np.array([rng.choice(3, p=p) for p in softmax(Z, axis=1)])
    logs = log_softmax(Z * true_temperature, axis=1)
    fitted = fit_temperature(logs, codes)
    grid = np.linspace(0.34, 2.9, 200)
    losses = [-log_softmax(logs / T, axis=1)[np.arange(4000), codes].mean() for T in grid]
    assert abs(fitted - grid[np.argmin(losses)]) < 0.02
    assert abs(fitted - true_temperature) < 0.15 * true_temperature


def test_no_epoch_begins_after_the_time_limit_and_one_member_is_always_trained():
    X, y = np.arange(40.0)[:, None], np.arange(40.0)
    ensemble = MLPEnsembleRegressor(
        MLPRegressor(random_state=0, **NETWORK | {"max_iter": 10**6, "n_iter_no_change": 10**6}),
        time_limit=1e-9,
    ).fit(X, y)
    assert [member.n_iter_ for member in ensemble.members_] == [1]
    assert ensemble.members_[0].callbacks is None


def test_folds_that_are_not_one_for_each_member_are_refused():
    with pytest.raises(ParameterError, match="n_members=4 differs from the 5 folds"):
        MLPEnsembleRegressor(MLPRegressor()).fit(
            np.zeros((40, 1)), np.zeros(40), folds=member_folds(5, 40, None, 0)
        )


def test_an_ensemble_that_died_anywhere_ends_as_one_that_did_not(tmp_path):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(80, 3))
    y, weights = rng.integers(0, 2, 80), rng.uniform(0.5, 2, 80)
    # There is nothing to learn, so members end early, and are kept as they are.
    network = MLPClassifier(random_state=1, **NETWORK | {"n_iter_no_change": 1, "learning_rate_init": 1.0})
    whole = MLPEnsembleClassifier(network).fit(X, y, weights)
    assert min(member.n_iter_ for member in whole.members_) < 5
    for n_writes in (1, 7, 4):
        with dying_after(n_writes), pytest.raises(DiedError):
            MLPEnsembleClassifier(network).fit(
                X, y, weights, checkpoint=Checkpoints(tmp_path, 1), resume=True
            )
    resumed = MLPEnsembleClassifier(network).fit(X, y, weights, checkpoint=Checkpoints(tmp_path), resume=True)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    np.testing.assert_array_equal(resumed.out_of_fold_, whole.out_of_fold_)
    assert resumed.temperature_ == whole.temperature_
    with pytest.raises(CheckpointError, match="member-1 holds checkpoints of an earlier fit: resume"):
        MLPEnsembleClassifier(network).fit(X, y, weights, checkpoint=Checkpoints(tmp_path))
    with pytest.raises(CheckpointError, match="the checkpoint is of another fit: rows"):
        MLPEnsembleClassifier(network, n_members=5).fit(
            X, y, weights, checkpoint=Checkpoints(tmp_path), resume=True
        )


def test_ctrl_c_ends_the_ensemble_with_the_members_so_far_and_resume_trains_the_others(tmp_path):
    X, y = np.arange(40.0)[:, None] / 40, np.arange(40.0) / 40
    network = MLPRegressor(random_state=0, **NETWORK)
    whole = MLPEnsembleRegressor(network).fit(X, y)
    epochs = []

    def interrupt(epoch):
        epochs.append(epoch.number)
        if len(epochs) == 8:
            raise KeyboardInterrupt

    ensemble = MLPEnsembleRegressor(clone(network).set_params(callbacks=[interrupt]))
    with pytest.warns(UserWarning, match="Ctrl-C ended training after 3 epochs"):
        ensemble.fit(X, y, checkpoint=Checkpoints(tmp_path))
    assert [member.n_iter_ for member in ensemble.members_] == [5, 3]
    resumed = MLPEnsembleRegressor(network).fit(X, y, checkpoint=Checkpoints(tmp_path), resume=True)
    np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))


def test_a_private_ensemble_is_refused():
    with pytest.raises(ParameterError, match="is not allowed in an ensemble: each member would spend"):
        MLPEnsembleRegressor(MLPRegressor(privacy=Privacy(epsilon=1.0, delta=1e-5))).fit(
            np.zeros((40, 1)), np.zeros(40)
        )


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_merged_classifiers_answer_with_the_mean_of_their_calibrated_answers(n_classes):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 3)), np.arange(60) % n_classes
    both = [
        MLPEnsembleClassifier(MLPClassifier(**NETWORK, random_state=seed), n_members=2).fit(X, y)
        for seed in (0, 5)
    ]
    both[1].temperature_ = 2.0
    merged = merge_ensembles(both)
    expected = np.mean([each.predict_proba(X) for each in both], axis=0)
    np.testing.assert_allclose(merged.predict_proba(X), expected, rtol=1e-6)
    np.testing.assert_allclose(
        merged.out_of_fold_, np.mean([each.out_of_fold_ for each in both], axis=0), equal_nan=True
    )
    assert both[0].n_members == 2 < merged.n_members == len(merged.members_) == 4
