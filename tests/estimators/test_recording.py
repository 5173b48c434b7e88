"""Recording with ``fit(..., record_examples=True)``: against a slow loop, and in use."""

from __future__ import annotations

import pickle
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import scale

import batchprop as bp
from batchprop.dynamics import EARLY_EPOCHS
from batchprop.errors import ParameterError
from batchprop.estimators import recording
from tests.estimators.tables import TARGETS, estimator, require_plain, table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ENGINES = ("numpy", "jax")
PLAIN = {"max_iter": 4, "batch_size": 16, "random_state": 0, "tol": 0, "dtype": "float64"}
OF_NUMBERS = ["loss", "el2n", "grand", "self_influence"]
OF_LABELS = ["aum", "forgetting", "correctness", "confidence", "variability", "aleatoric"]


def fitted(target: str = "multiclass", *, weights: Any = None, monitor: Any = (), **settings: Any) -> Any:
    X, y = table(target)
    model = estimator(target).set_params(**PLAIN | settings)
    return model.fit(X, y, weights, monitor=monitor, record_examples=True)


def epochs_by_hand(target: str, epochs: int) -> list[list[Any]]:
    """The step of every row alone in every epoch, by the network before each batch.

    Batches of all rows: the network before epoch t is a fit of t − 1 epochs, from the drawn weights on.
    """
    X, y = table(target)
    result = []
    for t in range(epochs):
        # A rate of 0 changes nothing: this is the initial network.
        settings = {"max_iter": max(t, 1), "batch_size": "full", "solver": "sgd", "learning_rate_init": 0.1}
        if t == 0:
            settings["learning_rate_init"] = 1e-300
        model = estimator(target).set_params(**PLAIN | settings).fit(X, y)
        result.append([model.backprop(X[[i]], y[[i]]) for i in range(len(y))])
    return result


def test_statistics_match_a_slow_loop_over_rows_and_epochs() -> None:
    T, rate = 4, 0.1
    result = fitted(max_iter=T, batch_size="full", solver="sgd", learning_rate_init=rate).examples_
    steps = epochs_by_hand("multiclass", T)
    _, y = table("multiclass")
    codes = np.searchsorted(np.unique(y), y)
    late = np.arange(1, T + 1) / np.arange(1, T + 1).sum()
    for i, given in enumerate(codes):
        own = [steps[t][i] for t in range(T)]
        norms = np.array(
            [np.sqrt(sum((g**2).sum() for layer in s.gradient.mean() for g in layer)) for s in own]
        )
        P = np.array([s.P[:, 0] for s in own])
        p = P[:, given]
        margins = np.array([s.Z[-1][given, 0] - np.delete(s.Z[-1][:, 0], given).max() for s in own])
        expected = {
            "loss": np.mean([s.losses[0] for s in own]),
            "el2n": np.mean([np.linalg.norm(row - np.eye(3)[given]) for row in P]),
            "grand": late @ norms,
            "self_influence": rate * (norms**2).sum(),
            "aum": margins.mean(),
            "correctness": (margins > 0).mean(),
            "confidence": p.mean(),
            "variability": p.std(),
            "aleatoric": (p * (1 - p)).mean(),
        }
        assert_allclose([result[name][i] for name in expected], list(expected.values()), rtol=1e-7, atol=1e-9)
        assert result["predicted_label"][i] == np.unique(y)[P.mean(axis=0).argmax()]
    # Rows that activate no hidden unit tie, and keep their order.
    assert (result["mislabel_rank"] == result["loss"].rank(ascending=False, method="first")).all()


