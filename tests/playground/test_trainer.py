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


def train(trainer: Trainer, steps: int) -> list[list[int]]:
    """Train on the next batches, and return their rows."""
    result = []
    for _ in range(steps):
        trainer.step()
        assert trainer.last_batch is not None
        result.append(trainer.last_batch.rows.tolist())
    return result


def each_gradient(trainer: Trainer) -> np.ndarray:
    """Per-example gradients of the last batch (parameters, m), computed one by one."""
    assert trainer.last_batch is not None
    result = []
    for row in trainer.last_batch.rows:
        B, Y, _ = gather(trainer.dataset, np.array([row]))
        mean = backprop(trainer.last_batch.network, B, Y).gradient.mean()
        result.append(np.concatenate([theta.ravel() for layer in mean for theta in layer]))
    return np.array(result, dtype=np.float64).T


@pytest.mark.parametrize("data", TOY_DATASETS)
def test_step_follows_the_negative_mean_gradient(data: str) -> None:
    trainer = Trainer(make_toy(data, 60, 0.2, 0), replace(SETTINGS, data=data))
    train(trainer, 3)
    assert trainer.last_batch is not None
    before = trainer.last_batch.network.layers
    mean = each_gradient(trainer).mean(axis=1)
    step = [(theta - old).ravel() for now, was in zip(trainer.network.layers, before, strict=True)
            for theta, old in zip(now, was, strict=True)]  # fmt: skip
    assert_allclose(np.concatenate(step), -0.3 * mean, rtol=2e-4, atol=1e-6)


def test_epoch_uses_every_training_row_once_and_no_validation_row() -> None:
    trainer = Trainer(MOONS, SETTINGS)
    batches = train(trainer, 7)
    assert [len(rows) for rows in batches] == [7, 7, 7, 7, 7, 7, 6]
    assert sorted(row for rows in batches for row in rows) == trainer.train_rows.tolist()
    assert len(trainer.train_rows) == 48
    assert sorted([*trainer.train_rows, *trainer.validation_rows]) == list(range(60))
    assert trainer.n_seen == 48
    assert list(trainer.batch_sizes) == [7, 7, 7, 7, 7, 7, 6]


def test_new_batch_size_applies_from_the_next_batch() -> None:
    trainer = Trainer(MOONS, SETTINGS)
    train(trainer, 2)
    trainer.apply_settings(replace(SETTINGS, batch_size=1))
    before = trainer.network
    assert [len(rows) for rows in train(trainer, 3)] == [1, 1, 1]
    assert np.isnan(trainer.noise_scales[-3:]).all()
    trainer.apply_settings(replace(SETTINGS, batch_size="full"))
    assert sorted(train(trainer, 1)[0]) == trainer.train_rows.tolist()
    assert trainer.steps == 6
    assert before.sizes == trainer.network.sizes


def test_new_optimiser_keeps_the_weights() -> None:
    trainer = Trainer(MOONS, SETTINGS)
    train(trainer, 5)
    before = trainer.network.layers
    trainer.apply_settings(replace(SETTINGS, optimizer="adam", learning_rate=0.01))
    assert trainer.network.layers is before
    train(trainer, 1)
    moved = [np.abs(now.W - was.W).max() for now, was in zip(trainer.network.layers, before, strict=True)]
    assert_allclose(moved, 0.01, rtol=1e-3)  # the first step of Adam has that length in every direction


def test_noise_scale_matches_per_example_gradients_averaged_over_batches() -> None:
    trainer = Trainer(MOONS, SETTINGS)
    traces, lengths = [], []
    for _ in range(4):
        trainer.step()
        G = each_gradient(trainer)
        m = G.shape[1]
        spread = float(np.trace(np.atleast_2d(np.cov(G))))
        squared = float(np.sum(G.mean(axis=1) ** 2)) - spread / m
        traces.append(spread)
        lengths.append(squared)
        assert np.mean(lengths) > 0
        assert trainer.noise_scales[-1] == pytest.approx(np.mean(traces) / np.mean(lengths), rel=1e-3)


def test_noise_scale_forgets_old_batches() -> None:
    """After fitting a line through two points, the large gradients of the first steps must not remain."""
    trainer = Trainer(
        make_toy("blobs", 40, 0.0, 0), Settings(batch_size="full", learning_rate=1.0, hidden=())
    )
    train(trainer, 50)
    early = trainer._noise.trace
    train(trainer, 500)
    assert trainer._noise.trace < 0.01 * early


def test_validation_is_computed_once_per_step() -> None:
    trainer = Trainer(MOONS, SETTINGS)
    first = trainer.validate()
    assert trainer.validate() is first
    train(trainer, 40)
    held = trainer.validate()
    B, Y, _ = gather(trainer.dataset, trainer.validation_rows)
    step = backprop(trainer.network, B, Y)
    assert held.step == 40
    assert held.loss == pytest.approx(float(step.loss))
    assert held.score == np.mean(step.P.argmax(0) == Y.argmax(0))
    assert held.loss < first.loss
    assert [one.step for one in trainer.validation] == [0, 40]


def test_regression_score_is_r2() -> None:
    from sklearn.metrics import r2_score

    trainer = Trainer(make_toy("hills", 200, 0.0, 0), Settings(data="hills", hidden=(16,), learning_rate=0.2))
    train(trainer, 500)
    B, Y, _ = gather(trainer.dataset, trainer.validation_rows)
    P = backprop(trainer.network, B, Y).P
    assert trainer.validate().score == pytest.approx(r2_score(Y[0], P[0]), abs=1e-5)
    assert trainer.validate().score > 0.5


def test_overflowing_step_is_not_taken() -> None:
    wild = Settings(data="hills", activation="relu", hidden=(32, 32), learning_rate=100.0)
    trainer = Trainer(make_toy("hills", 60, 0.0, 0), wild)
    with pytest.raises(DivergedError, match=r"overflowed .*learning rate 100.*smaller"):
        train(trainer, 100)
    assert np.isfinite(trainer.losses).all()
    assert all(np.isfinite(theta).all() for layer in trainer.network.layers for theta in layer)


def test_number_of_steps_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STEPS", 2)
    trainer = Trainer(MOONS, SETTINGS)
    train(trainer, 2)
    with pytest.raises(ParameterError, match="at most 2 steps"):
        trainer.step()


def test_batch_size_above_the_rows_raises() -> None:
    with pytest.raises(ParameterError, match="batch_size=49 is not allowed: with 48 rows, give 1 to 48"):
        Trainer(MOONS, replace(SETTINGS, batch_size=49))


def test_five_rows_are_enough_and_a_constant_target_has_no_score() -> None:
    five = PlaygroundData("five", "numbers", np.eye(5), np.zeros(5), tuple("abcde"), ("y",), tuple("12345"))
    trainer = Trainer(five, Settings(hidden=(), batch_size="full"))
    train(trainer, 2)
    assert np.isnan(trainer.validate().score)
    assert trainer.batch_size == 4
