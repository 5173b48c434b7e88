"""The scale of numbers, beside which float64 resolves them."""

from typing import Any

import numpy as np
import numpy.typing as npt


def scale_to_1(*arrays: npt.NDArray[Any]) -> tuple[list[npt.NDArray[np.float64]], int]:
    """Divide numbers by a power of two, so that squares are not 0 in float64; return its exponent as well.

    >>> near_1, exponent = scale_to_1(np.array([3e-200, 4e-200]))
    >>> np.ldexp(np.linalg.norm(near_1[0]), exponent).item()
    5e-200
    """
    # No digit changes by it.
    floats = [np.asarray(values, dtype=np.float64) for values in arrays]
    exponent = int(np.frexp(max(np.abs(values).max(initial=0.0) for values in floats))[1])
    return [np.ldexp(values, -exponent) for values in floats], exponent