@pytest.mark.parametrize(("target", "solver"), list(zip(TARGETS, cycle(["sgd", "adam"]), strict=False)))
def test_both_engines_record_the_same(target: str, solver: str) -> None:
    ours, theirs = (fitted(target, solver=solver, engine=engine).examples_ for engine in ENGINES)
    assert list(ours) == list(theirs)
    assert (ours.filter(like="predicted_label").dtypes == theirs.filter(like="predicted_label").dtypes).all()
    for name in [*OF_NUMBERS, *OF_LABELS]:
        if name in ours:
            assert_allclose(ours[name], theirs[name], rtol=1e-7, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("target", TARGETS)
def test_recording_has_one_line_per_row_with_its_target(target: str) -> None:
    _, y = table(target)
    result = fitted(target).examples_
    named = [f"{{}}_{t}" for t in range(y.shape[1])] if y.ndim == 2 else ["{}"]
    rest = OF_NUMBERS if target in {"single", "several"} else [*OF_NUMBERS, *OF_LABELS]
    names = [column.format(what) for what in ("given_label", "predicted_label") for column in named]
    assert list(result) == [*names, "mislabel_score", "mislabel_rank", *rest]
    assert result.index.tolist() == list(range(len(y)))
    assert result.index.name == "row"
    assert (result[names[: len(named)]].to_numpy() == y.reshape(len(y), -1)).all()
    assert sorted(result["mislabel_rank"]) == list(range(1, len(y) + 1))


def test_held_out_rows_have_only_their_label() -> None:
    result = fitted(early_stopping=True, validation_fraction=0.2).examples_
    held = result["loss"].isna()
    assert held.sum() == 24
    assert result.loc[held].drop(columns="given_label").isna().all(axis=None)
    assert result["given_label"].notna().all()
    assert sorted(result["mislabel_rank"].dropna()) == list(range(1, 97))


@pytest.mark.parametrize("engine", ENGINES)
def test_training_rows_keep_their_row_numbers(engine: str) -> None:
    """A tiny learning rate keeps the initial network."""
    X, y = table("multiclass")
    settings: dict[str, Any] = {"solver": "sgd", "learning_rate_init": 1e-300, "early_stopping": True}
    model = fitted(max_iter=1, batch_size=7, engine=engine, **settings)
    result = model.examples_["loss"]
    there = result.notna()
    assert_allclose(result[there], model.backprop(X, y).losses[there], rtol=1e-9)


def test_interrupted_fit_keeps_its_recorded_epochs() -> None:
    def interrupt(epoch: Any) -> None:
        if epoch.number == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Ctrl-C ended training"):
        model = fitted(callbacks=[interrupt], max_iter=8)
    kept = fitted(max_iter=3)
    assert model.examples_.equals(kept.examples_)
    assert [checkpoint.epoch for checkpoint in model.weight_snapshots_] == [0, 1, 2, 3]


@pytest.mark.parametrize("engine", ENGINES)
def test_recording_does_not_change_training_and_works_with_monitors(engine: str) -> None:
    X, y = table("multiclass")
    both = fitted(engine=engine, monitor=["noise_scale", "gradient_norms"])
    alone = estimator("multiclass").set_params(**PLAIN, engine=engine)
    alone.fit(X, y, monitor=["noise_scale", "gradient_norms"])
    assert_allclose(both.loss_curve_, alone.loss_curve_, rtol=1e-12)
    for name, values in alone.monitor_.items():
        assert_allclose(both.monitor_[name], values, rtol=1e-9, err_msg=name)


def test_rows_of_zero_weight_are_recorded() -> None:
    weights = np.ones(120)
    weights[:60] = 0
    result = fitted(weights=weights).examples_
    assert result["loss"].notna().all()
    assert result["loss"][:60].mean() > result["loss"][60:].mean()


def test_growing_batches_and_short_fits_are_recorded() -> None:
    assert fitted(batch_size="noise", max_iter=3).examples_["loss"].notna().all()
    result = fitted(max_iter=EARLY_EPOCHS + 3, batch_size=7).examples_
    assert (result["variability"] <= 0.5).all()


def test_flipped_digits_rank_first_with_their_true_label_predicted() -> None:
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    flipped = rng.random(len(y)) < 0.2
    given = np.where(flipped, (y + rng.integers(1, 10, len(y))) % 10, y)
    model = bp.MLPClassifier(random_state=0, max_iter=60)
    result = model.fit(X / 16, given, record_examples=True).examples_
    assert average_precision_score(flipped, result["mislabel_score"]) > 0.98
    assert (result["predicted_label"][flipped] == y[flipped]).mean() > 0.93


def test_regression_outliers_rank_first() -> None:
    X, y = load_diabetes(return_X_y=True)
    y = scale(y)
    wrong = np.random.default_rng(0).choice(len(y), 20, replace=False)
    given = y.copy()
    given[wrong] += np.where(y[wrong] > 0, -5, 5)
    model = bp.MLPRegressor(random_state=0, max_iter=60, batch_size=32, learning_rate_init=0.01)
    result = model.fit(scale(X), given, record_examples=True).examples_
    assert average_precision_score(np.isin(np.arange(len(y)), wrong), result["mislabel_score"]) > 0.9
    assert np.abs(result["predicted_label"] - y)[wrong].mean() < 2


def test_only_the_recorded_fit_has_example_statistics() -> None:
    X, y = table("multiclass")
    model = fitted(warm_start=True)
    require_plain(model)
    kept = pickle.loads(pickle.dumps(model)).examples_
    assert kept.equals(model.examples_)
    for later in (model.fit, model.partial_fit):
        later(X, y)
        assert not hasattr(model, "examples_")
        with pytest.raises(AttributeError, match="fit with record_examples=True"):
            _ = model.examples_
        model.fit(X, y, record_examples=True)
        assert len(model.examples_) == len(y)


@pytest.mark.parametrize("target", ["multiclass", "single"])
def test_fit_that_cannot_be_recorded_is_refused(target: str) -> None:
    X, y = table(target)
    with pytest.raises(ParameterError, match=r"solver='lbfgs', which takes no batches"):
        estimator(target, solver="lbfgs").fit(X, y, record_examples=True)
    with pytest.raises(ParameterError, match="record_examples=1 is not allowed: give True or False"):
        estimator(target).fit(X, y, record_examples=1)
    privacy = bp.privacy.Privacy(noise_multiplier=1.0, delta=1e-5)
    with pytest.raises(ParameterError, match="record_examples=True does not go with privacy"):
        estimator(target, privacy=privacy).fit(X, y, record_examples=True)


def test_missing_pandas_is_reported_before_training(monkeypatch: Any) -> None:
    monkeypatch.setattr(recording, "find_spec", lambda _: None)
    with pytest.raises(ParameterError, match=r"needs pandas.*pip install 'batchprop\[tables\]'"):
        fitted()
