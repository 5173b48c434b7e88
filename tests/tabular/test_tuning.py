"""The search: its trials, where it goes on, its pruning, its programs and its ensemble."""

from __future__ import annotations

import sys
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, mean_squared_error

import batchprop as bp
from batchprop.errors import BatchpropError, CheckpointError, ParameterError
from batchprop.tabular import Observer, tuning
from batchprop.tabular.options import make_options
from batchprop.tabular.search_space import SPACE, Choice, values_of
from batchprop.tabular.trial_store import TrialStore
from batchprop.tabular.tuning import select_trials, tune

RNG = np.random.default_rng(0)
ROWS = pd.DataFrame({"x": RNG.normal(size=90).round(2), "word": RNG.choice(["a", "b", "c"], 90)})
CLASSES = ROWS.assign(
    y=np.where(ROWS["x"] + (ROWS["word"] == "a") + RNG.normal(size=90) / 3 > 0.5, "hi", "lo")
)
NUMBERS = ROWS.assign(y=100 * ROWS["x"] + 50 * (ROWS["word"] == "a") + 40 * RNG.normal(size=90))
SMALL: dict[str, Any] = {"target": "y", "preset": "fast", "members": 2, "epochs": 6, "engine": "numpy"}
TIMES = ["seconds"]


class Recorder(Observer):
    """Keeps the trials, and ends the process, so to speak, in an epoch of one of them."""

    def __init__(self, die_in: int | None = None) -> None:
        self.die_in, self.trials = die_in, list[Any]()

    def on_trial(self, trials: Any) -> None:
        self.trials = list(trials)

    def on_epoch(self, history: Any) -> None:
        if len(self.trials) == self.die_in and history[-1].epoch > 1:
            raise SystemExit


@pytest.fixture(scope="module")
def searched() -> tuple[tuning.TuningResult, list[Any]]:
    recorder = Recorder()
    return tune(CLASSES, n_trials=5, observer=recorder, **SMALL), recorder.trials


def test_a_killed_search_goes_on_as_if_nothing_had_been(searched, tmp_path) -> None:
    for die_in in (1, 3):
        with pytest.raises(SystemExit):
            tune(CLASSES, n_trials=5, folder=tmp_path, observer=Recorder(die_in), **SMALL)
    result = tune(CLASSES, n_trials=5, folder=tmp_path, **SMALL)
    pd.testing.assert_frame_equal(
        result.trials.drop(columns=TIMES), searched[0].trials.drop(columns=TIMES), check_exact=True
    )
    assert (result.chosen, result.loss) == (searched[0].chosen, searched[0].loss)
    again, before = (each.estimator.predict_proba(ROWS) for each in (result, searched[0]))
    np.testing.assert_allclose(again, before, rtol=1e-6)
    # Nothing is left to try.
    assert tune(CLASSES, n_trials=5, folder=tmp_path, **SMALL).trials.equals(result.trials)


def test_the_first_trial_is_the_preset_and_no_result_is_worse(searched) -> None:
    result, trials = searched
    assert trials[0].values == values_of(
        make_options(preset="fast").for_table(72, "classification"), "classification"
    )
    reference = bp.TabularClassifier("fast", n_members=2, max_iter=6, engine="numpy")
    # It encodes and divides the rows in the same way: those that are not for the test.
    rows = np.asarray(result.training.split.train)
    reference.fit(ROWS.iloc[rows], CLASSES["y"].iloc[rows])
    known = ~np.isnan(reference.out_of_fold_[:, 0])
    P = reference.out_of_fold_[known]
    expected = log_loss(CLASSES["y"].iloc[rows][known], P / P.sum(axis=1, keepdims=True))
    assert trials[0].loss == pytest.approx(expected, rel=1e-5)
    assert result.loss <= result.trials["loss"].min() <= trials[0].loss


def test_a_trial_is_pruned_where_its_first_network_is_worse_than_the_median(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "_STARTUP_TRIALS", 1)
    monkeypatch.setattr(tuning, "_WARMUP_EPOCHS", 1)
    recorder = Recorder()
    result = tune(NUMBERS, n_trials=9, observer=recorder, **SMALL)
    assert set(result.trials["state"]) == {"complete", "pruned"}
    assert result.trials["loss"].isna().equals(result.trials["state"] == "pruned")
    complete = list[Any]()
    for trial in recorder.trials:
        # Optuna's median is of the complete trials before.
        lowest = np.minimum.accumulate(trial.curve)
        worse = [
            lowest[e] > np.median([np.min(one.curve[: e + 1]) for one in complete if len(one.curve) > e])
            for e in range(1, len(lowest))
            if any(len(one.curve) > e for one in complete)
        ]
        assert worse[-1:] == ([trial.state == "pruned"] if worse else [])
        assert not any(worse[:-1])
        complete += [trial] if trial.state == "complete" else []


