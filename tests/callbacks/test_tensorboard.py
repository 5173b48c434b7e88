"""TensorBoard's reader reads what the callback writes."""

import math
import pickle
import sys
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

import batchprop as bp
from batchprop.callbacks import TensorBoardLogger
from batchprop.engines.numpy import NumpyEngine
from batchprop.training import TrainConfig, init_state, train
from tests.callbacks.fits import fit, network, stop, table


def scalars(path):
    """The steps and the values of every scalar of a run."""
    reader = EventAccumulator(str(path))
    reader.Reload()
    names = reader.Tags()["scalars"]
    return {
        name: ([e.step for e in reader.Scalars(name)], [e.value for e in reader.Scalars(name)])
        for name in names
    }


def runs(folder):
    reader = EventMultiplexer().AddRunsFromDirectory(str(folder))
    return sorted(reader.Reload().Runs())


def test_every_epoch_is_logged_with_all_its_metrics(folder):
    clf = fit(network(TensorBoardLogger("logs"), early_stopping=True))
    result = scalars("logs/fit-1")
    assert set(result) == {"loss", "learning_rate", "rows_per_second", "validation_loss", "validation_score"}
    assert all(steps == [1, 2, 3] for steps, _ in result.values())
    curves = {
        "loss": clf.loss_curve_,
        "learning_rate": clf.learning_rate_curve_,
        "validation_loss": clf.validation_loss_curve_,
        "validation_score": clf.validation_scores_,
    }
    for name, curve in curves.items():
        np.testing.assert_allclose(result[name][1], curve, rtol=1e-6)  # which are kept in float32
    assert all(pace > 0 for pace in result["rows_per_second"][1])


def test_missing_metrics_are_not_logged(folder):
    fit(network(TensorBoardLogger("logs")))
    assert set(scalars("logs/fit-1")) == {"loss", "learning_rate", "rows_per_second"}
    fit(network(TensorBoardLogger("logs"), solver="lbfgs"))
    assert set(scalars("logs/fit-2")) == {"loss", "rows_per_second"}


def test_private_fit_does_not_log_its_loss(folder):
    privacy = bp.privacy.Privacy(noise_multiplier=1.0, max_norm=1.0, delta=1e-5)
    clf = fit(network(TensorBoardLogger("logs"), privacy=privacy))
    assert all(math.isnan(loss) for loss in clf.loss_curve_)
    assert set(scalars("logs/fit-1")) == {"learning_rate", "rows_per_second"}


def test_each_fit_is_a_separate_run(folder):
    clf = fit(fit(network(TensorBoardLogger("logs"))))
    assert runs("logs") == ["fit-1", "fit-2"]
    assert clf.callbacks[0].path.name == "fit-2"
    assert scalars("logs/fit-1")["loss"] == scalars("logs/fit-2")["loss"]


def test_epoch_is_on_disk_before_the_next_starts(folder):
    seen = []

    def look(epoch):
        seen.append(scalars("logs/fit-1")["loss"][0])

    fit(network(TensorBoardLogger("logs"), look))
    assert seen == [[1], [1, 2], [1, 2, 3]]


def test_partial_fit_and_warm_start_continue_their_run(folder):
    clf = network(TensorBoardLogger("logs"))
    X, y = table()
    for _ in range(3):
        clf.partial_fit(X, y, classes=[0, 1])
    assert scalars("logs/fit-1")["loss"] == ([1, 2, 3], pytest.approx(clf.loss_curve_))
    fit(clf.set_params(warm_start=True, max_iter=2))
    assert scalars("logs/fit-1")["loss"] == ([1, 2, 3, 4, 5], pytest.approx(clf.loss_curve_))
    assert runs("logs") == ["fit-1"]


@pytest.mark.parametrize("copied", [clone, deepcopy, lambda clf: pickle.loads(pickle.dumps(clf))])
@pytest.mark.parametrize("fitted", [False, True])
def test_copies_keep_the_settings_and_get_their_own_run(folder, copied, fitted):
    clf = network(TensorBoardLogger("logs"))
    if fitted:
        fit(clf)
    other = copied(clf)
    assert repr(other.callbacks) == repr(clf.callbacks) == "[TensorBoardLogger(folder='logs')]"
    assert other.callbacks[0].path is None
    fit(other)
    fit(clf)
    assert len(runs("logs")) == 2 + fitted
    assert other.callbacks[0].path != clf.callbacks[0].path


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_logs_one_run_per_fit(folder, n_jobs):
    search = GridSearchCV(
        network(TensorBoardLogger(folder / "logs")), {"alpha": [0.0, 0.1]}, cv=2, n_jobs=n_jobs
    )
    fit(search)
    assert runs("logs") == [f"fit-{number}" for number in range(1, 6)]
    assert all(scalars(folder / "logs" / run)["loss"][0] == [1, 2, 3] for run in runs("logs"))


def test_logger_never_stops_training_and_logs_the_last_epoch(folder):
    clf = fit(network(stop, TensorBoardLogger("logs")))
    assert clf.n_iter_ == 2
    assert scalars("logs/fit-1")["loss"][0] == [1, 2]


def test_a_fit_that_fails_before_its_first_epoch_leaves_no_run(folder):
    X, y = table()
    with pytest.raises(ValueError, match="inconsistent"):
        network(TensorBoardLogger("logs")).fit(X, y[:-1])
    assert list((folder / "logs").iterdir()) == []


def test_core_training_loop_can_be_logged(folder):
    X = np.random.default_rng(0).normal(size=(40, 2))
    rows = bp.batches.Dataset(X, X @ np.array([[1.0], [-2.0]]))
    net = bp.Network.create([2, 1], head="squared_error", random_state=0, dtype="float64")
    recipe = TrainConfig(net, bp.optimizers.sgd(), bp.objective.Objective())
    plan, rate = bp.batches.minibatches(40, 10), bp.schedules.constant(0.1)
    log = TensorBoardLogger("logs")
    for epoch in islice(train(recipe, init_state(recipe), rows, plan, rate, NumpyEngine()), 4):
        log(epoch)
    assert scalars("logs/fit-1")["loss"][0] == [1, 2, 3, 4]


def test_unwritable_folder_raises_before_training(folder):
    (folder / "logs").write_text("")
    seen: list[Any] = []
    with pytest.raises(
        bp.errors.BatchpropError, match=r"TensorBoardLogger\(folder='logs'\) cannot log: .*exists"
    ):
        fit(network(seen.append, TensorBoardLogger("logs")))
    assert seen == []


def test_logging_failure_stops_the_log_and_not_the_training(folder):
    log = TensorBoardLogger("logs")

    def remove(epoch):
        if epoch.number == 2:
            Path("logs/fit-1").rename("elsewhere")

    clf = network(log, remove, max_iter=5)
    with pytest.warns(
        UserWarning, match="stopped logging after epoch 2: .*No such file.*; training continues"
    ) as said:
        fit(clf)
    assert (clf.n_iter_, len(said)) == (5, 1)
    assert said[0].filename == fit.__code__.co_filename  # who called batchprop
    assert scalars("elsewhere")["loss"][0] == [1, 2]


def test_missing_library_error_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX.proto.event_pb2", None)
    message = r'needs tensorboardX.*, which is not installed: pip install "batchprop\[tensorboard\]"'
    with pytest.raises(bp.errors.BatchpropError, match=message):
        fit(network(TensorBoardLogger("logs")))
