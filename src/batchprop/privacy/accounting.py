"""Privacy accounting: the ε that training has spent, and the noise that keeps it within a budget.

One step is a Poisson-sampled Gaussian mechanism: each row is in the batch with probability q, and noise of
standard deviation σ · C is added to a sum to which one row contributes at most C. Neighbouring tables differ
by adding or removing one row. Google's dp-accounting does the computation, imported when first needed.
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

import numpy as np

from batchprop.errors import ParameterError, require_extra, unknown_option_error
from batchprop.format import format_number
from batchprop.privacy.validation import (
    Accountant,
    Sampling,
    as_number,
    check_delta,
    check_not_negative,
    check_positive,
)

REL_TOL = 1e-3
"""How far above the smallest noise multiplier ``calibrate_noise`` may stop, as a part of it."""

MAX_PLD_EPSILON, MAX_STEPS = 1e7, 10**9
"""From this ε and beyond these steps "pld" returns the Rényi bound too: its rounding is not bounded there."""

MAX_EXPONENT = 600.0
"""From this ε on a bisection finds ε: dp-accounting's own inversion divides by exp(−ε), which underflows."""

MIN_NOISE, MAX_NOISE = 1e-6, 1e6
"""A noise multiplier below the first counts as no noise, and one above the second as the second."""

STEPS_PER_TRANSFORM = 1000
"""How many steps one Fourier transform composes; more would amplify its rounding too far."""

ROUNDING_PER_STEP = 1e-14
"""An upper bound on the rounding error in a step's Rényi divergence (measured: below 2e-15)."""

MAX_LOG_RATIO = 5.0
"""The bisection clips log(ε / target) to this, so that an ε of 0 or infinity still gives a finite secant."""


@dataclass(frozen=True, order=True)
class SamplingRun:
    """A run of training steps with one sampling rate and one noise multiplier, as the accounting sees it.

    Args:
        sampling_rate: q, the probability that a row is in a batch, in (0, 1].
        noise_multiplier: σ ≥ 0, the standard deviation of the noise in units of the clipping norm.
        steps: the number of steps, ≥ 0.
        sampling: how batches were drawn: "poisson", or "shuffled", which the accounting does not cover.

    Raises:
        ParameterError: a value is out of bounds.

    Example:
        >>> SamplingRun(sampling_rate=0.01, noise_multiplier=1.1, steps=1000)
        SamplingRun(sampling_rate=0.01, noise_multiplier=1.1, steps=1000, sampling='poisson')
    """

    sampling_rate: float
    noise_multiplier: float
    steps: int
    sampling: Sampling = "poisson"

    def __post_init__(self) -> None:
        if not 0 < (rate := as_number(self.sampling_rate)) <= 1:
            raise ParameterError(
                f"sampling_rate={self.sampling_rate!r} must be in (0, 1]: expected batch size / rows"
            )
        if not 0 <= (steps := as_number(self.steps)) < math.inf or steps != int(steps):
            raise ParameterError(f"steps={self.steps!r} must be an integer >= 0: the number of updates")
        if self.sampling not in get_args(Sampling):
            raise unknown_option_error("sampling", self.sampling, get_args(Sampling))
        object.__setattr__(self, "sampling_rate", rate)
        object.__setattr__(
            self, "noise_multiplier", check_not_negative("noise_multiplier", self.noise_multiplier)
        )
        object.__setattr__(self, "steps", int(self.steps))


