"""An audit of a private training in one run: a lower bound on ε from guessing which rows took part.

Put m extra rows, the canaries, at hand; let a fair coin decide for each whether it joins the training; train
once; score every canary by how much the model seems to know it; guess. Whoever is right more often than the
claimed ε allows has shown that the claim is wrong.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError, ParameterError
from batchprop.privacy.validation import not_negative, number

BISECTION_STEPS = 60
"""Steps of the bisection: it ends at the precision of float64."""


def audit_epsilon(
    included: ArrayLike,
    scores: ArrayLike,
    k_plus: int,
    k_minus: int,
    *,
    delta: float,
    confidence: float = 0.95,
) -> float:
    """Return the ε that training spent at the least, judged by guesses about its canaries.

    The ``k_plus`` highest scores are guessed to have taken part, the ``k_minus`` lowest not to have, and the
    others are passed over. The bound is the largest ε up to which so many correct guesses are too unlikely:
    ``p_value(m, k_plus + k_minus, correct, ε, δ) < 1 − confidence``.

    Fix ``k_plus`` and ``k_minus`` before seeing who took part; trying several and keeping the best needs a
    ``confidence`` of ``1 − (1 − confidence) / tries``. Scores must not be made from ``included``.

    Args:
        included: for each of the m canaries 1 if it took part in training and -1 if not, ``(m,)``: drawn by
            independent fair coins.
        scores: higher where the model seems to know the canary, ``(m,)``; for example minus its loss.
        k_plus: how many guesses of "took part".
        k_minus: how many guesses of "did not take part".
        delta: δ of the claim, in [0, 1).
        confidence: in (0, 1): how often, at least, the bound lies below the true ε.

    Returns:
        The lower bound on ε for "add or remove one row", ≥ 0; 0 says that nothing was shown.

    Raises:
        InputError: the canaries and their scores do not fit together.
        ParameterError: another value is out of its bounds.

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
    member, score = _canaries(included, scores)
    for name, count in (("k_plus", k_plus), ("k_minus", k_minus)):
        if not 0 <= number(count) <= len(member) or count != int(count):
            raise ParameterError(f"{name}={count!r} must be an integer from 0 to {len(member)}, the canaries")
    if not 1 <= (guesses := int(k_plus) + int(k_minus)) <= len(member):
        raise ParameterError(
            f"k_plus + k_minus = {guesses} must be from 1 to {len(member)}: one guess for a canary at most"
        )
    if not 0 < number(confidence) < 1:
        raise ParameterError(f"confidence={confidence!r} must be in (0, 1), for example 0.95")
    # Stable: canaries of one score are taken in the order given, which knows nothing of the coins.
    order = np.argsort(-score, kind="stable")
    correct = int(member[order[: int(k_plus)]].sum() + (~member[order[len(order) - int(k_minus) :]]).sum())
    return _least_likely(len(member), guesses, correct, _delta(delta), 1 - float(confidence))


def p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return how likely so many correct guesses are, at most, if training was (ε, δ)-private.

    ``P(correct ≥ v) ≤ P(N ≥ v) + 2 m δ max_i P(v − i ≤ N < v) / i``, where i runs from 1 to v and
    ``N ~ Binomial(r, e^ε / (1 + e^ε))`` counts the correct guesses about randomised response.

    Args:
        canaries: m.
        guesses: r ≤ m, for how many of them a guess was made.
        correct: v ≤ r, how many guesses were right.
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
    if not 0 <= number(correct) <= number(guesses) <= number(canaries):
        raise ParameterError(
            f"correct={correct!r}, guesses={guesses!r}, canaries={canaries!r} must be counts, each at most "
            "the next"
        )
    m, r, v = int(canaries), int(guesses), int(correct)
    return _p_value(m, r, v, not_negative("epsilon", epsilon), _delta(delta))


def _p_value(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    from scipy.special import betainc, expit

    if v == 0:
        return 1.0
    # P(N >= k) for k = v, v - 1, ..., 0; as upper tails, which keep their digits where they are small.
    k = np.arange(v, 0, -1)
    tails: NDArray[Any] = np.append(betainc(k, r - k + 1, expit(epsilon)), 1.0)
    steepest = ((tails[1:] - tails[0]) / np.arange(1, v + 1)).max()
    return float(min(1.0, tails[0] + 2 * m * delta * steepest))


def _least_likely(m: int, r: int, v: int, delta: float, significance: float) -> float:
    """Find by bisection up to which ε the p-value stays below the significance."""
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


def _canaries(included: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return who took part, and the scores, both ``(m,)``."""
    member, score = np.asarray(included), np.asarray(scores, dtype=float)
    if member.ndim != 1 or member.shape != score.shape or not len(member):
        raise InputError(
            f"included has shape {member.shape} and scores {score.shape}: each needs one number for a canary"
        )
    if not (known := np.isin(member, (-1, 1))).all():
        raise InputError(
            f"included holds {member[~known][0]}: say 1 for a canary that took part, -1 for one that did not"
        )
    if np.isnan(score).any():
        raise InputError("scores holds nan, which has no rank: give such a canary -inf, or leave it out")
    return member == 1, score


def _delta(delta: float) -> float:
    if not 0 <= number(delta) < 1:
        raise ParameterError(f"delta={delta!r} must be in [0, 1): the delta of the claim that is audited")
    return float(delta)
