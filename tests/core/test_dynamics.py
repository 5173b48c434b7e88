"""Training dynamics: running sums against the definitions over all epochs."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.dynamics import (
    EARLY_EPOCHS,
    LabelEncoding,
    TrainingDynamics,
    init_dynamics,
    mean_predictions,
    mislabel_score,
    summarize,
    update_dynamics,
)

N, K = 9, 3
EPOCHS = (1, 2, EARLY_EPOCHS, EARLY_EPOCHS + 7)
LABELS = LabelEncoding((K,))


def random_metrics(epochs: int, q: int) -> Any:
    """Random metrics ``(T, n, q)``: probabilities from 0 to 1, and margins of both signs."""
    rng = np.random.default_rng(epochs)
    seen = rng.uniform(size=(epochs, N, q))
    seen[:, :, 4] -= 0.5
    return seen


def dynamics_of(seen: Any, labels: LabelEncoding | None, asarray: Any = np.asarray) -> TrainingDynamics:
    history = init_dynamics(asarray(seen[0]), 0.5, labels)
    for t, one in enumerate(seen[1:], start=2):
        history = update_dynamics(history, asarray(one), 0.5 / t)
    return history


def dynamics_by_definition(seen: Any) -> dict[str, Any]:
    """The statistics by their definitions, over the recorded epochs."""
    T = len(seen)
    late = np.arange(1, T + 1) / np.arange(1, T + 1).sum()
    right, p = seen[:, :, 4] > 0, seen[:, :, 3]
    return {
        "loss": seen[:, :, 1].mean(axis=0),
        "el2n": seen[:EARLY_EPOCHS, :, 2].mean(axis=0),
        "grand": late @ np.sqrt(seen[:, :, 0]),
        "self_influence": (0.5 / np.arange(1, T + 1)) @ seen[:, :, 0],
        "aum": seen[:, :, 4].mean(axis=0),
        "forgetting": (right[:-1] & ~right[1:]).sum(axis=0),
        "correctness": right.mean(axis=0),
        "confidence": p.mean(axis=0),
        "variability": p.std(axis=0),
        "aleatoric": (p * (1 - p)).mean(axis=0),
    }


@pytest.mark.parametrize("epochs", EPOCHS)
def test_running_sums_match_the_definitions(epochs: int) -> None:
    seen = random_metrics(epochs, 5 + K)
    result, expected = summarize(dynamics_of(seen, LABELS)), dynamics_by_definition(seen)
    assert list(result) == list(expected)
    for name, values in expected.items():
        assert_allclose(result[name], values, rtol=1e-10, atol=1e-7 if name == "variability" else 1e-12)


@pytest.mark.parametrize("epochs", EPOCHS)
def test_regression_has_the_statistics_without_labels(epochs: int) -> None:
    seen = random_metrics(epochs, 5 + K)
    result, expected = summarize(dynamics_of(seen, None)), dynamics_by_definition(seen)
    assert list(result) == ["loss", "el2n", "grand", "self_influence"]
    for name, values in result.items():
        assert_allclose(values, expected[name], rtol=1e-10)


def test_predictions_are_means_of_p() -> None:
    seen = random_metrics(4, 5 + K)
    history = dynamics_of(seen, LABELS)
    assert_allclose(mean_predictions(history), seen[:, :, 5:].mean(axis=0))
    assert_allclose(mislabel_score(history), seen[:, :, 1].mean(axis=0))
    assert mean_predictions(dynamics_of(random_metrics(2, 7), None)).shape == (N, 4)


def test_update_does_not_modify_the_previous_dynamics() -> None:
    seen = random_metrics(2, 5 + K)
    before = init_dynamics(seen[0], 0.5, LABELS)
    kept = [np.array(part) for part in before[2:]]
    update_dynamics(before, seen[1], 0.5)
    for part, copy in zip(before[2:], kept, strict=True):
        assert_allclose(part, copy)


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "numbers"])
def test_only_the_array_api_standard_is_used(labels: LabelEncoding | None) -> None:
    seen = random_metrics(3, 5 + K)
    plain, strict = (dynamics_of(seen, labels, asarray) for asarray in (np.asarray, array_api_strict.asarray))
    for name, values in summarize(plain).items():
        assert_allclose(np.from_dlpack(summarize(strict)[name]), values, rtol=1e-12, err_msg=name)
    assert_allclose(np.from_dlpack(mislabel_score(strict)), mislabel_score(plain), rtol=1e-12)