def test_the_ensemble_answers_with_the_mean_of_its_trials(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(SPACE, "bins", Choice((16,)))
    # Two of them, whether that is better or not.
    monkeypatch.setattr(
        tuning, "select_trials", lambda outputs, loss: ((0, 2), loss((outputs[0] + outputs[2]) / 2))
    )
    result = tune(NUMBERS, n_trials=3, folder=tmp_path, **SMALL)
    assert result.chosen == (0, 2)
    X = result.estimator[:-1].transform(ROWS)
    store = TrialStore(tmp_path, _fingerprint(tmp_path))
    members = [member for number in result.chosen for member in store.ensembles[number].members_]
    last = result.estimator[-1]
    expected = last.transformer_.inverse_transform(
        np.mean([member.predict(X) for member in members], axis=0)[:, None]
    )
    np.testing.assert_allclose(result.estimator.predict(ROWS), expected[:, 0], rtol=1e-5)
    outputs = {number: store.ensembles[number].out_of_fold_ for number in result.chosen}
    scaled = last.transformer_.transform(NUMBERS[["y"]].to_numpy())
    rows = result.training.split.train
    mean = np.mean(list(outputs.values()), axis=0)
    known = ~np.isnan(mean)
    assert result.loss == pytest.approx(mean_squared_error(scaled[rows][known], mean[known]) / 2, rel=1e-5)


def _fingerprint(folder: Any) -> Any:
    import json

    return json.loads((folder / "study.json").read_text())


def test_greedy_selection_finds_what_a_loop_finds() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=50)
    outputs = {i: truth + rng.normal(size=50) * (1 + i / 4) for i in range(6)}

    def loss(mean: Any) -> float:
        return float(np.mean((mean - truth) ** 2))

    chosen, best = select_trials(outputs, loss)
    assert loss(np.mean([outputs[i] for i in chosen], axis=0)) == pytest.approx(best)
    for size in range(1, len(chosen) + 1):
        scores = {i: loss(np.mean([outputs[j] for j in (*chosen[: size - 1], i)], axis=0)) for i in outputs}
        left = {i: score for i, score in scores.items() if i not in chosen[: size - 1]}
        assert min(left, key=left.__getitem__) == chosen[size - 1]
    others = [i for i in outputs if i not in chosen]
    assert all(loss(np.mean([outputs[j] for j in (*chosen, i)], axis=0)) >= best for i in others)


def test_numbers_compile_no_further_program(monkeypatch) -> None:
    from batchprop.engines.programs import PROGRAMS

    for name in ("hidden", "bins", "batch_size", "label_smoothing"):
        first = values_of(make_options(preset="fast").for_table(72, "classification"), "classification")[name]
        monkeypatch.setitem(SPACE, name, Choice((first,)))
    counts = list[int]()

    class Counter(Observer):
        def on_trial(self, _: Any) -> None:
            counts.append(len(PROGRAMS))

    PROGRAMS.clear()
    result = tune(CLASSES, n_trials=3, observer=Counter(), **SMALL | {"epochs": 1, "engine": "jax"})
    assert result.trials["learning_rate"].nunique() == result.trials["dropout"].nunique() == 3
    assert counts[0] > 0
    assert counts == counts[:1] * 3


def test_the_trial_that_the_time_interrupts_does_not_count(monkeypatch, tmp_path) -> None:
    # A clock that goes on by a second whenever it is looked at.
    seconds = count()
    monkeypatch.setattr(tuning, "monotonic", lambda: float(next(seconds)))
    result = tune(CLASSES, time_limit="60s", folder=tmp_path, **SMALL)
    assert set(result.trials["state"]) <= {"complete", "pruned"}
    assert next(seconds) < 80
    assert len(list(tmp_path.glob("trial-*.json"))) == len(result.trials) > 1


def test_rows_of_a_group_stay_together_in_every_fold() -> None:
    groups = np.repeat(range(18), 5)
    result = tune(CLASSES.assign(who=groups), n_trials=1, group="who", **SMALL)
    table, split = result.training.table, result.training.split
    shared = tuning._Search(table, split, result.training.options)
    known = groups[split.train]
    assert not set(groups[split.test]) & set(known)
    for train, held_out in shared.folds:
        assert not set(known[train]) & set(known[held_out])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"time_limit": -1}, "time_limit='-1' is not allowed: give seconds, or a time"),
        ({"n_trials": 0}, "n_trials=0 is not allowed"),
        ({"members": 0}, "members=0 is not allowed"),
        ({"preset": "great"}, "preset='great' is not allowed: give one of 'fast'"),
        ({"dropout": 0.1}, "`dropout` is searched by tune: leave it out"),
        ({"record": True}, "`record` is no option of tune"),
        ({"sead": 1}, "sead.*did you mean 'seed'"),
        ({"target": None}, "tune needs a table and its target"),
        ({"folder": 3}, "folder=3 is not a folder"),
    ],
)
def test_what_is_wrong_is_named_before_the_table_is_read(wrong, message) -> None:
    with pytest.raises(ParameterError, match=message):
        tune("missing.csv", **{"target": "y", "n_trials": 1} | wrong)


def test_a_folder_of_another_search_is_refused(tmp_path) -> None:
    call: dict[str, Any] = {"n_trials": 1, "folder": tmp_path / "trials", **SMALL, "epochs": 2}
    tune(CLASSES, **call)
    with pytest.raises(CheckpointError, match=r"another search: `options.seed` was 0, and now is 1"):
        tune(CLASSES, **call | {"seed": 1})
    with pytest.raises(CheckpointError, match="another search: `data` was"):
        tune(CLASSES.assign(x=0.5 * ROWS["x"] ** 3), **call)
    (tmp_path / "trials" / "trial-0000.skops").write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match=r"trial-0000\.skops is missing or damaged"):
        tune(CLASSES, **call)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match="holds no trials"):
        tune(CLASSES, **call | {"folder": tmp_path})


def test_without_optuna_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BatchpropError, match=r'tune needs optuna.*pip install "batchprop\[tune\]"'):
        tune(CLASSES, target="y", n_trials=1)


def test_the_plot_has_a_line_for_each_trial(searched) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    result, trials = searched
    display = result.plot()
    states = [trial.state for trial in trials]
    assert [len(line.get_xdata()) for line in display.lines_] == [8 if s == "complete" else 7 for s in states]
    best = int(result.trials["loss"].argmin())
    widths = [line.get_linewidth() for line in display.lines_]
    assert int(np.argmax(widths)) == best
    assert display.lines_[best].get_ydata()[-1] == 0.0
    plt.close(display.figure_)
