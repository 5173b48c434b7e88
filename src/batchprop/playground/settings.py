"""What can be chosen in the playground, and within which bounds."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

from batchprop.activations import ACTIVATIONS
from batchprop.errors import ParameterError, unknown_option_error
from batchprop.optimizers import OPTIMIZERS
from batchprop.playground.toy_datasets import TOYS

FILE = "file"
"""The name of a table of the player's own among the data."""

ROWS = (20, 5_000)
HIDDEN_LAYERS, UNITS = 6, 64
RATES = (1e-6, 100.0)
LAST_SEED = 2**32 - 1


class Speed(NamedTuple):
    """How fast it runs.

    Attributes:
        about: in words.
        pause: seconds from one step to the next.
    """

    about: str
    pause: float


SPEEDS = {
    "slow": Speed("2 batches a second", 0.5),
    "steady": Speed("20 batches a second", 0.05),
    "fast": Speed("as fast as it can", 0.0),
}


@dataclass(frozen=True)
class Settings:
    """All choices.

    Attributes:
        data: a key of ``TOYS``, or ``"file"``.
        rows: points of a toy set.
        noise: how far these stray, from 0 to 1.
        target: the column of the file to learn, or None.
        hidden: widths of the hidden layers.
        activation: of every hidden layer, a key of ``ACTIVATIONS``.
        batch_size: examples in a batch, from 1; ``"full"`` for all.
        learning_rate: α of each step.
        optimizer: a key of ``OPTIMIZERS``.
        seed: of the points, the rows held out, the first weights and the order of the rows.
        speed: a key of ``SPEEDS``.
        axes: which two features the plane shows; None for the second where there is one only.

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
        """Return these choices with some others.

        Args:
            changes: by their names, as JSON holds them.

        Raises:
            ParameterError: there is no such choice, or its value is not allowed.
        """
        for name in changes:
            if name not in _CHECKED:
                raise unknown_option_error("the choice", name, _CHECKED)
        return replace(self, **{name: _CHECKED[name](name, value) for name, value in changes.items()})

    def same(self, other: Self, names: Collection[str]) -> bool:
        """Whether both agree in some choices."""
        return all(getattr(self, name) == getattr(other, name) for name in names)


TRAINING_FIELDS = ("seed", "hidden", "activation")
"""The choices with which a training begins anew, beside those of what is learned from."""


def _refused(name: str, value: object, wanted: str) -> ParameterError:
    return ParameterError(f"{name}={value!r} is not allowed: give {wanted}"[:_MAX_LENGTH])


_MAX_LENGTH = 300  # letters; what a page sends may be of any length


def _one_of(known: Collection[str]) -> Callable[[str, object], str]:
    def checked(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in known:
            raise unknown_option_error(name, str(value)[:_MAX_LENGTH], known)
        return value

    return checked


def _whole(least: int, most: int) -> Callable[[str, object], int]:
    def checked(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _refused(name, value, f"a whole number from {least:,} to {most:,}")
        return value

    return checked


def _number(least: float, most: float) -> Callable[[str, object], float]:
    def checked(name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise _refused(name, value, f"a number from {least:g} to {most:g}")
        return float(value)

    return checked


def _widths(name: str, value: object) -> tuple[int, ...]:
    wanted = f"up to {HIDDEN_LAYERS} widths, each from 1 to {UNITS}, as [8, 8]"
    if not isinstance(value, list | tuple) or len(value) > HIDDEN_LAYERS:
        raise _refused(name, value, wanted)
    whole = _whole(1, UNITS)
    try:
        return tuple(whole(name, width) for width in value)
    except ParameterError:
        raise _refused(name, value, wanted) from None


def _batch_size(name: str, value: object) -> Any:
    if value == "full":
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _refused(name, value, "a whole number from 1, or 'full'")
    return value


def _column(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _refused(name, value, "the name of a column")
    return value


def _axes(name: str, value: object) -> tuple[int, int | None]:
    match value:
        case [int(x), None] if x >= 0:
            return x, None
        case [int(x), int(y)] if min(x, y) >= 0 and not {type(x), type(y)} & {bool}:
            return x, y
    raise _refused(name, value, "the numbers of two features, counted from 0")


_CHECKED: dict[str, Callable[[str, object], Any]] = {
    "data": _one_of([*TOYS, FILE]),
    "rows": _whole(*ROWS),
    "noise": _number(0.0, 1.0),
    "target": _column,
    "hidden": _widths,
    "activation": _one_of(ACTIVATIONS),
    "batch_size": _batch_size,
    "learning_rate": _number(*RATES),
    "optimizer": _one_of(OPTIMIZERS),
    "seed": _whole(0, LAST_SEED),
    "speed": _one_of(SPEEDS),
    "axes": _axes,
}
