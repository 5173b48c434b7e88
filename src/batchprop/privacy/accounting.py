"""What training has spent of a privacy budget, and the noise that keeps it within one.

The mechanism of one step is the Poisson-sampled Gaussian: every row is drawn with probability q, and noise of
standard deviation σ · C is added to a sum in which one row counts for at most C. The relation is "add or
remove one row". The sums are done by Google's dp-accounting, imported when first needed.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import Any, get_args

from batchprop.errors import BatchpropError, ParameterError, unknown_option_error
from batchprop.privacy.validation import Accountant, Sampling, checked_delta, not_negative, number, positive

REL_TOL = 1e-3
"""How far above the smallest noise multiplier ``calibrate_noise`` may stop, relative."""

BEYOND_PLD, MAX_STEPS = 1000.0, 10**9
"""From this ε and beyond these steps "pld" too returns the Rényi bound: its numbers overflow soon after."""

MIN_NOISE, MAX_NOISE = 1e-6, 1e6
"""Noise multipliers below the first count as no noise at all, and above the second as the second."""

PART = 1000
"""How many steps one Fourier transform composes."""

ROUNDING = 1e-14
"""More than rounding takes from the Rényi divergence of a step (below 2e-15 where it is small)."""

FAR = 5.0
"""How far log ε is taken to be from its target where it is infinite, or ε zero."""


@dataclass(frozen=True, order=True)
class SamplingRun:
    """Steps of training that were alike: what the accounting needs to know of a fit.

    Args:
        sampling_rate: q, the chance of a row to be in a batch, in (0, 1].
        noise_multiplier: σ ≥ 0, the noise's standard deviation in units of the clipping norm.
        steps: how many steps, ≥ 0.
        sampling: how the batches were drawn, "poisson" or "shuffled", which no accounting here covers.

    Raises:
        ParameterError: a value is out of its bounds.

    Example:
        >>> SamplingRun(sampling_rate=0.01, noise_multiplier=1.1, steps=1000)
        SamplingRun(sampling_rate=0.01, noise_multiplier=1.1, steps=1000, sampling='poisson')
    """

    sampling_rate: float
    noise_multiplier: float
    steps: int
    sampling: Sampling = "poisson"

    def __post_init__(self) -> None:
        if not 0 < (rate := number(self.sampling_rate)) <= 1:
            raise ParameterError(
                f"sampling_rate={self.sampling_rate!r} must be in (0, 1]: expected batch size / rows"
            )
        if not 0 <= (steps := number(self.steps)) < math.inf or steps != int(steps):
            raise ParameterError(f"steps={self.steps!r} must be an integer >= 0: the number of updates")
        if self.sampling not in get_args(Sampling):
            raise unknown_option_error("sampling", self.sampling, get_args(Sampling))
        object.__setattr__(self, "sampling_rate", rate)
        object.__setattr__(self, "noise_multiplier", not_negative("noise_multiplier", self.noise_multiplier))
        object.__setattr__(self, "steps", int(self.steps))


def compute_epsilon(runs: Iterable[SamplingRun], delta: float, accountant: Accountant = "pld") -> float:
    """Return the ε that all runs on the same table have spent together, at one δ.

    The smallest ε found for which ``P(M(D) ∈ S) ≤ exp(ε) P(M(D') ∈ S) + δ`` is proved for the composition M
    of all steps. It is an upper bound up to rounding. "pld" is within about 0.1% of exact where ε > 0.01;
    "rdp" is commonly 5 to 20% above it. Takes from 0.05 to a few seconds.

    Args:
        runs: what was done, in any order.
        delta: δ in (0, 1); at least 1e-10 with "pld".
        accountant: "pld" (privacy loss distribution) or "rdp" (Rényi differential privacy).

    Returns:
        ε ≥ 0: 0 without steps, infinite where a step had no noise to speak of (σ < 1e-6) or a shuffled
        batch. From 1000 on, and after more than a billion steps, it is the Rényi bound.

    Raises:
        ParameterError: a value is out of its bounds.
        BatchpropError: dp-accounting is not installed.

    Source:
        Abadi et al., arXiv 1607.00133; Mironov, Talwar and Zhang, arXiv 1908.10530 (Rényi);
        Doroshenko et al., arXiv 2207.04380 (the discretisation of the privacy loss).

    Example:
        >>> day = SamplingRun(sampling_rate=0.01, noise_multiplier=1.0, steps=1000)
        >>> round(compute_epsilon([day], delta=1e-5), 2)
        1.83
        >>> round(compute_epsilon([day, day], delta=1e-5), 2)
        2.58
    """
    delta = _checked(delta, accountant)
    return _epsilon(_merge_runs(runs), delta, accountant)


@lru_cache(maxsize=128)
def _epsilon(alike: tuple[SamplingRun, ...], delta: float, accountant: Accountant) -> float:
    if not alike:
        return 0.0
    if any(run.noise_multiplier < MIN_NOISE or run.sampling != "poisson" for run in alike):
        return math.inf
    renyi = _renyi(alike, delta)
    beyond_pld = renyi >= BEYOND_PLD or sum(run.steps for run in alike) > MAX_STEPS
    if accountant == "rdp" or renyi == 0 or beyond_pld:
        return renyi
    return _loss_distribution(alike, delta, _interval(renyi, alike))


def calibrate_noise(
    epsilon: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    accountant: Accountant = "pld",
    before: Sequence[SamplingRun] = (),
) -> float:
    """Return the smallest noise multiplier that keeps a run, and all that went before it, within (ε, δ).

    ``min {σ : compute_epsilon([*before, Run(q, σ, steps)], δ) ≤ ε}``, up to 0.1% above it and never below.

    Args:
        epsilon: the whole budget ε > 0, not only what is left of it.
        delta: δ in (0, 1); at least 1e-10 with "pld".
        sampling_rate: q, the chance of a row to be in a batch, in (0, 1].
        steps: how many updates are to come.
        accountant: "pld" or "rdp".
        before: the runs on the same table so far.

    Returns:
        σ, in units of the clipping norm; 0 if there is nothing to do.

    Raises:
        ParameterError: a value is out of its bounds; the budget is spent, or a run was shuffled; no noise
            keeps within it.
        BatchpropError: dp-accounting is not installed.

    Example:
        >>> sigma = calibrate_noise(epsilon=3, delta=1e-5, sampling_rate=0.01, steps=1000)
        >>> round(sigma, 2), compute_epsilon([SamplingRun(0.01, sigma, 1000)], delta=1e-5) <= 3
        (0.81, True)
    """
    epsilon, delta = positive("epsilon", epsilon), _checked(delta, accountant)
    if SamplingRun(sampling_rate, 0.0, steps).steps == 0:
        return 0.0
    spent = compute_epsilon(before, delta, accountant)
    if math.isinf(spent) and any(run.steps and run.sampling != "poisson" for run in before):
        raise ParameterError(
            f"epsilon={epsilon:g} cannot be promised after a run with shuffled batches, which no accounting "
            "here covers: fit anew with sampling='poisson'"
        )
    if spent >= epsilon:
        raise ParameterError(
            f"the privacy budget is spent: epsilon={spent:.4g} of {epsilon:g} at delta={delta:g}; allow a "
            "larger epsilon, or train on other rows"
        )

    def renyi_at(sigma: float) -> float:
        return _renyi(_merge_runs([*before, SamplingRun(sampling_rate, sigma, steps)]), delta)

    def epsilon_at(sigma: float) -> float:
        return compute_epsilon([*before, SamplingRun(sampling_rate, sigma, steps)], delta, accountant)

    # The Rényi bound is quick and some percent off: it says where to begin.
    start = _bisect_noise(renyi_at, epsilon, 1.0, close=0.03)
    reachable = start is not None or epsilon_at(MAX_NOISE) <= epsilon
    sigma = _bisect_noise(epsilon_at, epsilon, start or 1.0, close=REL_TOL) if reachable else None
    if sigma is None:
        raise ParameterError(
            f"epsilon={epsilon:g} at delta={delta:g} cannot be kept by any noise multiplier up to "
            f"{MAX_NOISE:g} (spent before: {spent:.4g}): allow a larger epsilon, take fewer steps, or use "
            "accountant='pld', the tighter one"
        )
    return sigma


def _checked(delta: float, accountant: Accountant) -> float:
    if accountant not in ("pld", "rdp"):
        raise unknown_option_error("accountant", accountant, ("pld", "rdp"))
    return checked_delta(delta, accountant)


def as_poisson(runs: Iterable[SamplingRun]) -> tuple[SamplingRun, ...]:
    """Return the runs as if all their batches had been drawn by Poisson sampling.

    Example:
        >>> as_poisson([SamplingRun(0.1, 1.0, 5, "shuffled")]) == (SamplingRun(0.1, 1.0, 5),)
        True
    """
    return tuple(replace(run, sampling="poisson") for run in runs)


def _merge_runs(runs: Iterable[SamplingRun]) -> tuple[SamplingRun, ...]:
    """Runs of the same rate and noise as one, in one order: then the order they came in cannot matter.

    More noise than ``MAX_NOISE`` is reckoned as so much, which is on the safe side.
    """
    steps: Counter[SamplingRun] = Counter()
    for run in runs:
        noise = min(run.noise_multiplier, MAX_NOISE)
        steps[replace(run, noise_multiplier=noise, steps=0)] += run.steps
    return tuple(sorted(replace(kind, steps=count) for kind, count in steps.items() if count))


def _bisect_noise(
    epsilon_at: Callable[[float], float], target: float, start: float, close: float
) -> float | None:
    """Find the smallest σ with ``ε(σ) ≤ target``, up to ``close`` above it, for an ε that falls with σ.

    log ε is nearly a line in log σ, so the secant through the last two points leads to the root; each step
    goes a little past it, to the other side, so that the bracket closes from both ends.
    """
    low, high = math.log(MIN_NOISE), math.log(MAX_NOISE)
    at, slope, nudge = math.log(start), -1.5, 0.4 * close
    before: tuple[float, float] | None = None
    widths = [math.inf] * 3
    while high - low > close:
        # An ε of 0 or infinity is as good as one that is far away.
        value = min(max(math.log(max(epsilon_at(math.exp(at)), 1e-300) / target), -FAR), FAR)
        low, high = (at, high) if value > 0 else (low, at)
        if before is not None and (value - before[1]) * (at - before[0]) < 0:
            slope = (value - before[1]) / (at - before[0])
        before = (at, value)
        at += -value / slope + math.copysign(nudge, value)
        widths.append(high - low)
        if not low + nudge / 2 < at < high - nudge / 2 or widths[-1] > widths[-4] / 2:
            at = (low + high) / 2
    return math.exp(high) if high < math.log(MAX_NOISE) else None


def _interval(epsilon: float, runs: Sequence[SamplingRun]) -> float:
    """Choose the width of the privacy loss's grid for a relative error of ε of about 0.1%.

    The discretised loss dominates the true one by about the width squared at each step.
    """
    steps = sum(run.steps for run in runs)
    width = max(min(1e-4, math.sqrt(1e-3 / steps / epsilon)), 1e-6) * epsilon
    # Powers of two: nearby noises share a grid, so that ε falls smoothly with the noise.
    return 2.0 ** round(math.log2(width))


def _renyi(runs: Sequence[SamplingRun], delta: float) -> float:
    rdp = _dp_accounting().rdp
    accountant = rdp.RdpAccountant()
    with _without_skipped_orders():
        for run in runs:
            accountant.compose(_step(run), run.steps)
    # A divergence that rounding made too small, negative even, would promise too much.
    rounding = ROUNDING * sum(run.steps for run in runs)
    return float(rdp.compute_epsilon(accountant.orders, accountant.rdp.clip(0.0) + rounding, delta)[0])


def _step(run: SamplingRun) -> Any:
    accounting = _dp_accounting()
    return accounting.PoissonSampledDpEvent(
        run.sampling_rate, accounting.GaussianDpEvent(run.noise_multiplier)
    )


def _loss_distribution(runs: Sequence[SamplingRun], delta: float, interval: float) -> float:
    """ε by the distribution of the privacy loss, in both directions: a row more, and a row less.

    The Fourier transform to the power of the steps amplifies its own rounding by their number: of a million
    steps at δ = 1e-10 it makes an ε that is 0.6% too small. So the loss is composed ``PART`` times, brought
    back and cut, and the result composed as often as is needed.
    """
    total = _dp_accounting().pld.privacy_loss_distribution.identity(interval)
    for run in runs:
        step = _loss_of_a_step(run.sampling_rate, run.noise_multiplier, interval)
        parts, rest = divmod(run.steps, PART)
        if parts:
            total = total.compose(step.self_compose(PART).self_compose(parts))
        if rest:
            total = total.compose(step.self_compose(rest))
    return float(total.get_epsilon_for_delta(delta))


@lru_cache(maxsize=4)  # as many as calls of partial_fit come back to
def _loss_of_a_step(rate: float, noise: float, interval: float) -> Any:
    distributions = _dp_accounting().pld.privacy_loss_distribution
    return distributions.from_gaussian_mechanism(
        noise, value_discretization_interval=interval, sampling_prob=rate
    )


def _dp_accounting() -> ModuleType:
    try:
        import dp_accounting
    except ModuleNotFoundError as error:
        raise BatchpropError(
            f'private training needs {error.name}, which is not installed: pip install "batchprop[privacy]"'
        ) from error
    module: ModuleType = dp_accounting
    return module


@contextmanager
def _without_skipped_orders() -> Iterator[None]:
    """Keep dp-accounting from logging each Rényi order that it leaves out: the bound holds without it."""

    def other(record: logging.LogRecord) -> bool:
        return "_compute_log_a_frac failed to converge" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
