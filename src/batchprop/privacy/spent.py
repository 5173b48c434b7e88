"""What private training has spent: the record that an estimator keeps as ``privacy_spent_``."""

import math
from dataclasses import dataclass

from batchprop.privacy.accounting import SamplingRun
from batchprop.privacy.validation import Accountant, Clipping, Sampling

RELATION = "add or remove one row"


@dataclass(frozen=True)
class PrivacySpent:
    """What training has spent of the privacy of its rows, and how that was reckoned; made by ``spent``.

    Attributes:
        epsilon: ε of everything trained so far. Infinite, no promise, with shuffled batches or without noise.
        delta: δ.
        epsilon_if_poisson: ε if the batches had been drawn by Poisson sampling: the same number where they
            were, and with shuffled batches a figure for comparison, not a promise.
        accountant: "pld" or "rdp".
        noise_multiplier: σ of the last run, in units of ``max_norm``.
        steps: updates over all runs.
        sampling_rate: q of the last run, a row's chance to be in a batch.
        expected_batch_size: rows that a batch has on average, the divisor of its sum; of the last run.
        max_norm: the clipping norm C.
        clipping: "flat", "per_layer" or "automatic".
        sampling: "poisson", or "shuffled" where any run was.
        seeded: a fixed seed drew the batches and the noise. Who knows it can take the noise off again: that
            is for tests only.
        relation: which tables the promise takes for neighbours.
        runs: every run so far, for carrying the budget on: ``calibrate_noise(..., before=spent.runs)``.
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
        """Say in a sentence or three what was spent, and what the promise does not cover.

        Example:
            >>> from batchprop.privacy import Privacy, compute_spent
            >>> private = Privacy(delta=1e-5, noise_multiplier=1.0)
            >>> print(
            ...     compute_spent(
            ...         private, [SamplingRun(0.01, 1.0, 1000)], expected_batch_size=64, seeded=True
            ...     ).summary()
            ... )
            epsilon = 1.83 at delta = 1e-05 (add or remove one row; accountant pld), after 1000 steps with
            noise multiplier 1, sampling rate 0.01 and clipping norm 1 (flat). A fixed seed was used: whoever
            knows it can take the noise off, so this is for tests only.
        """
        cost = f"at delta = {self.delta:g} ({self.relation}; accountant {self.accountant})"
        how = (
            f"after {self.steps} steps with noise multiplier {self.noise_multiplier:.4g}, sampling rate "
            f"{self.sampling_rate:.4g} and clipping norm {self.max_norm:.4g} ({self.clipping})."
        )
        if self.sampling == "shuffled":
            said = (
                f"No epsilon is promised: batches were shuffled, which the accounting does not cover. As if "
                f"they had been Poisson-sampled: epsilon = {self.epsilon_if_poisson:.3g} {cost}, {how}"
            )
        elif math.isinf(self.epsilon):
            said = f"No epsilon is promised: there was a run without noise. Infinite {cost}, {how}"
        else:
            said = f"epsilon = {self.epsilon:.3g} {cost}, {how}"
        if self.seeded:
            said += (
                " A fixed seed was used: whoever knows it can take the noise off, so this is for tests only."
            )
        return said

    def __str__(self) -> str:
        return self.summary()
