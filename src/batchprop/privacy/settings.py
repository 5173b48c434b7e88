"""What a user asks of private training, and the fit that keeps the promise: immutable records."""

import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, replace
from typing import get_args

import numpy as np

from batchprop import dp_sgd as mechanism
from batchprop.batches import BatchSampler, minibatches, poisson_batches
from batchprop.dp_sgd import AutomaticClipping, DPMechanism, FlatClipping, PerLayerClipping
from batchprop.errors import ParameterError, unknown_option_error
from batchprop.privacy.accounting import SamplingRun, as_poisson, calibrate_noise, compute_epsilon
from batchprop.privacy.spent import RELATION, PrivacySpent
from batchprop.privacy.validation import (
    Accountant,
    Clipping,
    Sampling,
    checked_delta,
    not_negative,
    positive,
)

CLIPPINGS: dict[str, type[FlatClipping | PerLayerClipping | AutomaticClipping]] = {
    "flat": FlatClipping,
    "per_layer": PerLayerClipping,
    "automatic": AutomaticClipping,
}


@dataclass(frozen=True)
class Privacy:
    """Private training by clipped gradients and noise, DP-SGD, and how much of it.

    A training run is (ε, δ)-differentially private if, for any two tables that differ by one row more or one
    less and any set S of outcomes, ``P(M(D) ∈ S) ≤ exp(ε) P(M(D') ∈ S) + δ``. Each step adds one Gaussian
    noise of standard deviation ``noise_multiplier · max_norm`` to the sum of the batch's clipped gradients,
    and divides by the *expected* batch size.

    Give exactly one of ``epsilon`` and ``noise_multiplier``; the other follows from the accounting.

    Args:
        epsilon: the promise, > 0. A few is usual; each unit multiplies what may be learnt of a row by 2.7.
        delta: the chance that the promise does not hold, in (0, 1). Take it well below 1 / rows.
        max_norm: C, the most by which one row moves the sum of gradients, > 0, in the units of a gradient's
            norm over all layers.
        noise_multiplier: standard deviation of the noise in units of C, ≥ 0. With 0 gradients are clipped and
            nothing is promised: ε is infinite, and is reported so.
        clipping: "flat" scales a row's whole gradient by ``min(1, C / ‖g_i‖)``; "per_layer" each of its K
            layers by ``min(1, C / (√K ‖g_i,l‖))``, so that the whole stays within C; "automatic" the whole by
            ``C / (‖g_i‖ + 0.01)``, so that C merges with the learning rate.
        accountant: "pld" (privacy loss distribution, tight) or "rdp" (Rényi, looser, at any delta).
        sampling: "poisson" draws every row for every batch by its own coin, which is what the accounting
            covers. "shuffled" walks through shuffled rows, as ordinary training does: **no accounting here
            covers it**, so what was spent is reported as infinite, with the figure for Poisson beside it.

    Raises:
        ParameterError: a value is out of its bounds, or both or neither of ε and the noise are given.

    Source:
        Abadi et al., arXiv 1607.00133; automatic clipping: Bu et al., arXiv 2206.07136.

    Example:
        >>> Privacy(epsilon=3, delta=1e-5)
        Privacy(epsilon=3.0, delta=1e-05, max_norm=1.0, noise_multiplier=None, clipping='flat',
                accountant='pld', sampling='poisson')
        >>> Privacy(delta=1e-5, noise_multiplier=1.1) == Privacy(delta=1e-5, noise_multiplier=1.1)
        True
    """

    epsilon: float | None = None
    delta: float | None = None
    max_norm: float = 1.0
    _: KW_ONLY
    noise_multiplier: float | None = None
    clipping: Clipping = "flat"
    accountant: Accountant = "pld"
    sampling: Sampling = "poisson"

    def __post_init__(self) -> None:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ParameterError(
                f"epsilon={self.epsilon!r} and noise_multiplier={self.noise_multiplier!r}: give exactly one "
                "of them, the promise or the noise, for example Privacy(epsilon=3, delta=1e-5)"
            )
        for name, kinds in (("clipping", Clipping), ("accountant", Accountant), ("sampling", Sampling)):
            if getattr(self, name) not in get_args(kinds):
                raise unknown_option_error(name, getattr(self, name), get_args(kinds))
        if self.epsilon is not None:
            self._set("epsilon", positive("epsilon", self.epsilon))
        if self.noise_multiplier is not None:
            self._set("noise_multiplier", not_negative("noise_multiplier", self.noise_multiplier))
        self._set("max_norm", positive("max_norm", self.max_norm, "; a large number clips nothing"))
        self._set("delta", checked_delta(self.delta, self.accountant))

    def start(
        self, n_rows: int, expected_size: int, steps: int, before: PrivacySpent | None, *, seeded: bool
    ) -> "PrivacyEngine":
        """Return a fit that keeps the promise over all its steps.

        Args:
            n_rows: rows in the table.
            expected_size: rows in a batch on average, from 1 to ``n_rows``.
            steps: how many updates there will be at most.
            before: what was spent on the same table, or None.
            seeded: whether a fixed seed draws the batches and the noise.

        Returns:
            The fit.

        Raises:
            ParameterError: the budget does not allow it.
            BatchpropError: dp-accounting is not installed.

        Example:
            >>> fit = Privacy(epsilon=3, delta=1e-5).start(1_000, 100, 50, None, seeded=True)
            >>> round(fit.noise_multiplier, 1), fit.compute_spent(50).epsilon <= 3
            (1.4, True)
        """
        runs = () if before is None else before.runs
        rate, noise = expected_size / n_rows, self.noise_multiplier
        if noise is None:
            # Shuffled batches are promised nothing anyway: their noise is what Poisson sampling would need.
            so_far = as_poisson(runs) if self.sampling == "shuffled" else runs
            noise = calibrate_noise(
                self.epsilon or 0.0, self.delta or 0.0, rate, steps, self.accountant, so_far
            )
        seeded = seeded or (before is not None and before.seeded)
        return PrivacyEngine(self, n_rows, expected_size, noise, runs, seeded)

    def resume(
        self, n_rows: int, expected_size: int, steps: int, before: PrivacySpent, *, seeded: bool
    ) -> "PrivacyEngine":
        """Return a fit that goes on with the noise of the last one, as long as the budget lasts.

        Args:
            n_rows: rows in the table.
            expected_size: rows in a batch on average.
            steps: how many updates there will be.
            before: what was spent on the same table.
            seeded: whether a fixed seed draws the batches and the noise.

        Returns:
            The fit.

        Raises:
            ParameterError: the steps would spend more than the budget, or batches were shuffled before.
        """
        noise = before.noise_multiplier if self.noise_multiplier is None else self.noise_multiplier
        fit = PrivacyEngine(self, n_rows, expected_size, noise, before.runs, seeded or before.seeded)
        if self.epsilon is None:
            return fit
        after = fit.compute_spent(steps)
        if self.sampling == "poisson" and after.sampling == "shuffled":
            raise ParameterError(
                f"epsilon={self.epsilon:g} cannot be promised after a run with shuffled batches, which no "
                "accounting here covers: fit anew with sampling='poisson'"
            )
        would_be = after.epsilon_if_poisson
        if would_be > self.epsilon:
            raise ParameterError(
                f"the privacy budget is spent: epsilon={before.epsilon_if_poisson:.4g} of {self.epsilon:g}, "
                f"and {steps} more steps would make it {would_be:.4g}: plan fewer epochs (max_iter), allow a "
                "larger epsilon, or train on other rows"
            )
        return fit

    def _set(self, name: str, value: float) -> None:
        # A Python float, whatever the number was: its repr can be read back without NumPy.
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class PrivacyEngine:
    """A fit under a promise; made by ``Privacy.begin``.

    Attributes:
        privacy: what was asked for.
        n_rows: n, of the table; taken for public, as is the expected batch size.
        expected_size: rows in a batch on average.
        noise_multiplier: σ.
        before: the runs on the same table so far.
        seeded: whether a fixed seed draws the batches and the noise.
    """

    privacy: Privacy
    n_rows: int
    expected_size: int
    noise_multiplier: float
    before: tuple[SamplingRun, ...]
    seeded: bool

    @property
    def rate(self) -> float:
        """The chance of a row to be in a batch."""
        return self.expected_size / self.n_rows

    @property
    def mechanism(self) -> DPMechanism:
        """What limits the gradients and adds the noise."""
        clipping: mechanism.Clipping = CLIPPINGS[self.privacy.clipping](self.privacy.max_norm)
        return DPMechanism(clipping, self.noise_multiplier or None, float(self.expected_size))

    def plan(self, n_batches: int, random_state: np.random.RandomState) -> BatchSampler:
        """Plan epochs of so many batches: each row by its own coin, or shuffled where that was asked for."""
        if self.privacy.sampling == "shuffled":
            return minibatches(self.n_rows, self.expected_size, random_state)
        return poisson_batches(self.n_rows, self.rate, n_batches, random_state)

    def compute_spent(self, steps: int) -> PrivacySpent:
        """What is spent after so many steps of this fit, and all that went before it."""
        runs = _joined(
            self.before, SamplingRun(self.rate, self.noise_multiplier, steps, self.privacy.sampling)
        )
        return compute_spent(self.privacy, runs, expected_batch_size=self.expected_size, seeded=self.seeded)


