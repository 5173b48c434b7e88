"""The terms of a promise: the names of what may be chosen, and checks of its numbers."""

import math
from numbers import Real
from typing import Literal, TypeAlias

from batchprop.errors import ParameterError

Clipping: TypeAlias = Literal["flat", "per_layer", "automatic"]
Accountant: TypeAlias = Literal["pld", "rdp"]
Sampling: TypeAlias = Literal["poisson", "shuffled"]

MIN_DELTA = 1e-10
"""Below it the rounding of the PLD accountant's Fourier transforms could be mistaken for delta."""


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
    if accountant == "pld" and value < MIN_DELTA:
        raise ParameterError(
            f"delta={delta!r} is below {MIN_DELTA:g}, where accountant='pld' rounds too much: "
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
