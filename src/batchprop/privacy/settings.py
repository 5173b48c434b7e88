"""The settings of private training, and the plan of a fit within the privacy budget."""

import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, replace
from typing import get_args

import numpy as np

from batchprop import dp_sgd as mechanism
from batchprop.batches import BatchSampler, minibatches, poisson_batches
from batchprop.dp_sgd import AutomaticClipping, DPMechanism, FlatClipping, PerLayerClipping
from batchprop.errors import ParameterError, unknown_option_error, warn
from batchprop.format import format_number
from batchprop.privacy.accounting import SamplingRun, as_poisson, calibrate_noise, compute_epsilon
from batchprop.privacy.budget import RELATION, PrivacySpent
from batchprop.privacy.validation import (
    Accountant,
    Clipping,
    Sampling,
    check_delta,
    check_not_negative,
    check_positive,
)

CLIPPINGS: dict[str, type[FlatClipping | PerLayerClipping | AutomaticClipping]] = {
    "flat": FlatClipping,
    "per_layer": PerLayerClipping,
    "automatic": AutomaticClipping,
}


@dataclass(frozen=True)
class Privacy:
    """Differentially private training by clipped gradients and noise (DP-SGD), and its settings.

    Training is (ε, δ)-differentially private if, for any two tables that differ by one row and any set S of
    outcomes, ``P(M(D) ∈ S) ≤ exp(ε) P(M(D') ∈ S) + δ``. Each step clips every row's gradient, sums them, adds
    Gaussian noise of standard deviation ``noise_multiplier · max_norm``, and divides by the *expected* batch
    size.

    Give exactly one of ``epsilon`` and ``noise_multiplier``; the accounting computes the other.

    Args:
        epsilon: the privacy guarantee, > 0. A few is usual; each unit multiplies the likelihood ratio of
            an outcome with and without a row by up to 2.7.
        delta: the probability that the guarantee fails, in (0, 1). Choose it well below 1 / rows; from
            1 / rows on, a fit warns.
        max_norm: C > 0, the clipping norm: the largest contribution of one row to the sum of gradients, as
            a norm over all layers.
        noise_multiplier: the standard deviation of the noise in units of C, ≥ 0. With 0, gradients are
            clipped but nothing is guaranteed, and ε is reported as infinite.
        clipping: "flat" scales a row's gradient by ``min(1, C / ‖g_i‖)``; "per_layer" scales each of its K
            layers by ``min(1, C / (√K ‖g_i,l‖))``, which keeps the whole within C; "automatic" scales the
            gradient by ``C / (‖g_i‖ + 0.01)``, so that C merges with the learning rate.
        accountant: "pld" (privacy loss distribution, tight, and never above "rdp") or "rdp" (Rényi, looser,
            for any delta).
        sampling: "poisson" draws each row for each batch independently, which is what the accounting
            covers. "shuffled" takes batches from shuffled rows, as ordinary training does. **The accounting
            does not cover it**: ε is reported as infinite, beside the ε of Poisson sampling.

    Raises:
        ParameterError: a value is out of bounds, or both or neither of ε and the noise are given.

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
                "of them, the guarantee or the noise, for example Privacy(epsilon=3, delta=1e-5)"
            )
        for name, options in (("clipping", Clipping), ("accountant", Accountant), ("sampling", Sampling)):
            if getattr(self, name) not in get_args(options):
                raise unknown_option_error(name, getattr(self, name), get_args(options))
        if self.epsilon is not None:
            self._set("epsilon", check_positive("epsilon", self.epsilon))
        if self.noise_multiplier is not None:
            self._set("noise_multiplier", check_not_negative("noise_multiplier", self.noise_multiplier))
        self._set("max_norm", check_positive("max_norm", self.max_norm, "; a large number clips nothing"))
        self._set("delta", check_delta(self.delta, self.accountant))

    def start(
        self, n_rows: int, expected_batch_size: int, steps: int, spent: PrivacySpent | None, *, seeded: bool
    ) -> "PrivacyPlan":
        """Return the plan of a new fit, with enough noise for all its steps.

        Args:
            n_rows: the number of rows in the table.
            expected_batch_size: the mean number of rows in a batch, from 1 to ``n_rows``.
            steps: the largest number of updates.
            spent: what earlier fits on the same table spent, or None.
            seeded: whether a fixed seed draws the batches and the noise.

        Returns:
            The plan. It warns if delta is at least 1 / rows, or if ε of all steps is 0, as with so much
            noise nothing is learned.

        Raises:
            ParameterError: the budget is too small.
            BatchpropError: dp-accounting is not installed.

        Example:
            >>> plan = Privacy(epsilon=3, delta=1e-5).start(1_000, 100, 50, None, seeded=True)
            >>> round(plan.noise_multiplier, 1), plan.compute_spent(50).epsilon <= 3
            (1.4, True)
        """
        runs = () if spent is None else spent.runs
        rate, noise = expected_batch_size / n_rows, self.noise_multiplier
        if noise is None:
            # Shuffled batches have no guarantee: they get the noise that Poisson sampling would need, so
            # that the two can be compared.
            past_runs = as_poisson(runs) if self.sampling == "shuffled" else runs
            noise = calibrate_noise(
                self.epsilon or 0.0, self.delta or 0.0, rate, steps, self.accountant, past_runs
            )
        seeded = seeded or (spent is not None and spent.seeded)
        plan = PrivacyPlan(self, n_rows, expected_batch_size, noise, runs, seeded)
        self._warn_if_delta_is_large(n_rows)
        # The accounting keeps the result: the record at the end of the fit needs it again.
        if steps and plan.compute_spent(steps).epsilon_if_poisson == 0:
            warn(
                f"epsilon is 0 after {steps} steps with noise_multiplier={noise:.4g}, at a sampling rate of "
                f"{plan.sampling_rate:.4g} and delta={self.delta:g}: the weights tell nothing about a row, "
                "and so learn hardly anything: give a smaller noise_multiplier, as 1, or an epsilon, as 3"
            )
        return plan

    def resume(
        self, n_rows: int, expected_batch_size: int, steps: int, spent: PrivacySpent, *, seeded: bool
    ) -> "PrivacyPlan":
        """Return the plan of a fit that continues with the noise of the last one.

        Args:
            n_rows: the number of rows in the table.
            expected_batch_size: the mean number of rows in a batch.
            steps: the number of updates.
            spent: what earlier fits on the same table spent.
            seeded: whether a fixed seed draws the batches and the noise.

        Returns:
            The plan.

        Raises:
            ParameterError: the steps would exceed the budget, or earlier batches were shuffled.
        """
        noise = spent.noise_multiplier if self.noise_multiplier is None else self.noise_multiplier
        plan = PrivacyPlan(self, n_rows, expected_batch_size, noise, spent.runs, seeded or spent.seeded)
        self._warn_if_delta_is_large(n_rows)
        if self.epsilon is None:
            return plan
        # Refuse before the first step, not once the budget is exceeded: a released model cannot be recalled.
        after = plan.compute_spent(steps)
        if self.sampling == "poisson" and after.sampling == "shuffled":
            raise ParameterError(
                f"epsilon={self.epsilon:g} cannot be guaranteed after a run with shuffled batches, which the "
                "accounting does not cover: fit from scratch with sampling='poisson'"
            )
        total = after.epsilon_if_poisson
        if total > self.epsilon:
            raise ParameterError(
                f"the privacy budget is spent: epsilon={spent.epsilon_if_poisson:.4g} of {self.epsilon:g}, "
                f"and {steps} more steps would make it {format_number(total)}: plan fewer epochs (max_iter), "
                "allow a larger epsilon, or train on other rows"
            )
        return plan

    def _warn_if_delta_is_large(self, n_rows: int) -> None:
        if self.delta is not None and self.delta >= 1 / n_rows:
            warn(
                f"delta={self.delta:g} is not below 1 / {n_rows} rows: even a model that publishes a row "
                f"chosen at random keeps such a guarantee; give a smaller delta, as {0.1 / n_rows:.0e}"
            )

    def _set(self, name: str, value: float) -> None:
        # The checks return a Python float also for a NumPy one, so that repr needs no NumPy to be evaluated.
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class PrivacyPlan:
    """The privacy of one fit: its mechanism, batches and accounting; made by ``Privacy.start``."""

    # The number of rows and the expected batch size count as public: the noise does not hide them.

    privacy: Privacy
    n_rows: int
    expected_batch_size: int
    noise_multiplier: float
    past_runs: tuple[SamplingRun, ...]
    seeded: bool

    @property
    def sampling_rate(self) -> float:
        """The probability that a row is in a batch."""
        return self.expected_batch_size / self.n_rows

    @property
    def mechanism(self) -> DPMechanism:
        """The mechanism that clips the gradients and adds the noise."""
        clipping: mechanism.Clipping = CLIPPINGS[self.privacy.clipping](self.privacy.max_norm)
        return DPMechanism(clipping, self.noise_multiplier or None, float(self.expected_batch_size))

    def make_sampler(self, n_batches: int, random_state: np.random.RandomState) -> BatchSampler:
        """Return a sampler of epochs of ``n_batches`` batches, drawn as ``privacy.sampling`` says."""
        if self.privacy.sampling == "shuffled":
            return minibatches(self.n_rows, self.expected_batch_size, random_state)
        return poisson_batches(self.n_rows, self.sampling_rate, n_batches, random_state)

    def compute_spent(self, steps: int) -> PrivacySpent:
        """Return what this fit has spent after some steps, together with all past runs."""
        runs = _append_run(
            self.past_runs,
            SamplingRun(self.sampling_rate, self.noise_multiplier, steps, self.privacy.sampling),
        )
        return compute_spent(
            self.privacy, runs, expected_batch_size=self.expected_batch_size, seeded=self.seeded
        )


def compute_spent(
    privacy: Privacy, runs: Iterable[SamplingRun], *, expected_batch_size: float, seeded: bool
) -> PrivacySpent:
    """Compute what runs on one table have spent.

    Args:
        privacy: the settings.
        runs: the runs, oldest first.
        expected_batch_size: the mean number of rows in a batch of the last run.
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
        raise ParameterError("runs=() is empty: give at least one SamplingRun, if only of 0 steps")
    # Privacy.__post_init__ has checked delta, but the type of the field still allows None.
    delta = float(privacy.delta or 0.0)
    epsilon = compute_epsilon(as_poisson(runs), delta, privacy.accountant)
    # A shuffled run voids the guarantee for good: no later run can restore it.
    shuffled = privacy.sampling == "shuffled" or any(run.steps and run.sampling == "shuffled" for run in runs)
    covered = not shuffled or epsilon == 0
    return PrivacySpent(
        epsilon=epsilon if covered else math.inf,
        delta=delta,
        epsilon_if_poisson=epsilon,
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


def _append_run(runs: tuple[SamplingRun, ...], last: SamplingRun) -> tuple[SamplingRun, ...]:
    """Return the runs with one more, merged into the last one if only their steps differ."""
    if not runs or replace(runs[-1], steps=last.steps) != last:
        return (*runs, last)
    return (*runs[:-1], replace(last, steps=runs[-1].steps + last.steps))
