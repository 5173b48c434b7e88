"""An audit in one run: private training stays under its claim, and without noise it does not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import batchprop as bp
from batchprop.privacy import Privacy, audit_epsilon

CANARIES, GUESSES, DELTA = 400, 60, 1e-5


def audited(privacy: Privacy, engine: str) -> tuple[float, float]:
    """Train once, on digits and the canaries that a coin lets in; return the ε claimed and the ε shown."""
    rng = np.random.default_rng(0)
    X, y = load_digits(return_X_y=True)
    strange, labels = rng.uniform(0, 1, (CANARIES, 64)) > 0.5, rng.integers(0, 10, CANARIES)
    included = rng.choice([-1, 1], CANARIES)
    clf = bp.MLPClassifier(
        (256,),
        batch_size=128,
        max_iter=60,
        learning_rate_init=5e-3,
        random_state=0,
        engine=engine,
        privacy=privacy,
    )
    there = included == 1
    clf.fit(np.vstack([X[:600] / 16, strange[there]]), np.concatenate([y[:600], labels[there]]))
    scores = -clf.backprop(strange.astype(float), labels).losses
    shown = audit_epsilon(included, scores, GUESSES, GUESSES, delta=DELTA)
    return clf.privacy_spent_.epsilon, shown


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_private_training_stays_under_its_claim(engine: str) -> None:
    claimed, shown = audited(Privacy(epsilon=1, delta=DELTA), engine)
    assert claimed <= 1
    assert shown <= claimed


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_without_the_noise_the_audit_shows_more_than_was_claimed(engine: str) -> None:
    _, shown = audited(Privacy(noise_multiplier=0, delta=DELTA, max_norm=1e6), engine)
    assert shown > 2
