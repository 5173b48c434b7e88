"""Checks of the privacy settings: the allowed names, and the ranges of the numbers."""

import math
from numbers import Real
from typing import Literal, TypeAlias, get_args

from batchprop.errors import ParameterError, unknown_option_error

Clipping: TypeAlias = Literal["flat", "per_layer", "automatic"]
Accountant: TypeAlias = Literal["pld", "rdp"]
Sampling: TypeAlias = Literal["poisson", "shuffled"]

MIN_DELTA = 1e-10
"""Below it, rounding in the PLD accountant's Fourier transforms is as large as delta itself."""


def check_delta(delta: object, accountant: Accountant) -> float:
    """Return δ as a float if it is in (0, 1) and within the precision of the accountant.

    Example:
        >>> check_delta(1e-5, "pld")
        1e-05
    """
    if accountant not in get_args(Accountant):
        raise unknown_option_error("accountant", accountant, get_args(Accountant))
    value = as_number(delta)
    if not 0 < value < 1:
        raise ParameterError(
            f"delta={delta!r} must be a number in (0, 1), well below 1 / rows: for example 1e-5"
        )
    if accountant == "pld" and value < MIN_DELTA:
        raise ParameterError(
            f"delta={delta!r} is below {MIN_DELTA:g}, where accountant='pld' rounds too much: "
            "give a larger delta, or accountant='rdp'"
        )
    return value


def check_positive(name: str, value: object, remedy: str = "") -> float:
    """Return the value as a float if it is a finite number > 0.

    Example:
        >>> check_positive("max_norm", 1)
        1.0
    """
    if not 0 < (number := as_number(value)) < math.inf:
        raise ParameterError(f"{name}={value!r} must be a finite number > 0{remedy}")
    return number


def check_not_negative(name: str, value: object) -> float:
    """Return the value as a float if it is a finite number ≥ 0.

    Example:
        >>> check_not_negative("noise_multiplier", 0)
        0.0
    """
    if not 0 <= (number := as_number(value)) < math.inf:
        raise ParameterError(f"{name}={value!r} must be a finite number >= 0; 0 adds no noise")
    return number


def as_number(value: object) -> float:
    """Return a real number as a float, and anything else, also a bool, as nan."""
    # nan fails every comparison, so each caller needs only its range check.
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    return float(value)
