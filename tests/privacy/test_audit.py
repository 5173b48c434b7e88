"""The one-run audit: exact numbers of the theorem, and its guarantee where the true ε is known."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom

from batchprop.errors import InputError, ParameterError
from batchprop.privacy import audit_epsilon, p_value
from tests.privacy import oracle

DELTA = 1e-5


def exact_p_value(m: int, r: int, v: int, right: Fraction, delta: Fraction) -> Fraction:
    """The theorem in rational numbers; ``right`` is the probability that one guess is right."""
    chance = [math.comb(r, k) * right**k * (1 - right) ** (r - k) for k in range(r + 1)]
    steepest = max((sum(chance[v - i : v], Fraction(0)) / i for i in range(1, v + 1)), default=Fraction(0))
    return min(Fraction(1), sum(chance[v:], Fraction(0)) + 2 * m * delta * steepest)


def randomised_response(rng: Any, epsilon: float, m: int, delta: float = 0.0) -> tuple[Any, Any]:
    """Coins with (ε, δ)-private answers: the truth with probability δ, else with e^ε / (1 + e^ε)."""
    included = rng.choice([-1, 1], m)
    told = rng.random(m) < delta + (1 - delta) * expit(epsilon)
    return included, np.where(told, included, -included)


@given(st.data())
def test_p_value_matches_the_theorem(data: st.DataObject) -> None:
    m = data.draw(st.integers(1, 60), "canaries")
    r = data.draw(st.integers(0, m), "guesses")
    v = data.draw(st.integers(0, r), "correct")
    odds = data.draw(st.fractions(1, 50, max_denominator=20), "e^ε")
    delta = data.draw(st.fractions(0, 1, max_denominator=10**6).filter(lambda x: x < 1), "δ")
    wanted = float(exact_p_value(m, r, v, odds / (1 + odds), delta))
    result = p_value(m, r, v, math.log(odds.numerator) - math.log(odds.denominator), float(delta))
    assert result == pytest.approx(wanted, rel=1e-10)


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 1e-6, 1e-3, 0.1]))
def test_the_p_value_rises_with_epsilon(m: int, guessed: float, right: float, delta: float) -> None:
    # The bisection's result is the bound, since every smaller ε is refuted.
    r = int(guessed * m)
    v = int(right * r)
    along = [p_value(m, r, v, epsilon, delta) for epsilon in np.linspace(0, 10, 30)]
    assert (np.diff(along) >= -1e-12).all()


def test_bound_with_all_guesses_right_has_a_closed_form() -> None:
    # 0.05 = q^r for q = e^ε / (1 + e^ε).
    included = np.repeat([1, -1], 50)
    q = 0.05 ** (1 / 100)
    result = audit_epsilon(included, included, 50, 50, delta=0.0)
    assert result == pytest.approx(math.log(q / (1 - q)), rel=1e-9)
    # 0.01 = q^40 when fewer are guessed, with more confidence.
    q = 0.01 ** (1 / 40)
    result = audit_epsilon(included, included, 30, 10, delta=0.0, confidence=0.99)
    assert result == pytest.approx(math.log(q / (1 - q)), rel=1e-9)


def test_p_value_crosses_the_significance_level_at_the_bound() -> None:
    included, scores = randomised_response(np.random.default_rng(0), 2.0, 500)
    bound = audit_epsilon(included, scores, 200, 200, delta=DELTA)
    order = np.argsort(-scores, kind="stable")
    correct = int((included[order[:200]] == 1).sum() + (included[order[-200:]] == -1).sum())
    assert p_value(500, 400, correct, bound * (1 - 1e-9), DELTA) < 0.05
    assert p_value(500, 400, correct, bound * (1 + 1e-9), DELTA) >= 0.05


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("m", [10, 100, 2000])
def test_bound_has_its_stated_confidence_for_randomised_response(epsilon: float, m: int) -> None:
    # Exactly, over all numbers of correct guesses: the bound exceeds ε where the p-value at ε is below 0.05.
    correct = np.arange(m + 1)
    refuted = np.array([p_value(m, m, int(v), epsilon, 0.0) < 0.05 for v in correct])
    assert binom.pmf(correct, m, expit(epsilon))[refuted].sum() < 0.05


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.0), (1.0, 1e-4), (3.0, 1e-3)])
def test_the_bound_holds_in_simulated_runs(epsilon: float, delta: float) -> None:
    rng, runs, m = np.random.default_rng(1), 100, 400
    bounds = []
    for _ in range(runs):
        included, scores = randomised_response(rng, epsilon, m, delta)
        # Half the canaries answered for "in" and half for "out", more or less: guess a third of each.
        bounds.append(audit_epsilon(included, scores, m // 3, m // 3, delta=delta))
    # 5% at most, and three standard deviations of 100 draws.
    assert np.mean(np.array(bounds) > epsilon) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert np.median(bounds) > 0


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_many_canaries_give_a_tight_bound(epsilon: float) -> None:
    m, bounds = 100_000, []
    for seed in range(3):
        included, scores = randomised_response(np.random.default_rng(seed), epsilon, m)
        bounds.append(audit_epsilon(included, scores, 40_000, 40_000, delta=0.0))
    assert 0.95 * epsilon < np.median(bounds) <= epsilon


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_gaussian_mechanism_passes_and_fails_without_noise(mu: float) -> None:
    rng, m = np.random.default_rng(3), 2000
    claimed = oracle.gaussian_epsilon(mu, DELTA)
    included = rng.choice([-1, 1], m)
    sums = (included + 1) / 2  # each canary adds 1 in a direction of its own
    with_noise = audit_epsilon(included, sums + rng.normal(0, 1 / mu, m), 200, 200, delta=DELTA)
    assert 0.1 * claimed < with_noise < claimed
    if claimed < 4:
        assert audit_epsilon(included, sums, 200, 200, delta=DELTA) > claimed


def test_uninformative_guesses_give_a_bound_of_zero() -> None:
    rng = np.random.default_rng(4)
    included = rng.choice([-1, 1], 1000)
    assert audit_epsilon(included, -included, 100, 100, delta=DELTA) == 0
    assert audit_epsilon(included, included, 0, 3, delta=DELTA) == 0  # three coins are no evidence
    # δ of 1 / m or more may publish a canary: nothing can be refuted.
    assert audit_epsilon(included, included, 500, 500, delta=0.2) == 0


def test_only_the_extreme_scores_are_guessed() -> None:
    included = np.array([1] * 20 + [-1, 1] * 10 + [-1] * 20)
    scores = np.linspace(3, -3, 60)
    assert audit_epsilon(included, scores, 20, 20, delta=0.0) > 2
    assert audit_epsilon(included, scores, 20, 0, delta=0.0) > 1.5
    assert audit_epsilon(included, scores, 0, 20, delta=0.0) > 1.5
    assert audit_epsilon(-included, scores, 20, 20, delta=0.0) == 0
    assert audit_epsilon(included, np.where(scores > 1, np.inf, scores), 20, 20, delta=0.0) > 2


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"included": [1, 0, 1, -1]}, InputError, "included holds 0: give 1 .* -1"),
        ({"included": [1, 1, -1]}, InputError, r"shape \(3,\) and scores \(4,\)"),
        ({"included": [], "scores": []}, InputError, r"shape \(0,\)"),
        ({"scores": [1, 2, math.nan, 3]}, InputError, "scores holds nan"),
        ({"k_plus": -1}, ParameterError, "k_plus=-1 must be an integer from 0 to 4"),
        ({"k_plus": 5}, ParameterError, "k_plus=5"),
        ({"k_minus": 1.5}, ParameterError, "k_minus=1.5"),
        ({"k_plus": 0, "k_minus": 0}, ParameterError, r"k_plus \+ k_minus = 0 must be from 1 to 4"),
        ({"k_plus": 3, "k_minus": 2}, ParameterError, r"k_plus \+ k_minus = 5"),
        ({"delta": 1.0}, ParameterError, r"delta=1.0 must be in \[0, 1\)"),
        ({"delta": -1e-5}, ParameterError, "delta=-1e-05"),
        ({"confidence": 1.0}, ParameterError, "confidence=1.0"),
    ],
)
def test_invalid_arguments_are_refused(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    given_: dict[str, Any] = {
        "included": [1, -1, 1, -1],
        "scores": [3, 1, 2, 0],
        "k_plus": 1,
        "k_minus": 1,
        "delta": 0.0,
    }
    with pytest.raises(error, match=message):
        audit_epsilon(**(given_ | changed))


def test_counts_must_nest() -> None:
    with pytest.raises(ParameterError, match="correct=4, guesses=3, canaries=10 must be counts"):
        p_value(10, 3, 4, 1.0, 0.0)
    with pytest.raises(ParameterError, match="epsilon=-1"):
        p_value(10, 3, 3, -1, 0.0)
    assert p_value(0, 0, 0, 1.0, 0.0) == 1