def compute_epsilon(runs: Iterable[SamplingRun], delta: float, accountant: Accountant = "pld") -> float:
    """Return the ε that all runs on one table have spent together, at one δ.

    This is the smallest ε for which the accountant proves ``P(M(D) ∈ S) ≤ exp(ε) P(M(D') ∈ S) + δ`` for the
    composition M of all steps: an upper bound, up to rounding. "pld" is the smaller of both bounds and within
    about 0.1% of exact where ε > 0.01. "rdp" is commonly 5 to 20% above exact, and at large ε, with sampling,
    two times and more. A call takes from 0.05 to a few seconds.

    Args:
        runs: the runs, in any order.
        delta: δ in (0, 1); at least 1e-10 with "pld".
        accountant: "pld" (privacy loss distribution, never above "rdp") or "rdp" (Rényi divergence).

    Returns:
        ε ≥ 0: 0 without steps, or where even δ covers all that they reveal; infinite where a step had
        practically no noise (σ < 1e-6) or shuffled batches. Where the Rényi bound exceeds 1e7, and after
        more than a billion steps, or where memory does not hold the distribution, "pld" returns it too.

    Raises:
        ParameterError: a value is out of bounds.
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
    delta = check_delta(delta, accountant)
    return _compute_merged_epsilon(_merge_runs(runs), delta, accountant)


@lru_cache(maxsize=128)
def _compute_merged_epsilon(runs: tuple[SamplingRun, ...], delta: float, accountant: Accountant) -> float:
    if not runs:
        return 0.0
    if any(run.noise_multiplier < MIN_NOISE or run.sampling != "poisson" for run in runs):
        return math.inf
    renyi = _rdp_epsilon(runs, delta)
    beyond_pld = renyi > MAX_PLD_EPSILON or sum(run.steps for run in runs) > MAX_STEPS
    if accountant == "rdp" or renyi == 0 or beyond_pld:
        return renyi
    try:
        return _pld_epsilon(runs, delta, _discretization_interval(renyi, runs), renyi)
    except MemoryError:  # as for 100 million steps at a rate of 1e-6
        return renyi


def calibrate_noise(
    epsilon: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    accountant: Accountant = "pld",
    past_runs: Sequence[SamplingRun] = (),
) -> float:
    """Return the smallest noise multiplier that keeps a run and all past runs within (ε, δ).

    ``min {σ : compute_epsilon([*past_runs, SamplingRun(q, σ, steps)], δ) ≤ ε}``, at most 0.1% above the
    minimum and never below.

    Args:
        epsilon: the whole budget ε > 0, not the remaining one.
        delta: δ in (0, 1); at least 1e-10 with "pld".
        sampling_rate: q, the probability that a row is in a batch, in (0, 1].
        steps: the number of updates to come.
        accountant: "pld" or "rdp".
        past_runs: the earlier runs on the same table.

    Returns:
        σ, in units of the clipping norm; 0 if there are no steps.

    Raises:
        ParameterError: a value is out of bounds, the budget is spent, a past run was shuffled, or no noise
            stays within the budget.
        BatchpropError: dp-accounting is not installed.

    Example:
        >>> sigma = calibrate_noise(epsilon=3, delta=1e-5, sampling_rate=0.01, steps=1000)
        >>> round(sigma, 2), compute_epsilon([SamplingRun(0.01, sigma, 1000)], delta=1e-5) <= 3
        (0.81, True)
    """
    epsilon, delta = check_positive("epsilon", epsilon), check_delta(delta, accountant)
    if SamplingRun(sampling_rate, 0.0, steps).steps == 0:
        return 0.0
    spent = compute_epsilon(past_runs, delta, accountant)
    if math.isinf(spent) and any(run.steps and run.sampling != "poisson" for run in past_runs):
        raise ParameterError(
            f"epsilon={epsilon:g} cannot be guaranteed after a run with shuffled batches, which the "
            "accounting does not cover: fit from scratch with sampling='poisson'"
        )
    if spent >= epsilon:
        raise ParameterError(
            f"the privacy budget is spent: epsilon={spent:.6g} of {epsilon:g} at delta={delta:g}; allow a "
            "larger epsilon, or train on other rows"
        )

    def renyi_at(sigma: float) -> float:
        return _rdp_epsilon(_merge_runs([*past_runs, SamplingRun(sampling_rate, sigma, steps)]), delta)

    def epsilon_at(sigma: float) -> float:
        return compute_epsilon([*past_runs, SamplingRun(sampling_rate, sigma, steps)], delta, accountant)

    # The Rényi bound is quick and a few percent off: a good start for the slow search.
    start = _bisect_noise(renyi_at, epsilon, 1.0, close=0.03)
    reachable = start is not None or epsilon_at(MAX_NOISE) <= epsilon
    sigma = _bisect_noise(epsilon_at, epsilon, start or 1.0, close=REL_TOL) if reachable else None
    if sigma is None:
        tighter = ", or use accountant='pld', the tighter one" if accountant == "rdp" else ""
        raise ParameterError(
            f"epsilon={epsilon:g} at delta={delta:g} cannot be reached by any noise multiplier up to "
            f"{MAX_NOISE:g} (spent before: {format_number(spent)}): allow a larger epsilon or take fewer "
            f"steps{tighter}"
        )
    return sigma


def as_poisson(runs: Iterable[SamplingRun]) -> tuple[SamplingRun, ...]:
    """Return the runs as if Poisson sampling had drawn all their batches.

    Example:
        >>> as_poisson([SamplingRun(0.1, 1.0, 5, "shuffled")]) == (SamplingRun(0.1, 1.0, 5),)
        True
    """
    return tuple(replace(run, sampling="poisson") for run in runs)


def _merge_runs(runs: Iterable[SamplingRun]) -> tuple[SamplingRun, ...]:
    """Return runs of one rate and noise as one run, sorted, so that the order of runs cannot change ε."""
    steps: Counter[SamplingRun] = Counter()
    for run in runs:
        # Accounting for less noise than there was is safe: ε becomes larger.
        noise = min(run.noise_multiplier, MAX_NOISE)
        steps[replace(run, noise_multiplier=noise, steps=0)] += run.steps
    return tuple(sorted(replace(run, steps=count) for run, count in steps.items() if count))


def _bisect_noise(
    epsilon_at: Callable[[float], float], target: float, start: float, close: float
) -> float | None:
    """Find the smallest σ with ``ε(σ) ≤ target``, up to ``close`` above it, for an ε that falls with σ.

    log ε is nearly linear in log σ, so the secant through the last two points leads close to the root. Each
    step goes a little past it, so that the bracket shrinks from both ends.
    """
    low, high = math.log(MIN_NOISE), math.log(MAX_NOISE)
    position, slope, nudge = math.log(start), -1.5, 0.4 * close
    previous: tuple[float, float] | None = None
    widths = [math.inf] * 3
    while high - low > close:
        value = min(
            max(math.log(max(epsilon_at(math.exp(position)), 1e-300) / target), -MAX_LOG_RATIO), MAX_LOG_RATIO
        )
        low, high = (position, high) if value > 0 else (low, position)
        if previous is not None and (value - previous[1]) * (position - previous[0]) < 0:
            slope = (value - previous[1]) / (position - previous[0])
        previous = (position, value)
        position += -value / slope + math.copysign(nudge, value)
        widths.append(high - low)
        if not low + nudge / 2 < position < high - nudge / 2 or widths[-1] > widths[-4] / 2:
            position = (low + high) / 2
    return math.exp(high) if high < math.log(MAX_NOISE) else None


def _discretization_interval(epsilon: float, runs: Sequence[SamplingRun]) -> float:
    """Choose the grid of the privacy loss so that ε has a relative error of about 0.1%."""
    # The discretised loss exceeds the true one by about the interval squared at each step.
    steps = sum(run.steps for run in runs)
    # Where ε is large, the Rényi bound, which is what we have of ε here, may be several times too large.
    part = 1e-3 if epsilon < MAX_EXPONENT else 2e-4
    width = max(min(1e-4, math.sqrt(part / steps / epsilon)), 1e-8) * epsilon
    # Powers of two: close noise multipliers share a grid, so that ε falls smoothly as the noise grows.
    return 2.0 ** round(math.log2(width))


def _rdp_epsilon(runs: Sequence[SamplingRun], delta: float) -> float:
    rdp = _import_dp_accounting().rdp
    orders = rdp.RdpAccountant().orders
    divergences = sum(run.steps * _step_divergences(run.sampling_rate, run.noise_multiplier) for run in runs)
    # Rounding can make a divergence too small, even negative, and ε with it: bound it from above.
    rounding = ROUNDING_PER_STEP * sum(run.steps for run in runs)
    return float(rdp.compute_epsilon(orders, np.clip(divergences, 0.0, None) + rounding, delta)[0])


# Past runs come again at every step of a calibration and of partial_fit, and take longer than all else.
@lru_cache(maxsize=64)
def _step_divergences(rate: float, noise: float) -> Any:
    """Return one step's Rényi divergence at each of the accountant's orders."""
    accounting = _import_dp_accounting()
    accountant = accounting.rdp.RdpAccountant()
    with _silence_skipped_orders():
        accountant.compose(accounting.PoissonSampledDpEvent(rate, accounting.GaussianDpEvent(noise)))
    return accountant.rdp


def _pld_epsilon(runs: Sequence[SamplingRun], delta: float, interval: float, bound: float) -> float:
    """Return ε by the privacy loss distribution, the larger of adding and of removing a row, or the bound."""
    total = _import_dp_accounting().pld.privacy_loss_distribution.identity(interval)
    for run in runs:
        total = total.compose(_run_privacy_loss(run, interval))
    if bound < MAX_EXPONENT:
        return min(bound, float(total.get_epsilon_for_delta(delta)))
    low, high = 0.0, bound
    # The upper end always keeps δ: by the Rényi bound, or by the distribution.
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if total.get_delta_for_epsilon(middle) <= delta else (middle, high)
    return high


# Past runs come again at every step of a calibration and of partial_fit.
@lru_cache(maxsize=4)
def _run_privacy_loss(run: SamplingRun, interval: float) -> Any:
    """Return the distribution of the privacy loss of all steps of a run."""
    # A Fourier transform to the power of the steps amplifies its rounding by their number: for a million
    # steps at δ = 1e-10, ε comes out 0.6% too small. Therefore STEPS_PER_TRANSFORM steps are composed,
    # transformed back, truncated, and composed again as often as needed.
    step = _step_privacy_loss(run.sampling_rate, run.noise_multiplier, interval)
    parts, rest = divmod(run.steps, STEPS_PER_TRANSFORM)
    if not parts:
        return step.self_compose(rest)
    whole = step.self_compose(STEPS_PER_TRANSFORM).self_compose(parts)
    return whole.compose(step.self_compose(rest)) if rest else whole


@lru_cache(maxsize=4)
def _step_privacy_loss(rate: float, noise: float, interval: float) -> Any:
    distributions = _import_dp_accounting().pld.privacy_loss_distribution
    return distributions.from_gaussian_mechanism(
        noise, value_discretization_interval=interval, sampling_prob=rate
    )


def _import_dp_accounting() -> ModuleType:
    with require_extra("privacy", "private training"):
        import dp_accounting
    module: ModuleType = dp_accounting
    return module


@contextmanager
def _silence_skipped_orders() -> Iterator[None]:
    """Silence dp-accounting's log line for each Rényi order that it skips: the bound holds without it."""

    def is_other(record: logging.LogRecord) -> bool:
        return "_compute_log_a_frac failed to converge" not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
