"""The playground's trainer: the algorithm's steps, one batch at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.backprop import backprop
from batchprop.batches import gather
from batchprop.errors import DivergedError, ParameterError
from batchprop.playground import trainer as module
from batchprop.playground.data import PlaygroundData
from batchprop.playground.settings import Settings
from batchprop.playground.toy_datasets import TOY_DATASETS, make_toy
from batchprop.playground.trainer import Trainer

MOONS = make_toy("moons", 60, 0.2, 0)
SETTINGS = Settings(rows=60, batch_size=7, hidden=(5,), learning_rate=0.3)


def taken(training: Trainer, steps: int) -> list[list[int]]:
    """The rows of the next batches."""
    found = []
    for _ in range(steps):
        training.step()
        assert training.last_batch is not None
        found.append(training.last_batch.rows.tolist())
    return found


def each_gradient(training: Trainer) -> np.ndarray:
    """The gradient of every example of the last batch, flat (parameters, m), each by itself."""
    assert training.last_batch is not None
    found = []
    for row in training.last_batch.rows:
        B, Y, _ = gather(training.dataset, np.array([row]))
        mean = backprop(training.last_batch.network, B, Y).gradient.mean()
        found.append(np.concatenate([theta.ravel() for layer in mean for theta in layer]))
    return np.array(found, dtype=np.float64).T


@pytest.mark.parametrize("data", TOY_DATASETS)
def test_step_follows_the_negative_mean_gradient(data: str) -> None:
    training = Trainer(make_toy(data, 60, 0.2, 0), replace(SETTINGS, data=data))
    taken(training, 3)
    assert training.last_batch is not None
    before = training.last_batch.network.layers
    mean = each_gradient(training).mean(axis=1)
    step = [(theta - old).ravel() for now, was in zip(training.network.layers, before, strict=True)
            for theta, old in zip(now, was, strict=True)]  # fmt: skip
    assert_allclose(np.concatenate(step), -0.3 * mean, rtol=2e-4, atol=1e-6)


def test_epoch_uses_every_training_row_once_and_no_validation_row() -> None:
    training = Trainer(MOONS, SETTINGS)
    batches = taken(training, 7)
    assert [len(rows) for rows in batches] == [7, 7, 7, 7, 7, 7, 6]
    assert sorted(row for rows in batches for row in rows) == training.train_rows.tolist()
    assert len(training.train_rows) == 48
    assert sorted([*training.train_rows, *training.validation_rows]) == list(range(60))
    assert training.n_seen == 48
    assert list(training.batch_sizes) == [7, 7, 7, 7, 7, 7, 6]


def test_new_batch_size_applies_from_the_next_batch() -> None:
    training = Trainer(MOONS, SETTINGS)
    taken(training, 2)
    training.apply_settings(replace(SETTINGS, batch_size=1))
    before = training.network
    assert [len(rows) for rows in taken(training, 3)] == [1, 1, 1]
    assert np.isnan(training.noise_scales[-3:]).all()
    training.apply_settings(replace(SETTINGS, batch_size="full"))
    assert sorted(taken(training, 1)[0]) == training.train_rows.tolist()
    assert training.steps == 6
    assert before.sizes == training.network.sizes


def test_new_optimiser_keeps_the_weights() -> None:
    training = Trainer(MOONS, SETTINGS)
    taken(training, 5)
    before = training.network.layers
    training.apply_settings(replace(SETTINGS, optimizer="adam", learning_rate=0.01))
    assert training.network.layers is before
    taken(training, 1)
    moved = [np.abs(now.W - was.W).max() for now, was in zip(training.network.layers, before, strict=True)]
    assert_allclose(moved, 0.01, rtol=1e-3)  # the first step of Adam has that length in every direction


def test_noise_scale_matches_per_example_gradients_averaged_over_batches() -> None:
    training = Trainer(MOONS, SETTINGS)
    traces, lengths = [], []
    for _ in range(4):
        training.step()
        G = each_gradient(training)
        m = G.shape[1]
        spread = float(np.trace(np.atleast_2d(np.cov(G))))
        squared = float(np.sum(G.mean(axis=1) ** 2)) - spread / m
        traces.append(spread)
        lengths.append(squared)
        assert np.mean(lengths) > 0
        assert training.noise_scales[-1] == pytest.approx(np.mean(traces) / np.mean(lengths), rel=1e-3)


def test_noise_scale_forgets_old_batches() -> None:
    """Of a line through two points, learned to the end, the first steps' long gradients must not stay."""
    training = Trainer(
        make_toy("blobs", 40, 0.0, 0), Settings(batch_size="full", learning_rate=1.0, hidden=())
    )
    taken(training, 50)
    early = training._noise.trace
    taken(training, 500)
    assert training._noise.trace < 0.01 * early


def test_validation_is_computed_once_per_step() -> None:
    training = Trainer(MOONS, SETTINGS)
    first = training.validate()
    assert training.validate() is first
    taken(training, 40)
    held = training.validate()
    B, Y, _ = gather(training.dataset, training.validation_rows)
    step = backprop(training.network, B, Y)
    assert held.step == 40
    assert held.loss == pytest.approx(float(step.loss))
    assert held.score == np.mean(step.P.argmax(0) == Y.argmax(0))
    assert held.loss < first.loss
    assert [one.step for one in training.validation] == [0, 40]


def test_regression_score_is_r2() -> None:
    from sklearn.metrics import r2_score

    training = Trainer(
        make_toy("hills", 200, 0.0, 0), Settings(data="hills", hidden=(16,), learning_rate=0.2)
    )
    taken(training, 500)
    B, Y, _ = gather(training.dataset, training.validation_rows)
    P = backprop(training.network, B, Y).P
    assert training.validate().score == pytest.approx(r2_score(Y[0], P[0]), abs=1e-5)
    assert training.validate().score > 0.5


def test_overflowing_step_is_not_taken() -> None:
    wild = Settings(data="hills", activation="relu", hidden=(32, 32), learning_rate=100.0)
    training = Trainer(make_toy("hills", 60, 0.0, 0), wild)
    with pytest.raises(DivergedError, match=r"overflowed .*learning rate 100.*smaller"):
        taken(training, 100)
    assert np.isfinite(training.losses).all()
    assert all(np.isfinite(theta).all() for layer in training.network.layers for theta in layer)


def test_number_of_steps_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STEPS", 2)
    training = Trainer(MOONS, SETTINGS)
    taken(training, 2)
    with pytest.raises(ParameterError, match="at most 2 steps"):
        training.step()


def test_batch_size_above_the_rows_raises() -> None:
    with pytest.raises(ParameterError, match="batch_size=49 is not allowed: with 48 rows, give 1 to 48"):
        Trainer(MOONS, replace(SETTINGS, batch_size=49))


def test_five_rows_are_enough_and_a_constant_target_has_no_score() -> None:
    five = PlaygroundData("five", "numbers", np.eye(5), np.zeros(5), tuple("abcde"), ("y",), tuple("12345"))
    training = Trainer(five, Settings(hidden=(), batch_size="full"))
    taken(training, 2)
    assert np.isnan(training.validate().score)
    assert training.batch_size == 4
