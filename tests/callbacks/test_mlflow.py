"""MLflow's client reads what the callback logs to a local store."""

from __future__ import annotations

import pickle
import sys
from copy import deepcopy
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import batchprop as bp
from batchprop.callbacks import MlflowLogger
from tests.callbacks.fits import fit, network, stop, table

if TYPE_CHECKING:
    import mlflow


@pytest.fixture(scope="module", autouse=True)
def imported():
    """Import MLflow where its tests run: every process collects them, and its import takes a second."""
    globals()["mlflow"] = import_module("mlflow")


def metric(client, run_id, name="loss"):
    history = client.get_metric_history(run_id, name)
    return [point.step for point in history], [point.value for point in history]


def active_run_id():
    run: Any = mlflow.active_run()
    return run.info.run_id


def all_runs(client, experiment="0"):
    return client.search_runs([experiment])


def test_a_fit_is_a_run_with_its_parameters_and_every_epoch(store):
    clf = fit(network(MlflowLogger(), early_stopping=True, alpha=0.25))
    (run,) = all_runs(store)
    assert run.info.run_id == clf.callbacks[0].run_id
    assert run.info.status == "FINISHED"
    assert mlflow.active_run() is None
    parameters = clf.get_params(deep=False)
    assert set(run.data.params) == set(parameters) - {"callbacks"}
    assert (run.data.params["alpha"], run.data.params["hidden_layer_sizes"]) == ("0.25", "(4,)")
    curves = {
        "loss": clf.loss_curve_,
        "learning_rate": clf.learning_rate_curve_,
        "validation_loss": clf.validation_loss_curve_,
        "validation_score": clf.validation_scores_,
    }
    assert set(run.data.metrics) == {*curves, "rows_per_second"}
    for name, curve in curves.items():
        assert metric(store, run.info.run_id, name) == ([1, 2, 3], pytest.approx(curve))


def test_private_fit_does_not_log_its_loss(store):
    privacy = bp.privacy.Privacy(noise_multiplier=1.0, max_norm=1.0, delta=1e-5)
    fit(network(MlflowLogger(), privacy=privacy))
    (run,) = all_runs(store)
    assert set(run.data.metrics) == {"learning_rate", "rows_per_second"}


def test_active_run_is_used_and_stays_active(store):
    with mlflow.start_run() as active:
        mlflow.log_param("alpha", "as the user logged it")
        clf = fit(network(MlflowLogger()))
        assert active_run_id() == active.info.run_id == clf.callbacks[0].run_id
        assert store.get_run(active.info.run_id).info.status == "RUNNING"
    (run,) = all_runs(store)
    assert metric(store, run.info.run_id) == ([1, 2, 3], pytest.approx(clf.loss_curve_))
    assert run.data.params["alpha"] == "as the user logged it"
    assert run.data.params["max_iter"] == "3"


def test_second_fit_within_an_active_run_does_not_conflict(store):
    with mlflow.start_run() as active:
        fit(fit(network(MlflowLogger())).set_params(max_iter=2))
    assert sorted(metric(store, active.info.run_id)[0]) == [1, 1, 2, 2, 3]


def test_named_run_is_nested_in_the_active_run(store):
    with mlflow.start_run() as active:
        clf = fit(network(MlflowLogger(run_name="wide")))
        assert active_run_id() == active.info.run_id
    run = store.get_run(clf.callbacks[0].run_id)
    assert (run.info.run_name, run.info.status) == ("wide", "FINISHED")
    assert run.data.tags["mlflow.parentRunId"] == active.info.run_id


def test_experiment_is_created_once_and_reused(store):
    fit(fit(network(MlflowLogger(experiment="digits"))))
    experiment = store.get_experiment_by_name("digits")
    assert len(all_runs(store, experiment.experiment_id)) == 2
    assert all_runs(store) == []


def test_experiment_created_concurrently_is_used(store, monkeypatch):
    create = mlflow.MlflowClient.create_experiment

    def second(self, name):
        create(self, name)
        return create(self, name)

    monkeypatch.setattr(mlflow.MlflowClient, "create_experiment", second)
    fit(network(MlflowLogger(experiment="digits")))
    assert len(all_runs(store, store.get_experiment_by_name("digits").experiment_id)) == 1


