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
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from batchprop.errors import BatchpropError, ParameterError, unknown_name
from batchprop.privacy.settings import Accountant, checked_delta, not_negative, number, positive

CLOSE = 1e-3
"""How far above the smallest noise multiplier ``noise_for`` may stop, relative."""

BEYOND_PLD = 1000.0
"""From this ε on the Rényi bound is returned also for "pld", whose exponentials overflow soon after."""

MOST_NOISE = 1e6
"""Noise multipliers are looked for up to here: an ε that needs more is out of reach."""


@dataclass(frozen=True, order=True)
class Run:
    """Steps of training that were alike: what the accounting needs to know of a fit.

    Args:
        sampling_rate: q, the chance of a row to be in a batch, in (0, 1].
        noise_multiplier: σ ≥ 0, the noise's standard deviation in units of the clipping norm.
        steps: how many steps, ≥ 0.

    Raises:
        ParameterError: a value is out of its bounds.

    Example:
        >>> Run(sampling_rate=0.01, noise_multiplier=1.1, steps=1000)
        Run(sampling_rate=0.01, noise_multiplier=1.1, steps=1000)
    """

    sampling_rate: float
    noise_multiplier: float
    steps: int

    def __post_init__(self) -> None:
        if not 0 < (rate := number(self.sampling_rate)) <= 1:
            raise ParameterError(
                f"sampling_rate={self.sampling_rate!r} must be in (0, 1]: expected batch size / rows"
            )
        if not 0 <= (steps := number(self.steps)) < math.inf or steps != int(steps):
            raise ParameterError(f"steps={self.steps!r} must be an integer >= 0: the number of updates")
        object.__setattr__(self, "sampling_rate", rate)
        object.__setattr__(self, "noise_multiplier", not_negative("noise_multiplier", self.noise_multiplier))
        object.__setattr__(self, "steps", int(self.steps))


def epsilon_spent(runs: Iterable[Run], delta: float, accountant: Accountant = "pld") -> float:
    """Return the ε that all runs on the same table have spent together, at one δ.

    The smallest ε found for which ``P(M(D) ∈ S) ≤ exp(ε) P(M(D') ∈ S) + δ`` is proved for the composition M
    of all steps. It is an upper bound up to rounding. "pld" is within about 0.1% of exact where ε > 0.01;
    "rdp" is commonly 5 to 20% above it. Takes from 0.05 to a few seconds.

    Args:
        runs: what was done, in any order.
        delta: δ in (0, 1); at least 1e-10 with "pld".
        accountant: "pld" (privacy loss distribution) or "rdp" (Rényi differential privacy).

    Returns:
        ε ≥ 0: 0 without steps, infinite where a step had no noise. From 1000 on it is the Rényi bound.

    Raises:
        ParameterError: a value is out of its bounds.
        BatchpropError: dp-accounting is not installed.

    Source:
        Abadi et al., arXiv 1607.00133; Mironov, Talwar and Zhang, arXiv 1908.10530 (Rényi);
        Doroshenko et al., arXiv 2207.04380 (the discretisation of the privacy loss).

    Example:
        >>> day = Run(sampling_rate=0.01, noise_multiplier=1.0, steps=1000)
        >>> round(epsilon_spent([day], delta=1e-5), 2)
        1.83
        >>> round(epsilon_spent([day, day], delta=1e-5), 2)
        2.58
    """
    delta = _checked(delta, accountant)
    alike = _alike(runs)
    if not alike:
        return 0.0
    if any(run.noise_multiplier == 0 for run in alike):
        return math.inf
    renyi = _renyi(alike, delta)
    if accountant == "rdp" or renyi >= BEYOND_PLD:
        return renyi
    return _loss_distribution(alike, delta, _interval(renyi, alike))


