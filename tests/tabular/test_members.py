"""Several networks of one training: presets, folds, interruption, resuming, and what cannot have them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_diabetes, load_iris

import batchprop as bp
from batchprop.errors import CheckpointError, DataError, InputError, ModelError, ParameterError
from batchprop.estimators.ensemble import member_folds
from batchprop.tabular import Observer, fit, load_model, train_table
from batchprop.tabular.fit import members_of, network_of, split_rows
from batchprop.tabular.options import make_options, preset_values, to_words
from batchprop.tabular.training_input import load_training_table

QUICK: dict[str, Any] = {"hidden": 8, "epochs": 3, "members": 3, "bins": 4}


def flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    frame: pd.DataFrame = iris.frame.rename(columns=lambda name: name.removesuffix(" (cm)"))
    frame["species"] = iris.target_names[frame.pop("target")]
    return frame


def patients() -> pd.DataFrame:
    frame: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame
    return frame


def networks(model: Any) -> list[Any]:
    return members_of(network_of(model.pipeline))


def weights(model: Any) -> list[list[float]]:
    return [coef.ravel().tolist() for network in networks(model) for coef in network.coefs_]


pytestmark = pytest.mark.usefixtures("several_networks")


class Notes(Observer):
    """Keeps the notes, and sends Ctrl-C after an epoch of a network."""

    def __init__(self, stop: tuple[int, int] | None = None) -> None:
        self.notes, self.stop = list[str](), stop

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_epoch(self, history: Any) -> None:
        if self.stop == (history[-1].member, history[-1].epoch):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("frame", "target", "make", "method", "n_members"),
    [
        (flowers(), "species", bp.TabularClassifier, "predict_proba", 4),
        (patients(), "target", bp.TabularRegressor, "predict", 8),
    ],
    ids=["classes", "numbers"],
)
def test_a_preset_trains_what_the_estimator_of_that_preset_does(frame, target, make, method, n_members):
    shuffled = frame.sample(frac=1, random_state=0, ignore_index=True)
    train, test = shuffled[:110], shuffled[110:150]
    model = train_table(train, target=target, test=test, epochs=4, preset="balanced")
    assert len(networks(model)) == n_members
    other = make(preset="balanced", max_iter=4).fit(train.drop(columns=target), train[target])
    expected = getattr(other, method)(test.drop(columns=target))
    actual = getattr(model.pipeline, method)(test)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=1e-6)


def test_preset_sets_what_is_not_given():
    options = make_options(target="y", preset="best", dropout=0.5)
    assert (options.hidden, options.epochs, options.dropout) == ((256,), 60, 0.5)
    assert options.resolve_members(1000, "classification")[0].members == 16
    assert options.resolve_members(12, "classification")[0].members == 2
    assert make_options(target="y", members=3).resolve_members(10, "classification")[0].members == 3
    numbers = options.for_table(10_000, "regression")
    assert (numbers.hidden, numbers.learning_rate, numbers.dropout) == ((128, 64), 0.003, 0.5)
    long = options.for_table(100_001, "classification")
    assert (long.hidden, long.epochs, long.dropout) == ((128, 64), 20, 0.5)
    assert long.resolve_members(100_001, "classification")[0].members == 4
    assert make_options(target="y", hidden=256).for_table(10**6, "regression").hidden == (256,)
    assert make_options(target="y", solver="lbfgs").dropout == 0.0
    estimator = bp.TabularClassifier()
    assert (estimator.dropout, estimator.learning_rate_init, estimator.batch_size) == (None, None, None)
    words = to_words(options)
    assert words == ["--target", "y", "--preset", "best", "--dropout", "0.5"]
    assert set(preset_values("fast")) == {*preset_values("balanced")}
    with pytest.raises(ParameterError, match="preset='great' is not allowed: give one of 'fast', 'balanced'"):
        make_options(target="y", preset="great")


@pytest.mark.pictures
def test_saved_networks_are_loaded_and_named(tmp_path):
    model = train_table(flowers(), target="species", **QUICK)
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    pd.testing.assert_frame_equal(again.predict(flowers(), proba=True), model.predict(flowers(), proba=True))
    assert again.history == model.history
    history = pd.read_csv(tmp_path / "m" / "history.csv")
    assert history.groupby("member")["epoch"].max().tolist() == [3, 3, 3]
    info = json.loads((tmp_path / "m" / "settings.json").read_text())
    assert info["network"]["members"] == info["settings"]["members"] == 3
    assert info["settings"]["preset"] == "balanced"
    assert len(info["training"]["best epoch"]) == 3
    assert info["data"]["rows"] == {"train": 120, "validation": 0, "test": 30}
    report = model.report()
    assert "3 networks" in report
    assert "to train and validate" in report


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda network: network.members_.clear(), "not a list of networks"),
        (lambda network: network.members_.append("x"), "not a list of networks"),
        (lambda network: network.members_.append(bp.MLPRegressor()), "not a list of networks"),
        (lambda network: setattr(network, "temperature_", float("nan")), "temperature"),
        (lambda network: setattr(network, "temperature_", 0.0), "temperature"),
        (lambda network: network.members_[1].coefs_[0].fill(np.inf), "finite"),
        (lambda network: network.members_[2].coefs_.pop(), "shape"),
        (lambda network: setattr(network.members_[1], "classes_", np.array(["a", "b", "c"])), "classes"),
    ],
)
def test_spoilt_networks_are_refused(tmp_path, spoil, reason):
    model = train_table(flowers(), target="species", **QUICK)
    spoil(network_of(model.pipeline))
    skops.io.dump(model.pipeline, tmp_path / "model.skops")
    with pytest.raises(ModelError, match=reason):
        load_model(tmp_path / "model.skops")


def test_folds_of_groups_part_no_group_and_keep_every_class():
    rng = np.random.default_rng(0)
    for seed in range(8):
        groups = rng.integers(0, 9, 60)
        # Group 0 alone has class 2, which no network may lack.
        labels = np.where(groups == 0, 2, groups % 2)
        for fold in member_folds(5, 60, labels, seed, groups):
            assert not np.intersect1d(groups[fold.train], groups[fold.held_out]).size
            assert set(labels[fold.train].tolist()) == {0, 1, 2}
            assert sorted([*fold.train, *fold.held_out]) == list(range(60))
            assert len(fold.held_out)
    with pytest.raises(InputError, match="1 group leaves no group to hold out"):
        member_folds(4, 6, None, 0, np.zeros(6))


def test_groups_and_times_hold_for_each_network():
    frame = patients().assign(doctor=np.arange(442) % 12, day=np.arange(442))
    options = make_options(target="target", group="doctor", members=2)
    split = split_rows(load_training_table(frame, options), options)
    assert (len(split.validation), len(split.train) + len(split.test)) == (0, 442)
    model = train_table(frame, target="target", group="doctor", **QUICK)
    assert len(networks(model)) == 3
    options = make_options(target="target", time="day", members=2)
    split = split_rows(load_training_table(frame, options), options)
    assert max(split.train) < split.validation.min() < split.validation.max() < split.test.min()
    assert len(networks(train_table(frame, target="target", time="day", **QUICK))) == 3
    women, men = (frame[frame["sex"] == sex] for sex in (1, 2))
    with pytest.raises(DataError, match=r"members=3: 1 group leaves no group.*or add members=1"):
        train_table(women, target="target", test=men, group="sex", **QUICK)


@pytest.mark.filterwarnings("ignore:1 of the table")
def test_what_records_or_streams_trains_one_network_and_says_so(tmp_path, monkeypatch):
    quick: dict[str, Any] = {"hidden": 8, "epochs": 2}
    frame = flowers()
    observer = Notes()
    model = train_table(frame, target="species", record=True, observer=observer, **quick)
    assert observer.notes == ["One network is trained, not several: record=True records the training of one."]
    assert len(networks(model)) == 1
    frame.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: True)
    observer = Notes()
    model = train_table(tmp_path / "t.csv", target="species", observer=observer, epochs=1, batch_size=50)
    assert observer.notes[:1] == [
        "One network is trained, not several: a table that is read in parts trains one."
    ]
    refused = (
        r"preset='best' asks for several networks, and record=True .*: add members=1, or leave `record` out"
    )
    with pytest.raises(ParameterError, match=refused):
        train_table(frame, target="species", record=True, preset="best")
    with pytest.raises(ParameterError, match=r"members=2 .* a table that is read in parts"):
        train_table(tmp_path / "t.csv", target="species", members=2)


@pytest.mark.pictures
def test_interrupted_training_keeps_the_networks_so_far():
    whole = train_table(flowers(), target="species", **QUICK)
    stopped = train_table(flowers(), target="species", observer=Notes((2, 2)), **QUICK)
    assert [(epoch.member, epoch.epoch) for epoch in stopped.history] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
    ]
    assert len(networks(stopped)) == 2
    assert weights(stopped)[:2] == weights(whole)[:2]
    assert "Interrupted: trained 2 of 3 networks" in stopped.report()


@pytest.mark.parametrize("stop", [(1, 2), (2, 2), (3, 3)])
def test_resumed_networks_are_those_of_an_uninterrupted_training(tmp_path, stop):
    options = {"target": "target", **QUICK}
    whole = train_table(patients(), **options)
    kept = tmp_path / "kept"
    train_table(patients(), observer=Notes(stop), checkpoints=kept, checkpoint_every=1, **options)
    assert (kept / f"member-{stop[0]}").is_dir()
    observer = Notes()
    again = train_table(patients(), observer=observer, checkpoints=kept, resume=True, **options)
    assert observer.notes[0].startswith("Resuming after ")
    assert weights(again) == weights(whole)
    assert [epoch.loss for epoch in again.history] == [epoch.loss for epoch in whole.history]
    assert not kept.exists()


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [(1, 2, "one network, and now 2 are"), (2, 1, "the first of several networks, and now 1 is")],
)
def test_another_number_of_networks_does_not_resume_but_starts_over(tmp_path, before, now, said):
    options = {"target": "target", "hidden": 2, "epochs": 1, "checkpoints": tmp_path / "kept"}
    train_table(patients(), observer=Notes((1, 1)), checkpoint_every=1, members=before, **options)
    with pytest.raises(CheckpointError, match=f"are of {said} trained"):
        train_table(patients(), members=now, resume=True, **options)
    train_table(patients(), members=now, force=True, **options)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("members", [1, 3])
def test_time_limit_ends_the_training(monkeypatch, members):
    # A clock that each epoch moves by a second.
    clock = [0.0]
    monkeypatch.setattr("batchprop.estimators.ensemble.monotonic", lambda: clock[0])
    monkeypatch.setattr("batchprop.tabular.fit.monotonic", lambda: clock[0])

    class Clock(Observer):
        def on_epoch(self, history: Any) -> None:  # noqa: ARG002
            clock[0] += 1.0

    options = {"hidden": 4, "epochs": 50, "patience": 50, "members": members, "learning_rate": 0.02}
    model = train_table(flowers(), target="species", time_limit="30s", observer=Clock(), **options)
    assert 29 <= len(model.history) <= 31
    assert len(networks(model)) == members


def test_folds_share_the_time_limit(monkeypatch):
    limits, before = list[float | None](), fit._seconds_left

    def seconds_left(*args: Any) -> float | None:
        limits.append(before(*args))
        return limits[-1]

    monkeypatch.setattr(fit, "_seconds_left", seconds_left)
    train_table(flowers(), target="species", folds=2, time_limit=300, **QUICK)
    assert limits == [100.0, 100.0, 100.0]