@pytest.mark.parametrize("experiment", [None, "digits"])
def test_own_tracking_store_leaves_the_default_store_unchanged(store, folder, experiment):
    uri = (folder / "other").as_uri()
    before = mlflow.get_tracking_uri()
    clf = fit(network(MlflowLogger(tracking_uri=uri, experiment=experiment, run_name="there")))
    assert (mlflow.get_tracking_uri(), mlflow.active_run(), all_runs(store)) == (before, None, [])
    there = mlflow.MlflowClient(tracking_uri=uri)
    run = there.get_run(clf.callbacks[0].run_id)
    assert (run.info.run_name, run.info.status) == ("there", "FINISHED")
    assert metric(there, run.info.run_id)[0] == [1, 2, 3]
    assert there.get_experiment(run.info.experiment_id).name == (experiment or "Default")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_partial_fit_and_warm_start_continue_their_run(store, folder, elsewhere):
    uri = (folder / "other").as_uri() if elsewhere else None
    clf = network(MlflowLogger(tracking_uri=uri))
    X, y = table()
    for _ in range(2):
        clf.partial_fit(X, y, classes=[0, 1])
    fit(clf.set_params(warm_start=True, max_iter=2))
    (run,) = all_runs(mlflow.MlflowClient(tracking_uri=uri))
    assert run.info.status == "FINISHED"
    result = metric(mlflow.MlflowClient(tracking_uri=uri), run.info.run_id)
    assert result == ([1, 2, 3, 4], pytest.approx(clf.loss_curve_))


@pytest.mark.parametrize("copied", [clone, deepcopy, lambda clf: pickle.loads(pickle.dumps(clf))])
@pytest.mark.parametrize("fitted", [False, True])
def test_copies_keep_the_settings_and_get_their_own_run(store, copied, fitted):
    clf = network(MlflowLogger(run_name="one"))
    if fitted:
        fit(clf)
    other = copied(clf)
    assert repr(other.callbacks) == repr(clf.callbacks) == "[MlflowLogger(run_name='one')]"
    assert other.callbacks[0].run_id is None
    fit(other)
    fit(clf)
    assert len(all_runs(store)) == 2 + fitted


def test_grid_search_logs_one_run_per_fit(store):
    with mlflow.start_run(run_name="search"):
        fit(GridSearchCV(network(MlflowLogger(run_name="one")), {"alpha": [0.0, 0.1]}, cv=2))
    runs = [run for run in all_runs(store) if run.info.run_name == "one"]
    assert sorted(run.data.params["alpha"] for run in runs[1:] + runs[:1]).count("0.1") >= 2
    assert len(runs) == 5
    assert all(run.info.status == "FINISHED" for run in runs)


# ---- end of a run


def status(store):
    (run,) = all_runs(store)
    return run.info.status


def test_stopped_fit_is_a_finished_run(store):
    fit(network(MlflowLogger(), stop))
    assert status(store) == "FINISHED"


def test_ctrl_c_marks_the_run_killed_and_keeps_its_epochs(store):
    def interrupt(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Ctrl-C ended training"):
        clf = fit(network(MlflowLogger(), interrupt))
    assert status(store) == "KILLED"
    assert metric(store, clf.callbacks[0].run_id)[0] == [1, 2]


def test_error_marks_the_run_failed(store):
    X, y = table()
    with pytest.raises(bp.errors.DivergedError):
        fit(
            network(MlflowLogger(), solver="sgd", learning_rate_init=1e300, activation="identity"),
            1e30 * X,
            y,
        )
    assert status(store) == "FAILED"
    assert mlflow.active_run() is None


def test_unreachable_store_raises_before_training(store):
    seen: list[Any] = []
    with pytest.raises(
        bp.errors.BatchpropError, match=r"MlflowLogger\(tracking_uri='nowhere:x'\) cannot log: "
    ):
        fit(network(seen.append, MlflowLogger(tracking_uri="nowhere:x")))
    assert seen == []


def test_logging_failure_stops_the_log_and_not_the_training(store, monkeypatch):
    log_batch = mlflow.MlflowClient.log_batch

    def failing(self, run_id, metrics=(), **extra):
        if any(result.step == 3 for result in metrics):
            raise mlflow.exceptions.MlflowException("the server went away")
        return log_batch(self, run_id, metrics, **extra)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", failing)
    clf = network(MlflowLogger(), max_iter=5)
    message = r"MlflowLogger\(\) stopped logging after epoch 2: the server went away; training continues"
    with pytest.warns(UserWarning, match=message) as said:
        fit(clf)
    assert (clf.n_iter_, len(said), status(store)) == (5, 1, "FINISHED")
    assert metric(store, clf.callbacks[0].run_id)[0] == [1, 2]


def test_missing_library_error_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    message = r'logging to MLflow needs mlflow, which is not installed: pip install "batchprop\[mlflow\]"'
    with pytest.raises(bp.errors.BatchpropError, match=message):
        fit(network(MlflowLogger()))


def test_long_parameter_is_truncated(store):
    fit(network(MlflowLogger(), max_iter=1, hidden_layer_sizes=tuple([2] * 300)))
    (run,) = all_runs(store)
    assert len(run.data.params["hidden_layer_sizes"]) == 500
    assert np.isfinite(run.data.metrics["loss"])
