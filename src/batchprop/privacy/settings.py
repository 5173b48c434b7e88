"""What a user asks of private training: one immutable record, checked when it is made."""

import math
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from batchprop.errors import ParameterError, unknown_name

if TYPE_CHECKING:
    from batchprop.privacy.fitting import PrivateFit
    from batchprop.privacy.spent import Spent

Clipping: TypeAlias = Literal["flat", "per_layer", "automatic"]
Accountant: TypeAlias = Literal["pld", "rdp"]
Sampling: TypeAlias = Literal["poisson", "shuffled"]

SMALLEST_DELTA = 1e-10
"""Below it the rounding of the PLD accountant's Fourier transforms could be mistaken for delta."""


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
                raise unknown_name(name, getattr(self, name), get_args(kinds))
        if self.epsilon is not None:
            self._keep("epsilon", positive("epsilon", self.epsilon))
        if self.noise_multiplier is not None:
            self._keep("noise_multiplier", not_negative("noise_multiplier", self.noise_multiplier))
        self._keep("max_norm", positive("max_norm", self.max_norm, "; a large number clips nothing"))
        self._keep("delta", checked_delta(self.delta, self.accountant))

    def begin(
        self, n_rows: int, expected_size: int, steps: int, before: "Spent | None", *, seeded: bool
    ) -> "PrivateFit":
        """Return a fit that keeps the promise over all its steps (see ``fitting.begin``)."""
        from batchprop.privacy.fitting import begin

        return begin(self, n_rows, expected_size, steps, before, seeded=seeded)

    def go_on(
        self, n_rows: int, expected_size: int, steps: int, before: "Spent", *, seeded: bool
    ) -> "PrivateFit":
        """Return a fit that goes on with the noise of the last one (see ``fitting.go_on``)."""
        from batchprop.privacy.fitting import go_on

        return go_on(self, n_rows, expected_size, steps, before, seeded=seeded)

    def _keep(self, name: str, value: float) -> None:
        # A Python float, whatever the number was: its repr can be read back without NumPy.
        object.__setattr__(self, name, value)


def checked_delta(delta: object, accountant: Accountant) -> float:
    """Return δ as a float if the accountant can answer for it.

    Raises:
        ParameterError: δ is no number in (0, 1), or below 1e-10 with "pld".

    Example:
        >>> checked_delta(1e-5, "pld")
        1e-05
    """
    value = number(delta)
    if not 0 < value < 1:
        raise ParameterError(
            f"delta={delta!r} must be a number in (0, 1): take it well below 1 / rows, for example 1e-5"
        )
    if accountant == "pld" and value < SMALLEST_DELTA:
        raise ParameterError(
            f"delta={delta!r} is below {SMALLEST_DELTA:g}, where accountant='pld' rounds too much: "
            "give a larger delta, or accountant='rdp'"
        )
    return value


def positive(name: str, value: object, remedy: str = "") -> float:
    """Return the value as a float if it is a finite number > 0.

    Example:
        >>> positive("max_norm", 1)
        1.0
    """
    if not 0 < (found := number(value)) < math.inf:
        raise ParameterError(f"{name}={value!r} must be a finite number > 0{remedy}")
    return found


def not_negative(name: str, value: object) -> float:
    """Return the value as a float if it is a finite number ≥ 0.

    Example:
        >>> not_negative("noise_multiplier", 0)
        0.0
    """
    if not 0 <= (found := number(value)) < math.inf:
        raise ParameterError(f"{name}={value!r} must be a finite number >= 0; 0 adds no noise")
    return found


def number(value: object) -> float:
    """Return a real number as a float, and anything else, a bool too, as nan: no comparison lets it pass."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    return float(value)
