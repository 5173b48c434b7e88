"""A one-run audit: private training stays below its ε, and training without noise does not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import batchprop as bp
from batchprop.privacy import Privacy, audit_epsilon

CANARIES, GUESSES, DELTA = 400, 60, 1e-5


def train_and_audit(privacy: Privacy, engine: str) -> tuple[float, float]:
    """Train once on digits and coin-flipped canaries; return the claimed ε and the lower bound on ε."""
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
def test_audit_of_private_training_stays_below_its_epsilon(engine: str) -> None:
    claimed, shown = train_and_audit(Privacy(epsilon=1, delta=DELTA), engine)
    assert claimed <= 1
    assert shown <= claimed


def test_audit_of_training_without_noise_exceeds_its_epsilon() -> None:
    _, shown = train_and_audit(Privacy(noise_multiplier=0, delta=DELTA, max_norm=1e6), "numpy")
    assert shown > 2
