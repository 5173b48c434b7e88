"""The schedules: end points, shapes, and invalid settings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop import schedules
from batchprop.errors import ParameterError

ENDLESS = (0, 1, 10, 10**6)


def test_constant_is_constant() -> None:
    assert {schedules.constant(0.25)(step) for step in ENDLESS} == {0.25}


def test_invscaling_depends_on_the_rows_seen() -> None:
    schedule = schedules.invscaling(0.5, 0.5, steps_per_epoch=3, rows_per_epoch=10)
    rates = [schedule(step) for step in range(9)]
    assert_allclose(rates, np.repeat([0.5, 0.5 / np.sqrt(11), 0.5 / np.sqrt(21)], 3))


def test_invscaling_continues_from_its_step() -> None:
    whole = schedules.invscaling(0.5, 0.7, steps_per_epoch=2, rows_per_epoch=10)
    rest = schedules.invscaling(0.5, 0.7, steps_per_epoch=2, rows_per_epoch=10, rows_before=30)
    assert [rest(step) for step in range(4)] == [whole(step) for step in range(6, 10)]


def test_power_0_keeps_the_rate_constant() -> None:
    assert schedules.invscaling(0.5, 0, steps_per_epoch=1, rows_per_epoch=10)(10**6) == 0.5


def test_reduce_on_plateau_divides_by_5_down_to_1e_6() -> None:
    schedule = schedules.ReduceOnPlateau(1e-4)
    assert schedule(0) == schedule(999) == 1e-4
    reductions = [schedule.reduce() for _ in range(5)]
    assert reductions == [True, True, True, False, False]
    assert_allclose(schedule(0), 1e-4 / 5**3)
    assert_allclose(schedule.learning_rate, schedule(0))


def test_cosine_falls_over_the_whole_run() -> None:
    schedule = schedules.cosine(0.4, 8, final=0.1)
    rates = [schedule(step) for step in range(9)]
    assert_allclose(rates, 0.25 + 0.15 * np.cos(np.linspace(0, np.pi, 9)))
    assert all(after < before for before, after in pairwise(rates))
    assert schedule(8) == schedule(10**6) == 0.1


def test_warmup_is_linear_and_decay_is_cosine() -> None:
    schedule = schedules.warmup_cosine(0.4, 20, warmup_fraction=0.2)
    assert_allclose([schedule(step) for step in range(5)], [0.1, 0.2, 0.3, 0.4, 0.4])
    fall = schedules.cosine(0.4, 16)
    assert [schedule(step) for step in range(4, 25)] == [fall(step) for step in range(21)]
    assert schedule(20) == schedule(10**6) == 0.0


def test_warmup_cosine_without_warmup_equals_cosine() -> None:
    schedule, cosine = schedules.warmup_cosine(0.4, 9, warmup_fraction=0), schedules.cosine(0.4, 9)
    assert [schedule(step) for step in range(12)] == [cosine(step) for step in range(12)]


def test_one_cycle_rises_and_falls() -> None:
    schedule = schedules.one_cycle(1.0, 100, warmup_fraction=0.25, start_divisor=10, end_divisor=100)
    rates = [schedule(step) for step in range(101)]
    assert_allclose([rates[0], rates[25], rates[100]], [0.1, 1.0, 0.001])
    assert max(rates) == rates[25]
    assert all(before < after for before, after in pairwise(rates[:26]))
    assert all(before > after for before, after in pairwise(rates[25:]))
    assert schedule(10**6) == rates[100]


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_shortest_runs_have_positive_rates(total_steps: int) -> None:
    for schedule in (
        schedules.cosine(1.0, total_steps),
        schedules.warmup_cosine(1.0, total_steps, 0.9),
        schedules.one_cycle(1.0, total_steps, 0.9),
    ):
        assert all(0 <= schedule(step) <= 1 for step in range(total_steps + 2))
        assert schedule(0) > 0


def makers(rate: float) -> list[Any]:
    return [
        lambda: schedules.constant(rate),
        lambda: schedules.invscaling(rate, 0.5, steps_per_epoch=1, rows_per_epoch=1),
        lambda: schedules.ReduceOnPlateau(rate),
        lambda: schedules.cosine(rate, 10),
        lambda: schedules.warmup_cosine(rate, 10),
        lambda: schedules.one_cycle(rate, 10),
    ]


@pytest.mark.parametrize("wrong", [0, -0.1, float("inf"), float("nan")])
def test_a_rate_that_is_not_positive_is_refused(wrong: float) -> None:
    for maker in makers(wrong):
        with pytest.raises(ParameterError, match=r"learning_rate=.*give a positive number, as 0\.001"):
            maker()


@pytest.mark.parametrize("wrong", [-0.5, float("nan")])
def test_a_negative_power_is_refused(wrong: float) -> None:
    with pytest.raises(ParameterError, match=r"power_t=.*0 or a positive number"):
        schedules.invscaling(0.1, wrong, steps_per_epoch=1, rows_per_epoch=1)


@pytest.mark.parametrize("maker", [schedules.cosine, schedules.warmup_cosine, schedules.one_cycle])
def test_zero_steps_are_refused(maker: Any) -> None:
    with pytest.raises(ParameterError, match=r"total_steps=0 .*at least 1"):
        maker(0.1, 0)


@pytest.mark.parametrize("wrong", [-1e-9, float("inf"), float("nan")])
def test_a_final_rate_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ParameterError, match=r"final=.*0 or a positive learning rate"):
        schedules.cosine(0.1, 10, final=wrong)


@pytest.mark.parametrize("maker", [schedules.warmup_cosine, schedules.one_cycle])
@pytest.mark.parametrize("wrong", [-0.1, 1.0, float("nan")])
def test_a_warmup_out_of_range_is_refused(maker: Any, wrong: float) -> None:
    with pytest.raises(ParameterError, match=r"warmup_fraction=.*from 0 to below 1"):
        maker(0.1, 10, wrong)


@pytest.mark.parametrize("name", ["start_divisor", "end_divisor"])
@pytest.mark.parametrize("wrong", [0.5, float("nan")])
def test_a_divisor_below_1_is_refused(name: str, wrong: float) -> None:
    with pytest.raises(ParameterError, match=rf"{name}=.*at least 1"):
        schedules.one_cycle(0.1, 10, **{name: wrong})
