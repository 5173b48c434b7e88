"""ε of a grid of runs against reference accountants, and properties of every accounting."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchprop.errors import BatchpropError, ParameterError
from batchprop.privacy import SamplingRun, accounting, calibrate_noise, compute_epsilon
from tests.privacy import oracle

if TYPE_CHECKING:
    from batchprop.privacy.validation import Accountant

DELTA = 1e-5
ACCOUNTANTS: tuple[Accountant, ...] = ("pld", "rdp")
# ε from 0.0004 to 117.
GRID = [SamplingRun(*kind) for kind in product((0.001, 0.01, 0.1), (0.7, 1.1, 4.0), (1, 100, 3000))]
# Every rate, noise and number of steps, with the smallest and the largest of all: each takes long.
SOME = [GRID[number] for number in (0, 5, 10, 22, 26)]
NOISES = st.floats(0.6, 20)
RATES = st.floats(1e-4, 0.5)
STEPS = st.integers(1, 5000)

# ε by Opacus 1.6: its Rényi accountant, and its numerical one with an error of at most 1e-3.
OPACUS = [
    (SamplingRun(0.01, 1.0, 1000), 1e-5, 2.10137, 1.82937),
    (SamplingRun(0.02, 1.1, 3000), 1e-6, 7.08382, 6.58233),
    (SamplingRun(0.001, 0.6, 10000), 1e-6, 3.99913, 3.15349),
    (SamplingRun(256 / 60000, 1.1, 14040), 1e-5, 2.59436, 2.3807),
]


@cache
def compute(run: SamplingRun, delta: float, accountant: Accountant = "pld") -> float:
    """ε of one run, which several tests look at."""
    return compute_epsilon([run], delta, accountant)


def reach(run: SamplingRun, delta: float = DELTA) -> float:
    """The range of the numerical oracle: twice the Rényi bound, and the loss at nine deviations."""
    furthest = float(oracle.loss(run, 1 + 9 * run.noise_multiplier))
    return 2 * compute(run, delta, "rdp") + furthest


@pytest.mark.parametrize("run", SOME, ids=str)
def test_pld_is_the_numerical_epsilon_from_above_and_no_more_than_renyis(run: SamplingRun) -> None:
    wanted, result = oracle.numerical_epsilon([run], DELTA, reach=reach(run)), compute(run, DELTA)
    # The oracle estimates to about 1e-5; ours is an upper bound at most 0.1% off by design.
    assert wanted * (1 - 2e-5) - 1e-6 <= result <= wanted * (1 + 1e-3) + 1e-6
    assert result <= compute(run, DELTA, "rdp")


@pytest.mark.parametrize("run", SOME, ids=str)
def test_rdp_is_a_tight_upper_bound_of_our_renyi_bound(run: SamplingRun) -> None:
    divergence = run.steps * oracle.divergence_by_quadrature(run)
    wanted = oracle.renyi_epsilon(divergence, oracle.ORDERS, DELTA)
    result = compute(run, DELTA, "rdp")
    assert result >= wanted * (1 - 1e-9)
    # Beyond this, the best order is below 2, where dp-accounting's series may fail and omits the order.
    assert result <= wanted * (1.002 if wanted < 30 else 1.5)


@pytest.mark.parametrize("run", GRID, ids=str)
def test_rdp_is_at_most_the_closed_form_at_integer_orders(run: SamplingRun) -> None:
    divergence = run.steps * oracle.sampled_gaussian_divergence(run)
    # Ours uses these orders, others in between, and larger ones.
    whole = oracle.renyi_epsilon(divergence, oracle.WHOLE, DELTA)
    assert compute(run, DELTA, "rdp") <= whole * (1 + 1e-9)


def test_oracles_agree() -> None:
    for run in SOME:
        closed = oracle.sampled_gaussian_divergence(run)
        assert closed == pytest.approx(
            oracle.divergence_by_quadrature(run, oracle.WHOLE), rel=1e-8, abs=1e-13
        )
    every_step = SamplingRun(1.0, 5.0, 30)
    exact = oracle.gaussian_epsilon(math.sqrt(30) / 5, DELTA)
    assert oracle.numerical_epsilon([every_step], DELTA, reach=20) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(
    ("noise", "steps"), [(0.7, 1), (0.7, 2000), (1.1, 100), (4.0, 1), (4.0, 2000), (50.0, 100)]
)
def test_epsilon_without_sampling_is_that_of_the_gaussian_mechanism(noise: float, steps: int) -> None:
    exact = oracle.gaussian_epsilon(math.sqrt(steps) / noise, DELTA)
    pld, rdp = (compute_epsilon([SamplingRun(1.0, noise, steps)], DELTA, kind) for kind in ACCOUNTANTS)
    assert exact <= rdp
    assert exact * (1 - 1e-6) <= pld <= min(rdp, exact * 1.001)


@pytest.mark.parametrize(
    ("half_square", "steps", "delta"),
    # Each of both ends of each limit, and both δ with each number of steps.
    [
        (half_square, steps, (1e-5, 1e-10)[(i + i // 4) % 2])
        for i, half_square in enumerate((300, 650, 700, 745, 3000, 1e5, 1e6, 8e6))
        for j, steps in enumerate((1, 30, 1000, 100_000))
        if j == i % 4
    ],
)
def test_large_epsilon_is_that_of_the_gaussian_mechanism(
    half_square: float, steps: int, delta: float
) -> None:
    # From ε = 708 on, exp(−ε) is below the smallest float64 with all its digits.
    mu = math.sqrt(2 * half_square)
    exact = oracle.gaussian_epsilon(mu, delta)
    run = SamplingRun(1.0, math.sqrt(steps) / mu, steps)
    assert exact * (1 - 1e-6) <= compute_epsilon([run], delta) <= exact * 1.001


# ε from 540 to 15,000, where the Rényi bound is up to twice the exact value.
LARGE_GRID = [
    SamplingRun(0.5, 0.628, 1000),
    SamplingRun(0.5, 0.05, 100),
    SamplingRun(0.1, 0.4, 20_000),
]


@pytest.mark.parametrize(
    ("run", "delta"), [*((run, DELTA) for run in LARGE_GRID), (LARGE_GRID[0], 1e-9)], ids=str
)
def test_large_epsilon_is_the_numerical_one_from_above(run: SamplingRun, delta: float) -> None:
    wanted = oracle.numerical_epsilon([run], delta, reach=reach(run, delta), bins=2**19)
    result = compute(run, delta)
    assert wanted * (1 - 1e-4) <= result <= wanted * (1 + 1e-3)
    assert result < compute(run, delta, "rdp")


def test_large_epsilon_falls_with_noise_and_rises_with_rate_and_steps() -> None:
    def along(runs: list[SamplingRun]) -> list[float]:
        return [compute(run, DELTA) for run in runs]

    # Both sides of every limit of the accounting: from ε = 20 to beyond the largest that "pld" computes.
    by_noise = along([SamplingRun(0.5, 16.0 * 0.029**i, 1000) for i in range(4)])
    by_rate = along([SamplingRun(rate, 0.4, 1000) for rate in (0.016, 0.256)])
    by_steps = along([SamplingRun(0.5, 0.628, steps) for steps in (10, 1000, 65_610)])
    assert by_noise == sorted(by_noise)
    assert by_rate == sorted(by_rate)
    assert by_steps == sorted(by_steps)
    assert max(by_noise) > accounting.MAX_PLD_EPSILON
    assert min(by_noise) < accounting.MAX_EXPONENT < max(by_rate) < max(by_steps)


def test_grid_of_the_losses_is_as_fine_as_the_error_allows() -> None:
    steps = 10**6
    for epsilons, part in ((np.geomspace(1, 599, 40), 1e-3), (np.geomspace(601, 1e5, 40), 2e-4)):
        for epsilon in epsilons:
            width = accounting._discretization_interval(epsilon, [SamplingRun(0.1, 1.0, steps)])
            # Each step adds at most the interval squared, and a power of two is at most √2 off.
            assert part / 2 <= steps * width**2 / epsilon <= 2 * part


def test_pld_is_never_above_rdp() -> None:
    # By itself the distribution of the last would give 600: its transforms' tails add up.
    for rate, noise, steps, delta in (
        (0.03, 1.0, 1000, DELTA),
        (1.0, 0.01, 1000, DELTA),
        (1.0, 1e5, 10**8, 1e-10),
    ):
        runs = [SamplingRun(rate, noise, steps)]
        assert compute_epsilon(runs, delta) <= compute_epsilon(runs, delta, "rdp")


def test_a_distribution_that_memory_does_not_hold_leaves_the_renyi_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_out(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(accounting, "_pld_epsilon", run_out)
    runs = [SamplingRun(1e-6, 0.5, 10**8)]
    assert compute_epsilon(runs, DELTA) == compute_epsilon(runs, DELTA, "rdp")


@pytest.mark.parametrize(
    ("steps", "delta"), [(10**4, 1e-5), (10**4, 1e-10), (10**6, 1e-8), (10**6, 1e-10), (10**7, 1e-10)]
)
def test_epsilon_over_many_steps_is_within_its_error_bound(steps: int, delta: float) -> None:
    # One transform to the power of a million steps was 0.6% below the exact value at δ = 1e-10.
    run = SamplingRun(1.0, math.sqrt(steps) / 0.8, steps)
    result = compute_epsilon([run], delta)
    assert result >= oracle.gaussian_epsilon(0.8, delta)
    # Two things make the bound larger than exact. A loss between two points of the grid, w apart, is split
    # between them, which adds at most w²/4 to the variance of each step's loss (w²/6 on average). And each
    # composition gives up a tail of 1e-15, which is taken as an infinite loss: at δ = 1e-10, ten thousand of
    # them are a tenth of δ.
    width = accounting._discretization_interval(compute_epsilon([run], delta, "rdp"), [run])
    tails = (steps // accounting.STEPS_PER_TRANSFORM + 1) * 1e-15
    assert result <= oracle.gaussian_epsilon(math.sqrt(0.8**2 + steps * width**2 / 4), delta - tails)


@pytest.mark.parametrize(("run", "delta", "rdp", "numerical"), OPACUS, ids=str)
def test_epsilon_matches_opacus(run: SamplingRun, delta: float, rdp: float, numerical: float) -> None:
    assert compute_epsilon([run], delta, "rdp") == pytest.approx(rdp, rel=1e-4)
    assert compute_epsilon([run], delta) == pytest.approx(numerical, abs=1.5e-3)


def test_composition_of_different_runs_matches_the_numerical_oracle() -> None:
    runs = [SamplingRun(0.01, 1.0, 500), SamplingRun(0.05, 2.0, 200), SamplingRun(1.0, 20.0, 10)]
    wanted = oracle.numerical_epsilon(runs, DELTA, reach=25)
    assert compute_epsilon(runs, DELTA) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_epsilon_does_not_depend_on_order_or_splitting_of_runs(accountant: Accountant) -> None:
    runs = [SamplingRun(0.01, 1.0, 300), SamplingRun(0.02, 2.0, 100), SamplingRun(0.01, 1.0, 200)]
    orders = (runs, runs[::-1], [runs[1], runs[0], runs[2]])
    every = {compute_epsilon(order, DELTA, accountant) for order in orders}
    together = compute_epsilon([SamplingRun(0.01, 1.0, 500), SamplingRun(0.02, 2.0, 100)], DELTA, accountant)
    assert every == {together}


def test_two_runs_cost_more_than_each_and_less_than_both() -> None:
    first, second = SamplingRun(0.01, 0.8, 500), SamplingRun(0.05, 2.0, 200)
    one, other, both = (compute_epsilon(runs, DELTA, "rdp") for runs in ([first], [second], [first, second]))
    assert max(one, other) < both < one + other


@settings(max_examples=2)
@given(RATES, NOISES, STEPS)
def test_renyi_epsilon_falls_with_noise_and_rises_with_rate_and_steps(
    rate: float, noise: float, steps: int
) -> None:
    here = compute_epsilon([SamplingRun(rate, noise, steps)], DELTA, "rdp")
    assert compute_epsilon([SamplingRun(rate, noise * 1.1, steps)], DELTA, "rdp") <= here
    assert compute_epsilon([SamplingRun(rate * 1.1, noise, steps)], DELTA, "rdp") >= here
    assert compute_epsilon([SamplingRun(rate, noise, steps + 1)], DELTA, "rdp") >= here


def test_pld_epsilon_falls_with_noise_and_rises_with_rate_and_steps() -> None:
    def along(runs: list[SamplingRun]) -> list[float]:
        return [compute(run, DELTA) for run in runs]

    # The grid of the losses changes along the way, by 0.1% at most: steps of 10%.
    by_noise = along([SamplingRun(0.1, 4.0 * 1.1**i, 1500) for i in range(3)])
    by_rate = along([SamplingRun(0.1 * 1.1**i, 4.0, 1500) for i in range(3)])
    by_steps = along([SamplingRun(0.1, 4.0, int(1500 * 1.2**i)) for i in range(3)])
    assert by_noise == sorted(by_noise, reverse=True)
    assert by_rate == sorted(by_rate)
    assert by_steps == sorted(by_steps)


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_epsilon_is_zero_without_steps_and_infinite_without_noise(accountant: Accountant) -> None:
    assert compute_epsilon([], DELTA, accountant) == 0
    assert compute_epsilon([SamplingRun(0.01, 1.0, 0), SamplingRun(0.5, 0.0, 0)], DELTA, accountant) == 0
    assert (
        compute_epsilon([SamplingRun(0.01, 1.0, 10), SamplingRun(0.01, 0.0, 1)], DELTA, accountant)
        == math.inf
    )


class Listener(logging.Handler):
    """A log handler that keeps its records."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
