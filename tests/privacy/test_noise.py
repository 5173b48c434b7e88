"""Noise calibration: the inverse of the accounting, on the safe side."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest

from batchprop.errors import ParameterError
from batchprop.privacy import SamplingRun, accounting, calibrate_noise, compute_epsilon
from tests.privacy import oracle

if TYPE_CHECKING:
    from batchprop.privacy.validation import Accountant

DELTA = 1e-5
ACCOUNTANTS: tuple[Accountant, ...] = ("pld", "rdp")
CLOSER = 1 - 2 * accounting.REL_TOL
ASKED = [
    (1.0, 0.01, 10000),
    (0.02, 0.01, 100),
    (8.0, 0.1, 300),
    (1e6, 0.5, 10),
    (543.4, 0.5, 1000),
]


@lru_cache
def calibrated(epsilon: float, rate: float, steps: int, accountant: Accountant) -> tuple[float, int]:
    """The noise multiplier, and the number of evaluations of ε; two tests share one calibration."""
    counted = 0
    reckon = accounting.compute_epsilon

    def counting(*arguments: Any) -> float:
        nonlocal counted
        counted += 1
        return reckon(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "compute_epsilon", counting)
        return calibrate_noise(epsilon, DELTA, rate, steps, accountant), counted


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
@pytest.mark.parametrize(("epsilon", "rate", "steps"), ASKED)
def test_calibrated_noise_is_just_enough_for_the_budget(
    epsilon: float, rate: float, steps: int, accountant: Accountant
) -> None:
    sigma, _ = calibrated(epsilon, rate, steps, accountant)
    assert compute_epsilon([SamplingRun(rate, sigma, steps)], DELTA, accountant) <= epsilon
    assert compute_epsilon([SamplingRun(rate, sigma * CLOSER, steps)], DELTA, accountant) > epsilon


def test_noise_without_sampling_is_that_of_the_gaussian_mechanism() -> None:
    mu = 0.7
    sigma = calibrate_noise(oracle.gaussian_epsilon(mu, DELTA), DELTA, 1.0, 100)
    assert 1 <= sigma * mu / math.sqrt(100) <= 1.002


def test_large_budget_needs_the_noise_that_spends_it() -> None:
    # Noise of 0.628 spends 543.4; by the Rényi bound, 1012.7, it took 0.884.
    sigma, _ = calibrated(543.4, 0.5, 1000, "pld")
    assert sigma == pytest.approx(0.628, rel=2e-3)


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_past_runs_count_toward_the_budget(accountant: Accountant) -> None:
    before = [SamplingRun(0.1, 4.0, 500), SamplingRun(0.05, 3.0, 500)]  # much noise has a coarse grid
    sigma = calibrate_noise(8.0, DELTA, 0.1, 300, accountant, before)
    alone, _ = calibrated(8.0, 0.1, 300, accountant)
    assert sigma > 1.02 * alone
    assert compute_epsilon([*before, SamplingRun(0.1, sigma, 300)], DELTA, accountant) <= 8.0
    assert compute_epsilon([*before, SamplingRun(0.1, sigma * CLOSER, 300)], DELTA, accountant) > 8.0


def test_pld_may_have_budget_left_where_rdp_has_none() -> None:
    before = [SamplingRun(0.1, 5.0, 1300)]  # 3.07, by the Rényi bound 3.33
    # The search begins at 1, and this ends close by.
    sigma = calibrate_noise(3.3, DELTA, 0.1, 2, "pld", before)
    assert compute_epsilon([*before, SamplingRun(0.1, sigma, 2)], DELTA) <= 3.3
    with pytest.raises(ParameterError, match="budget is spent"):
        calibrate_noise(3.3, DELTA, 0.1, 2, "rdp", before)


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_spent_budget_error_states_the_spent_epsilon(accountant: Accountant) -> None:
    with pytest.raises(ParameterError, match=r"spent: epsilon=\d\.\d+ of 1 at delta=1e-05; allow a larger"):
        calibrate_noise(1.0, DELTA, 0.01, 10, accountant, [SamplingRun(0.01, 1.0, 1000)])
    with pytest.raises(ParameterError, match="epsilon=inf of 1 "):
        calibrate_noise(1.0, DELTA, 0.01, 10, accountant, [SamplingRun(0.01, 0.0, 1)])


def test_unattainable_budget_is_refused() -> None:
    with pytest.raises(
        ParameterError,
        match=r"epsilon=0.001 .* by any noise multiplier up to 1e\+06.*or use accountant='pld'",
    ):
        calibrate_noise(1e-3, 1e-6, 0.01, 100, "rdp")
    before = [SamplingRun(0.01, 1.0, 1000)]
    spent = compute_epsilon(before, DELTA)
    with pytest.raises(ParameterError, match=r"spent before: 1\.828\): .* fewer steps$"):
        calibrate_noise(spent * (1 + 1e-9), DELTA, 1.0, 1000, "pld", before)


def test_zero_steps_need_no_noise() -> None:
    assert calibrate_noise(1.0, DELTA, 0.01, 0) == 0
    assert calibrate_noise(1.0, DELTA, 0.01, 0, past_runs=[SamplingRun(0.01, 0.0, 10)]) == 0


def test_calibration_needs_few_evaluations() -> None:
    for asked in ASKED:
        _, evaluations = calibrated(*asked, "pld")
        assert 1 <= evaluations <= 10  # one of them for what went before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epsilon": 0}, "epsilon=0 must be a finite number > 0"),
        ({"epsilon": math.inf}, "epsilon=inf"),
        ({"delta": 0}, "delta=0"),
        ({"sampling_rate": 2}, "sampling_rate=2"),
        ({"steps": -5}, "steps=-5"),
        ({"accountant": "gdp"}, "accountant='gdp'"),
    ],
)
def test_invalid_arguments_are_refused(changed: dict[str, Any], message: str) -> None:
    asked: dict[str, Any] = {"epsilon": 1.0, "delta": DELTA, "sampling_rate": 0.01, "steps": 10}
    with pytest.raises(ParameterError, match=message):
        calibrate_noise(**(asked | changed))
