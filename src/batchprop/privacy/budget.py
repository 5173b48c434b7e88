"""The privacy that training has spent: the record that an estimator keeps as ``privacy_spent_``."""

import math
from dataclasses import dataclass

from batchprop.format import format_number, pluralize
from batchprop.privacy.accounting import SamplingRun
from batchprop.privacy.validation import Accountant, Clipping, Sampling

RELATION = "add or remove one row"


@dataclass(frozen=True)
class PrivacySpent:
    """The privacy that training has spent, and how it was computed; made by ``compute_spent``.

    Attributes:
        epsilon: ε of all training so far; infinite, so no guarantee, with shuffled batches or without noise.
        delta: δ.
        epsilon_if_poisson: ε as if Poisson sampling had drawn the batches: equal to ``epsilon`` if it did,
            and with shuffled batches a number for comparison, not a guarantee.
        accountant: "pld" or "rdp".
        noise_multiplier: σ of the last run, in units of ``max_norm``.
        steps: the number of updates over all runs.
        sampling_rate: q of the last run, the probability that a row is in a batch.
        expected_batch_size: the mean number of rows in a batch of the last run, by which its sum is divided.
        max_norm: the clipping norm C.
        clipping: "flat", "per_layer" or "automatic".
        sampling: "poisson", or "shuffled" if any run was.
        seeded: whether a fixed seed drew the batches and the noise. Anyone who knows the seed can subtract
            the noise, so this is for tests only.
        relation: which tables the guarantee counts as neighbours.
        runs: all runs so far, to continue the budget: ``calibrate_noise(..., past_runs=spent.runs)``.
    """

    epsilon: float
    delta: float
    epsilon_if_poisson: float
    accountant: Accountant
    noise_multiplier: float
    steps: int
    sampling_rate: float
    expected_batch_size: float
    max_norm: float
    clipping: Clipping
    sampling: Sampling
    seeded: bool
    relation: str
    runs: tuple[SamplingRun, ...]

    def summary(self) -> str:
        """Describe in one to three sentences what was spent, and what the guarantee does not cover.

        Example:
            >>> from batchprop.privacy import Privacy, compute_spent
            >>> private = Privacy(delta=1e-5, noise_multiplier=1.0)
            >>> print(
            ...     compute_spent(
            ...         private, [SamplingRun(0.01, 1.0, 1000)], expected_batch_size=64, seeded=True
            ...     ).summary()
            ... )
            epsilon = 1.83 at delta = 1·10⁻⁵ (add or remove one row; accountant pld), after 1,000 steps with
            noise multiplier 1, sampling rate 0.01 and clipping norm 1 (flat). A fixed seed was used: anyone
            who knows it can subtract the noise, so this is for tests only.
        """
        cost = f"at delta = {format_number(self.delta)} ({self.relation}; accountant {self.accountant})"
        settings = (
            f"after {pluralize(self.steps, 'step')} with noise multiplier "
            f"{format_number(self.noise_multiplier)}, sampling rate {format_number(self.sampling_rate)} "
            f"and clipping norm {format_number(self.max_norm)} ({self.clipping})."
        )
        if self.sampling == "shuffled":
            text = (
                f"No epsilon is guaranteed: batches were shuffled, which the accounting does not cover. With "
                f"Poisson sampling it would be epsilon = {format_number(self.epsilon_if_poisson, 3)} {cost}, "
                f"{settings}"
            )
        elif math.isinf(self.epsilon):
            text = f"No epsilon is guaranteed: a run had no noise. epsilon is infinite {cost}, {settings}"
        else:
            text = f"epsilon = {format_number(self.epsilon, 3)} {cost}, {settings}"
        if self.seeded:
            text += (
                " A fixed seed was used: anyone who knows it can subtract the noise, so this is for tests "
                "only."
            )
        return text

    def __str__(self) -> str:
        return self.summary()