def noise_for(
    epsilon: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    accountant: Accountant = "pld",
    before: Sequence[Run] = (),
) -> float:
    """Return the smallest noise multiplier that keeps a run, and all that went before it, within (ε, δ).

    ``min {σ : epsilon_spent([*before, Run(q, σ, steps)], δ) ≤ ε}``, up to 0.1% above it and never below.

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
        ParameterError: a value is out of its bounds; the budget is spent; no noise keeps within it.
        BatchpropError: dp-accounting is not installed.

    Example:
        >>> sigma = noise_for(epsilon=3, delta=1e-5, sampling_rate=0.01, steps=1000)
        >>> round(sigma, 2), epsilon_spent([Run(0.01, sigma, 1000)], delta=1e-5) <= 3
        (0.81, True)
    """
    epsilon, delta = positive("epsilon", epsilon), _checked(delta, accountant)
    if Run(sampling_rate, 0.0, steps).steps == 0:
        return 0.0
    spent = epsilon_spent(before, delta, accountant)
    if spent >= epsilon:
        raise ParameterError(
            f"the privacy budget is spent: epsilon={spent:.4g} of {epsilon:g} at delta={delta:g}; allow a "
            "larger epsilon, or train on other rows"
        )

    def excess(sigma: float) -> float:
        return epsilon_spent([*before, Run(sampling_rate, sigma, steps)], delta, accountant) - epsilon

    def excess_renyi(sigma: float) -> float:
        return _renyi(_alike([*before, Run(sampling_rate, sigma, steps)]), delta) - epsilon

    # The Rényi bound is quick and some percent off: it says where to look.
    guess = _least(excess_renyi, 1.0, factor=2.0, close=0.01)
    sigma = _least(excess, guess or 1.0, factor=1.15 if guess else 2.0, close=CLOSE)
    if sigma is None:
        raise ParameterError(
            f"epsilon={epsilon:g} at delta={delta:g} cannot be kept by any noise multiplier up to "
            f"{MOST_NOISE:g} (spent before: {spent:.4g}): allow a larger epsilon, take fewer steps, or use "
            "accountant='pld', the tighter one"
        )
    return sigma


def _checked(delta: float, accountant: Accountant) -> float:
    if accountant not in ("pld", "rdp"):
        raise unknown_name("accountant", accountant, ("pld", "rdp"))
    return checked_delta(delta, accountant)


def _alike(runs: Iterable[Run]) -> list[Run]:
    """Runs of the same rate and noise as one, in one order: then the order they came in cannot matter."""
    steps: Counter[tuple[float, float]] = Counter()
    for run in runs:
        steps[run.sampling_rate, run.noise_multiplier] += run.steps
    return sorted(Run(*kind, count) for kind, count in steps.items() if count)


def _least(excess: Callable[[float], float], start: float, factor: float, close: float) -> float | None:
    """Find the smallest σ with ``excess(σ) ≤ 0``, up to ``close`` above it, for an excess that falls with σ.

    From ``start`` steps by ``factor``, squared each time, find a σ on either side; the secant in log σ then
    aims a little past the root, on the side that it did not hit last, so that both sides close in.
    """
    low = high = None  # (log σ, excess) on the side too noisy to promise, and on the safe one
    at, stride, limit = math.log(start), math.log(factor), math.log(MOST_NOISE)
    while low is None or high is None:
        if abs(at) > limit:
            return None if high is None else math.exp(high[0])
        value = excess(math.exp(at))
        low, high = ((at, value), high) if value > 0 else (low, (at, value))
        at += stride if value > 0 else -stride
        stride *= 2
    nudge, halve = 0.4 * close, False
    while (width := high[0] - low[0]) > close:
        share = 0.5 if halve or not math.isfinite(low[1]) else low[1] / (low[1] - high[1])
        aimed = low[0] + share * width + (-nudge if value <= 0 else nudge)
        at = min(max(aimed, low[0] + nudge), high[0] - nudge)
        value = excess(math.exp(at))
        low, high = ((at, value), high) if value > 0 else (low, (at, value))
        halve = high[0] - low[0] > width / 2
    return math.exp(high[0])


def _interval(epsilon: float, runs: Sequence[Run]) -> float:
    """Choose the width of the privacy loss's grid for a relative error of ε of about 0.1%.

    The discretised loss dominates the true one by about the width squared at each step.
    """
    steps = sum(run.steps for run in runs)
    width = max(min(1e-4, math.sqrt(1e-3 / steps / epsilon)), 1e-6) * epsilon
    # Powers of two: nearby noises share a grid, so that ε falls smoothly with the noise.
    return 2.0 ** math.floor(math.log2(width))


def _renyi(runs: Sequence[Run], delta: float) -> float:
    accounting = _dp_accounting()
    with _without_skipped_orders():
        return _composed(accounting.rdp.RdpAccountant(), runs, delta)


def _loss_distribution(runs: Sequence[Run], delta: float, interval: float) -> float:
    accountant = _dp_accounting().pld.PLDAccountant(value_discretization_interval=interval)
    return _composed(accountant, runs, delta)


def _composed(accountant: Any, runs: Sequence[Run], delta: float) -> float:
    accounting = _dp_accounting()
    for run in runs:
        gaussian = accounting.GaussianDpEvent(run.noise_multiplier)
        accountant.compose(accounting.PoissonSampledDpEvent(run.sampling_rate, gaussian), run.steps)
    return float(accountant.get_epsilon(delta))


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
