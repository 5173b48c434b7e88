"""How many of something: whole numbers from 1."""

import numpy as np

from batchprop.errors import ParameterError


def check_count(name: str, value: object, remedy: str) -> None:
    """Check a parameter that counts.

    Args:
        name: of the parameter.
        value: what was given.
        remedy: what to give, for the message.

    Raises:
        ParameterError: it is no whole number, or below 1.

    Example:
        >>> check_count("top", 2.5, "at least 1 image, as 50")
        Traceback (most recent call last):
        batchprop.errors.ParameterError: top=2.5 is not allowed: give at least 1 image, as 50
    """
    if not isinstance(value, int | np.integer) or value < 1:
        raise ParameterError(f"{name}={value!r} is not allowed: give {remedy}")
