"""A privacy audit with one training run: a lower bound on ε from membership guesses.

Prepare m extra rows, the canaries. A fair coin decides for each whether it joins the training. Train once,
score each canary by how well the model seems to know it, and guess which ones took part. More correct guesses
than the claimed ε allows refute the claim.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError, ParameterError
from batchprop.privacy.validation import as_number, check_not_negative

BISECTION_STEPS = 60
"""Enough for the bisection to reach the precision of float64."""


def audit_epsilon(
    included: ArrayLike,
    scores: ArrayLike,
    k_plus: int,
    k_minus: int,
    *,
    delta: float,
    confidence: float = 0.95,
) -> float:
    """Return a lower bound on the ε of a training run, from guesses about its canaries.

    The audit guesses that the ``k_plus`` canaries with the highest scores took part and that the ``k_minus``
    with the lowest did not, and abstains on the others. The bound is the largest ε at which so many correct
    guesses are still too unlikely: ``p_value(m, k_plus + k_minus, correct, ε, δ) < 1 − confidence``.

    Fix ``k_plus`` and ``k_minus`` before you see which canaries took part. To try several and keep the best,
    raise ``confidence`` to ``1 − (1 − confidence) / tries``. Scores must not depend on ``included``.

    Args:
        included: 1 for each of the m canaries that took part in training and -1 for each that did not,
            ``(m,)``, drawn by independent fair coins.
        scores: ``(m,)``, higher where the model seems to know the canary; for example minus its loss.
        k_plus: the number of guesses "took part".
        k_minus: the number of guesses "did not take part".
        delta: δ of the claim, in [0, 1).
        confidence: in (0, 1): the probability, at least, that the bound lies below the true ε.

    Returns:
        The lower bound on ε for "add or remove one row", ≥ 0; 0 if the audit shows nothing.

    Raises:
        InputError: the canaries and their scores do not match.
        ParameterError: another value is out of bounds.

    Source:
        Steinke, Nasr and Jagielski, arXiv 2305.08846.

    Example:
        >>> included = np.where(np.arange(1000) % 2, 1, -1)
        >>> known = audit_epsilon(included, included, 100, 100, delta=1e-5)
        >>> round(known, 2)
        4.17
        >>> guessed = np.zeros(1000)
        >>> audit_epsilon(included, guessed, 100, 100, delta=1e-5)
        0.0
    """
    member, score = _check_canaries(included, scores)
    for name, count in (("k_plus", k_plus), ("k_minus", k_minus)):
        if not 0 <= as_number(count) <= len(member) or count != int(count):
            raise ParameterError(f"{name}={count!r} must be an integer from 0 to {len(member)}, the canaries")
    if not 1 <= (guesses := int(k_plus) + int(k_minus)) <= len(member):
        raise ParameterError(
            f"k_plus + k_minus = {guesses} must be from 1 to {len(member)}: one guess for a canary at most"
        )
    if not 0 < as_number(confidence) < 1:
        raise ParameterError(f"confidence={confidence!r} must be in (0, 1), for example 0.95")
    # A stable sort: canaries of equal score keep their order, which is independent of the coins.
    order = np.argsort(-score, kind="stable")
    correct = int(member[order[: int(k_plus)]].sum() + (~member[order[len(order) - int(k_minus) :]]).sum())
    return _epsilon_lower_bound(len(member), guesses, correct, _check_delta(delta), 1 - float(confidence))


def p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return the largest probability of this many correct guesses if training was (ε, δ)-private.

    ``P(correct ≥ v) ≤ P(N ≥ v) + 2 m δ max_i P(v − i ≤ N < v) / i``, where i runs from 1 to v and
    ``N ~ Binomial(r, e^ε / (1 + e^ε))`` counts the correct guesses about randomised response.

    Args:
        canaries: m.
        guesses: r ≤ m, the number of canaries guessed about.
        correct: v ≤ r, the number of correct guesses.
        epsilon: ε ≥ 0 of the claim.
        delta: δ of the claim, in [0, 1).

    Returns:
        The bound, in [0, 1].

    Raises:
        ParameterError: a value is out of its bounds.

    Source:
        Steinke, Nasr and Jagielski, arXiv 2305.08846, the main theorem.

    Example:
        >>> p_value(canaries=4, guesses=3, correct=3, epsilon=0.0, delta=0.0)  # three coins
        0.125
    """
    if not 0 <= as_number(correct) <= as_number(guesses) <= as_number(canaries):
        raise ParameterError(
            f"correct={correct!r}, guesses={guesses!r}, canaries={canaries!r} must be counts, each at most "
            "the next"
        )
    m, r, v = int(canaries), int(guesses), int(correct)
    return _p_value(m, r, v, check_not_negative("epsilon", epsilon), _check_delta(delta))


def _p_value(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    from scipy.special import betainc, expit

    if v == 0:
        return 1.0
    if delta == 0:
        return float(betainc(v, r - v + 1, expit(epsilon)))
    # P(N >= k) for k = v, v - 1, ..., 0, as upper tails: 1 - P(N < k) would lose the digits of small ones.
    k = np.arange(v, 0, -1)
    tails: NDArray[Any] = np.append(betainc(k, r - k + 1, expit(epsilon)), 1.0)
    steepest = ((tails[1:] - tails[0]) / np.arange(1, v + 1)).max()
    return float(min(1.0, tails[0] + 2 * m * delta * steepest))


def _epsilon_lower_bound(m: int, r: int, v: int, delta: float, significance: float) -> float:
    """Bisect for the largest ε at which the p-value stays below the significance level."""
    low, high = 0.0, 1.0
    if _p_value(m, r, v, low, delta) >= significance:
        return 0.0
    while _p_value(m, r, v, high, delta) < significance:
        high *= 2
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if _p_value(m, r, v, middle, delta) < significance:
            low = middle
        else:
            high = middle
    return low


def _check_canaries(included: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return whether each canary took part, and its score, both ``(m,)``."""
    member, score = np.asarray(included), np.asarray(scores, dtype=float)
    if member.ndim != 1 or member.shape != score.shape or not len(member):
        raise InputError(
            f"included has shape {member.shape} and scores {score.shape}: each needs one number for a canary"
        )
    if not (valid := np.isin(member, (-1, 1))).all():
        raise InputError(
            f"included holds {member[~valid][0]}: give 1 for a canary that took part, -1 for one that did not"
        )
    if np.isnan(score).any():
        raise InputError("scores holds nan, which has no rank: give such a canary -inf, or leave it out")
    return member == 1, score


def _check_delta(delta: float) -> float:
    if not 0 <= as_number(delta) < 1:
        raise ParameterError(f"delta={delta!r} must be in [0, 1): the delta of the claim that is audited")
    return float(delta)
