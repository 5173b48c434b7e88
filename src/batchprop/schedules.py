"""The schedules: each a plain function from the step, counted from 0, to the learning rate of that step.

A schedule checks its settings when it is made. Training evaluates it for the steps of an epoch when the epoch
begins, so a schedule may also depend on the epochs before: ``ReduceOnPlateau`` does.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

from batchprop.errors import ParameterError

Schedule: TypeAlias = Callable[[int], float]
"""``step -> learning rate``."""


def constant(learning_rate: float) -> Schedule:
    """A constant rate: ``α(t) = α``.

    Args:
        learning_rate: α > 0.

    Returns:
        The schedule.

    Raises:
        ParameterError: α is not a positive number.

    Example:
        >>> constant(0.1)(1000)
        0.1
    """
    _check_rate("learning_rate", learning_rate)
    return lambda _: learning_rate


def invscaling(
    learning_rate: float,
    power: float,
    *,
    steps_per_epoch: int,
    rows_per_epoch: int,
    rows_before: int = 0,
) -> Schedule:
    """scikit-learn's "invscaling": ``α(t) = α / (1 + n)^p``, n the rows trained on before t's epoch.

    Args:
        learning_rate: α > 0.
        power: p ≥ 0.
        steps_per_epoch: the number of steps that share one rate.
        rows_per_epoch: the number of rows that an epoch adds to the count.
        rows_before: the number of rows trained on before step 0.

    Returns:
        The schedule.

    Raises:
        ParameterError: α is not positive or p is negative.

    Example:
        >>> schedule = invscaling(1.0, 0.5, steps_per_epoch=2, rows_per_epoch=99)
        >>> schedule(1), schedule(2)
        (1.0, 0.1)
    """
    _check_rate("learning_rate", learning_rate)
    if not power >= 0:
        raise ParameterError(f"power_t={power!r} is not allowed: give 0 or a positive number, as 0.5")

    def schedule(step: int) -> float:
        n_rows = rows_before + step // steps_per_epoch * rows_per_epoch
        return learning_rate / math.pow(n_rows + 1, power)

    return schedule


class ReduceOnPlateau:
    """scikit-learn's "adaptive": a constant rate, until early stopping calls ``reduce``.

    Attributes:
        learning_rate: the current rate.

    Example:
        >>> schedule = ReduceOnPlateau(0.5)
        >>> schedule(0), schedule.reduce(), schedule(1)
        (0.5, True, 0.1)
    """

    # Both are scikit-learn's.
    FACTOR = 5.0
    SMALLEST = 1e-6

    def __init__(self, learning_rate: float) -> None:
        _check_rate("learning_rate", learning_rate)
        self.learning_rate = learning_rate

    def __call__(self, step: int) -> float:
        """Return the current rate, the same for every step."""
        return self.learning_rate

    def reduce(self) -> bool:
        """Divide the rate by 5, unless it is already 1e-6 or less.

        Returns:
            Whether it was divided; False means that training must stop.
        """
        if self.learning_rate <= self.SMALLEST:
            return False
        self.learning_rate /= self.FACTOR
        return True


def cosine(learning_rate: float, total_steps: int, final: float = 0.0) -> Schedule:
    """Half a cosine from α down to the final rate: ``α(t) = f + ½ (α − f)(1 + cos(π t / T))``, then f.

    Args:
        learning_rate: α > 0, the rate of step 0.
        total_steps: T ≥ 1.
        final: f ≥ 0.

    Returns:
        The schedule.

    Raises:
        ParameterError: a setting is out of range.

    Source:
        Loshchilov and Hutter, arXiv 1608.03983, without restarts.

    Example:
        >>> schedule = cosine(1.0, 100)
        >>> schedule(0), round(schedule(50), 6), schedule(100)
        (1.0, 0.5, 0.0)
    """
    _check_rate("learning_rate", learning_rate)
    _check_steps(total_steps)
    if not 0 <= final < math.inf:
        raise ParameterError(f"final={final!r} is not allowed: give 0 or a positive learning rate")
    return lambda step: _cosine_interpolate(learning_rate, final, step / total_steps)


def warmup_cosine(learning_rate: float, total_steps: int, warmup_fraction: float = 0.1) -> Schedule:
    """A linear warm-up to α over the first part of the steps, then half a cosine down to 0.

    Args:
        learning_rate: α > 0, the highest rate.
        total_steps: T ≥ 1.
        warmup_fraction: the fraction of T in which the rate rises, in [0, 1).

    Returns:
        The schedule.

    Raises:
        ParameterError: a setting is out of range.

    Source:
        Goyal et al., arXiv 1706.02677 (warm-up); arXiv 1608.03983 (cosine).

    Example:
        >>> schedule = warmup_cosine(1.0, 100, 0.1)
        >>> schedule(0), schedule(9), schedule(100)
        (0.1, 1.0, 0.0)
    """
    _check_rate("learning_rate", learning_rate)
    _check_steps(total_steps)
    warmup = _warmup_steps(total_steps, warmup_fraction)

    def schedule(step: int) -> float:
        if step < warmup:
            # From step + 1, as a first rate of 0 would waste the first batch.
            return learning_rate * (step + 1) / warmup
        return _cosine_interpolate(learning_rate, 0.0, (step - warmup) / max(total_steps - warmup, 1))

    return schedule


def one_cycle(
    learning_rate: float,
    total_steps: int,
    warmup_fraction: float = 0.3,
    start_divisor: float = 25.0,
    end_divisor: float = 1e4,
) -> Schedule:
    """Half a cosine up from ``α/25`` to α, and half a cosine down to ``α/(25·10⁴)``.

    Args:
        learning_rate: α > 0, the highest rate.
        total_steps: T ≥ 1.
        warmup_fraction: the fraction of T in which the rate rises, in [0, 1).
        start_divisor: α over the first step's rate, at least 1.
        end_divisor: the first step's rate over the last one's, at least 1.

    Returns:
        The schedule.

    Raises:
        ParameterError: a setting is out of range.

    Source:
        Smith and Topin, arXiv 1708.07120.

    Example:
        >>> schedule = one_cycle(1.0, 100)
        >>> round(schedule(0), 6), schedule(30), schedule(100)
        (0.04, 1.0, 4e-06)
    """
    _check_rate("learning_rate", learning_rate)
    _check_steps(total_steps)
    for name, divisor in (("start_divisor", start_divisor), ("end_divisor", end_divisor)):
        if not divisor >= 1:
            raise ParameterError(f"{name}={divisor!r} is not allowed: give a number of at least 1")
    warmup = _warmup_steps(total_steps, warmup_fraction)
    start = learning_rate / start_divisor

    def schedule(step: int) -> float:
        if step < warmup:
            return _cosine_interpolate(start, learning_rate, step / warmup)
        return _cosine_interpolate(
            learning_rate, start / end_divisor, (step - warmup) / max(total_steps - warmup, 1)
        )

    return schedule


def _cosine_interpolate(first: float, last: float, fraction: float) -> float:
    """Return half a cosine from ``first`` at 0 to ``last`` at 1, and ``last`` from there on."""
    # Training may continue beyond the planned steps, where the cosine itself would rise again.
    return last if fraction >= 1 else last + 0.5 * (first - last) * (1.0 + math.cos(math.pi * fraction))


def _warmup_steps(total_steps: int, warmup_fraction: float) -> int:
    if not 0 <= warmup_fraction < 1:
        raise ParameterError(
            f"warmup_fraction={warmup_fraction!r} is not allowed: give a number from 0 to below 1"
        )
    return round(total_steps * warmup_fraction)


def _check_rate(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ParameterError(f"{name}={value!r} is not allowed: give a positive number, as 0.001")


def _check_steps(total_steps: int) -> None:
    if total_steps < 1:
        raise ParameterError(
            f"total_steps={total_steps!r} is not allowed: give the number of steps, at least 1"
        )