@pytest.mark.parametrize(
    "run",
    [
        SamplingRun(0.5, 1e-200, 10),
        SamplingRun(1.0, 1e300, 10),
        SamplingRun(1e-12, 1.0, 10),
        SamplingRun(1 - 1e-16, 1.0, 100),
        SamplingRun(0.01, 1e-3, 1),
        SamplingRun(0.1, 0.3, 10**6),
        SamplingRun(1e-9, 1.0, 10**12),
    ],
    ids=str,
)
def test_extreme_runs_log_nothing(run: SamplingRun, accountant: Accountant) -> None:
    listener = Listener()
    logger = logging.getLogger("absl")
    filters = list(logger.filters)
    logger.addHandler(listener)
    try:
        assert compute_epsilon([run], DELTA, accountant) >= 0
    finally:
        logger.removeHandler(listener)
    assert not listener.said
    assert logger.filters == filters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0, 1.0, 1), r"sampling_rate=0.0 must be in \(0, 1\]"),
        ((1.5, 1.0, 1), "sampling_rate=1.5"),
        (("a", 1.0, 1), "sampling_rate='a'"),
        ((0.5, -1.0, 1), "noise_multiplier=-1.0"),
        ((0.5, math.nan, 1), "noise_multiplier=nan"),
        ((0.5, 1.0, -1), "steps=-1"),
        ((0.5, 1.0, 1.5), "steps=1.5"),
        ((0.5, 1.0, math.inf), "steps=inf"),
        ((0.5, 1.0, True), "steps=True"),
    ],
)
def test_invalid_runs_are_refused(values: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        SamplingRun(*values)


def test_invalid_accounting_arguments_are_refused() -> None:
    run = SamplingRun(0.01, 1.0, 1)
    with pytest.raises(ParameterError, match=r"delta=1.5 must be a number in \(0, 1\)"):
        compute_epsilon([run], 1.5)
    with pytest.raises(ParameterError, match=r"delta=1e-12 is below 1e-10.*accountant='rdp'"):
        compute_epsilon([run], 1e-12)
    assert compute_epsilon([run], 1e-12, "rdp") > 0
    with pytest.raises(ParameterError, match="accountant='prv' is unknown: choose one of pld, rdp"):
        compute_epsilon([run], DELTA, cast("Accountant", "prv"))


def test_missing_dp_accounting_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(BatchpropError, match=r'dp_accounting.*: pip install "batchprop\[privacy\]"$'):
        compute_epsilon([SamplingRun(0.01, 1.0, 1)], DELTA)
    with pytest.raises(BatchpropError, match="pip install"):
        calibrate_noise(1.0, DELTA, 0.01, 10)
    assert compute_epsilon([], DELTA) == 0


def test_slow_modules_are_imported_lazily() -> None:
    code = "import batchprop.privacy, sys; print('dp_accounting' in sys.modules, 'scipy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.split() == ["False", "False"]
