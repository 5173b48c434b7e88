"""One private fit: which rows its batches take, its mechanism, and what it will have spent."""

from dataclasses import dataclass

import numpy as np

from batchprop.batches import Plan, mini, poisson
from batchprop.errors import ParameterError
from batchprop.mechanism import Automatic, Clipping, Flat, Mechanism, PerLayer
from batchprop.privacy.accounting import Run, epsilon_spent, noise_for
from batchprop.privacy.settings import Privacy
from batchprop.privacy.spent import Spent, spent

CLIPPINGS: dict[str, type[Flat | PerLayer | Automatic]] = {
    "flat": Flat,
    "per_layer": PerLayer,
    "automatic": Automatic,
}


@dataclass(frozen=True)
class PrivateFit:
    """A fit under a promise; made by ``begin``.

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
    before: tuple[Run, ...]
    seeded: bool

    @property
    def rate(self) -> float:
        """The chance of a row to be in a batch."""
        return self.expected_size / self.n_rows

    @property
    def mechanism(self) -> Mechanism:
        """What limits the gradients and adds the noise."""
        clipping: Clipping = CLIPPINGS[self.privacy.clipping](self.privacy.max_norm)
        return Mechanism(clipping, self.noise_multiplier or None, float(self.expected_size))

    def plan(self, n_batches: int, random_state: np.random.RandomState) -> Plan:
        """Plan epochs of so many batches: each row by its own coin, or shuffled where that was asked for."""
        if self.privacy.sampling == "shuffled":
            return mini(self.n_rows, self.expected_size, random_state)
        return poisson(self.n_rows, self.rate, n_batches, random_state)

    def spent(self, steps: int) -> Spent:
        """What is spent after so many steps of this fit, and all that went before it."""
        runs = (*self.before, Run(self.rate, self.noise_multiplier, steps))
        return spent(self.privacy, runs, expected_batch_size=self.expected_size, seeded=self.seeded)


def begin(
    privacy: Privacy, n_rows: int, expected_size: int, steps: int, before: Spent | None, *, seeded: bool
) -> PrivateFit:
    """Return a fit that keeps the promise over all its steps.

    Args:
        privacy: what is asked for.
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
        >>> fit = begin(Privacy(epsilon=3, delta=1e-5), 1_000, 100, 50, None, seeded=True)
        >>> round(fit.noise_multiplier, 1), fit.spent(50).epsilon <= 3
        (1.4, True)
    """
    runs = () if before is None else before.runs
    rate, noise = expected_size / n_rows, privacy.noise_multiplier
    if noise is None:
        noise = noise_for(
            float(privacy.epsilon or 0.0), _delta(privacy), rate, steps, privacy.accountant, runs
        )
    seeded = seeded or (before is not None and before.seeded)
    return PrivateFit(privacy, n_rows, expected_size, noise, runs, seeded)


def go_on(
    privacy: Privacy, n_rows: int, expected_size: int, steps: int, before: Spent, *, seeded: bool
) -> PrivateFit:
    """Return a fit that goes on with the noise of the last one, as long as the budget lasts.

    Args:
        privacy: what is asked for.
        n_rows: rows in the table.
        expected_size: rows in a batch on average.
        steps: how many updates there will be.
        before: what was spent on the same table.
        seeded: whether a fixed seed draws the batches and the noise.

    Returns:
        The fit.

    Raises:
        ParameterError: the steps would spend more than the budget.
    """
    noise = before.noise_multiplier if privacy.noise_multiplier is None else privacy.noise_multiplier
    fit = PrivateFit(privacy, n_rows, expected_size, noise, before.runs, seeded or before.seeded)
    if privacy.epsilon is not None:
        runs = (*before.runs, Run(fit.rate, noise, steps))
        would_be = epsilon_spent(runs, _delta(privacy), privacy.accountant)
        if would_be > privacy.epsilon:
            raise ParameterError(
                f"the privacy budget is spent: epsilon={before.epsilon:.4g} of {privacy.epsilon:g}, and "
                f"{steps} more steps would make it {would_be:.4g}: plan fewer epochs (max_iter), allow a "
                "larger epsilon, or train on other rows"
            )
    return fit


def _delta(privacy: Privacy) -> float:
    return float(privacy.delta or 0.0)  # checked when it was made; the field's type still allows None
