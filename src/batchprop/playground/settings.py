"""The playground's settings, and their limits."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from batchprop.activations import ACTIVATIONS
from batchprop.errors import ParameterError, unknown_option_error
from batchprop.optimizers import OPTIMIZERS
from batchprop.playground.toy_datasets import TOY_DATASETS

FILE = "file"
"""The name of the user's own table among the data sets."""

ROWS_RANGE = (20, 5_000)
MAX_HIDDEN_LAYERS, MAX_UNITS = 6, 64
LEARNING_RATE_RANGE = (1e-6, 100.0)
MAX_SEED = 2**32 - 1


class Speed(NamedTuple):
    """How fast the training runs: a description, and the seconds between two steps."""

    description: str
    pause: float


SPEEDS = {
    "slow": Speed("2 batches a second", 0.5),
    "steady": Speed("20 batches a second", 0.05),
    "fast": Speed("as fast as possible", 0.0),
}


@dataclass(frozen=True)
class Settings:
    """All settings of the playground, as the page sends and shows them.

    Example:
        >>> Settings().replace({"batch_size": 1, "hidden": [4]}).hidden
        (4,)
        >>> Settings().replace({"activation": "rely"})
        Traceback (most recent call last):
        batchprop.errors.ParameterError: activation='rely' is unknown: choose one of ...
    """

    data: str = "moons"
    rows: int = 300
    noise: float = 0.2
    target: str | None = None
    hidden: tuple[int, ...] = (8, 8)
    activation: str = "tanh"
    batch_size: int | Literal["full"] = 16
    learning_rate: float = 0.1
    optimizer: str = "sgd"
    seed: int = 0
    speed: str = "steady"
    axes: tuple[int, int | None] = (0, 1)

    def replace(self, changes: Mapping[str, object]) -> Self:
        """Return the settings with some changed, given as JSON values; each is validated."""
        for name in changes:
            if name not in _VALIDATORS:
                raise unknown_option_error("the setting", name, _VALIDATORS)
        return replace(self, **{name: _VALIDATORS[name](name, value) for name, value in changes.items()})

    def agrees_with(self, other: Self, names: Collection[str]) -> bool:
        """Whether both have the same values for some names."""
        return all(getattr(self, name) == getattr(other, name) for name in names)


TRAINING_FIELDS = ("seed", "hidden", "activation")
"""Settings that restart the training, besides those of the data."""


def _not_allowed(name: str, value: object, allowed: str) -> ParameterError:
    return ParameterError(f"{name}={value!r} is not allowed: give {allowed}"[:_MAX_LENGTH])


_MAX_LENGTH = 300  # a page may send values of any length


def _one_of(known: Collection[str]) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise unknown_option_error(name, str(value)[:_MAX_LENGTH], known)
        return value

    return check


def _integer(low: int, high: int) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _not_allowed(name, value, f"a whole number from {low:,} to {high:,}")
        return value

    return check


def _number(low: float, high: float) -> Callable[[str, object], float]:
    def check(name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise _not_allowed(name, value, f"a number from {_format(low)} to {_format(high)}")
        return float(value)

    return check


def _format(number: float) -> str:
    # As the page writes it: 0.000001 rather than 1e-06.
    return np.format_float_positional(number, trim="-")


def _widths(name: str, value: object) -> tuple[int, ...]:
    allowed = f"up to {MAX_HIDDEN_LAYERS} widths, each from 1 to {MAX_UNITS}, such as [8, 8]"
    if not isinstance(value, list | tuple) or len(value) > MAX_HIDDEN_LAYERS:
        raise _not_allowed(name, value, allowed)
    check_width = _integer(1, MAX_UNITS)
    try:
        return tuple(check_width(name, width) for width in value)
    except ParameterError:
        raise _not_allowed(name, value, allowed) from None


def _batch_size(name: str, value: object) -> Any:
    if value == "full":
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _not_allowed(name, value, "a whole number from 1, or 'full'")
    return value


def _target(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _not_allowed(name, value, "the name of a column")
    return value


def _axes(name: str, value: object) -> tuple[int, int | None]:
    match value:
        case [int(x), None] if x >= 0:
            return x, None
        case [int(x), int(y)] if min(x, y) >= 0 and not {type(x), type(y)} & {bool}:
            return x, y
    raise _not_allowed(name, value, "the numbers of two features, counted from 0")


_VALIDATORS: dict[str, Callable[[str, object], Any]] = {
    "data": _one_of([*TOY_DATASETS, FILE]),
    "rows": _integer(*ROWS_RANGE),
    "noise": _number(0.0, 1.0),
    "target": _target,
    "hidden": _widths,
    "activation": _one_of(ACTIVATIONS),
    "batch_size": _batch_size,
    "learning_rate": _number(*LEARNING_RATE_RANGE),
    "optimizer": _one_of(OPTIMIZERS),
    "seed": _integer(0, MAX_SEED),
    "speed": _one_of(SPEEDS),
    "axes": _axes,
}
