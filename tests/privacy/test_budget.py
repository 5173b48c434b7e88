"""The record of the spent budget: its contents and its limits."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from batchprop.errors import ParameterError
from batchprop.privacy import (
    Privacy,
    SamplingRun,
    accounting,
    calibrate_noise,
    compute_epsilon,
    compute_spent,
)

RUNS = [SamplingRun(0.02, 2.0, 100), SamplingRun(0.01, 1.0, 300)]


def record(*, runs: Any = RUNS, seeded: bool = False, **asked: Any) -> Any:
    asked = {"delta": 1e-5, "noise_multiplier": 1.0} | asked
    return compute_spent(Privacy(**asked), runs, expected_batch_size=64, seeded=seeded)


@pytest.mark.parametrize("accountant", ["pld", "rdp"])
def test_record_matches_the_accounting_of_all_runs(accountant: Any) -> None:
    result = record(accountant=accountant, clipping="per_layer", max_norm=0.5)
    assert result.epsilon == result.epsilon_if_poisson == compute_epsilon(RUNS, 1e-5, accountant)
    assert (result.delta, result.accountant, result.clipping, result.max_norm) == (
        1e-5,
        accountant,
        "per_layer",
        0.5,
    )
    assert (result.steps, result.sampling_rate, result.noise_multiplier) == (400, 0.01, 1.0)
    assert (result.expected_batch_size, result.sampling, result.seeded) == (64.0, "poisson", False)
    assert result.relation == "add or remove one row"
    assert result.runs == tuple(RUNS)


def test_runs_of_a_record_continue_its_budget() -> None:
    # The quick accountant: what counts is that the record's runs do.
    first = record(accountant="rdp")
    sigma = calibrate_noise(3.0, first.delta, 0.01, 200, "rdp", past_runs=first.runs)
    then = record(accountant="rdp", runs=[*first.runs, SamplingRun(0.01, sigma, 200)])
    assert first.epsilon < then.epsilon <= 3.0


def test_shuffled_batches_have_no_guarantee() -> None:
    result = record(sampling="shuffled")
    assert result.epsilon == math.inf
    assert result.epsilon_if_poisson == compute_epsilon(RUNS, 1e-5)
    said = result.summary()
    assert said.startswith(
        "No epsilon is guaranteed: batches were shuffled, which the accounting does not cover."
    )
    assert f"With Poisson sampling it would be epsilon = {result.epsilon_if_poisson:.3g} at" in said


def test_a_run_without_noise_has_no_guarantee() -> None:
    result = record(runs=[*RUNS, SamplingRun(0.01, 0.0, 1)])
    assert result.epsilon == result.epsilon_if_poisson == math.inf
    assert result.summary().startswith("No epsilon is guaranteed: a run had no noise.")
    both = record(runs=[SamplingRun(0.01, 0.0, 1)], sampling="shuffled")
    assert "epsilon = ∞" in both.summary()


def test_before_the_first_step_nothing_is_spent() -> None:
    for sampling in ("poisson", "shuffled"):
        assert record(runs=[SamplingRun(0.01, 0.0, 0)], sampling=sampling).epsilon == 0


def test_fixed_seed_is_reported() -> None:
    assert "A fixed seed was used" in record(seeded=True).summary()
    assert "seed" not in record().summary()


def test_str_is_the_summary_and_repr_the_fields() -> None:
    result = record()
    assert str(result) == result.summary()
    assert repr(result).startswith(f"PrivacySpent(epsilon={result.epsilon!r}, delta=1e-05,")
    assert pickle.loads(pickle.dumps(result)) == result


def test_record_without_runs_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"runs=\(\) is empty"):
        record(runs=[])


def test_one_shuffled_run_voids_the_guarantee() -> None:
    runs = [RUNS[0], SamplingRun(0.01, 1.0, 300, "shuffled")]
    assert compute_epsilon(runs, 1e-5) == math.inf
    result = record(runs=[*runs, RUNS[0]])
    assert (result.epsilon, result.sampling) == (math.inf, "shuffled")
    assert result.epsilon_if_poisson == compute_epsilon([*RUNS, RUNS[0]], 1e-5)
    with pytest.raises(ParameterError, match=r"epsilon=9 cannot be guaranteed after a run with shuffled"):
        calibrate_noise(9.0, 1e-5, 0.01, 10, past_runs=runs)
    unknown: Any = "all"
    with pytest.raises(ParameterError, match="sampling='all' is unknown"):
        SamplingRun(0.1, 1.0, 1, unknown)


def test_equal_runs_are_merged_and_accounted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Privacy(delta=1e-5, noise_multiplier=1.3, accountant="rdp")
    after = asked.start(1000, 10, 50, None, seeded=False).compute_spent(20)
    reckoned: list[Any] = []
    renyi = accounting._rdp_epsilon

    def counted(runs: Any, delta: float) -> float:
        reckoned.append(runs)
        return renyi(runs, delta)

    monkeypatch.setattr(accounting, "_rdp_epsilon", counted)
    for _ in range(3):
        again = asked.resume(1000, 10, 20, after, seeded=False).compute_spent(20)
        assert again.runs == (SamplingRun(0.01, 1.3, 40),)
    assert len(reckoned) == 1
    other = asked.resume(1000, 20, 20, again, seeded=False).compute_spent(5)
    assert other.runs == (SamplingRun(0.01, 1.3, 40), SamplingRun(0.02, 1.3, 5))