def compute_spent(
    privacy: Privacy, runs: Iterable[SamplingRun], *, expected_batch_size: float, seeded: bool
) -> PrivacySpent:
    """Reckon what the runs have spent, and write it down.

    Args:
        privacy: what was asked for.
        runs: what was done, oldest first; all on the same table.
        expected_batch_size: rows that a batch of the last run has on average.
        seeded: whether a fixed seed drew the batches or the noise of any run.

    Returns:
        The record.

    Raises:
        ParameterError: there is no run.

    Example:
        >>> private = Privacy(delta=1e-5, noise_multiplier=0)
        >>> compute_spent(
        ...     private, [SamplingRun(0.01, 0.0, 10)], expected_batch_size=64, seeded=False
        ... ).epsilon
        inf
    """
    runs = tuple(runs)
    if not runs:
        raise ParameterError("runs=() says nothing of what was spent: give at least one Run, of 0 steps even")
    # ``privacy`` was checked when it was made, but its field's type still allows None.
    delta = float(privacy.delta or 0.0)
    reckoned = compute_epsilon(as_poisson(runs), delta, privacy.accountant)
    # A run that nothing covers stays in the account, whatever comes after it.
    shuffled = privacy.sampling == "shuffled" or any(run.steps and run.sampling == "shuffled" for run in runs)
    covered = not shuffled or reckoned == 0
    return PrivacySpent(
        epsilon=reckoned if covered else math.inf,
        delta=delta,
        epsilon_if_poisson=reckoned,
        accountant=privacy.accountant,
        noise_multiplier=runs[-1].noise_multiplier,
        steps=sum(run.steps for run in runs),
        sampling_rate=runs[-1].sampling_rate,
        expected_batch_size=float(expected_batch_size),
        max_norm=privacy.max_norm,
        clipping=privacy.clipping,
        sampling="shuffled" if shuffled else "poisson",
        seeded=seeded,
        relation=RELATION,
        runs=runs,
    )


def _joined(runs: tuple[SamplingRun, ...], last: SamplingRun) -> tuple[SamplingRun, ...]:
    """The runs with one more, which is added to the one before it where both are of one kind."""
    if not runs or replace(runs[-1], steps=last.steps) != last:
        return (*runs, last)
    return (*runs[:-1], replace(last, steps=runs[-1].steps + last.steps))
